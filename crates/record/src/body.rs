//! The record body: `{v, at, idx, prev, input, events, elapsed}` in deterministic CBOR (dag-cbor: keys by
//! length, then bytes). The frame of the map is written and read by hand, so that `input` stays opaque and is
//! borrowed in O(1); the events go through `serde_ipld_dagcbor`, whose reader is strict.
//!
//! It does not know what an event or an input means.

use crate::cbor::{self, CborError, Cursor};
use crate::limits::BODY_VERSION;
use actum_model::Hash;
use cbor4ii::core::dec::Read as _;
use cbor4ii::core::utils::{BufWriter, SliceReader};
use serde::{Deserialize, Serialize};
use serde_ipld_dagcbor::de::Deserializer;
use serde_ipld_dagcbor::ser::Serializer;

const MEMBERS: u64 = 7;

/// What keeps bytes from being a record body, or a record from becoming one.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The map around input and events has another shape.
    #[error("record body is malformed")]
    Shape(#[from] CborError),
    /// A body of another format version.
    #[error("record body has version {found}, this build reads {BODY_VERSION}")]
    Version {
        /// The `v` found.
        found: u64,
    },
    /// `prev` is not 32 bytes long.
    #[error("record body has a `prev` of {found} bytes, expected 32")]
    Prev {
        /// The length found.
        found: usize,
    },
    /// Bytes follow the body.
    #[error("record body is followed by {count} bytes")]
    Trailing {
        /// How many.
        count: usize,
    },
    /// The events do not decode.
    #[error("events of the record do not decode: {0}")]
    Events(String),
    /// The events do not encode.
    #[error("events of the record do not encode: {0}")]
    Encode(String),
}

/// What a record says besides its input and its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Position in the journal, from 0.
    pub idx: u64,
    /// Wall time, milliseconds since 1970-01-01 UTC, as the input carried it.
    pub at_ms: u64,
    /// Monotonic run time in milliseconds, as the input carried it.
    pub elapsed_ms: u64,
    /// Hash of the previous body; zero for the first record.
    pub prev: Hash,
}

/// A whole body. `input` borrows from the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body<'a, E> {
    /// Position, times and previous hash.
    pub stamp: Stamp,
    /// The encoded input, provenance of the events; opaque here.
    pub input: &'a [u8],
    /// What was decided.
    pub events: Vec<E>,
}

/// A body whose input and events were not decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head<'a> {
    /// Position, times and previous hash.
    pub stamp: Stamp,
    /// The encoded input.
    pub input: &'a [u8],
    /// The encoded events: a CBOR array.
    pub events: &'a [u8],
}

/// Appends the body of a record to `out`, which is often a buffer used again.
///
/// # Errors
/// When an event does not serialize; `out` then holds a part of the body and must be cut back.
pub fn encode<E: Serialize>(
    out: &mut Vec<u8>,
    stamp: &Stamp,
    input: &[u8],
    events: &[E],
) -> Result<(), BodyError> {
    cbor::put_head(out, cbor::MAP, MEMBERS);
    cbor::put_text(out, "v");
    cbor::put_head(out, cbor::UNSIGNED, BODY_VERSION);
    cbor::put_text(out, "at");
    cbor::put_head(out, cbor::UNSIGNED, stamp.at_ms);
    cbor::put_text(out, "idx");
    cbor::put_head(out, cbor::UNSIGNED, stamp.idx);
    cbor::put_text(out, "prev");
    cbor::put_bytes(out, &stamp.prev.0);
    cbor::put_text(out, "input");
    cbor::put_bytes(out, input);
    cbor::put_text(out, "events");
    put_values(out, events)?;
    cbor::put_text(out, "elapsed");
    cbor::put_head(out, cbor::UNSIGNED, stamp.elapsed_ms);
    Ok(())
}

/// Appends `values` as a CBOR array.
///
/// # Errors
/// When a value does not serialize.
pub fn put_values<E: Serialize>(out: &mut Vec<u8>, values: &[E]) -> Result<(), BodyError> {
    let mut serializer = Serializer::new(BufWriter::new(std::mem::take(out)));
    let done = values.serialize(&mut serializer);
    *out = serializer.into_inner().into_inner();
    done.map_err(|error| BodyError::Encode(error.to_string()))
}

/// Reads a CBOR array of values and nothing behind it, strictly.
///
/// # Errors
/// On anything but a strict dag-cbor array of such values.
pub fn take_values<'a, E: Deserialize<'a>>(bytes: &'a [u8]) -> Result<Vec<E>, BodyError> {
    serde_ipld_dagcbor::from_slice(bytes).map_err(|error| BodyError::Events(error.to_string()))
}

/// Reads a body whole.
///
/// # Errors
/// On anything that is not a body of this version in strict form.
pub fn decode<'a, E: Deserialize<'a>>(bytes: &'a [u8]) -> Result<Body<'a, E>, BodyError> {
    let (mut stamp, input, cursor) = decode_front(bytes)?;
    let mut reader = SliceReader::new(cursor.rest());
    let events = Vec::<E>::deserialize(&mut Deserializer::from_reader(&mut reader))
        .map_err(|error| BodyError::Events(error.to_string()))?;
    let rest = match reader.fill(usize::MAX) {
        Ok(cbor4ii::core::dec::Reference::Long(rest)) => rest,
        _ => return Err(BodyError::Shape(CborError::Eof)),
    };
    stamp.elapsed_ms = decode_back(Cursor::new(rest))?;
    Ok(Body { stamp, input, events })
}

/// Reads all of a body but the meaning of its input and events, which are only walked over.
///
/// # Errors
/// On anything that has not the shape of a body of this version.
pub fn decode_head(bytes: &[u8]) -> Result<Head<'_>, BodyError> {
    let (mut stamp, input, mut cursor) = decode_front(bytes)?;
    let events = cursor.skip()?;
    if events.first().is_none_or(|first| first >> 5 != cbor::ARRAY) {
        return Err(BodyError::Shape(CborError::Unexpected));
    }
    stamp.elapsed_ms = decode_back(cursor)?;
    Ok(Head { stamp, input, events })
}

/// The members before `events`; `elapsed`, which stands behind them, is still 0.
fn decode_front(bytes: &[u8]) -> Result<(Stamp, &[u8], Cursor<'_>), BodyError> {
    let mut cursor = Cursor::new(bytes);
    cursor.map(MEMBERS)?;
    cursor.key("v")?;
    let found = cursor.unsigned()?;
    if found != BODY_VERSION {
        return Err(BodyError::Version { found });
    }
    cursor.key("at")?;
    let at_ms = cursor.unsigned()?;
    cursor.key("idx")?;
    let idx = cursor.unsigned()?;
    cursor.key("prev")?;
    let prev = cursor.bytes()?;
    let prev = Hash(
        prev.try_into()
            .map_err(|_| BodyError::Prev { found: prev.len() })?,
    );
    cursor.key("input")?;
    let input = cursor.bytes()?;
    cursor.key("events")?;
    Ok((
        Stamp {
            idx,
            at_ms,
            elapsed_ms: 0,
            prev,
        },
        input,
        cursor,
    ))
}

fn decode_back(mut cursor: Cursor<'_>) -> Result<u64, BodyError> {
    cursor.key("elapsed")?;
    let elapsed_ms = cursor.unsigned()?;
    match cursor.rest().len() {
        0 => Ok(elapsed_ms),
        count => Err(BodyError::Trailing { count }),
    }
}

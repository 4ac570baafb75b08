//! The work done on many threads at once: CRC, hash and decoding of one chunk of record frames. It checks each
//! frame for itself; whether they follow each other is checked where they are consumed.

use crate::source::Chunk;
use actum_model::{Event, Hash};
use actum_record::body::{self, Stamp};
use actum_record::{BodyError, FrameError, frame};
use std::ops::Range;

/// A record, decoded; its input is a range of the chunk's bytes.
#[derive(Debug)]
pub(crate) struct DecodedRecord {
    pub(crate) offset: usize,
    pub(crate) stamp: Stamp,
    pub(crate) hash: Hash,
    pub(crate) durable_through: Option<u64>,
    pub(crate) input: Range<usize>,
    pub(crate) events: Vec<Event>,
}

/// What is wrong with a frame.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It is not whole.
    Frame(FrameError),
    /// It is whole and cannot be read.
    Body(BodyError),
}

/// A chunk after the work.
#[derive(Debug)]
pub(crate) struct DecodedChunk {
    pub(crate) chunk: Chunk,
    /// Frames whose CRC holds but which lie below what was asked for.
    pub(crate) skipped: u64,
    /// Hash of the last record below what was asked for, if it is in this chunk.
    pub(crate) hash_before: Option<Hash>,
    pub(crate) records: Vec<DecodedRecord>,
    /// Offset in the chunk of the first bad frame; those behind it were not looked at.
    pub(crate) bad: Option<(usize, Fault)>,
}

/// Decodes the records of a chunk from number `skip` of the file on.
pub(crate) fn decode(chunk: Chunk, skip: u64) -> DecodedChunk {
    let mut out = DecodedChunk {
        chunk,
        skipped: 0,
        hash_before: None,
        records: Vec::new(),
        bad: None,
    };
    out.records.reserve_exact(out.chunk.frames.len());
    for (number, (offset, len)) in (out.chunk.frames_before..).zip(out.chunk.frames.iter().copied()) {
        let bytes = out.chunk.bytes.get(offset..offset + len).unwrap_or_default();
        let frame = match frame::parse(bytes, out.chunk.seed) {
            Ok(frame) => frame,
            Err(error) => {
                out.bad = Some((offset, Fault::Frame(error)));
                break;
            }
        };
        if number < skip {
            out.skipped += 1;
            if number + 1 == skip {
                out.hash_before = Some(Hash::of(frame.body));
            }
            continue;
        }
        match body::decode::<Event>(frame.body) {
            Ok(body) => {
                let start = body.input.as_ptr() as usize - out.chunk.bytes.as_ptr() as usize;
                out.records.push(DecodedRecord {
                    offset,
                    stamp: body.stamp,
                    hash: Hash::of(frame.body),
                    durable_through: frame.durable_through,
                    input: start..start + body.input.len(),
                    events: body.events,
                });
            }
            Err(error) => {
                out.bad = Some((offset, Fault::Body(error)));
                break;
            }
        }
    }
    out
}

//! The frame around one body: magic, length, `durableThrough`, CRC, body, zero padding to 16 bytes.
//!
//! A frame is written in two steps: [`begin`] and [`finish`] lay it out when the record is staged, [`stamp`]
//! adds `durableThrough` and the CRC when it goes to disk, because only then it is known what is durable.
//! The CRC starts from the CRC of the file's header, so a frame copied out of another file, or stored by a
//! user inside a payload, is not a whole frame here.

use crate::limits::{BODY_BYTES_MAX, FRAME_ALIGN_BYTES, FRAME_HEADER_BYTES};

/// The first four bytes of a frame. `F5` and `FA` occur in no UTF-8 text, so no JSON payload holds them.
pub const FRAME_MAGIC: [u8; 4] = [0xF5, b'A', b'c', 0xFA];

/// The stored `durableThrough` that says: nothing was known durable yet.
pub const NOTHING_DURABLE: u64 = u64::MAX;

const LENGTH_AT: usize = 4;
const DURABLE_AT: usize = 8;
const CRC_AT: usize = 16;
const RESERVED_AT: usize = 20;

/// What keeps bytes from being a whole frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Sixteen zero bytes where a frame would start: the unused part of a segment, or a zeroed frame.
    #[error("zeros where a frame should start")]
    Zeros,
    /// The file ends inside the frame.
    #[error("the frame needs {needed} bytes, {found} are left")]
    Short {
        /// Bytes of the frame.
        needed: usize,
        /// Bytes there.
        found: usize,
    },
    /// Another magic.
    #[error("no frame magic")]
    Magic,
    /// A length of zero or beyond [`BODY_BYTES_MAX`], or a reserved field that is not zero.
    #[error("frame header holds an impossible value")]
    Header,
    /// The CRC does not match.
    #[error("frame crc is {found:08x}, its bytes give {computed:08x}")]
    Crc {
        /// The CRC stored.
        found: u32,
        /// The CRC of the bytes.
        computed: u32,
    },
}

/// A whole frame whose CRC holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Highest idx that was known durable when the frame was written.
    pub durable_through: Option<u64>,
    /// The record body.
    pub body: &'a [u8],
    /// Bytes of the whole frame with header and padding.
    pub len: usize,
}

/// Bytes of the frame around a body of `body_len` bytes.
#[must_use]
pub const fn frame_len(body_len: usize) -> usize {
    (FRAME_HEADER_BYTES + body_len).next_multiple_of(FRAME_ALIGN_BYTES)
}

/// Starts a frame at the end of `out`, which must be aligned, and returns where. The body is appended next.
pub fn begin(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&FRAME_MAGIC);
    out.resize(start + FRAME_HEADER_BYTES, 0);
    start
}

/// Ends the frame begun at `start`: fills in the length and pads. `durableThrough` and the CRC are still
/// zero, so what is in `out` is not a whole frame before [`stamp`].
///
/// Returns the length of the body, or `None` (and cuts `out` back to `start`) when the body is empty or
/// larger than [`BODY_BYTES_MAX`].
pub fn finish(out: &mut Vec<u8>, start: usize) -> Option<usize> {
    let body_len = out.len().checked_sub(start + FRAME_HEADER_BYTES)?;
    if body_len == 0 || body_len > BODY_BYTES_MAX {
        out.truncate(start);
        return None;
    }
    out.resize(start + frame_len(body_len), 0);
    put(out.get_mut(start..)?, LENGTH_AT, &(body_len as u32).to_le_bytes());
    Some(body_len)
}

/// Stamps a frame laid out by [`finish`] with what is durable and with its CRC. `seed` is the CRC of the
/// header of the file the frame goes to. Anything after the frame in `frame` must be cut off by the caller.
pub fn stamp(frame: &mut [u8], seed: u32, durable_through: Option<u64>) {
    put(
        frame,
        DURABLE_AT,
        &durable_through.unwrap_or(NOTHING_DURABLE).to_le_bytes(),
    );
    let crc = crc(frame, seed);
    put(frame, CRC_AT, &crc.to_le_bytes());
}

/// Bytes of the frame that the header at the start of `bytes` announces, before any CRC is looked at.
///
/// # Errors
/// When no frame can start here, or it is longer than `bytes`.
pub fn peek(bytes: &[u8]) -> Result<usize, FrameError> {
    let short = FrameError::Short {
        needed: FRAME_HEADER_BYTES,
        found: bytes.len(),
    };
    let front = bytes.first_chunk::<FRAME_ALIGN_BYTES>().ok_or(short)?;
    if front == &[0; FRAME_ALIGN_BYTES] {
        return Err(FrameError::Zeros);
    }
    if !front.starts_with(&FRAME_MAGIC) {
        return Err(FrameError::Magic);
    }
    let length = u32::from_le_bytes(get(bytes, LENGTH_AT).ok_or(short)?) as usize;
    let reserved = u32::from_le_bytes(get(bytes, RESERVED_AT).ok_or(short)?);
    if length == 0 || length > BODY_BYTES_MAX || reserved != 0 {
        return Err(FrameError::Header);
    }
    let needed = frame_len(length);
    if needed > bytes.len() {
        return Err(FrameError::Short {
            needed,
            found: bytes.len(),
        });
    }
    Ok(needed)
}

/// Reads the whole frame at the start of `bytes`. Total: any bytes give a frame or an error.
///
/// # Errors
/// When the frame is not whole: see [`FrameError`].
pub fn parse(bytes: &[u8], seed: u32) -> Result<Frame<'_>, FrameError> {
    let len = peek(bytes)?;
    let short = FrameError::Short {
        needed: len,
        found: bytes.len(),
    };
    let frame = bytes.get(..len).ok_or(short)?;
    let found = u32::from_le_bytes(get(frame, CRC_AT).ok_or(short)?);
    let computed = crc(frame, seed);
    if found != computed {
        return Err(FrameError::Crc { found, computed });
    }
    let length = u32::from_le_bytes(get(frame, LENGTH_AT).ok_or(short)?) as usize;
    let body = frame
        .get(FRAME_HEADER_BYTES..FRAME_HEADER_BYTES + length)
        .ok_or(short)?;
    let durable = u64::from_le_bytes(get(frame, DURABLE_AT).ok_or(short)?);
    Ok(Frame {
        durable_through: (durable != NOTHING_DURABLE).then_some(durable),
        body,
        len,
    })
}

/// CRC-32C of a frame without the CRC field itself, continued from the CRC of the file's header.
fn crc(frame: &[u8], seed: u32) -> u32 {
    let (front, rest) = frame.split_at_checked(CRC_AT).unwrap_or((frame, &[]));
    let back = rest.get(RESERVED_AT - CRC_AT..).unwrap_or(&[]);
    crc32c::crc32c_append(crc32c::crc32c_append(seed, front), back)
}

fn get<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk::<N>().copied()
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(slot) = bytes.get_mut(at..at + value.len()) {
        slot.copy_from_slice(value);
    }
}

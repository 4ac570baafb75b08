//! Looking for whole frames in any bytes: frame after frame as long as they are whole, and, behind damage, at
//! every aligned place. It decides nothing about what is found; the journal's tail rule does.

use crate::frame::{self, Frame, FrameError};
use crate::limits::FRAME_ALIGN_BYTES;

/// Frame after frame from the start of `bytes`, until one is not whole.
#[derive(Debug, Clone)]
pub struct Frames<'a> {
    bytes: &'a [u8],
    at: usize,
    seed: u32,
}

impl<'a> Frames<'a> {
    /// Starts at offset 0 of `bytes`; `seed` is the CRC of the file's header.
    #[must_use]
    pub fn new(bytes: &'a [u8], seed: u32) -> Frames<'a> {
        Frames { bytes, at: 0, seed }
    }

    /// Where the next frame starts.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.at
    }

    /// The next frame, and where it starts. After an error it stays where it is.
    ///
    /// # Errors
    /// When no whole frame is here; `Short` with nothing found is the end of the bytes.
    pub fn next_frame(&mut self) -> Result<(usize, Frame<'a>), FrameError> {
        let at = self.at;
        let frame = frame::parse(self.bytes.get(at..).unwrap_or(&[]), self.seed)?;
        self.at = at + frame.len;
        Ok((at, frame))
    }
}

/// The first whole frame at an aligned offset of at least `from` (a multiple of 16 relative to the file), and
/// that offset. Zeros, which most of a tail is, are passed quickly.
#[must_use]
pub fn find_frame(bytes: &[u8], from: usize, seed: u32) -> Option<(usize, Frame<'_>)> {
    let mut at = from.next_multiple_of(FRAME_ALIGN_BYTES);
    loop {
        at += leading_zeros(bytes.get(at..)?) / FRAME_ALIGN_BYTES * FRAME_ALIGN_BYTES;
        let rest = bytes.get(at..)?;
        if rest.is_empty() {
            return None;
        }
        if let Ok(frame) = frame::parse(rest, seed) {
            return Some((at, frame));
        }
        at += FRAME_ALIGN_BYTES;
    }
}

/// How many zero bytes `bytes` starts with; exact within the last block that is not all zero.
#[must_use]
pub fn leading_zeros(bytes: &[u8]) -> usize {
    const BLOCK: usize = 4096;
    let mut count = 0;
    for block in bytes.chunks(BLOCK) {
        // A fold without an early end is turned into vector code; a search byte by byte is not.
        if block.iter().fold(0, |sum, byte| sum | byte) == 0 {
            count += block.len();
        } else {
            return count + block.iter().take_while(|byte| **byte == 0).count();
        }
    }
    count
}

//! Frames: a length of four bytes, big-endian, then as many bytes. Knows nothing of what is inside.

use crate::limits::FRAME_BYTES_MAX;
use bytes::{Buf, Bytes, BytesMut};

/// What a peer sent that the contract does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// A length above the limit.
    #[error("expected a frame of at most {FRAME_BYTES_MAX} bytes, got {0}")]
    FrameTooLarge(usize),
    /// A message of our own that would be above the limit.
    #[error("a message of {0} bytes is larger than a frame of {FRAME_BYTES_MAX}")]
    MessageTooLarge(usize),
    /// A value of our own that is nested too deeply.
    #[error("a value is nested deeper than {0}")]
    TooDeep(usize),
    /// Bytes that are no message.
    #[error("expected a message, got {0}")]
    Malformed(String),
    /// A message that may not come now.
    #[error("{0}")]
    OutOfPlace(String),
    /// The stream ended inside a frame.
    #[error("expected the rest of a frame, the stream ended")]
    CutShort,
}

/// Bytes that arrived, cut into frames.
#[derive(Debug, Default)]
pub struct FrameBuffer {
    bytes: BytesMut,
}

impl FrameBuffer {
    /// Adds bytes that arrived.
    pub fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole frame; `None` until it is there.
    ///
    /// # Errors
    /// A length above [`FRAME_BYTES_MAX`]. Nothing after it can be read.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, ProtocolError> {
        let Some(head) = self.bytes.first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*head) as usize;
        if length > FRAME_BYTES_MAX {
            return Err(ProtocolError::FrameTooLarge(length));
        }
        if self.bytes.len() < 4 + length {
            return Ok(None);
        }
        self.bytes.advance(4);
        Ok(Some(self.bytes.split_to(length).freeze()))
    }

    /// Whether a frame has begun and not ended.
    #[must_use]
    pub fn is_cut_short(&self) -> bool {
        !self.bytes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(bytes: &[u8]) -> FrameBuffer {
        let mut buffer = FrameBuffer::default();
        buffer.add(bytes);
        buffer
    }

    #[test]
    fn frames_are_cut_at_their_lengths_wherever_the_bytes_are_split() {
        let stream = b"\0\0\0\x02ab\0\0\0\0\0\0\0\x01c";
        for split in 0..=stream.len() {
            let mut buffer = FrameBuffer::default();
            let mut frames = Vec::new();
            for part in [&stream[..split], &stream[split..]] {
                buffer.add(part);
                while let Some(frame) = buffer.next_frame().unwrap() {
                    frames.push(frame);
                }
            }
            assert_eq!(frames, ["ab", "", "c"], "split at {split}");
            assert!(!buffer.is_cut_short());
        }
    }

    #[test]
    fn a_length_of_four_gibibytes_is_refused_before_anything_is_kept() {
        let mut buffer = with(&[0xFF; 4]);
        assert_eq!(
            buffer.next_frame(),
            Err(ProtocolError::FrameTooLarge(u32::MAX as usize))
        );
    }

    #[test]
    fn the_limit_itself_is_allowed_and_one_more_is_not() {
        let length = u32::try_from(FRAME_BYTES_MAX).unwrap();
        assert_eq!(with(&length.to_be_bytes()).next_frame(), Ok(None));
        let more = (length + 1).to_be_bytes();
        assert_eq!(
            with(&more).next_frame(),
            Err(ProtocolError::FrameTooLarge(FRAME_BYTES_MAX + 1))
        );
    }
}

//! Cuts a byte stream into lines with bounded memory: a line above the limit is reported once and skipped.
//!
//! It does not look into the lines.

use actum_model::limits::MESSAGE_BYTES_MAX;
use bytes::{Buf, Bytes, BytesMut};

/// A piece of the stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// One or more whole lines; the last may lack its newline at the end of the stream.
    Lines(Bytes),
    /// A line above the limit. Its rest is skipped.
    TooLong,
}

/// What was read and not yet cut.
#[derive(Debug, Default)]
pub(crate) struct LineBuffer {
    held: BytesMut,
    /// Bytes of `held` known to hold no newline.
    searched: usize,
    skipping: bool,
}

impl LineBuffer {
    /// Where to read into. Bytes are appended.
    pub(crate) fn room(&mut self, bytes: usize) -> &mut BytesMut {
        self.held.reserve(bytes);
        &mut self.held
    }

    /// Appends bytes that were read elsewhere.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// The next piece, if a whole one is there.
    pub(crate) fn cut(&mut self) -> Option<Cut> {
        if self.skipping {
            match self.held.iter().position(|byte| *byte == b'\n') {
                Some(at) => self.held.advance(at + 1),
                None => {
                    self.held.clear();
                    return None;
                }
            }
            self.skipping = false;
            self.searched = 0;
        }
        let fresh = self.held.get(self.searched..).unwrap_or_default();
        match fresh.iter().rposition(|byte| *byte == b'\n') {
            Some(at) => {
                let lines = self.held.split_to(self.searched + at + 1);
                self.searched = 0;
                Some(Cut::Lines(lines.freeze()))
            }
            None if self.held.len() > MESSAGE_BYTES_MAX => {
                // The memory goes too: a connection that sent one such line is not to keep 10 MiB.
                *self = LineBuffer {
                    skipping: true,
                    ..LineBuffer::default()
                };
                Some(Cut::TooLong)
            }
            None => {
                self.searched = self.held.len();
                None
            }
        }
    }

    /// The last line, at the end of the stream, where it has no newline.
    pub(crate) fn finish(&mut self) -> Option<Cut> {
        let rest = std::mem::take(self);
        (!rest.skipping && !rest.held.is_empty()).then(|| Cut::Lines(rest.held.freeze()))
    }
}

/// The lines in a piece, without their ends; blank lines are left out.
pub(crate) fn each(piece: &[u8]) -> impl Iterator<Item = &[u8]> {
    piece
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .filter(|line| !line.trim_ascii().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_whole_however_they_came_in() {
        let mut buffer = LineBuffer::default();
        let mut seen = Vec::new();
        for byte in b"one\r\n\n  \ntwo\nthree" {
            buffer.push(&[*byte]);
            while let Some(Cut::Lines(lines)) = buffer.cut() {
                seen.extend(each(&lines).map(<[u8]>::to_vec));
            }
        }
        if let Some(Cut::Lines(lines)) = buffer.finish() {
            seen.extend(each(&lines).map(<[u8]>::to_vec));
        }
        assert_eq!(seen, [b"one".to_vec(), b"two".to_vec(), b"three".to_vec()]);
        assert_eq!(buffer.finish(), None);
    }

    #[test]
    fn a_line_above_the_limit_is_told_once_and_skipped() {
        let mut buffer = LineBuffer::default();
        let block = vec![b'x'; 1024 * 1024];
        let mut too_long = 0;
        for _ in 0..40 {
            buffer.push(&block);
            too_long += usize::from(buffer.cut() == Some(Cut::TooLong));
            assert!(buffer.held.len() <= MESSAGE_BYTES_MAX + block.len());
        }
        assert_eq!(too_long, 1);
        buffer.push(b"tail\nnext\n");
        assert_eq!(buffer.cut(), Some(Cut::Lines(Bytes::from_static(b"next\n"))));
        assert_eq!(buffer.finish(), None);
    }

    #[test]
    fn a_line_of_exactly_the_limit_passes() {
        let mut buffer = LineBuffer::default();
        buffer.push(&vec![b'x'; MESSAGE_BYTES_MAX]);
        assert_eq!(buffer.cut(), None);
        buffer.push(b"\n");
        assert!(matches!(buffer.cut(), Some(Cut::Lines(lines)) if lines.len() == MESSAGE_BYTES_MAX + 1));
    }
}

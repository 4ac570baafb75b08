//! Bytes as text: a stream read as UTF-8 whatever its chunks, and edges that do not cut a character.

/// Reads a stream of bytes as UTF-8. What is not UTF-8 becomes U+FFFD; a character that is not whole yet waits.
#[derive(Debug, Default)]
pub(super) struct Lossy {
    waiting: Vec<u8>,
}

impl Lossy {
    /// Appends to `out` what `bytes` completes.
    pub(super) fn push(&mut self, bytes: &[u8], out: &mut String) {
        let mut joined = std::mem::take(&mut self.waiting);
        let bytes = if joined.is_empty() {
            bytes
        } else {
            joined.extend_from_slice(bytes);
            &joined
        };
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            out.push_str(chunk.valid());
            if chunks.peek().is_none() && may_go_on(chunk.invalid()) {
                self.waiting = chunk.invalid().to_vec();
            } else if !chunk.invalid().is_empty() {
                out.push(char::REPLACEMENT_CHARACTER);
            }
        }
    }

    /// Nothing more comes: what waits is no character.
    pub(super) fn finish(&mut self, out: &mut String) {
        if !std::mem::take(&mut self.waiting).is_empty() {
            out.push(char::REPLACEMENT_CHARACTER);
        }
    }
}

/// Whether these bytes, invalid by themselves, can be the beginning of a character.
fn may_go_on(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

/// The first bytes of a text, at most `max`, ending with a whole character.
pub(super) fn head(bytes: &[u8], max: usize) -> String {
    let mut cut = bytes.get(..max).unwrap_or(bytes);
    if cut.len() < bytes.len()
        && let Some(chunk) = cut
            .utf8_chunks()
            .last()
            .filter(|chunk| may_go_on(chunk.invalid()))
    {
        cut = cut.get(..cut.len() - chunk.invalid().len()).unwrap_or(cut);
    }
    String::from_utf8_lossy(cut).into_owned()
}

/// The last bytes of a text, at most `max`, beginning with a whole character.
pub(super) fn tail(bytes: &[u8], max: usize) -> String {
    let mut cut = bytes.get(bytes.len().saturating_sub(max)..).unwrap_or(bytes);
    if cut.len() < bytes.len() {
        // A character has at most three bytes after its first.
        for _ in 0..3 {
            cut = cut
                .split_first()
                .filter(|(first, _)| **first & 0xc0 == 0x80)
                .map_or(cut, |(_, rest)| rest);
        }
    }
    String::from_utf8_lossy(cut).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_of_any_size_read_as_the_whole() {
        let bytes = b"a\xc3\xa4\xf0\x9f\xa6\x80\xff\xe2\x82z\xe2\x82\xac\xf0\x9f";
        for size in 1..bytes.len() {
            let (mut lossy, mut text) = (Lossy::default(), String::new());
            for chunk in bytes.chunks(size) {
                lossy.push(chunk, &mut text);
            }
            lossy.finish(&mut text);
            assert_eq!(text, String::from_utf8_lossy(bytes), "chunks of {size}");
        }
    }

    #[test]
    fn edges_keep_characters_whole() {
        assert_eq!(head("aä€".as_bytes(), 2), "a");
        assert_eq!(head("aä€".as_bytes(), 3), "aä");
        assert_eq!(tail("aä€".as_bytes(), 4), "€");
        assert_eq!(tail("aä€".as_bytes(), 5), "ä€");
        assert_eq!(head(b"\xff\xff\xff", 2), "\u{fffd}\u{fffd}");
        assert_eq!(tail("ä".as_bytes(), 10), "ä");
    }
}

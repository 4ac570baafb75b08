//! The body of an answer: taken piece by piece, decompressed where it says how, and never more than was asked for,
//! however small it was on the wire.

use flate2::write::{GzDecoder, ZlibDecoder};
use std::io::{self, Write};

/// Bytes on the wire beyond those of the body asked for: what a compressed form may cost more than its content.
const OVERHEAD_BYTES: usize = 256 * 1024;

/// A vector that takes so many bytes and no more.
struct Capped {
    bytes: Vec<u8>,
    max: usize,
}

impl Write for Capped {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let room = self.max.saturating_sub(self.bytes.len());
        if room == 0 && !piece.is_empty() {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        let taken = piece.get(..room.min(piece.len())).unwrap_or_default();
        self.bytes.extend_from_slice(taken);
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

enum Form {
    Plain(Capped),
    Gzip(Box<GzDecoder<Capped>>),
    Deflate(Box<ZlibDecoder<Capped>>),
}

/// A body that is being read.
pub(super) struct Body {
    form: Form,
    wire: usize,
    max: usize,
}

/// Whether more of the body is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum More {
    Wanted,
    /// It is as long as was asked for, and goes on.
    Enough,
}

impl Body {
    /// A body of at most so many bytes after decompression. An encoding that is not known is left as it is.
    pub(super) fn new(encoding: Option<&str>, max: usize) -> Body {
        let capped = Capped {
            bytes: Vec::new(),
            max,
        };
        let form = match encoding.map(str::to_ascii_lowercase).as_deref() {
            Some("gzip" | "x-gzip") => Form::Gzip(Box::new(GzDecoder::new(capped))),
            Some("deflate") => Form::Deflate(Box::new(ZlibDecoder::new(capped))),
            _ => Form::Plain(capped),
        };
        Body { form, wire: 0, max }
    }

    /// Takes a piece.
    ///
    /// # Errors
    /// A sentence where it is not in the form it claims to be.
    pub(super) fn take(&mut self, piece: &[u8]) -> Result<More, String> {
        self.wire = self.wire.saturating_add(piece.len());
        let taken = match &mut self.form {
            Form::Plain(capped) => capped.write_all(piece),
            Form::Gzip(decoder) => decoder.write_all(piece),
            Form::Deflate(decoder) => decoder.write_all(piece),
        };
        match taken {
            Err(error) if error.kind() == io::ErrorKind::StorageFull => Ok(More::Enough),
            Err(error) => Err(format!("its body is not compressed as it says: {error}")),
            Ok(()) if self.wire > self.max.saturating_add(OVERHEAD_BYTES) => Ok(More::Enough),
            Ok(()) => Ok(More::Wanted),
        }
    }

    /// All that was taken. `whole` says that the last piece was the last of the body.
    ///
    /// # Errors
    /// A sentence where the end of the compressed form is missing.
    pub(super) fn finish(self, whole: bool) -> Result<(Vec<u8>, bool), String> {
        let cut = |error: io::Error| format!("its body is not compressed as it says: {error}");
        if !whole || self.wire == 0 {
            // The rest is not needed, so that it cannot be wrong.
            let bytes = match self.form {
                Form::Plain(capped) => capped.bytes,
                Form::Gzip(mut decoder) => std::mem::take(&mut decoder.get_mut().bytes),
                Form::Deflate(mut decoder) => std::mem::take(&mut decoder.get_mut().bytes),
            };
            return Ok((bytes, whole));
        }
        match self.form {
            Form::Plain(capped) => Ok((capped.bytes, true)),
            Form::Gzip(mut decoder) => finished(decoder.try_finish(), decoder.get_mut()).map_err(cut),
            Form::Deflate(mut decoder) => finished(decoder.try_finish(), decoder.get_mut()).map_err(cut),
        }
    }
}

/// What a decoder held back may still be too much.
fn finished(end: io::Result<()>, capped: &mut Capped) -> io::Result<(Vec<u8>, bool)> {
    let bytes = std::mem::take(&mut capped.bytes);
    match end {
        Ok(()) => Ok((bytes, true)),
        Err(error) if error.kind() == io::ErrorKind::StorageFull => Ok((bytes, false)),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};

    fn read(encoding: &str, max: usize, wire: &[u8], step: usize) -> Result<(Vec<u8>, bool), String> {
        let mut body = Body::new(Some(encoding), max);
        for piece in wire.chunks(step) {
            if body.take(piece)? == More::Enough {
                return body.finish(false);
            }
        }
        body.finish(true)
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn compressed_bodies_come_out_whole_however_they_are_cut() {
        let content: Vec<u8> = (0..5000u32).flat_map(u32::to_le_bytes).collect();
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(&content).unwrap();
        let zlib = zlib.finish().unwrap();
        for step in [1, 7, 1000, 100_000] {
            assert_eq!(
                read("GZIP", 50_000, &gzip(&content), step).unwrap(),
                (content.clone(), true)
            );
            assert_eq!(
                read("deflate", 50_000, &zlib, step).unwrap(),
                (content.clone(), true)
            );
        }
    }

    #[test]
    fn a_bomb_gives_no_more_than_was_asked_for() {
        let bomb = gzip(&vec![0; 50 * 1024 * 1024]);
        assert!(bomb.len() < 100_000);
        let (bytes, whole) = read("gzip", 1000, &bomb, 4096).unwrap();
        assert_eq!((bytes.len(), whole), (1000, false));
    }

    #[test]
    fn a_body_of_exactly_the_limit_is_whole() {
        assert_eq!(read("identity", 4, b"abcd", 3).unwrap(), (b"abcd".to_vec(), true));
        assert_eq!(
            read("identity", 4, b"abcde", 3).unwrap(),
            (b"abcd".to_vec(), false)
        );
        assert_eq!(
            read("gzip", 4, &gzip(b"abcd"), 3).unwrap(),
            (b"abcd".to_vec(), true)
        );
        assert_eq!(
            read("gzip", 4, &gzip(b"abcde"), 3).unwrap(),
            (b"abcd".to_vec(), false)
        );
        assert_eq!(read("gzip", 4, b"", 3).unwrap(), (Vec::new(), true));
    }

    #[test]
    fn what_is_not_compressed_as_it_says_is_an_error() {
        assert!(read("gzip", 1000, b"this is no gzip at all", 100).is_err());
        let cut = gzip(b"some content that is cut off before its end");
        assert!(read("gzip", 1000, &cut[..cut.len() - 6], 100).is_err());
    }
}

//! Content: reading a file whole or in part with its hash, and content as it stands in JSON.

use super::Encoding;
use super::ground::Ground;
use super::open::{Found, io_refusal, open_plain};
use crate::sdk::{Failure, Stop};
use actum_model::{ErrorCode, Hash, limits};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;

const CHUNK_BYTES: usize = 256 * 1024;

/// A whole file.
pub(super) struct Whole {
    pub(super) bytes: Vec<u8>,
    pub(super) hash: Hash,
}

/// Reads a plain file whole.
pub(super) fn whole(ground: &Ground, found: &Found, stop: &Stop) -> Result<Whole, Failure> {
    let mut file = open_plain(ground, found)?;
    let mut bytes = Vec::new();
    let hash = pass(ground, &mut file, stop, |_, chunk| bytes.extend_from_slice(chunk))?;
    Ok(Whole { bytes, hash })
}

/// Hash of a plain file.
pub(super) fn hash(ground: &Ground, found: &Found, stop: &Stop) -> Result<Hash, Failure> {
    pass(ground, &mut open_plain(ground, found)?, stop, |_, _| {})
}

/// Reads a file once from its beginning, hands each piece on with its place, and tells the hash of all.
pub(super) fn pass(
    ground: &Ground,
    file: &mut File,
    stop: &Stop,
    mut each: impl FnMut(u64, &[u8]),
) -> Result<Hash, Failure> {
    let (mut hasher, mut place) = (Sha256::new(), 0u64);
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        stop.check()?;
        let count = match file.read(&mut chunk) {
            Ok(0) => return Ok(Hash(hasher.finalize().into())),
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(io_refusal(&error, ground)),
        };
        let piece = chunk.get(..count).unwrap_or_default();
        hasher.update(piece);
        each(place, piece);
        place = place.saturating_add(count as u64);
        if place > limits::FILE_KEPT_BYTES_MAX {
            return Err(too_large(ground, place));
        }
    }
}

/// Reads a part of a file.
pub(super) fn part(
    ground: &Ground,
    file: &File,
    offset: u64,
    length: usize,
    stop: &Stop,
) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    while bytes.len() < length {
        stop.check()?;
        let room = chunk
            .get_mut(..CHUNK_BYTES.min(length - bytes.len()))
            .unwrap_or_default();
        let Some(place) = offset
            .checked_add(bytes.len() as u64)
            .filter(|place| *place <= i64::MAX as u64)
        else {
            break;
        };
        match file.read_at(room, place) {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(room.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(io_refusal(&error, ground)),
        }
    }
    Ok(bytes)
}

pub(super) fn too_large(ground: &Ground, got: u64) -> Failure {
    let limit = limits::FILE_KEPT_BYTES_MAX;
    let message = format!("`{}`: expected at most {limit} bytes, got {got}", ground.shown());
    Failure::new(ErrorCode::TooLarge, message)
}

/// Content out of JSON.
pub(super) fn decode(text: &str, encoding: Encoding) -> Result<Vec<u8>, Failure> {
    let bytes = match encoding {
        Encoding::Utf8 => text.as_bytes().to_vec(),
        Encoding::Base64 => STANDARD.decode(text).map_err(|error| {
            Failure::new(
                ErrorCode::InvalidInput,
                format!("expected `content` in base64: {error}"),
            )
        })?,
    };
    if bytes.len() > limits::FILE_WRITE_BYTES_MAX {
        let (limit, got) = (limits::FILE_WRITE_BYTES_MAX, bytes.len());
        let message = format!("expected at most {limit} bytes of content, got {got}");
        return Err(Failure::new(ErrorCode::TooLarge, message));
    }
    Ok(bytes)
}

/// Content into JSON. Without a wish it is text where it can be. A character that is cut at the end of a part that is
/// not the last is left for the next. `None` where text is wished and it is none.
pub(super) fn encode(
    mut bytes: Vec<u8>,
    wish: Option<Encoding>,
    last: bool,
) -> Option<(String, Encoding, usize)> {
    if wish != Some(Encoding::Base64) {
        let cut = match std::str::from_utf8(&bytes) {
            Ok(_) => Some(bytes.len()),
            Err(error) if !last && error.error_len().is_none() && error.valid_up_to() > 0 => {
                Some(error.valid_up_to())
            }
            Err(_) => None,
        };
        if let Some(cut) = cut {
            bytes.truncate(cut);
            return String::from_utf8(bytes)
                .ok()
                .map(|text| (text, Encoding::Utf8, cut));
        }
        if wish == Some(Encoding::Utf8) {
            return None;
        }
    }
    let count = bytes.len();
    Some((STANDARD.encode(bytes), Encoding::Base64, count))
}

//! `file.read` and `file.stat`. They change nothing, not even when a file was last read where the system allows.

use super::Encoding;
use super::content;
use super::ground::Ground;
use super::open::{self, Found};
use crate::grants::Reach;
use crate::sdk::{Call, Failure};
use actum_model::{ErrorCode, Hash, limits};
use rustix::fs::FileType;
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Read {
    path: String,
    #[serde(default)]
    offset: u64,
    length: Option<u64>,
    encoding: Option<Encoding>,
}

#[derive(Serialize)]
pub(super) struct Content {
    path: String,
    content: String,
    encoding: Encoding,
    offset: u64,
    bytes: usize,
    size: u64,
    eof: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
}

/// Reads a part of a file, by default from its beginning and as much as one answer holds. The hash is that of the
/// whole file as it was in the same pass; a file too large for that has none.
pub(super) fn read(call: &Call, asked: &Read) -> Result<Content, Failure> {
    let length = asked.length.unwrap_or(limits::FILE_READ_BYTES_MAX as u64);
    let length = usize::try_from(length)
        .ok()
        .filter(|length| *length <= limits::FILE_READ_BYTES_MAX)
        .ok_or_else(|| {
            let limit = limits::FILE_READ_BYTES_MAX;
            let message = format!("expected a `length` of at most {limit} bytes, got {length}");
            Failure::new(ErrorCode::InvalidInput, message)
        })?;
    let ground = Ground::find(&call.grants, &asked.path, Reach::ReadOnly)?;
    let found = open::find(&ground, true)?;
    let (bytes, size, hash) = piece(call, &ground, &found, asked.offset, length)?;
    let eof = asked.offset.saturating_add(bytes.len() as u64) >= size;
    let Some((content, encoding, count)) = content::encode(bytes, asked.encoding, eof) else {
        let message = format!(
            "`{}` holds bytes that are no UTF-8; read it as `base64`",
            ground.shown()
        );
        return Err(Failure::new(ErrorCode::FileRefused, message));
    };
    Ok(Content {
        path: ground.shown(),
        content,
        encoding,
        offset: asked.offset,
        bytes: count,
        size,
        eof,
        hash: hash.map(|hash| hash.to_string()),
    })
}

fn piece(
    call: &Call,
    ground: &Ground,
    found: &Found,
    offset: u64,
    length: usize,
) -> Result<(Vec<u8>, u64, Option<Hash>), Failure> {
    let mut file = open::open_plain(ground, found)?;
    let size = u64::try_from(found.stat.st_size).unwrap_or_default();
    if size > limits::FILE_KEPT_BYTES_MAX {
        let bytes = content::part(ground, &file, offset, length, &call.stop)?;
        return Ok((bytes, size, None));
    }
    let (mut bytes, mut size) = (Vec::new(), 0);
    let end = offset.saturating_add(length as u64);
    let hash = content::pass(ground, &mut file, &call.stop, |place, chunk| {
        size = place + chunk.len() as u64;
        let from = usize::try_from(offset.saturating_sub(place)).unwrap_or(usize::MAX);
        let to = usize::try_from(end.saturating_sub(place)).unwrap_or(usize::MAX);
        bytes.extend_from_slice(chunk.get(from..to.min(chunk.len())).unwrap_or_default());
    })?;
    Ok((bytes, size, Some(hash)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ask {
    path: String,
    #[serde(default)]
    hash: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct About {
    path: String,
    kind: &'static str,
    size: u64,
    modified_ms: u64,
    mode: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
}

/// Tells about what is there. A link at the end of the path is told about itself.
pub(super) fn stat(call: &Call, asked: &Ask) -> Result<About, Failure> {
    let ground = Ground::find(&call.grants, &asked.path, Reach::ReadOnly)?;
    let found = open::find(&ground, false)?;
    let hash = match asked.hash && found.kind == FileType::RegularFile {
        true => Some(content::hash(&ground, &found, &call.stop)?.to_string()),
        false => None,
    };
    let target = match found.kind {
        FileType::Symlink => rustix::fs::readlinkat(&found.named, "", Vec::new())
            .ok()
            .map(|target| target.to_string_lossy().into_owned()),
        _ => None,
    };
    Ok(About {
        path: ground.shown(),
        kind: open::kind_word(found.kind),
        size: u64::try_from(found.stat.st_size).unwrap_or_default(),
        modified_ms: modified_ms(&found.stat),
        mode: format!("{:04o}", found.stat.st_mode & 0o7777),
        target,
        hash,
    })
}

/// When it was last changed, milliseconds since the Unix epoch; what lies before it is 0.
pub(super) fn modified_ms(stat: &rustix::fs::Stat) -> u64 {
    let (seconds, nanos) = (i128::from(stat.st_mtime), i128::from(stat.st_mtime_nsec));
    u64::try_from(seconds * 1000 + nanos / 1_000_000).unwrap_or_default()
}

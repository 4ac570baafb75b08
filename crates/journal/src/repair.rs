//! Explicit repair: keep records up to and including a given one, cut all behind it, and keep a copy of what
//! is cut. Nothing calls this but a person; opening never does.

use crate::clean;
use crate::error::Place;
use crate::layout::{CLEAN, LEAVES, segment_idx, snapshot_idx};
use crate::leaves::{self, LEAF_BYTES};
use crate::source::{FileChunks, SourceError, SourceFile};
use crate::storage::{Area, Storage, StorageError};
use actum_model::Hash;
use actum_record::{FileKind, body, frame};

const PIECE_BYTES: u64 = 1024 * 1024;

/// What a repair did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repaired {
    /// The last record kept.
    pub head: Option<u64>,
    /// Bytes cut from segments, as far as they were not zero.
    pub bytes_cut: u64,
    /// Objects that were removed or cut.
    pub changed: Vec<String>,
    /// Objects that hold the copies.
    pub copies: Vec<String>,
}

/// Why a repair was not done. Nothing was changed, unless storage failed.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// The record to keep is not there, whole and chained.
    #[error("cannot keep records up to {to}: {place} is damaged: {what}")]
    Damaged {
        /// The record asked for.
        to: u64,
        /// The first damage before it.
        place: Place,
        /// What is wrong.
        what: String,
    },
    /// The record to keep was never written, or was compacted away.
    #[error("cannot keep records up to {to}: the journal holds {first} to {last:?}")]
    OutOfRange {
        /// The record asked for.
        to: u64,
        /// First record kept.
        first: u64,
        /// Last whole record.
        last: Option<u64>,
    },
    /// Storage failed.
    #[error("storage failed during the repair")]
    Storage(#[from] StorageError),
}

/// Keeps records up to and including `to`. Everything that is cut is copied first, into objects of the journal
/// area whose names start with `repair-<n>-`.
///
/// # Errors
/// See [`RepairError`].
pub fn repair(storage: &dyn Storage, to: u64) -> Result<Repaired, RepairError> {
    let names: Vec<String> = storage.list(Area::Journal)?;
    let numbers = names
        .iter()
        .filter_map(|name| segment_idx(name).map(|idx| (name.clone(), idx)));
    let segments: Vec<(String, u64)> = numbers.collect();
    let first = segments.first().map_or(0, |(_, idx)| *idx);
    let holding = segments.iter().rposition(|(_, idx)| *idx <= to);
    let Some((at, (name, _))) = holding.and_then(|at| segments.get(at).map(|found| (at, found))) else {
        return Err(RepairError::OutOfRange {
            to,
            first,
            last: None,
        });
    };
    let (end, hash) = end_of(storage, name, to, first)?;
    let mut done = Repaired {
        head: Some(to),
        ..Repaired::default()
    };
    let number = names
        .iter()
        .filter_map(|name| name.strip_prefix("repair-")?.split('-').next()?.parse().ok());
    let prefix = format!("repair-{:04}-", number.max().map_or(1, |last: u64| last + 1));

    // Copies first, all of them; only then is anything changed, the last segment first.
    copy(storage, Area::Journal, name, end, &prefix, &mut done)?;
    for (later, _) in segments.iter().skip(at + 1) {
        copy(storage, Area::Journal, later, 0, &prefix, &mut done)?;
    }
    let snapshots = storage.list(Area::Snapshots)?;
    let beyond = snapshots
        .iter()
        .filter(|name| snapshot_idx(name).is_some_and(|idx| idx > to));
    for name in beyond.clone() {
        copy(storage, Area::Snapshots, name, 0, &prefix, &mut done)?;
    }
    if storage
        .size(Area::Journal, LEAVES)?
        .is_some_and(|size| size > (to + 1) * LEAF_BYTES)
    {
        copy(
            storage,
            Area::Journal,
            LEAVES,
            (to + 1) * LEAF_BYTES,
            &prefix,
            &mut done,
        )?;
    }
    storage.remove(Area::Journal, CLEAN)?;
    for name in beyond {
        storage.remove(Area::Snapshots, name)?;
        done.changed.push(format!("snapshots/{name}"));
    }
    for (later, _) in segments.iter().skip(at + 1).rev() {
        storage.remove(Area::Journal, later)?;
        done.changed.push(format!("journal/{later}"));
    }
    zero_from(storage, name, end)?;
    done.changed.push(format!("journal/{name}"));
    if storage
        .size(Area::Journal, LEAVES)?
        .is_some_and(|size| size > (to + 1) * LEAF_BYTES)
    {
        leaves::truncate(storage, to + 1)?;
    }
    // The cut was ordered and is durable: the next opening may trust the head.
    clean::put(storage, to + 1, &hash)?;
    Ok(done)
}

/// Where record `to` ends in its segment, and its hash, after checking every record before it there.
fn end_of(storage: &dyn Storage, name: &str, to: u64, first: u64) -> Result<(u64, Hash), RepairError> {
    let place = |offset: u64, idx: u64| Place {
        file: format!("journal/{name}"),
        offset,
        idx,
    };
    let file = match SourceFile::open(storage, Area::Journal, name, FileKind::Segment) {
        Ok(file) => file,
        Err(SourceError::Storage(error)) => return Err(error.into()),
        Err(SourceError::Header(error)) => {
            return Err(RepairError::Damaged {
                to,
                place: place(0, first),
                what: error.to_string(),
            });
        }
    };
    let (mut idx, mut prev) = (file.header.first_idx, file.header.prev);
    let mut chunks = FileChunks::new(0);
    while let Some(chunk) = chunks.next(storage, &file)? {
        for (offset, len) in chunk.frames.iter().copied() {
            let at = chunk.base + offset as u64;
            let bytes = chunk.bytes.get(offset..offset + len).unwrap_or_default();
            let parsed = frame::parse(bytes, chunk.seed).map_err(|error| error.to_string());
            let checked = parsed.and_then(|frame| {
                let head = body::decode_head(frame.body).map_err(|error| error.to_string())?;
                if head.stamp.idx == idx && head.stamp.prev == prev {
                    Ok(Hash::of(frame.body))
                } else {
                    Err(format!(
                        "record {} that does not follow the one before",
                        head.stamp.idx
                    ))
                }
            });
            prev = checked.map_err(|what| RepairError::Damaged {
                to,
                place: place(at, idx),
                what,
            })?;
            if idx == to {
                return Ok((at + len as u64, prev));
            }
            idx += 1;
        }
        if let Some((offset, error)) = chunk.end.filter(|(_, e)| *e != actum_record::FrameError::Zeros) {
            return Err(RepairError::Damaged {
                to,
                place: place(offset, idx),
                what: error.to_string(),
            });
        }
    }
    Err(RepairError::OutOfRange {
        to,
        first,
        last: idx.checked_sub(1),
    })
}

/// Copies an object from `from` on into the journal area.
fn copy(
    storage: &dyn Storage,
    area: Area,
    name: &str,
    from: u64,
    prefix: &str,
    done: &mut Repaired,
) -> Result<(), StorageError> {
    let size = storage.size(area, name)?.unwrap_or(0);
    let mut at = from;
    let mut last_byte = from;
    let mut parts = std::iter::from_fn(|| {
        if at >= size {
            return None;
        }
        let mut part = vec![0; usize::try_from((size - at).min(PIECE_BYTES)).unwrap_or(0)];
        let read = storage.read(area, name, at, &mut part);
        if let Some(last) = part.iter().rposition(|byte| *byte != 0) {
            last_byte = at + last as u64 + 1;
        }
        at += part.len() as u64;
        Some(read.map(|count| {
            part.truncate(count);
            part
        }))
    });
    let copy = format!("{prefix}{name}.from-{from}");
    storage.put(Area::Journal, &copy, &mut parts)?;
    if segment_idx(name).is_some() {
        done.bytes_cut += last_byte - from;
    }
    done.copies.push(format!("journal/{copy}"));
    Ok(())
}

fn zero_from(storage: &dyn Storage, name: &str, from: u64) -> Result<(), StorageError> {
    let size = storage.size(Area::Journal, name)?.unwrap_or(0);
    let mut at = from;
    while at < size {
        let zeros = vec![0; usize::try_from((size - at).min(PIECE_BYTES)).unwrap_or(0)];
        storage.write(name, at, &zeros)?;
        at += zeros.len() as u64;
    }
    storage.sync(name)
}

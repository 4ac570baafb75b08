//! Looking at a journal without opening it: what segments there are, how many frames are whole, what is wrong.
//! It changes nothing, needs no lock and goes on where opening would stop.

use crate::error::Place;
use crate::layout::{segment_idx, snapshot_idx};
use crate::leaves::LeafFile;
use crate::source::{Chunk, FileChunks, SourceError, SourceFile};
use crate::storage::{Area, Storage, StorageError};
use crate::{clean, restore};
use actum_model::Hash;
use actum_record::{FileKind, FrameError, Header, body, frame, scan};

/// What a journal looks like.
#[derive(Debug, Clone, Default)]
pub struct Inspection {
    /// The segments, in order.
    pub segments: Vec<SegmentView>,
    /// Snapshots with what is wrong with them, the oldest first.
    pub snapshots: Vec<(String, Result<u64, String>)>,
    /// Hashes in `leaves`.
    pub leaves: u64,
    /// Records the mark of an orderly end names, if there is one.
    pub clean: Option<u64>,
    /// What is wrong, in the order of the journal.
    pub problems: Vec<Problem>,
}

/// A segment.
#[derive(Debug, Clone)]
pub struct SegmentView {
    /// Its name.
    pub name: String,
    /// Its header, if that is whole.
    pub header: Option<Header>,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Whole frames from the start on.
    pub frames: u64,
    /// Where they end.
    pub end: u64,
    /// Highest `durableThrough` of those frames.
    pub durable_through: Option<u64>,
}

/// Something that is not as it should be.
#[derive(Debug, Clone)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What.
    pub what: String,
    /// Whether something whole behind it says that the record was acknowledged. A torn tail is not.
    pub acknowledged: bool,
}

/// Looks at everything. Reads the whole journal.
///
/// # Errors
/// When storage fails; damage is not an error but a problem.
pub fn inspect(storage: &dyn Storage) -> Result<Inspection, StorageError> {
    let mut view = Inspection {
        leaves: LeafFile::new(storage).count()?,
        ..Inspection::default()
    };
    view.clean = clean::get(storage)?.map(|(records, _)| records);
    let mut prev = None;
    let names = storage.list(Area::Journal)?;
    for (name, idx) in names
        .iter()
        .filter_map(|name| segment_idx(name).map(|idx| (name, idx)))
    {
        let file = match SourceFile::open(storage, Area::Journal, name, FileKind::Segment) {
            Ok(file) => file,
            Err(SourceError::Storage(error)) => return Err(error),
            Err(SourceError::Header(error)) => {
                let place = Place {
                    file: format!("journal/{name}"),
                    offset: 0,
                    idx,
                };
                view.problems.push(Problem {
                    place,
                    what: error.to_string(),
                    acknowledged: true,
                });
                let file_bytes = storage.size(Area::Journal, name)?.unwrap_or(0);
                let (header, frames, end) = (None, 0, 0);
                let name = name.clone();
                view.segments.push(SegmentView {
                    name,
                    header,
                    file_bytes,
                    frames,
                    end,
                    durable_through: None,
                });
                prev = None;
                continue;
            }
        };
        segment(storage, &file, &mut prev, &mut view)?;
    }
    settle(&mut view);
    for name in storage.list(Area::Snapshots)? {
        if snapshot_idx(&name).is_some() {
            let realm = view
                .segments
                .iter()
                .find_map(|segment| segment.header)
                .map(|header| header.realm);
            let found = restore::check(storage, &name, realm.unwrap_or_default()).map(|meta| meta.idx);
            view.snapshots.push((name, found));
        }
    }
    Ok(view)
}

/// Walks one segment. `prev` is position and hash of the record before, where it is known.
fn segment(
    storage: &dyn Storage,
    file: &SourceFile,
    prev: &mut Option<(u64, Hash)>,
    view: &mut Inspection,
) -> Result<(), StorageError> {
    let header = file.header;
    let mut seen = SegmentView {
        name: file.name.clone(),
        header: Some(header),
        file_bytes: file.bytes,
        frames: 0,
        end: actum_record::limits::FILE_HEADER_BYTES as u64,
        durable_through: None,
    };
    let place = |offset: u64, idx: u64| Place {
        file: file.shown(),
        offset,
        idx,
    };
    if let Some((idx, hash)) = *prev
        && (header.first_idx != idx + 1 || header.prev != hash)
    {
        let what = format!("the segment before ends with record {idx}, hash {hash}");
        let place = place(0, header.first_idx.min(idx + 1));
        view.problems.push(Problem {
            place,
            what,
            acknowledged: false,
        });
    }
    let mut last = header.prev;
    let mut chunks = FileChunks::new(0);
    let mut broken = None;
    while let Some(chunk) = chunks.next(storage, file)? {
        broken = frames(&chunk, &mut seen, &mut last, header.first_idx).or(match chunk.end {
            Some((_, FrameError::Zeros | FrameError::Short { found: 0..24, .. })) | None => None,
            Some((_, error)) => Some(error.to_string()),
        });
        if broken.is_some() {
            break;
        }
    }
    let next_idx = header.first_idx + seen.frames;
    let behind = behind(storage, file, seen.end)?;
    if let Some((offset, durable)) = behind {
        let what = broken.unwrap_or_else(|| "zeros".to_owned());
        let what = format!("{what}; a whole frame follows at offset {offset}");
        let acknowledged = durable.is_some_and(|durable| durable >= next_idx);
        view.problems.push(Problem {
            place: place(seen.end, next_idx),
            what,
            acknowledged,
        });
    } else if let Some(what) = broken {
        view.problems.push(Problem {
            place: place(seen.end, next_idx),
            what,
            acknowledged: false,
        });
    }
    *prev = next_idx.checked_sub(1).map(|idx| (idx, last));
    view.segments.push(seen);
    Ok(())
}

/// Counts whole frames that follow each other; says what is wrong with the first other one.
fn frames(chunk: &Chunk, seen: &mut SegmentView, last: &mut Hash, first_idx: u64) -> Option<String> {
    for (offset, len) in &chunk.frames {
        let bytes = chunk.bytes.get(*offset..offset + len).unwrap_or_default();
        let frame = match frame::parse(bytes, chunk.seed) {
            Ok(frame) => frame,
            Err(error) => return Some(error.to_string()),
        };
        let head = match body::decode_head(frame.body) {
            Ok(head) => head,
            Err(error) => return Some(error.to_string()),
        };
        if head.stamp.idx != first_idx + seen.frames || head.stamp.prev != *last {
            return Some(format!(
                "record {} that does not follow the one before",
                head.stamp.idx
            ));
        }
        *last = Hash::of(frame.body);
        seen.frames += 1;
        seen.end = chunk.base + (offset + len) as u64;
        seen.durable_through = seen.durable_through.max(frame.durable_through);
    }
    None
}

/// The whole frame with the highest `durableThrough` somewhere behind `from`: its offset and that value.
fn behind(
    storage: &dyn Storage,
    file: &SourceFile,
    from: u64,
) -> Result<Option<(u64, Option<u64>)>, StorageError> {
    let mut bytes = vec![0; usize::try_from(file.bytes.saturating_sub(from)).unwrap_or(0)];
    let count = storage.read(file.area, &file.name, from, &mut bytes)?;
    bytes.truncate(count);
    let (mut best, mut at) = (None, 0);
    while let Some((found, frame)) = scan::find_frame(&bytes, at, file.seed) {
        if best.is_none_or(|(_, durable)| frame.durable_through > durable) {
            best = Some((from + found as u64, frame.durable_through));
        }
        at = found + frame.len;
    }
    Ok(best)
}

/// A problem is acknowledged damage as well if a later segment proves it.
fn settle(view: &mut Inspection) {
    for problem in &mut view.problems {
        problem.acknowledged |= view.segments.iter().any(|segment| {
            let later = segment
                .header
                .is_some_and(|header| header.first_idx >= problem.place.idx);
            later
                && segment
                    .durable_through
                    .is_some_and(|durable| durable >= problem.place.idx)
        });
    }
}

//! Reads a snapshot back, its pieces decoded on several threads and handed on in order. Anything that is not
//! exactly as it was written makes the snapshot unfit; it is never used in part.

use crate::pipeline;
use crate::recovery::Recover;
use crate::snapshot::{EndWire, MetaWire, SnapshotMeta, Tally};
use crate::source::{Chunk, FileChunks, Pool, SourceError, SourceFile};
use crate::storage::{Area, Storage};
use actum_model::{Event, Hash};
use actum_record::cbor::ARRAY;
use actum_record::{FileKind, FrameError, RealmId, body, frame};
use std::ops::ControlFlow;

/// A frame of a snapshot, decoded.
enum Part {
    Events(Vec<Event>),
    /// The first or last frame, as it is.
    Other(Vec<u8>),
}

struct DecodedPart {
    number: Option<u64>,
    hash: Hash,
    part: Part,
}

/// Restores snapshot `name` into `into`. On an error the caller resets what was restored.
pub(crate) fn restore(
    storage: &dyn Storage,
    name: &str,
    realm: Option<RealmId>,
    helpers: usize,
    into: &mut dyn Recover,
) -> Result<SnapshotMeta, String> {
    let mut reading = Reading {
        front: None,
        tally: Tally::default(),
        next: 0,
        ended: false,
    };
    let file = walk(storage, name, realm, helpers, |part| reading.take(part, into))?;
    let meta = reading.finish(&file)?;
    into.restored(&meta)?;
    Ok(meta)
}

/// Looks whether snapshot `name` is whole, without restoring it.
pub(crate) fn check(storage: &dyn Storage, name: &str, realm: RealmId) -> Result<SnapshotMeta, String> {
    struct Nothing;
    impl Recover for Nothing {
        fn reset(&mut self) {}
        fn restore(&mut self, _events: Vec<Event>) -> Result<(), String> {
            Ok(())
        }
        fn restored(&mut self, _meta: &SnapshotMeta) -> Result<(), String> {
            Ok(())
        }
        fn record(&mut self, _record: crate::recovery::RecordRef<'_>) -> Result<(), String> {
            Ok(())
        }
    }
    restore(storage, name, Some(realm), 1, &mut Nothing)
}

fn walk(
    storage: &dyn Storage,
    name: &str,
    realm: Option<RealmId>,
    helpers: usize,
    mut take: impl FnMut(DecodedPart) -> Result<(), String>,
) -> Result<SourceFile, String> {
    let file = SourceFile::open(storage, Area::Snapshots, name, FileKind::Snapshot);
    let file = file.map_err(|error| match error {
        SourceError::Storage(error) => error.describe(),
        SourceError::Header(error) => error.to_string(),
    })?;
    if crate::layout::snapshot_idx(name) != Some(file.header.first_idx) {
        return Err("its name and its header disagree".to_owned());
    }
    if realm.is_some_and(|realm| realm != file.header.realm) {
        return Err(format!("it belongs to realm {}", file.header.realm));
    }
    let mut chunks = FileChunks::new(0);
    let mut failed = false;
    let pool = Pool::default();
    let source = || {
        if failed {
            return None;
        }
        let drawn = chunks
            .next_in(storage, &file, &pool)
            .map_err(|error| error.describe());
        failed = drawn.is_err();
        drawn.transpose()
    };
    let work = |drawn: Result<Chunk, String>| {
        let chunk = drawn?;
        let parts = decode(&chunk)?;
        let end = chunk.end;
        pool.give_back(chunk.bytes);
        Ok((parts, end))
    };
    let outcome = pipeline::run(helpers, source, work, |decoded: Result<_, String>| {
        let done = decoded.and_then(|(parts, end)| {
            parts.into_iter().try_for_each(&mut take)?;
            match end {
                None | Some((_, FrameError::Short { found: 0, .. })) => Ok(()),
                Some((at, error)) => Err(format!("at offset {at}: {error}")),
            }
        });
        match done {
            Ok(()) => ControlFlow::Continue(()),
            Err(why) => ControlFlow::Break(why),
        }
    });
    match outcome {
        Some(why) => Err(why),
        None => Ok(file),
    }
}

fn decode(chunk: &Chunk) -> Result<Vec<DecodedPart>, String> {
    let decode_one = |(offset, len): &(usize, usize)| {
        let bytes = chunk.bytes.get(*offset..offset + len).unwrap_or_default();
        let frame = frame::parse(bytes, chunk.seed)
            .map_err(|error| format!("at offset {}: {error}", chunk.base + *offset as u64))?;
        let hash = Hash::of(frame.body);
        let part = if frame.body.first().is_some_and(|first| first >> 5 == ARRAY) {
            Part::Events(body::take_values(frame.body).map_err(|error| error.to_string())?)
        } else {
            Part::Other(frame.body.to_vec())
        };
        Ok(DecodedPart {
            number: frame.durable_through,
            hash,
            part,
        })
    };
    chunk.frames.iter().map(decode_one).collect()
}

struct Reading {
    front: Option<MetaWire>,
    tally: Tally,
    next: u64,
    ended: bool,
}

impl Reading {
    fn take(&mut self, part: DecodedPart, into: &mut dyn Recover) -> Result<(), String> {
        if part.number != Some(self.next) || self.ended {
            return Err(format!(
                "frame {:?} where frame {} should be",
                part.number, self.next
            ));
        }
        self.next += 1;
        match part.part {
            Part::Events(events) if self.front.is_some() => {
                self.tally.add(&part.hash, Some(events.len()));
                into.restore(events)
            }
            Part::Other(bytes) if self.front.is_none() => {
                let front = serde_ipld_dagcbor::from_slice(&bytes).map_err(|error| error.to_string())?;
                self.front = Some(front);
                self.tally.add(&part.hash, None);
                Ok(())
            }
            Part::Other(bytes) => {
                let found: EndWire =
                    serde_ipld_dagcbor::from_slice(&bytes).map_err(|error| error.to_string())?;
                self.ended = true;
                if found == std::mem::take(&mut self.tally).end() {
                    Ok(())
                } else {
                    Err("its digest does not match its contents".to_owned())
                }
            }
            Part::Events(_) => Err("it starts without its description".to_owned()),
        }
    }

    fn finish(self, file: &SourceFile) -> Result<SnapshotMeta, String> {
        let front = self.front.filter(|_| self.ended).ok_or("it has no end")?;
        let header = &file.header;
        if front.frontier.size() != header.first_idx + 1 {
            return Err(format!("its tree has size {}", front.frontier.size()));
        }
        Ok(SnapshotMeta {
            idx: header.first_idx,
            term: header.term,
            hash: header.prev,
            frontier: front.frontier,
            state_digest: front.state,
        })
    }
}

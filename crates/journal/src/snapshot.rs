//! Snapshot files: one file per snapshot, frames around pieces of state, a digest over all of them at its end.
//! Written aside and put whole. What the pieces mean is the kernel's business.

use crate::layout::snapshot_name;
use crate::storage::{Area, Storage, StorageError};
use actum_model::{Event, Hash};
use actum_record::body::{self, BodyError};
use actum_record::limits::{BODY_BYTES_MAX, FRAME_HEADER_BYTES};
use actum_record::{FileKind, Frontier, Header, RealmId, frame};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The state a snapshot holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotMeta {
    /// The last record the state rests on.
    pub idx: u64,
    /// The term in which it was made.
    pub term: u64,
    /// Hash of record `idx`.
    pub hash: Hash,
    /// The tree over records 0 to `idx`.
    pub frontier: Frontier,
    /// Digest of the state, compared after it is restored.
    pub state_digest: Hash,
}

/// Why a snapshot was not made.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Its last record is not durable yet.
    #[error("record {idx} is not durable yet, so no snapshot can rest on it")]
    NotDurable {
        /// The last record of the state.
        idx: u64,
    },
    /// The frontier is of another size than `idx + 1`.
    #[error("the tree frontier has size {found}, expected {expected}")]
    Frontier {
        /// `idx + 1`.
        expected: u64,
        /// The size given.
        found: u64,
    },
    /// A piece does not encode.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// A piece is larger than a frame may be.
    #[error("a piece of the snapshot is larger than {limit} bytes, make smaller ones")]
    TooLarge {
        /// Largest body in bytes.
        limit: usize,
    },
    /// Storage failed; no snapshot was made, and the journal is not touched.
    #[error("storage failed while a snapshot was made")]
    Storage(#[from] StorageError),
}

/// The first frame of a snapshot.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MetaWire {
    pub(crate) frontier: Frontier,
    pub(crate) state: Hash,
}

/// The last frame of a snapshot.
#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct EndWire {
    /// SHA-256 over the body hashes of all frames before this one.
    pub(crate) digest: Hash,
    /// Events in all pieces.
    pub(crate) events: u64,
    /// Pieces.
    pub(crate) pieces: u64,
}

/// Running digest and counts, the same for writing and reading.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    hasher: Sha256,
    events: u64,
    pieces: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, body_hash: &Hash, events: Option<usize>) {
        self.hasher.update(body_hash.0);
        if let Some(events) = events {
            self.events += events as u64;
            self.pieces += 1;
        }
    }

    pub(crate) fn end(self) -> EndWire {
        EndWire {
            digest: Hash(self.hasher.finalize().into()),
            events: self.events,
            pieces: self.pieces,
        }
    }
}

/// Writes the snapshot file. The caller has seen to it that its records and leaves are durable.
pub(crate) fn write(
    storage: &dyn Storage,
    realm: RealmId,
    meta: &SnapshotMeta,
    pieces: impl Iterator<Item = Vec<Event>>,
) -> Result<(), SnapshotError> {
    let header = Header {
        kind: FileKind::Snapshot,
        realm,
        term: meta.term,
        first_idx: meta.idx,
        prev: meta.hash,
        file_bytes: 0,
    };
    let mut parts = PartWriter {
        seed: header.seed(),
        number: 0,
        tally: Tally::default(),
    };
    let front = MetaWire {
        frontier: meta.frontier.clone(),
        state: meta.state_digest,
    };
    let first = parts
        .value(&front)
        .map(|frame| [header.encode().to_vec(), frame].concat())?;
    let mut failure = None;
    let mut pieces = pieces;
    let mut done = false;
    let rest = std::iter::from_fn(|| {
        if done {
            return None;
        }
        let part = match pieces.next() {
            Some(events) => parts.events(&events),
            None => {
                done = true;
                let end = std::mem::take(&mut parts.tally).end();
                parts.value(&end)
            }
        };
        Some(part.map_err(|error| {
            done = true;
            let source = std::io::Error::other(error.to_string());
            failure = Some(error);
            StorageError::Io {
                operation: "encode",
                name: "snapshot".to_owned(),
                source,
            }
        }))
    });
    let name = snapshot_name(meta.idx);
    let stored = storage.put(
        Area::Snapshots,
        &name,
        &mut std::iter::once(Ok(first)).chain(rest),
    );
    match failure {
        Some(error) => Err(error),
        None => Ok(stored?),
    }
}

struct PartWriter {
    seed: u32,
    number: u64,
    tally: Tally,
}

impl PartWriter {
    fn value(&mut self, value: &impl Serialize) -> Result<Vec<u8>, SnapshotError> {
        self.frame(None, |out| {
            let encoded = serde_ipld_dagcbor::to_vec(value);
            out.extend_from_slice(&encoded.map_err(|error| BodyError::Encode(error.to_string()))?);
            Ok(())
        })
    }

    fn events(&mut self, events: &[Event]) -> Result<Vec<u8>, SnapshotError> {
        self.frame(Some(events.len()), |out| body::put_values(out, events))
    }

    fn frame(
        &mut self,
        events: Option<usize>,
        put: impl FnOnce(&mut Vec<u8>) -> Result<(), BodyError>,
    ) -> Result<Vec<u8>, SnapshotError> {
        let mut out = Vec::new();
        let start = frame::begin(&mut out);
        put(&mut out)?;
        let body_len = frame::finish(&mut out, start).ok_or(SnapshotError::TooLarge {
            limit: BODY_BYTES_MAX,
        })?;
        let body = out
            .get(FRAME_HEADER_BYTES..FRAME_HEADER_BYTES + body_len)
            .unwrap_or_default();
        self.tally.add(&Hash::of(body), events);
        // In a snapshot the field for `durableThrough` holds the number of the frame.
        frame::stamp(&mut out, self.seed, Some(self.number));
        self.number += 1;
        Ok(out)
    }
}

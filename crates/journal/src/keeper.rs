//! Housekeeping beside the writer: making snapshots, removing old ones, removing whole segments below the
//! older kept one, sweeping blobs. It never touches the segment being written.

use crate::catalog::Catalog;
use crate::layout::{blob_hash, segment_name, snapshot_idx};
use crate::restore;
use crate::snapshot::{self, SnapshotError, SnapshotMeta};
use crate::storage::{Area, Storage, StorageError};
use actum_model::{Event, Hash};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Snapshots kept: the newest, and one to fall back on.
pub const SNAPSHOTS_KEPT: usize = 2;

/// Housekeeping. Cheap to clone; one thread at a time should use it.
#[derive(Clone)]
pub struct Keeper {
    storage: Arc<dyn Storage>,
    catalog: Arc<Catalog>,
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper")
            .field("catalog", &self.catalog)
            .finish_non_exhaustive()
    }
}

/// What compaction removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compacted {
    /// Segments removed.
    pub segments: u64,
    /// The first record still kept.
    pub first_idx: u64,
}

impl Keeper {
    pub(crate) fn new(storage: Arc<dyn Storage>, catalog: Arc<Catalog>) -> Keeper {
        Keeper { storage, catalog }
    }

    /// Makes a snapshot of the state after `meta.idx` out of `pieces` (each a frame of its own, some thousand
    /// rows), and removes all but the two newest. May run beside the writer.
    ///
    /// # Errors
    /// When the record is not durable yet, a piece does not encode, or storage fails. No snapshot appears
    /// then, and the journal goes on as before.
    pub fn put_snapshot(
        &self,
        meta: &SnapshotMeta,
        pieces: impl Iterator<Item = Vec<Event>>,
    ) -> Result<(), SnapshotError> {
        if meta.idx >= self.catalog.durable() {
            return Err(SnapshotError::NotDurable { idx: meta.idx });
        }
        if meta.frontier.size() != meta.idx + 1 {
            return Err(SnapshotError::Frontier {
                expected: meta.idx + 1,
                found: meta.frontier.size(),
            });
        }
        // Boot trusts the leaves below a snapshot, so they are on disk before it is.
        self.catalog.sync_leaves(self.storage.as_ref())?;
        snapshot::write(self.storage.as_ref(), self.catalog.realm(), meta, pieces)?;
        let names = self.snapshots()?;
        let extra = names.len().saturating_sub(SNAPSHOTS_KEPT);
        for (name, _) in names.iter().take(extra) {
            self.storage.remove(Area::Snapshots, name)?;
        }
        Ok(())
    }

    /// Names and positions of the snapshots, the oldest first.
    ///
    /// # Errors
    /// When storage fails.
    pub fn snapshots(&self) -> Result<Vec<(String, u64)>, StorageError> {
        let names = self.storage.list(Area::Snapshots)?;
        Ok(names
            .into_iter()
            .filter_map(|name| snapshot_idx(&name).map(|idx| (name, idx)))
            .collect())
    }

    /// Removes the segments all of whose records lie at or below the older kept snapshot. Does nothing unless
    /// two whole snapshots are kept. Leaves stay.
    ///
    /// # Errors
    /// When storage fails; some segments may be gone then, and calling again goes on.
    pub fn compact(&self) -> Result<Compacted, StorageError> {
        let mut done = Compacted {
            segments: 0,
            first_idx: self.catalog.first_idx().unwrap_or(0),
        };
        let names = self.snapshots()?;
        let newest = names.iter().rev().take(SNAPSHOTS_KEPT);
        let whole = |name: &str| restore::check(self.storage.as_ref(), name, self.catalog.realm()).is_ok();
        // Both must be whole: records are removed for good on the word of these files.
        let fit: Vec<u64> = newest
            .filter(|(name, _)| whole(name))
            .map(|(_, idx)| *idx)
            .collect();
        let (SNAPSHOTS_KEPT, Some(older)) = (fit.len(), fit.last()) else {
            return Ok(done);
        };
        self.catalog.sync_leaves(self.storage.as_ref())?;
        let starts = self.catalog.starts();
        for (first_idx, next) in starts.iter().zip(starts.iter().skip(1)) {
            if *next > older + 1 {
                break;
            }
            self.storage.remove(Area::Journal, &segment_name(*first_idx))?;
            self.catalog.remove_segment(*first_idx);
            done.segments += 1;
            done.first_idx = *next;
        }
        Ok(done)
    }

    /// Removes every blob that is not in `keep`, and returns how many. `keep` must name the blobs of records
    /// in flight too: mark first, from a state no older than the last record staged.
    ///
    /// # Errors
    /// When storage fails; calling again goes on.
    pub fn sweep_blobs(&self, keep: &BTreeSet<Hash>) -> Result<u64, StorageError> {
        let mut removed = 0;
        for name in self.storage.list(Area::Blobs)? {
            if blob_hash(&name).is_some_and(|hash| !keep.contains(&hash)) {
                self.storage.remove(Area::Blobs, &name)?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

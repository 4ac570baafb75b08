//! What is known in memory of the segments: which there are, and where in them every 64th record starts.
//! The writer adds to it, readers look things up. It can be rebuilt from the files at any time.

use crate::layout::LEAVES;
use crate::storage::{Storage, StorageError};
use actum_record::{Header, RealmId};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Records from one known place to the next. A place costs 8 bytes; walking 64 frames costs microseconds.
pub(crate) const PLACE_EVERY: u64 = 64;

/// A segment and the known places in it.
#[derive(Debug, Clone)]
pub(crate) struct SegmentInfo {
    pub(crate) header: Header,
    pub(crate) seed: u32,
    /// Offset of record `first_idx + i * PLACE_EVERY`.
    places: Vec<u64>,
}

/// The segments by first idx, and how far the journal is durable.
#[derive(Debug)]
pub(crate) struct Catalog {
    segments: RwLock<BTreeMap<u64, SegmentInfo>>,
    /// Number of records known durable: one more than the highest durable idx.
    durable: AtomicU64,
    /// A sync of the leaves failed. Another one might succeed without having written anything.
    leaves_failed: AtomicBool,
    realm: RealmId,
}

impl Catalog {
    pub(crate) fn new(realm: RealmId) -> Catalog {
        Catalog {
            segments: RwLock::default(),
            durable: AtomicU64::new(0),
            leaves_failed: AtomicBool::new(false),
            realm,
        }
    }

    pub(crate) fn realm(&self) -> RealmId {
        self.realm
    }

    /// Number of records known durable.
    pub(crate) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    pub(crate) fn set_durable(&self, count: u64) {
        self.durable.store(count, Ordering::Release);
    }

    /// Syncs the leaves, at most until that fails once.
    pub(crate) fn sync_leaves(&self, storage: &dyn Storage) -> Result<(), StorageError> {
        if self.leaves_failed.load(Ordering::Acquire) {
            let source = std::io::Error::other("an earlier sync failed, open the journal anew");
            return Err(StorageError::Io {
                operation: "sync",
                name: LEAVES.to_owned(),
                source,
            });
        }
        let done = storage.sync(LEAVES);
        self.leaves_failed.store(done.is_err(), Ordering::Release);
        done
    }

    pub(crate) fn add_segment(&self, header: &Header) {
        let info = SegmentInfo {
            header: *header,
            seed: header.seed(),
            places: Vec::new(),
        };
        self.write().insert(header.first_idx, info);
    }

    pub(crate) fn remove_segment(&self, first_idx: u64) {
        self.write().remove(&first_idx);
    }

    /// Notes where record `idx` of the segment starts, if that is the next place to be known.
    pub(crate) fn note(&self, first_idx: u64, idx: u64, offset: u64) {
        if wanted(first_idx, idx)
            && let Some(info) = self.write().get_mut(&first_idx)
            && info.places.len() as u64 == (idx - first_idx) / PLACE_EVERY
        {
            info.places.push(offset);
        }
    }

    /// Forgets all places at or behind `idx` in the segment, which is about to be cut.
    pub(crate) fn cut(&self, first_idx: u64, idx: u64) {
        if let Some(info) = self.write().get_mut(&first_idx) {
            let keep = idx.saturating_sub(first_idx).div_ceil(PLACE_EVERY);
            info.places.truncate(usize::try_from(keep).unwrap_or(usize::MAX));
        }
    }

    /// The segment that holds `idx` if any does, and the nearest known place before it: `(idx, offset)`.
    pub(crate) fn find(&self, idx: u64) -> Option<(SegmentInfo, u64, u64)> {
        let segments = self.read();
        let (first_idx, info) = segments.range(..=idx).next_back()?;
        let header_bytes = actum_record::limits::FILE_HEADER_BYTES as u64;
        let slot = (idx - first_idx) / PLACE_EVERY;
        let slot = slot.min((info.places.len() as u64).saturating_sub(1));
        let offset = info
            .places
            .get(usize::try_from(slot).ok()?)
            .copied()
            .unwrap_or(header_bytes);
        let info = SegmentInfo {
            header: info.header,
            seed: info.seed,
            places: Vec::new(),
        };
        Some((info, first_idx + slot * PLACE_EVERY, offset))
    }

    /// The segment after the one that starts at `first_idx`.
    pub(crate) fn after(&self, first_idx: u64) -> Option<(Header, u32)> {
        let segments = self.read();
        segments
            .range(first_idx + 1..)
            .next()
            .map(|(_, info)| (info.header, info.seed))
    }

    /// First idx of the first segment.
    pub(crate) fn first_idx(&self) -> Option<u64> {
        self.read().keys().next().copied()
    }

    /// The first idx of every segment, in order.
    pub(crate) fn starts(&self) -> Vec<u64> {
        self.read().keys().copied().collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<u64, SegmentInfo>> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<u64, SegmentInfo>> {
        self.segments.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wanted(first_idx: u64, idx: u64) -> bool {
    idx >= first_idx && (idx - first_idx).is_multiple_of(PLACE_EVERY)
}

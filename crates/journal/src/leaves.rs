//! The file of record hashes, from record 0 on and kept for ever, so that the tree can always be rebuilt. It is
//! written behind the records and not synced with them: opening compares it with the records that were read
//! and puts right what differs. It is synced before a snapshot is made and before any record is removed.

use crate::error::{OpenError, Place, ReadError};
use crate::layout::LEAVES;
use crate::reader::Reader;
use crate::recovery::RecoveryReport;
use crate::storage::{Area, Storage, StorageError};
use actum_model::Hash;

/// Bytes of one leaf.
pub(crate) const LEAF_BYTES: u64 = 32;
const WINDOW_LEAVES: u64 = 4096;

/// Leaves as they are on disk, read in windows.
pub(crate) struct LeafFile<'a> {
    storage: &'a dyn Storage,
    window: Vec<u8>,
    window_from: u64,
}

impl<'a> LeafFile<'a> {
    pub(crate) fn new(storage: &'a dyn Storage) -> LeafFile<'a> {
        LeafFile {
            storage,
            window: Vec::new(),
            window_from: 0,
        }
    }

    /// Whole leaves in the file; 0 if there is no file.
    pub(crate) fn count(&self) -> Result<u64, StorageError> {
        Ok(self.storage.size(Area::Journal, LEAVES)?.unwrap_or(0) / LEAF_BYTES)
    }

    /// Leaf `idx`, `None` beyond the end.
    pub(crate) fn get(&mut self, idx: u64) -> Result<Option<Hash>, StorageError> {
        if let Some(hash) = self.in_window(idx) {
            return Ok(Some(hash));
        }
        let mut window = vec![0; usize::try_from(WINDOW_LEAVES * LEAF_BYTES).unwrap_or(0)];
        let count = match self
            .storage
            .read(Area::Journal, LEAVES, idx * LEAF_BYTES, &mut window)
        {
            Err(StorageError::NotFound { .. }) => 0,
            other => other?,
        };
        window.truncate(count);
        (self.window, self.window_from) = (window, idx);
        Ok(self.in_window(idx))
    }

    fn in_window(&self, idx: u64) -> Option<Hash> {
        let at = usize::try_from(idx.checked_sub(self.window_from)? * LEAF_BYTES).ok()?;
        self.window
            .get(at..)?
            .first_chunk::<32>()
            .map(|bytes| Hash(*bytes))
    }
}

/// Compares leaves with records as they are read.
pub(crate) struct LeafCheck<'a> {
    file: LeafFile<'a>,
    /// First leaf that differs or is missing.
    wrong_from: Option<u64>,
}

impl<'a> LeafCheck<'a> {
    pub(crate) fn new(storage: &'a dyn Storage) -> LeafCheck<'a> {
        LeafCheck {
            file: LeafFile::new(storage),
            wrong_from: None,
        }
    }

    pub(crate) fn compare(&mut self, idx: u64, hash: &Hash) -> Result<(), StorageError> {
        if self.wrong_from.is_none() && self.file.get(idx)? != Some(*hash) {
            self.wrong_from = Some(idx);
        }
        Ok(())
    }

    /// Puts the file right, after the records themselves were. `first_read` is the first record that was
    /// compared: leaves before it rest on the snapshot.
    pub(crate) fn put_right(
        mut self,
        storage: &dyn Storage,
        reader: &Reader,
        first_read: u64,
        records: u64,
        report: &mut RecoveryReport,
    ) -> Result<(), OpenError> {
        let count = self.file.count()?;
        if storage.size(Area::Journal, LEAVES)?.is_none() {
            storage.create(LEAVES, &[], 0)?;
        }
        if count < first_read.min(records) {
            self.wrong_from = Some(count);
        }
        if let Some(from) = self.wrong_from {
            report.leaves_rewritten = records - from;
            rewrite(storage, reader, from, records)?;
        }
        report.leaves_beyond_head = count.saturating_sub(records);
        let size = storage.size(Area::Journal, LEAVES)?.unwrap_or(0);
        if size > records * LEAF_BYTES {
            truncate(storage, records)?;
        }
        Ok(())
    }
}

fn rewrite(storage: &dyn Storage, reader: &Reader, from: u64, records: u64) -> Result<(), OpenError> {
    let mut pending = Vec::new();
    let mut at = from;
    for head in reader.hashes(from, records) {
        let (_, hash) = head.map_err(|error| lost(from, error))?;
        pending.extend_from_slice(&hash.0);
        if pending.len() as u64 == WINDOW_LEAVES * LEAF_BYTES {
            storage.write(LEAVES, at * LEAF_BYTES, &pending)?;
            at += WINDOW_LEAVES;
            pending.clear();
        }
    }
    storage.write(LEAVES, at * LEAF_BYTES, &pending)?;
    Ok(storage.sync(LEAVES)?)
}

fn lost(idx: u64, error: ReadError) -> OpenError {
    match error {
        ReadError::Storage(error) => OpenError::Storage(error),
        error => OpenError::Damaged {
            place: Place {
                file: format!("journal/{LEAVES}"),
                offset: idx * LEAF_BYTES,
                idx,
            },
            what: "hashes of records are missing and cannot be made again".to_owned(),
            evidence: error.to_string(),
        },
    }
}

/// Keeps the first `records` leaves. Rare: only records that were committed and are gone leave more.
pub(crate) fn truncate(storage: &dyn Storage, records: u64) -> Result<(), StorageError> {
    let mut at = 0;
    let mut parts = std::iter::from_fn(|| {
        let leaves = WINDOW_LEAVES.min(records - at);
        if leaves == 0 {
            return None;
        }
        let mut part = vec![0; usize::try_from(leaves * LEAF_BYTES).unwrap_or(0)];
        let read = storage.read(Area::Journal, LEAVES, at * LEAF_BYTES, &mut part);
        at += leaves;
        Some(read.map(|count| {
            part.truncate(count);
            part
        }))
    });
    storage.put(Area::Journal, LEAVES, &mut parts)
}

//! The writing half: takes batches, writes their frames into segments, syncs once, and only then says
//! `Committed`. After a failed write or sync it is poisoned for good.
//!
//! It does not encode records (the stager did) and does not read them (the reader does).

use crate::catalog::Catalog;
use crate::clean;
use crate::committed::Committed;
use crate::error::AppendError;
use crate::layout::{LEAVES, segment_name};
use crate::leaves::LEAF_BYTES;
use crate::options::Durability;
use crate::stage::{Batch, Buffers, Staged};
use crate::storage::{Area, Storage, StorageError};
use actum_model::Hash;
use actum_record::limits::FILE_HEADER_BYTES;
use actum_record::{FileKind, Header, frame};
use std::sync::Arc;

/// Segments are whole multiples of this, the block of the usual disks.
const SEGMENT_ALIGN_BYTES: u64 = 4096;

/// The segment being written.
#[derive(Debug)]
pub(crate) struct Tail {
    pub(crate) name: String,
    pub(crate) first_idx: u64,
    pub(crate) seed: u32,
    /// Where the next frame goes.
    pub(crate) end: u64,
    /// Bytes of the file.
    pub(crate) bytes: u64,
}

/// A batch whose fate is not known.
#[derive(Debug)]
struct Doubt {
    first_idx: u64,
    count: u64,
    writes: Vec<(String, u64, Vec<u8>)>,
}

/// The writer's half of the journal. One thread owns it.
pub struct Writer {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) buffers: Buffers,
    pub(crate) durability: Durability,
    pub(crate) segment_bytes: u64,
    pub(crate) term: u64,
    pub(crate) tail: Option<Tail>,
    pub(crate) next_idx: u64,
    pub(crate) head_hash: Hash,
    /// Hashes of records that are written and not yet leaves.
    pending: Vec<u8>,
    /// Records that are leaves.
    leaves: u64,
    /// Records known durable.
    pub(crate) durable: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    Ready,
    Doubtful(Box<Doubt>),
    Poisoned(String),
    Fenced(String),
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer")
            .field("next_idx", &self.next_idx)
            .field("durable", &self.durable)
            .field("tail", &self.tail)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// What a writer starts from.
pub(crate) struct Start {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) buffers: Buffers,
    pub(crate) durability: Durability,
    pub(crate) segment_bytes: u64,
    pub(crate) term: u64,
    pub(crate) tail: Option<Tail>,
    pub(crate) next_idx: u64,
    pub(crate) head_hash: Hash,
}

impl Writer {
    /// A writer behind a head all of which is durable.
    pub(crate) fn new(start: Start) -> Writer {
        start.catalog.set_durable(start.next_idx);
        Writer {
            storage: start.storage,
            catalog: start.catalog,
            buffers: start.buffers,
            durability: start.durability,
            segment_bytes: start.segment_bytes,
            term: start.term,
            tail: start.tail,
            next_idx: start.next_idx,
            head_hash: start.head_hash,
            pending: Vec::new(),
            leaves: start.next_idx,
            durable: start.next_idx,
            state: State::Ready,
        }
    }

    /// The term written into the headers of segments made from now on.
    pub fn set_term(&mut self, term: u64) {
        self.term = term;
    }

    /// Highest idx known durable.
    #[must_use]
    pub fn durable_through(&self) -> Option<u64> {
        self.durable.checked_sub(1)
    }

    /// Position and hash of the last record written.
    #[must_use]
    pub fn head(&self) -> Option<(u64, Hash)> {
        self.next_idx.checked_sub(1).map(|idx| (idx, self.head_hash))
    }

    /// Writes a batch, syncs it unless durability is batched, and says so. Batches come in the order in which
    /// they were sealed. An empty batch costs nothing.
    ///
    /// # Errors
    /// After an error nothing of the batch may be released: see [`AppendError`].
    pub fn flush(&mut self, batch: Batch) -> Result<Committed, AppendError> {
        let committed = self.flush_records(batch)?;
        self.write_leaves()?;
        Ok(committed)
    }

    /// The same without the leaves of these records: [`Writer::write_leaves`] writes them, for many batches at a time.
    ///
    /// # Errors
    /// As [`Writer::flush`].
    pub fn flush_records(&mut self, mut batch: Batch) -> Result<Committed, AppendError> {
        self.check()?;
        if batch.first_idx != self.next_idx || batch.prev != self.head_hash {
            let what = format!(
                "batch at {} does not follow head {:?}",
                batch.first_idx,
                self.head()
            );
            return Err(self.poison(what));
        }
        let mut writes = Vec::new();
        let done = self
            .write_batch(&mut batch, &mut writes)
            .and_then(|()| match self.durability {
                Durability::Strict => self.sync_tail(),
                Durability::Batched => Ok(()),
            });
        let (first_idx, count) = (batch.first_idx, batch.frames.len() as u64);
        match done {
            Ok(()) => {
                self.buffers.give_back(batch.bytes);
                Ok(self.committed(first_idx, count))
            }
            Err(error) => Err(self.fail(error, &batch, writes)),
        }
    }

    /// Durable records that are not leaves yet.
    #[must_use]
    pub fn leaves_waiting(&self) -> u64 {
        self.durable - self.leaves
    }

    /// Makes what is durable part of the tree: leaves need no sync of their own, since they are made again from the
    /// records, and are synced before any record is removed.
    ///
    /// # Errors
    /// As [`Writer::flush`].
    pub fn write_leaves(&mut self) -> Result<(), AppendError> {
        self.check()?;
        self.put_leaves().map_err(|error| self.poison_with(error))
    }

    /// Makes everything written so far durable; for batched durability.
    ///
    /// # Errors
    /// As [`Writer::flush`].
    pub fn sync_pending(&mut self) -> Result<Committed, AppendError> {
        let committed = self.sync_records()?;
        self.write_leaves()?;
        Ok(committed)
    }

    /// The same without the leaves, as [`Writer::flush_records`].
    ///
    /// # Errors
    /// As [`Writer::flush`].
    pub fn sync_records(&mut self) -> Result<Committed, AppendError> {
        self.check()?;
        match self.sync_tail() {
            Ok(()) => Ok(self.committed(self.next_idx, 0)),
            Err(error) => Err(self.poison_with(error)),
        }
    }

    /// After `Unknown`: rereads what should have been written. If all of it is there it is synced and
    /// committed after all; if not, the writer is poisoned and the journal must be opened anew.
    ///
    /// # Errors
    /// As [`Writer::flush_records`]; `Unknown` again if rereading or syncing is answered so.
    pub fn resolve(&mut self) -> Result<Committed, AppendError> {
        let State::Doubtful(doubt) = &self.state else {
            self.check()?;
            return Ok(self.committed(self.next_idx, 0));
        };
        for (name, offset, bytes) in &doubt.writes {
            let mut found = vec![0; bytes.len()];
            match self.storage.read(Area::Journal, name, *offset, &mut found) {
                Ok(count) if count == bytes.len() && found == *bytes => {}
                Ok(_) => return Err(self.poison("a batch of unknown fate did not land whole".to_owned())),
                Err(StorageError::Unknown(what)) => return Err(AppendError::Unknown(what)),
                Err(error) => return Err(self.poison_with(error)),
            }
        }
        let (first_idx, count) = (doubt.first_idx, doubt.count);
        if self.durability == Durability::Strict {
            match self.sync_tail() {
                Ok(()) => {}
                Err(StorageError::Unknown(what)) => return Err(AppendError::Unknown(what)),
                Err(error) => return Err(self.poison_with(error)),
            }
        }
        self.state = State::Ready;
        Ok(self.committed(first_idx, count))
    }

    /// Ends in order: everything durable, the leaves too, and a mark that says so.
    ///
    /// # Errors
    /// As [`Writer::flush`].
    pub fn close(mut self) -> Result<(), AppendError> {
        self.check()?;
        let done = self.sync_tail().and_then(|()| self.put_leaves()).and_then(|()| {
            if self.storage.size(Area::Journal, LEAVES)?.is_some() {
                self.catalog.sync_leaves(self.storage.as_ref())?;
            }
            clean::put(self.storage.as_ref(), self.next_idx, &self.head_hash)
        });
        done.map_err(|error| self.poison_with(error))
    }

    fn check(&self) -> Result<(), AppendError> {
        match &self.state {
            State::Ready => Ok(()),
            State::Doubtful(_) => Err(AppendError::Unknown(
                "an earlier batch is not resolved".to_owned(),
            )),
            State::Poisoned(what) => Err(AppendError::Poisoned(what.clone())),
            State::Fenced(by) => Err(AppendError::Fenced(by.clone())),
        }
    }

    fn committed(&self, first_idx: u64, count: u64) -> Committed {
        Committed::new(first_idx, count, self.head_hash, self.durable)
    }

    fn poison(&mut self, what: String) -> AppendError {
        self.state = State::Poisoned(what.clone());
        AppendError::Poisoned(what)
    }

    fn poison_with(&mut self, error: StorageError) -> AppendError {
        match error {
            StorageError::Fenced(by) => {
                self.state = State::Fenced(by.clone());
                AppendError::Fenced(by)
            }
            error => self.poison(error.describe()),
        }
    }

    /// Turns the failure of a batch into what the caller sees. `Unknown` alone can be resolved, and only if
    /// every frame of the batch had got its place.
    fn fail(
        &mut self,
        error: StorageError,
        batch: &Batch,
        writes: Vec<(String, u64, Vec<u8>)>,
    ) -> AppendError {
        let count = batch.frames.len() as u64;
        match error {
            StorageError::Unknown(what) if self.next_idx == batch.first_idx + count => {
                let doubt = Doubt {
                    first_idx: batch.first_idx,
                    count,
                    writes,
                };
                self.state = State::Doubtful(Box::new(doubt));
                AppendError::Unknown(what)
            }
            error => self.poison_with(error),
        }
    }

    /// Writes all frames, rolling segments as needed. A write answered `Unknown` is kept in `writes`, and the
    /// frames behind it are still written, so that the fate of the whole batch can be found out.
    fn write_batch(
        &mut self,
        batch: &mut Batch,
        writes: &mut Vec<(String, u64, Vec<u8>)>,
    ) -> Result<(), StorageError> {
        let mut frames = batch.frames.as_slice();
        let mut bytes = batch.bytes.as_mut_slice();
        let mut unknown = None;
        while let Some(first) = frames.first() {
            let fits = self
                .tail
                .as_ref()
                .map_or(0, |tail| fitting(frames, tail.bytes - tail.end));
            if fits == 0 {
                if let Some(what) = unknown.take() {
                    self.confirm(writes, what)?;
                }
                self.roll(first.len as u64)?;
                continue;
            }
            let (now, later) = frames.split_at_checked(fits).unwrap_or((frames, &[]));
            let len = now.iter().map(|frame| frame.len).sum();
            let (piece, rest) = bytes.split_at_mut_checked(len).unwrap_or_default();
            match self.write_piece(now, piece, writes) {
                Err(StorageError::Unknown(what)) => unknown = Some(what),
                other => other?,
            }
            (frames, bytes) = (later, rest);
        }
        unknown.map_or(Ok(()), |what| Err(StorageError::Unknown(what)))
    }

    /// A new segment vouches for every record before it, so a write of unknown fate must be found to have
    /// landed first; if it did not, its batch cannot be completed.
    fn confirm(&self, writes: &mut Vec<(String, u64, Vec<u8>)>, what: String) -> Result<(), StorageError> {
        for (name, offset, bytes) in writes.iter() {
            let mut found = vec![0; bytes.len()];
            let count = self.storage.read(Area::Journal, name, *offset, &mut found)?;
            if count < bytes.len() || found != *bytes {
                return Err(StorageError::Unknown(what));
            }
        }
        writes.clear();
        Ok(())
    }

    /// Stamps frames that lie side by side and writes them in one call.
    fn write_piece(
        &mut self,
        frames: &[Staged],
        piece: &mut [u8],
        writes: &mut Vec<(String, u64, Vec<u8>)>,
    ) -> Result<(), StorageError> {
        let Some(tail) = self.tail.as_mut() else {
            return Ok(());
        };
        let mut rest = &mut *piece;
        let start = tail.end;
        for staged in frames {
            let (frame, behind) = rest.split_at_mut_checked(staged.len).unwrap_or_default();
            frame::stamp(frame, tail.seed, self.durable.checked_sub(1));
            self.catalog.note(tail.first_idx, self.next_idx, tail.end);
            self.pending.extend_from_slice(&staged.hash.0);
            self.head_hash = staged.hash;
            self.next_idx += 1;
            tail.end += staged.len as u64;
            rest = behind;
        }
        let done = self.storage.write(&tail.name, start, piece);
        if matches!(done, Err(StorageError::Unknown(_))) {
            writes.push((tail.name.clone(), start, piece.to_vec()));
        }
        done
    }

    /// Ends the current segment and starts the next, large enough for a frame of `frame_bytes`.
    fn roll(&mut self, frame_bytes: u64) -> Result<(), StorageError> {
        // The old segment is synced first: a segment exists only if all records before it are durable.
        self.sync_tail()?;
        let needed = (FILE_HEADER_BYTES as u64 + frame_bytes).next_multiple_of(SEGMENT_ALIGN_BYTES);
        let header = Header {
            kind: FileKind::Segment,
            realm: self.catalog.realm(),
            term: self.term,
            first_idx: self.next_idx,
            prev: self.head_hash,
            file_bytes: self.segment_bytes.max(needed),
        };
        let name = segment_name(header.first_idx);
        self.storage.create(&name, &header.encode(), header.file_bytes)?;
        self.catalog.add_segment(&header);
        self.tail = Some(Tail {
            name,
            first_idx: header.first_idx,
            seed: header.seed(),
            end: FILE_HEADER_BYTES as u64,
            bytes: header.file_bytes,
        });
        Ok(())
    }

    /// Syncs the current segment; what was written is then durable.
    fn sync_tail(&mut self) -> Result<(), StorageError> {
        if self.durable == self.next_idx {
            return Ok(());
        }
        if let Some(tail) = &self.tail {
            self.storage.sync(&tail.name)?;
        }
        self.durable = self.next_idx;
        self.catalog.set_durable(self.durable);
        Ok(())
    }

    fn put_leaves(&mut self) -> Result<(), StorageError> {
        let bytes = usize::try_from((self.durable - self.leaves) * LEAF_BYTES).unwrap_or(usize::MAX);
        let Some(leaves) = self.pending.get(..bytes).filter(|leaves| !leaves.is_empty()) else {
            return Ok(());
        };
        self.storage.write(LEAVES, self.leaves * LEAF_BYTES, leaves)?;
        self.pending.drain(..bytes);
        self.leaves = self.durable;
        Ok(())
    }
}

/// How many of `frames` fit into `room` bytes.
fn fitting(frames: &[Staged], room: u64) -> usize {
    let mut left = room;
    frames
        .iter()
        .take_while(|frame| match left.checked_sub(frame.len as u64) {
            Some(rest) => {
                left = rest;
                true
            }
            None => false,
        })
        .count()
}

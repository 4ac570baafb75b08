//! Staging: encodes records into the open batch, chains their hashes and gives out positions. It touches no
//! storage and never waits, so that the engine decides ahead while the batch before is being synced.

use crate::error::StageError;
use actum_model::{Event, Hash};
use actum_record::body::{self, Stamp};
use actum_record::frame;
use actum_record::limits::{BODY_BYTES_MAX, FRAME_HEADER_BYTES};
use std::sync::{Arc, Mutex, PoisonError};

/// Buffers kept for reuse: one being filled, one being written, one on its way back.
const BUFFERS_KEPT: usize = 3;
/// A buffer grown beyond this is given back to the allocator.
const BUFFER_BYTES_KEPT: usize = 8 * 1024 * 1024;

/// The place a record will have once its batch is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    idx: u64,
    hash: Hash,
}

impl Ticket {
    /// Position of the record.
    #[must_use]
    pub fn idx(&self) -> u64 {
        self.idx
    }

    /// Hash of its body.
    #[must_use]
    pub fn hash(&self) -> Hash {
        self.hash
    }
}

/// One frame of a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Staged {
    /// Bytes of the frame.
    pub(crate) len: usize,
    /// Hash of the body.
    pub(crate) hash: Hash,
}

/// Records staged together, to be made durable together. Only a [`Stager`] makes one.
#[derive(Debug)]
pub struct Batch {
    pub(crate) first_idx: u64,
    pub(crate) prev: Hash,
    pub(crate) bytes: Vec<u8>,
    pub(crate) frames: Vec<Staged>,
}

impl Batch {
    /// Position of the first record.
    #[must_use]
    pub fn first_idx(&self) -> u64 {
        self.first_idx
    }

    /// Number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether nothing was staged.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Bytes of all frames.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }
}

/// Buffers on their way from the writer back to the stager.
#[derive(Debug, Clone, Default)]
pub(crate) struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

impl Buffers {
    fn take(&self) -> Vec<u8> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
            .unwrap_or_default()
    }

    pub(crate) fn give_back(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < BUFFERS_KEPT && buffer.capacity() <= BUFFER_BYTES_KEPT {
            kept.push(buffer);
        }
    }
}

/// The engine's half of the journal.
#[derive(Debug)]
pub struct Stager {
    next_idx: u64,
    prev: Hash,
    open: Batch,
    buffers: Buffers,
}

impl Stager {
    pub(crate) fn new(next_idx: u64, prev: Hash, buffers: Buffers) -> Stager {
        let open = Batch {
            first_idx: next_idx,
            prev,
            bytes: buffers.take(),
            frames: Vec::new(),
        };
        Stager {
            next_idx,
            prev,
            open,
            buffers,
        }
    }

    /// The position the next record gets.
    #[must_use]
    pub fn next_idx(&self) -> u64 {
        self.next_idx
    }

    /// The hash of the last staged record; zero before the first.
    #[must_use]
    pub fn head_hash(&self) -> Hash {
        self.prev
    }

    /// Bytes staged since the last [`Stager::seal`].
    #[must_use]
    pub fn staged_bytes(&self) -> usize {
        self.open.bytes()
    }

    /// Records staged since the last [`Stager::seal`].
    #[must_use]
    pub fn staged_records(&self) -> usize {
        self.open.len()
    }

    /// Adds a record to the open batch. `at_ms` is wall time since 1970, `elapsed_ms` monotonic run time,
    /// `input` the encoded input.
    ///
    /// # Errors
    /// When an event does not encode, or the record is too large for a frame. Nothing is staged then.
    pub fn stage(
        &mut self,
        at_ms: u64,
        elapsed_ms: u64,
        input: &[u8],
        events: &[Event],
    ) -> Result<Ticket, StageError> {
        let stamp = Stamp {
            idx: self.next_idx,
            at_ms,
            elapsed_ms,
            prev: self.prev,
        };
        let bytes = &mut self.open.bytes;
        let start = frame::begin(bytes);
        if let Err(error) = body::encode(bytes, &stamp, input, events) {
            bytes.truncate(start);
            return Err(error.into());
        }
        let body_len = frame::finish(bytes, start).ok_or(StageError::TooLarge {
            limit: BODY_BYTES_MAX,
        })?;
        let from = start + FRAME_HEADER_BYTES;
        let hash = Hash::of(bytes.get(from..from + body_len).unwrap_or_default());
        self.open.frames.push(Staged {
            len: bytes.len() - start,
            hash,
        });
        self.prev = hash;
        self.next_idx += 1;
        Ok(Ticket { idx: stamp.idx, hash })
    }

    /// Takes what was staged since the last call, for the writer. It may be empty.
    #[must_use]
    pub fn seal(&mut self) -> Batch {
        let frames = Vec::with_capacity(self.open.frames.len());
        let next = Batch {
            first_idx: self.next_idx,
            prev: self.prev,
            bytes: self.buffers.take(),
            frames,
        };
        std::mem::replace(&mut self.open, next)
    }
}

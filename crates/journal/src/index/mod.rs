//! The index over history: one row per command, in SQLite, for queries only. It is fed by reading committed
//! records, knows through which record it was fed, and is dropped and rebuilt whenever anything about it does
//! not fit. Nothing is ever decided from it.

mod feed;
mod query;
mod schema;

pub use query::{Filter, Order, Page, Row};

use crate::error::ReadError;
use crate::reader::Reader;
use actum_model::{Event, Hash};
use rusqlite::Connection;
use std::path::{Path, PathBuf};

/// Records applied in one transaction. Neighbouring commands belong to many sessions, so a page of a secondary
/// index is written once per transaction: the larger it is, the fewer writes. The rows gathered for it take
/// some 10 MB.
const RECORDS_PER_TRANSACTION: usize = 16_384;

/// Why the index could not be used.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// SQLite failed.
    #[error("the history index failed")]
    Sqlite(#[from] rusqlite::Error),
    /// The file could not be removed to be rebuilt.
    #[error("the history index `{}` cannot be rebuilt", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A record could not be read.
    #[error("a record could not be read for the history index")]
    Read(#[from] ReadError),
    /// Records before the first kept one were never applied: give it a snapshot with [`Index::seed`].
    #[error("the history index ends before record {first}, the first one kept: it needs a snapshot")]
    NeedsSnapshot {
        /// First record kept.
        first: u64,
    },
}

/// The index, open to be fed and asked. One thread feeds it; others may open it to ask.
#[derive(Debug)]
pub struct Index {
    connection: Connection,
    /// Records applied: one more than the last.
    applied: u64,
    head: Hash,
}

impl Index {
    /// Opens the index in `path` (`index.db`), or makes an empty one if it is missing, of another version, damaged,
    /// or not an index of this history: ahead of `head_idx`, or fed from other records.
    ///
    /// # Errors
    /// When SQLite cannot open the file, or a damaged one cannot be removed.
    pub fn open(path: &Path, reader: &Reader, head_idx: Option<u64>) -> Result<Index, IndexError> {
        if let Ok(Some(index)) = Index::existing(path, reader, head_idx) {
            return Ok(index);
        }
        for end in ["", "-wal", "-shm"] {
            let mut name = path.as_os_str().to_owned();
            name.push(end);
            match std::fs::remove_file(&name) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    return Err(IndexError::Io {
                        path: name.into(),
                        source,
                    });
                }
                _ => {}
            }
        }
        schema::create_file(path).map_err(|source| IndexError::Io {
            path: path.to_owned(),
            source,
        })?;
        let connection = schema::connect(path)?;
        schema::create(&connection)?;
        Ok(Index {
            connection,
            applied: 0,
            head: Hash::ZERO,
        })
    }

    /// Opens the index in `path` only to ask.
    ///
    /// # Errors
    /// When there is none that can be read.
    pub fn open_to_ask(path: &Path) -> Result<Index, IndexError> {
        let connection = schema::connect_to_ask(path)?;
        let (applied, head) = schema::applied(&connection)?.unwrap_or_default();
        Ok(Index {
            connection,
            applied,
            head,
        })
    }

    fn existing(path: &Path, reader: &Reader, head_idx: Option<u64>) -> Result<Option<Index>, IndexError> {
        if !path.exists() {
            return Ok(None);
        }
        let connection = schema::connect(path)?;
        let Some((applied, head)) = schema::applied(&connection)? else {
            return Ok(None);
        };
        if applied > head_idx.map_or(0, |idx| idx + 1) {
            return Ok(None);
        }
        // The record it was fed through last must still be the same; if it was compacted away, the one behind
        // it names it.
        let same = match applied.checked_sub(1) {
            None => true,
            Some(last) if last >= reader.first_idx() => reader.record(last)?.hash == head,
            Some(last) if last + 1 == reader.first_idx() && head_idx != Some(last) => {
                reader.record(last + 1)?.prev == head
            }
            Some(_) => false,
        };
        Ok(same.then_some(Index {
            connection,
            applied,
            head,
        }))
    }

    /// The last record applied.
    #[must_use]
    pub fn applied_through(&self) -> Option<u64> {
        self.applied.checked_sub(1)
    }

    /// Applies the records up to and including `through`, which must be committed, and returns how many.
    ///
    /// # Errors
    /// `NeedsSnapshot` when records that were never applied are compacted away; or when reading or SQLite
    /// fails. What was applied before stays.
    pub fn catch_up(&mut self, reader: &Reader, through: Option<u64>) -> Result<u64, IndexError> {
        let first = reader.first_idx();
        if self.applied < first {
            return Err(IndexError::NeedsSnapshot { first });
        }
        let before = self.applied;
        let mut records = reader.records(self.applied, through);
        loop {
            let mut rows = feed::Rows::default();
            let mut next = (self.applied, self.head);
            for record in records.by_ref().take(RECORDS_PER_TRANSACTION) {
                let record = record?;
                rows.add(&record);
                next = (record.idx + 1, record.hash);
            }
            if next.0 == self.applied {
                return Ok(self.applied - before);
            }
            self.commit(&rows, next)?;
        }
    }

    /// Fills an empty index from the pieces of a snapshot of the state after record `idx` with hash `hash`.
    /// Commands whose outcome was retired before it are not in it.
    ///
    /// # Errors
    /// When SQLite fails; the index is then still empty.
    pub fn seed(
        &mut self,
        idx: u64,
        hash: Hash,
        pieces: impl Iterator<Item = Vec<Event>>,
    ) -> Result<(), IndexError> {
        let mut rows = feed::Rows::default();
        for event in pieces.flatten() {
            rows.restore(&event);
        }
        self.commit(&rows, (idx + 1, hash))
    }

    fn commit(&mut self, rows: &feed::Rows, next: (u64, Hash)) -> Result<(), IndexError> {
        let transaction = self.connection.transaction()?;
        rows.write(&transaction)?;
        schema::set_applied(&transaction, next)?;
        transaction.commit()?;
        (self.applied, self.head) = next;
        Ok(())
    }

    /// One page of commands.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn query(&self, filter: &Filter) -> Result<Page, IndexError> {
        Ok(query::run(&self.connection, filter)?)
    }
}

//! What can go wrong above storage: appending, opening, reading. One enum per operation.

use crate::storage::StorageError;
use actum_record::{BodyError, HeaderError, RealmId};

/// Why a batch was not appended. The three are told apart because they ask for different answers.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// Another writer took over. Nothing of the batch is in the history: stop.
    #[error("another writer took over the journal: {0}")]
    Fenced(String),
    /// The fate of the batch is not known: release nothing and call `Writer::resolve`.
    #[error("the fate of a batch is unknown: {0}")]
    Unknown(String),
    /// A write or sync failed, now or earlier. Nothing more is accepted: end the process.
    #[error("the journal is poisoned: {0}")]
    Poisoned(String),
}

/// Why a record was not staged. The stager is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// An event does not encode.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The record is larger than a frame may be.
    #[error("the record is larger than {limit} bytes")]
    TooLarge {
        /// Largest body in bytes.
        limit: usize,
    },
}

/// A place in a file where something is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The object, as `journal/<name>`.
    pub file: String,
    /// Offset in it, in bytes.
    pub offset: u64,
    /// The record that is there, or should be.
    pub idx: u64,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "`{}` at offset {}, record {}",
            self.file, self.offset, self.idx
        )
    }
}

/// Why a journal was not opened. Nothing was cut or changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A record that was acknowledged is damaged. Never skipped: see `inspect` and `repair`.
    #[error("acknowledged data is damaged: {place}: {what}; {evidence}")]
    Damaged {
        /// Where.
        place: Place,
        /// What is wrong there.
        what: String,
        /// What shows that the record was acknowledged.
        evidence: String,
    },
    /// A header is not whole. Headers are durable before their file is visible, so this is damage.
    #[error("header of `{file}` is damaged (record {idx} should start there)")]
    Header {
        /// The object.
        file: String,
        /// Its first idx, from its name.
        idx: u64,
        /// What is wrong.
        source: HeaderError,
    },
    /// A whole record that this build cannot read.
    #[error("{place} is whole, but this build cannot read it")]
    Unreadable {
        /// Where.
        place: Place,
        /// Why.
        source: BodyError,
    },
    /// Records that should be there are not.
    #[error("no segment holds record {idx}")]
    Missing {
        /// The first one missing.
        idx: u64,
    },
    /// The journal belongs to another realm.
    #[error("`{file}` belongs to realm {found}, expected {expected}")]
    Realm {
        /// The object.
        file: String,
        /// The realm it names.
        found: RealmId,
        /// The realm expected.
        expected: RealmId,
    },
    /// A new journal needs a realm id and got none.
    #[error("the journal is new and no realm id was given")]
    NoRealm,
    /// Whoever takes the records refused one.
    #[error("record {idx} was refused: {reason}")]
    Refused {
        /// The record, or the snapshot's idx.
        idx: u64,
        /// Why.
        reason: String,
    },
    /// Storage failed.
    #[error("storage failed while the journal was opened")]
    Storage(#[from] StorageError),
    /// The journal could not be made ready to write.
    #[error("the journal could not be made ready to write")]
    Append(#[from] AppendError),
}

/// Why a record could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It was compacted away.
    #[error("record {idx} was compacted away, the first kept is {first}")]
    RecordGone {
        /// The record asked for.
        idx: u64,
        /// The first one kept.
        first: u64,
    },
    /// It does not exist yet.
    #[error("record {idx} does not exist, the head is {head:?}")]
    NotYet {
        /// The record asked for.
        idx: u64,
        /// The last one there is.
        head: Option<u64>,
    },
    /// The bytes are damaged.
    #[error("{place} is damaged: {what}")]
    Damaged {
        /// Where.
        place: Place,
        /// What is wrong.
        what: String,
    },
    /// Storage failed.
    #[error("storage failed while a record was read")]
    Storage(#[from] StorageError),
    /// A proof was asked for that the tree does not have.
    #[error(transparent)]
    Range(#[from] actum_record::merkle::OutOfRange),
}

//! The journal: the one append-only history of a realm, on storage behind a small trait.
//!
//! [`open`] rebuilds state from the newest snapshot and the records behind it, and hands out the pieces their
//! owners keep: a [`Stager`] for the engine (encodes, never waits), a [`Writer`] for the thread that writes
//! (one sync per batch, then [`Committed`]), a [`Reader`], a [`Tree`], a [`Keeper`] and [`Blobs`].
//!
//! It does not decide or apply anything, reads no clock, and knows no network. The byte layout is
//! `docs/format.md`, kept by `actum-record`.
//!
//! **Invariant**: a [`Committed`] exists only for records that durability allows to be released, and nothing
//! outside this crate can make one.

mod blobs;
mod catalog;
mod clean;
mod committed;
mod decode;
mod error;
mod file;
mod heal;
pub mod index;
mod inspect;
mod keeper;
pub mod layout;
mod leaves;
mod look;
mod open;
mod options;
mod pipeline;
mod reader;
mod recovery;
mod repair;
mod replay;
mod restore;
mod snapshot;
mod source;
mod stage;
pub mod storage;
mod tail;
mod tree;
mod verify;
mod writer;

pub use actum_record::{Frontier, RealmId};
pub use blobs::Blobs;
pub use committed::Committed;
pub use error::{AppendError, OpenError, Place, ReadError, StageError};
pub use file::{FileError, FileStorage};
pub use inspect::{Inspection, Problem, SegmentView, inspect};
pub use keeper::{Compacted, Keeper, SNAPSHOTS_KEPT};
pub use look::{LookOptions, Looked, look, reader};
pub use open::{Opened, open};
pub use options::{Durability, Options};
pub use reader::{Reader, Record, Records};
pub use recovery::{RecordRef, Recover, RecoveryReport};
pub use repair::{RepairError, Repaired, repair};
pub use snapshot::{SnapshotError, SnapshotMeta};
pub use stage::{Batch, Stager, Ticket};
pub use storage::{Area, Storage, StorageError};
pub use tree::Tree;
pub use verify::{Verification, verify};
pub use writer::Writer;

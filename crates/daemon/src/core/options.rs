//! How a core is opened.

use actum_journal::Durability;
use actum_model::worker::Sandbox;
use actum_model::{RealmConfig, limits};
use actum_provider::Grants;
use std::path::PathBuf;

/// Options of [`super::open`].
#[derive(Clone, Debug)]
pub struct CoreOptions {
    /// The data directory.
    pub data: PathBuf,
    /// Bounds and policies that decisions read.
    pub config: RealmConfig,
    /// When an answer may leave.
    pub durability: Durability,
    /// Under batched durability: milliseconds between two syncs.
    pub sync_interval_ms: u64,
    /// Bytes of a segment.
    pub segment_bytes: u64,
    /// Records between two snapshots; 0: none.
    pub snapshot_every_records: u64,
    /// Remove segments that two snapshots cover.
    pub compact: bool,
    /// What commands may reach of this machine and of others. The data directory is never among it.
    pub grants: Grants,
    /// Whether [`crate::transport::listen`] is to come: programs started before then wait for its address.
    pub listens: bool,
    /// Submissions per second and principal; 0: no limit.
    pub rate_per_second: u32,
    /// Submissions in one burst.
    pub rate_burst: u32,
    /// The file with the operator's rules of data classes; `classes.json` of the data directory, where there is
    /// one, if absent.
    pub classes: Option<PathBuf>,
}

impl CoreOptions {
    /// The defaults over a data directory.
    #[must_use]
    pub fn new(data: impl Into<PathBuf>) -> CoreOptions {
        CoreOptions {
            data: data.into(),
            config: RealmConfig {
                sandbox: Sandbox::Full,
                ..RealmConfig::default()
            },
            durability: Durability::Strict,
            sync_interval_ms: 5,
            segment_bytes: limits::SEGMENT_BYTES,
            snapshot_every_records: limits::SNAPSHOT_EVERY_RECORDS,
            compact: false,
            grants: Grants::default(),
            listens: false,
            rate_per_second: limits::RATE_PER_SECOND,
            rate_burst: limits::RATE_BURST,
            classes: None,
        }
    }
}

//! What recovery hands out and reports. No work is done here.

use crate::snapshot::SnapshotMeta;
use actum_model::{Event, Hash};

/// A record read back, in the order of the journal.
#[derive(Debug)]
pub struct RecordRef<'a> {
    /// Position.
    pub idx: u64,
    /// Wall time in milliseconds since 1970, as the input carried it.
    pub at_ms: u64,
    /// Monotonic run time in milliseconds.
    pub elapsed_ms: u64,
    /// Hash of the body.
    pub hash: Hash,
    /// The encoded input, which recovery does not need.
    pub input: &'a [u8],
    /// What to apply.
    pub events: Vec<Event>,
}

/// Whoever rebuilds state from what is read. Calls come on the thread that opens the journal, in the same
/// order whatever the number of threads. An error ends opening (or, for a snapshot, makes it unfit).
pub trait Recover {
    /// Forget everything: the snapshot restored so far turned out damaged.
    fn reset(&mut self);

    /// A piece of a snapshot.
    ///
    /// # Errors
    /// A sentence; the snapshot is then taken as unfit and an older one is tried.
    fn restore(&mut self, events: Vec<Event>) -> Result<(), String>;

    /// All pieces of the snapshot have come: compare the state with `meta.state_digest`.
    ///
    /// # Errors
    /// A sentence; the snapshot is then taken as unfit and an older one is tried.
    fn restored(&mut self, meta: &SnapshotMeta) -> Result<(), String>;

    /// A record behind the snapshot.
    ///
    /// # Errors
    /// A sentence; opening ends with it.
    fn record(&mut self, record: RecordRef<'_>) -> Result<(), String>;
}

/// What opening found and did. A second opening reports the same but for what was cut and rewritten.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecoveryReport {
    /// The snapshot used.
    pub snapshot: Option<u64>,
    /// Snapshots that were unfit, with the reason.
    pub snapshots_unfit: Vec<(String, String)>,
    /// Records read and applied.
    pub records_read: u64,
    /// Bytes of their frames.
    pub bytes_read: u64,
    /// Bytes of a torn tail that were cut, up to the last byte that was not zero.
    pub torn_bytes_cut: u64,
    /// Segments removed because they held nothing but such a tail.
    pub segments_removed: u64,
    /// Records rewritten and synced because no later record proved them durable.
    pub records_rewritten: u64,
    /// Hashes rewritten in `leaves`.
    pub leaves_rewritten: u64,
    /// Hashes that `leaves` held beyond the head: those records had been committed and are gone.
    pub leaves_beyond_head: u64,
    /// Whether the journal had been closed in order.
    pub clean: bool,
    /// The last record: position and hash.
    pub head: Option<(u64, Hash)>,
}

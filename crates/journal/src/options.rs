//! How a journal is opened. No defaults here depend on the machine.

use actum_model::limits::SEGMENT_BYTES;
use actum_record::RealmId;

/// When a batch counts as committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// When it is synced.
    #[default]
    Strict,
    /// When it is written; the driver calls `Writer::sync_pending` at its interval, and before any dispatch.
    Batched,
}

/// Options of [`crate::open`].
#[derive(Debug, Clone)]
pub struct Options {
    /// Bytes a new segment is preallocated to. A record that does not fit gets a larger one of its own.
    pub segment_bytes: u64,
    /// When a batch counts as committed.
    pub durability: Durability,
    /// The realm the journal must belong to; a new journal needs one.
    pub realm: Option<RealmId>,
    /// Threads that decode besides the one that applies. 0: all on one thread, for the simulator.
    pub decode_threads: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            segment_bytes: SEGMENT_BYTES,
            durability: Durability::Strict,
            realm: None,
            decode_threads: 1,
        }
    }
}

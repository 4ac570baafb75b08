//! The realm's configuration that decisions read. It is journaled with each boot, so replay reads the same.

use crate::limits;
use crate::timer::ClockPolicy;
use crate::worker::Sandbox;
use serde::{Deserialize, Serialize};

/// What happens to a command whose effect may or may not have happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnInDoubt {
    /// Its lane waits until somebody resolves it.
    Hold,
    /// It fails with `IN_DOUBT`, and the lane goes on.
    Fail,
}

/// Bounds and policies of one realm. Times are milliseconds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RealmConfig {
    /// What happens to commands in doubt.
    pub on_in_doubt: OnInDoubt,
    /// Full outcomes kept.
    pub outcomes_max: u64,
    /// Age of the oldest full outcome kept.
    pub outcome_age_ms_max: u64,
    /// Bytes of full outcomes kept.
    pub outcome_bytes_max: u64,
    /// Tombstones kept.
    pub tombstones_max: u64,
    /// How long an idempotency key protects after its command finished.
    pub key_ttl_ms: u64,
    /// Keys that protect at the same time.
    pub keys_max: u64,
    /// Commands accepted and not finished.
    pub in_flight_max: u64,
    /// Default limit of a wait in a lane.
    pub queue_timeout_ms: u64,
    /// Limit of a wait for dependencies.
    pub dependency_wait_ms: u64,
    /// Earlier versions of one view that can be read by their snapshot id.
    pub graph_snapshots_max: u64,
    /// How long such a version can be read after a later one took its place.
    pub graph_snapshot_age_ms_max: u64,
    /// Entries of the rewrite log kept.
    pub graph_rewrites_max: u64,
    /// Bytes of entries of the rewrite log kept.
    pub graph_rewrite_bytes_max: u64,
    /// Shadow working sets that are active at the same time.
    pub sws_active_max: u64,
    /// Closed shadow working sets that can still be looked up.
    pub sws_closed_max: u64,
    /// Run time between two ticks where nothing is due; 0: none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tick_cadence_ms: u64,
    /// Which clock samples `now()` rests on.
    #[serde(default, skip_serializing_if = "ClockPolicy::is_default")]
    pub clock_policy: ClockPolicy,
    /// The weakest cage that programs may run in. Without one, what they did cannot be known after a crash.
    #[serde(default = "no_cage", skip_serializing_if = "is_no_cage")]
    pub sandbox: Sandbox,
}

/// What histories from before the cage ran programs in.
fn no_cage() -> Sandbox {
    Sandbox::None
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_no_cage(sandbox: &Sandbox) -> bool {
    *sandbox == Sandbox::None
}

/// Whether a setting is off, which older histories do not say.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Default for RealmConfig {
    fn default() -> RealmConfig {
        RealmConfig {
            on_in_doubt: OnInDoubt::Hold,
            outcomes_max: limits::OUTCOMES_MAX as u64,
            outcome_age_ms_max: limits::OUTCOME_AGE_MS_MAX,
            outcome_bytes_max: limits::OUTCOME_BYTES_MAX,
            tombstones_max: limits::TOMBSTONES_MAX as u64,
            key_ttl_ms: limits::KEY_TTL_MS,
            keys_max: limits::KEYS_MAX as u64,
            in_flight_max: limits::IN_FLIGHT_MAX as u64,
            queue_timeout_ms: limits::QUEUE_TIMEOUT_MS,
            dependency_wait_ms: limits::DEPENDENCY_WAIT_MS,
            graph_snapshots_max: limits::GRAPH_SNAPSHOTS_MAX,
            graph_snapshot_age_ms_max: limits::GRAPH_SNAPSHOT_AGE_MS_MAX,
            graph_rewrites_max: limits::GRAPH_REWRITES_MAX,
            graph_rewrite_bytes_max: limits::GRAPH_REWRITE_BYTES_MAX,
            sws_active_max: limits::SWS_ACTIVE_MAX,
            sws_closed_max: limits::SWS_CLOSED_MAX,
            tick_cadence_ms: 0,
            clock_policy: ClockPolicy::default(),
            sandbox: Sandbox::None,
        }
    }
}

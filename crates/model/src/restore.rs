//! Pieces of a snapshot, in the order they are written. A snapshot is a stream of these as events, so the
//! same `apply` that recovers from history recovers from it.

use crate::config::RealmConfig;
use crate::effect::{Doubt, Probing};
use crate::event::StopReason;
use crate::graph::GraphPiece;
use crate::hash::Hash;
use crate::ids::{SessionId, Tenant};
use crate::json::Json;
use crate::outcome::{Identity, OutcomeRow};
use crate::promise::{PromiseCounts, PromiseRow};
use crate::timer::{ClockRow, TicksRow, TimerRow};
use crate::worker::Worker;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One piece of a state.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Restore {
    /// Counters and configuration.
    Meta(Box<MetaRow>),
    /// Sessions, ascending.
    Sessions(Vec<SessionRow>),
    /// Lanes, ascending, with what waits in them.
    Lanes(Vec<LaneRow>),
    /// Unfinished commands, ascending by number.
    Commands(Vec<CommandRow>),
    /// Full outcomes, in the order they finished.
    Outcomes(Vec<OutcomeRow>),
    /// A piece of the graph.
    Graph(GraphPiece),
    /// The clocks.
    Clock(Box<ClockRow>),
    /// The ticks.
    Ticks(TicksRow),
    /// Live timers, ascending by tenant and id.
    Timers(Vec<TimerRow>),
    /// Settled promises in the order they were settled, then pending ones, ascending by tenant and id.
    Promises(Vec<PromiseRow>),
    /// A run of a compact table: rows of fixed width, concatenated.
    Packed {
        /// Which table.
        table: PackedTable,
        /// The rows.
        #[serde(with = "serde_bytes")]
        rows: Vec<u8>,
    },
}

/// The compact tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PackedTable {
    /// Ids: 16 bytes of hash, number u64, fingerprint u64 (big-endian), ascending by hash.
    Ids,
    /// Idempotency keys: 16 bytes of hash, number u64, fingerprint u64, finish time u64 (0 while unfinished).
    Keys,
    /// Keys in the order they expire: finish time u64, hash 16 bytes.
    KeyExpiry,
    /// Retired ids in the order they were retired: hash 16 bytes.
    Tombstones,
}

/// Counters of a realm.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct MetaRow {
    /// The realm, 16 bytes.
    #[serde(with = "serde_bytes")]
    pub realm: Vec<u8>,
    /// The incarnation, 16 bytes.
    #[serde(with = "serde_bytes")]
    pub incarnation: Vec<u8>,
    /// Boots so far.
    pub term: u64,
    /// Records so far: the idx of the next one.
    pub next_idx: u64,
    /// Number of the next command.
    pub next_seq: u64,
    /// History time, milliseconds.
    pub at: u64,
    /// Run time, milliseconds.
    pub elapsed: u64,
    /// Whether the last run ended in order.
    pub closed: bool,
    /// Commands finished, by outcome.
    pub finished: BTreeMap<String, u64>,
    /// The configuration in force.
    pub config: RealmConfig,
    /// Hash of the contract table in force.
    pub contracts: Hash,
    /// The rules in force and those before them, ascending.
    pub rules: Vec<RulesRow>,
    /// Lanes that are ready to go on, in order.
    pub ready: Vec<LaneKey>,
}

/// The rules that records are decided under, from one record on until the next row.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RulesRow {
    /// Journal position of the first record they are in force for.
    pub from_idx: u64,
    /// Number of the collapse policy: `policyId`.
    pub policy: u32,
    /// Hash of contracts, operations and kinds: `rulePackId`.
    pub pack: Hash,
}

/// A lane and the tenant it belongs to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct LaneKey {
    /// The tenant.
    pub tenant: Tenant,
    /// The lane.
    pub lane: crate::ids::Lane,
}

/// A session.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SessionRow {
    /// Its tenant.
    pub tenant: Tenant,
    /// Its id.
    pub session: SessionId,
    /// Journal position that created it.
    pub generation: u64,
    /// Successful mutations since.
    pub version: u64,
    /// History time of its creation.
    pub created_at: u64,
    /// Its metadata.
    pub metadata: BTreeMap<SmolStr, Json>,
    /// What code or programs it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<Json>,
    /// Its process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<Worker>,
    /// What came of its promises.
    #[serde(default, skip_serializing_if = "PromiseCounts::is_none")]
    pub promises: PromiseCounts,
}

/// A lane.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LaneRow {
    /// Which lane.
    pub key: LaneKey,
    /// Journal position that created it.
    pub generation: u64,
    /// Last position given out in it.
    pub last_seq: u64,
    /// Commands in it in order; the first is the head.
    pub queue: Vec<u64>,
}

/// An unfinished command.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CommandRow {
    /// Who asks for what.
    #[serde(deserialize_with = "crate::positional::shared")]
    pub identity: Arc<Identity>,
    /// The arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Json>,
    /// `identity.depends_on` as command numbers, in the same order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deps: Vec<u64>,
    /// Those of them that have not finished.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<u64>,
    /// The first of them that did not succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_dep: Option<u64>,
    /// The session generation it asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_generation: Option<u64>,
    /// How long it may run.
    pub timeout_ms: u64,
    /// Run time at which its wait in the lane ends.
    pub queue_due: u64,
    /// True where memory holds a secret the arguments lack.
    pub redacted: bool,
    /// Journal position of its acceptance.
    pub accepted_idx: u64,
    /// History time of its acceptance.
    pub accepted_at: u64,
    /// Where it stands.
    pub phase: Phase,
}

/// Where an unfinished command stands.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It waits in its lane.
    Queued,
    /// It is at the head and waits for the commands in `pending`.
    Waiting {
        /// Run time at which the wait ends.
        due: u64,
    },
    /// It was started.
    Running(Running),
}

/// A started command.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Running {
    /// Journal position of its start.
    pub started_idx: u64,
    /// Run time at which its time runs out.
    pub due: u64,
    /// Id of its effect.
    pub effect: Hash,
    /// Whether the effect may have left.
    pub dispatching: bool,
    /// Whether a stop of it can be confirmed and nothing outside has changed then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub contained: bool,
    /// Why it is being stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopping: Option<StopReason>,
    /// Why nobody knows what came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<Doubt>,
    /// Where asking the world about its effect stands, if its probe was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probing>,
    /// Whether its probe was asked because the effect's answer was lost on the way back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lost: bool,
}

impl Running {
    /// Whether its probe is being asked at this moment, so that nobody knows yet what came of its effect.
    #[must_use]
    pub fn is_probed(&self) -> bool {
        self.doubt.is_none() && self.probe == Some(Probing::Asked)
    }
}

//! Durable promises: values that are still to come, in history, so that they outlive whoever waits for them.
//! **These types are disk format v1** (D4).

use crate::error::Fault;
use crate::ids::{CommandId, Principal, SessionId, Tenant};
use crate::json::Json;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use std::collections::BTreeMap;

/// What the ids of promises begin with that belong to an execution: only that execution can make them.
pub const EXECUTION_PREFIX: &str = "exec:";

/// A promise.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PromiseRow {
    /// Its tenant.
    pub tenant: Tenant,
    /// Its id, unique among the promises of its tenant that are kept.
    pub promise: CommandId,
    /// Who made it.
    pub by: Principal,
    /// The command that made it.
    pub command: u64,
    /// The session it belongs to: with its end, what is pending is cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// The running command it belongs to: with its end, what is pending is cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<u64>,
    /// History time at which it is rejected, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_at: Option<u64>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<SmolStr, SmolStr>,
    /// Journal position that made it.
    pub created_idx: u64,
    /// History time that made it, milliseconds.
    pub created_at: u64,
    /// How it was settled; absent while it is pending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<Settled>,
}

/// How a promise was settled. It never changes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Settled {
    /// In which way.
    #[serde(rename = "as")]
    pub settled: PromiseState,
    /// The value, or what was said of the error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Json>,
    /// The error, unless it was resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    /// Who settled it; absent where time or an end did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Principal>,
    /// Journal position.
    pub idx: u64,
    /// History time, milliseconds.
    pub at: u64,
}

/// Where a promise stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromiseState {
    /// It has its value.
    Resolved,
    /// It has an error.
    Rejected,
    /// Its time ran out: it has an error.
    TimedOut,
    /// What it belonged to ended, or somebody gave it up: it has an error.
    Cancelled,
}

impl PromiseState {
    /// Every way a promise can be settled.
    pub const ALL: [PromiseState; 4] = [
        PromiseState::Resolved,
        PromiseState::Rejected,
        PromiseState::TimedOut,
        PromiseState::Cancelled,
    ];

    /// The state as it stands on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            PromiseState::Resolved => "resolved",
            PromiseState::Rejected => "rejected",
            PromiseState::TimedOut => "timed_out",
            PromiseState::Cancelled => "cancelled",
        }
    }
}

/// See [`crate::Event::PromiseSettled`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PromiseSettled {
    /// Its tenant.
    pub tenant: Tenant,
    /// Its id.
    pub promise: CommandId,
    /// In which way.
    #[serde(rename = "as")]
    pub settled: PromiseState,
    /// The value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Json>,
    /// The error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    /// Who settled it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Principal>,
}

/// How many promises of a session came to what.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct PromiseCounts {
    /// Not settled yet.
    pub pending: u64,
    /// Most that were pending at the same time.
    pub high_water: u64,
    /// Resolved so far.
    pub resolved: u64,
    /// Rejected so far.
    pub rejected: u64,
    /// Rejected by time so far.
    pub timed_out: u64,
    /// Cancelled so far.
    pub cancelled: u64,
}

impl PromiseCounts {
    /// One more is pending.
    pub fn created(&mut self) {
        self.pending += 1;
        self.high_water = self.high_water.max(self.pending);
    }

    /// One of the pending ones is settled.
    pub fn settled(&mut self, state: PromiseState) {
        self.pending = self.pending.saturating_sub(1);
        match state {
            PromiseState::Resolved => self.resolved += 1,
            PromiseState::Rejected => self.rejected += 1,
            PromiseState::TimedOut => self.timed_out += 1,
            PromiseState::Cancelled => self.cancelled += 1,
        }
    }

    /// Whether there never was any.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == PromiseCounts::default()
    }
}

impl PromiseRow {
    /// Rough size in state, bytes, for bounds. Deterministic.
    #[must_use]
    pub fn weight_bytes(&self) -> u64 {
        let tags: usize = self.tags.iter().map(|(key, value)| key.len() + value.len()).sum();
        let settled = self.settled.as_ref().map_or(0, |settled| {
            let value = settled.value.as_ref().map_or(0, |value| value.as_str().len());
            value + settled.fault.as_ref().map_or(0, |fault| fault.message.len())
        });
        (256 + self.promise.as_str().len() + tags + settled) as u64
    }

    /// Where it stands, in one word.
    #[must_use]
    pub fn state_name(&self) -> &'static str {
        self.settled
            .as_ref()
            .map_or("pending", |settled| settled.settled.as_str())
    }
}

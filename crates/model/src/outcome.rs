//! How a command ended, and the row that keeps it.

use crate::error::Fault;
use crate::hash::Fingerprint;
use crate::ids::{CommandId, IdempotencyKey, Kind, Lane, Principal, SessionId, Tenant};
use crate::json::Json;
use crate::positional::positional;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The terminal, final outcome of a command.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Succeeded,
    /// It was tried, or could not be tried, and is not done.
    Failed,
    /// A rule refused it before it was tried.
    Rejected,
    /// Its time ran out.
    TimedOut,
    /// Somebody cancelled it.
    Cancelled,
}

impl Outcome {
    /// The outcome as it stands on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Succeeded => "succeeded",
            Outcome::Failed => "failed",
            Outcome::Rejected => "rejected",
            Outcome::TimedOut => "timed_out",
            Outcome::Cancelled => "cancelled",
        }
    }

    /// Every outcome there is.
    pub const ALL: &[Outcome] = &[
        Outcome::Succeeded,
        Outcome::Failed,
        Outcome::Rejected,
        Outcome::TimedOut,
        Outcome::Cancelled,
    ];
}

/// What stays of a command for as long as it is known: who asked for what, and where it stands.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Identity {
    /// Number of the command in its realm, gap-free from 1.
    pub seq: u64,
    /// The id its client gave; absent where the server made one (`anon:<seq>`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<CommandId>,
    /// The command kind.
    pub kind: Kind,
    /// The tenant that scopes its id, session and lane.
    pub tenant: Tenant,
    /// Who sent it.
    pub principal: Principal,
    /// The lane it took; absent for control commands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<LanePlace>,
    /// The session it names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// First 8 bytes of the identity fingerprint, which tells a repetition from a conflict.
    pub fingerprint: Fingerprint,
    /// The idempotency key, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<IdempotencyKey>,
    /// The commands it depends on, as they were named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<CommandId>,
    /// The session version it asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_version: Option<u64>,
    /// The chain of commands it belongs to; absent where it starts one (its own id then).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation: Option<CommandId>,
    /// The command that caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation: Option<CommandId>,
    /// The command in doubt that this one retries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<CommandId>,
}

impl Identity {
    /// The id people use: the client's own, or the one the server made.
    #[must_use]
    pub fn public_id(&self) -> CommandId {
        self.id.clone().unwrap_or_else(|| CommandId::anonymous(self.seq))
    }

    /// The correlation id: the one it was given, or its own id.
    #[must_use]
    pub fn correlation_id(&self) -> CommandId {
        self.correlation.clone().unwrap_or_else(|| self.public_id())
    }
}

positional!(Identity {
    seq, kind, tenant, principal, fingerprint;
    id, lane, session, key, depends_on, if_version, correlation, causation, retry_of,
});

/// A place in a lane: `(generation, seq)` never repeats within a lane.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct LanePlace {
    /// The lane.
    pub lane: Lane,
    /// Journal position that created the lane.
    pub generation: u64,
    /// Position in the lane, gap-free from 1 within the generation.
    pub seq: u64,
}

positional!(LanePlace { lane, generation, seq; });

/// A finished command as state keeps it: what a repetition is answered with.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct OutcomeRow {
    /// Who asked for what.
    pub identity: Arc<Identity>,
    /// How it ended.
    pub outcome: Outcome,
    /// The result, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Json>,
    /// The error, unless it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Arc<Fault>>,
    /// Version of the session after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_version: Option<u64>,
    /// Journal position of its acceptance.
    pub accepted_idx: u64,
    /// History time of its acceptance, in milliseconds.
    pub accepted_at: u64,
    /// Journal position of its start, if it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_idx: Option<u64>,
    /// Journal position of its end.
    pub finished_idx: u64,
    /// History time of its end, in milliseconds.
    pub finished_at: u64,
}

positional!(OutcomeRow {
    outcome, accepted_idx, accepted_at, finished_idx, finished_at; &identity;
    data, fault, session_version, started_idx,
});

impl OutcomeRow {
    /// Rough size of the row in state, in bytes, for retention by bytes. Deterministic.
    #[must_use]
    pub fn weight_bytes(&self) -> u64 {
        let data = self.data.as_ref().map_or(0, |data| data.as_str().len());
        let fault = self.fault.as_ref().map_or(0, |fault| {
            fault.message.len() + fault.details.as_ref().map_or(0, |details| details.as_str().len())
        });
        let ids = self
            .identity
            .depends_on
            .iter()
            .map(|id| id.as_str().len())
            .sum::<usize>();
        (256 + data + fault + ids) as u64
    }
}

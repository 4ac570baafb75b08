//! Events: the facts that recovery applies. **These types are disk format v1** (D4): golden bytes hold them.

use crate::config::RealmConfig;
use crate::effect::{Doubt, EffectId, ProbeAnswer, RecoveryClass, Settlement};
use crate::error::Fault;
use crate::graph::GraphEvent;
use crate::hash::Hash;
use crate::ids::{CommandId, Principal, SessionId, Tenant};
use crate::json::Json;
use crate::outcome::{Identity, Outcome};
use crate::positional::positional;
use crate::promise::{PromiseRow, PromiseSettled};
use crate::restore::Restore;
use crate::timer::{ClockSample, Ticked, TimerCancelled, TimerFired, TimerRow};
use crate::worker::WorkerChanged;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use std::sync::Arc;

/// A fact. Numbers named `seq` without more are command numbers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The daemon took up this history.
    Booted(Booted),
    /// A configuration came into force.
    ConfigActivated {
        /// All of it.
        config: Box<RealmConfig>,
    },
    /// A command was accepted.
    Accepted(Accepted),
    /// A command reached the head of its lane and waits there for others.
    Waiting {
        /// The command.
        seq: u64,
        /// What it still waits for.
        on: Vec<u64>,
    },
    /// A command was started: it passed every condition.
    Started {
        /// The command.
        seq: u64,
    },
    /// A command has its terminal outcome.
    Finished(Finished),
    /// A command was accepted, started and finished within this record.
    Executed(Executed),
    /// An effect is wanted.
    EffectRequested {
        /// Its stable id.
        effect: EffectId,
        /// The command it belongs to.
        seq: u64,
        /// True where a stop of it can be confirmed and nothing outside has changed then.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        contained: bool,
    },
    /// An effect is about to leave: from here on it may have happened.
    EffectDispatching {
        /// The command it belongs to.
        seq: u64,
    },
    /// The world answered.
    EffectSettled {
        /// The command it belongs to.
        seq: u64,
        /// What it answered.
        settlement: Box<Settlement>,
    },
    /// The world answered to a command that has its outcome already. It changes nothing.
    EffectLate {
        /// The command it belongs to.
        seq: u64,
        /// What it answered.
        settlement: Box<Settlement>,
    },
    /// A running command is being stopped.
    Stopping {
        /// The command.
        seq: u64,
        /// Why.
        why: StopReason,
    },
    /// Nobody knows what came of a dispatched effect.
    InDoubt {
        /// The command.
        seq: u64,
        /// Why nobody knows.
        reason: Doubt,
    },
    /// An unfinished command was classified at boot.
    Recovered {
        /// The command.
        seq: u64,
        /// How it goes on.
        class: RecoveryClass,
    },
    /// The probe of a command is to ask the world what came of its effect. It may run more than once.
    ProbeRequested {
        /// The command.
        seq: u64,
        /// How long the probe may run, in milliseconds from here.
        timeout_ms: u64,
        /// Whether it is asked because the effect's answer was lost on the way back, and not for a crash.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        lost: bool,
    },
    /// The probe of a command came to its end.
    ProbeAnswered {
        /// The command.
        seq: u64,
        /// What it found out.
        answer: ProbeAnswer,
        /// How it ended, with what it wrote.
        settlement: Box<Settlement>,
    },
    /// A person ended a command in doubt, or one whose probe had not answered yet.
    Resolved(Resolved),
    /// Output of a running command that is durable already.
    OutputKept {
        /// The command.
        seq: u64,
        /// The stream, `stdout` or `stderr`.
        stream: String,
        /// Where in the stream `data` begins, in bytes.
        offset: u64,
        /// The bytes as text, redacted, invalid UTF-8 replaced.
        data: String,
    },
    /// A session came into being, at version 0.
    SessionCreated {
        /// Its tenant.
        tenant: Tenant,
        /// Its id.
        session: SessionId,
        /// What code or programs it is for: kind, profile, folders. Absent: commands only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        spec: Option<Json>,
    },
    /// The process of a session was started, is gone, or is to be started anew.
    WorkerChanged(Box<WorkerChanged>),
    /// The code that a command runs is to be interrupted, as by Ctrl-C. It may go on.
    Interrupted {
        /// The command.
        seq: u64,
        /// Who asked for it.
        by: Principal,
    },
    /// A promise was made.
    PromiseCreated(Box<PromiseRow>),
    /// A promise was settled.
    PromiseSettled(Box<PromiseSettled>),
    /// The promises that were settled first are no longer kept.
    PromisesPruned {
        /// How many, in the order they were settled.
        count: u64,
    },
    /// A session's metadata changed.
    SessionAnnotated(SessionAnnotated),
    /// A session is gone.
    SessionDeleted {
        /// Its tenant.
        tenant: Tenant,
        /// Its id.
        session: SessionId,
    },
    /// Something happened to the graph.
    Graph(Box<GraphEvent>),
    /// The oldest full outcomes were retired to tombstones.
    OutcomesPruned {
        /// How many, in the order they finished.
        count: u64,
    },
    /// The oldest tombstones were dropped.
    TombstonesDropped {
        /// How many, in the order they were retired.
        count: u64,
    },
    /// The oldest idempotency keys stopped protecting.
    KeysExpired {
        /// How many, in the order their commands finished.
        count: u64,
    },
    /// Something was due: the first event of what is decided from a tick.
    Ticked(Ticked),
    /// A clock was read.
    ClockSampled(ClockSample),
    /// A timer was set.
    TimerSet(Box<TimerRow>),
    /// A timer fired.
    TimerFired(TimerFired),
    /// A timer was cancelled.
    TimerCancelled(TimerCancelled),
    /// A snapshot of the state after `idx` is on disk.
    SnapshotTaken(SnapshotTaken),
    /// The daemon ended in order.
    Closed {},
    /// A piece of a snapshot. Found in snapshots only, never in the journal.
    Restore(Box<Restore>),
}

/// See [`Event::Booted`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Booted {
    /// The realm, 16 bytes.
    #[serde(with = "serde_bytes")]
    pub realm: Vec<u8>,
    /// The incarnation, 16 bytes: new for a restored or imported copy.
    #[serde(with = "serde_bytes")]
    pub incarnation: Vec<u8>,
    /// Number of this boot, from 1.
    pub term: u64,
    /// Name of the host.
    pub node: String,
    /// Version of the program.
    pub build: String,
    /// Hash of the contract table.
    pub contracts: Hash,
    /// Number of the collapse policy in force from here on: `policyId`.
    pub policy: u32,
    /// Hash of contracts, operations and kinds in force from here on: `rulePackId`.
    pub rule_pack: Hash,
    /// Hash of the rules of data classes, where the operator has given some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Hash>,
    /// Whether the last run ended in order.
    pub clean: bool,
}

/// See [`Event::Accepted`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Accepted {
    /// Who asks for what, where.
    #[serde(deserialize_with = "crate::positional::shared")]
    pub identity: Arc<Identity>,
    /// The arguments, where the command outlives this record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Json>,
    /// `depends_on` as command numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deps: Vec<u64>,
    /// The session generation it asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_generation: Option<u64>,
    /// How long it may run, in milliseconds from its start.
    pub timeout_ms: u64,
    /// How long it may wait in its lane, in milliseconds from its acceptance.
    pub queue_timeout_ms: u64,
    /// True where the arguments as journaled lack a secret that only memory holds.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub redacted: bool,
}

/// See [`Event::Finished`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Finished {
    /// The command.
    pub seq: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// The result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Json>,
    /// The error, unless it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Arc<Fault>>,
    /// Version of the session after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_version: Option<u64>,
}

/// See [`Event::Executed`]: most commands that the kernel carries out itself leave only this and what they
/// changed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Executed {
    /// Who asked for what, where.
    pub identity: Arc<Identity>,
    /// How it ended.
    pub outcome: Outcome,
    /// The result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Json>,
    /// The error, unless it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Arc<Fault>>,
    /// Version of the session after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_version: Option<u64>,
    /// True where a condition did not hold, so that it never started.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unstarted: bool,
}

positional!(Executed { outcome; &identity; session_version, data, fault, unstarted });

/// See [`Event::SessionAnnotated`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct SessionAnnotated {
    /// Its tenant.
    pub tenant: Tenant,
    /// Its id.
    pub session: SessionId,
    /// The metadata key.
    pub key: SmolStr,
    /// The new value; absent removes the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Json>,
}

positional!(SessionAnnotated { tenant, session, key; value });

/// Why a running command is stopped.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// Its time ran out.
    Timeout,
    /// Somebody cancelled it.
    Cancel {
        /// Who.
        by: Principal,
        /// The `command.cancel` that did it.
        command: u64,
    },
}

/// See [`Event::Resolved`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Resolved {
    /// The command that was in doubt.
    pub seq: u64,
    /// What the person found.
    #[serde(rename = "as")]
    pub resolution: Resolution,
    /// Who says so.
    pub by: Principal,
    /// The `command.resolve` that says so.
    pub command: u64,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The id of the new command, where a retry was ordered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retried_by: Option<CommandId>,
}

/// What a person found out about a command in doubt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// The effect happened.
    Landed,
    /// The effect did not happen.
    DidNotHappen,
    /// The effect is to be tried again, by a new command.
    Retry,
}

impl Resolution {
    /// The resolution as it stands on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Resolution::Landed => "landed",
            Resolution::DidNotHappen => "did_not_happen",
            Resolution::Retry => "retry",
        }
    }

    /// Reads the wire form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Resolution> {
        [Resolution::Landed, Resolution::DidNotHappen, Resolution::Retry]
            .into_iter()
            .find(|r| r.as_str() == text)
    }
}

/// See [`Event::SnapshotTaken`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SnapshotTaken {
    /// The last record in the snapshot.
    pub idx: u64,
    /// Digest of the state after it.
    pub digest: Hash,
    /// Root of the Merkle tree over the records up to it.
    pub tree_root: Hash,
}

impl Event {
    /// Bytes of what a client can make large: arguments, operations, values, results. Deterministic.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        let json = |json: &Option<Json>| json.as_ref().map_or(0, |json| json.as_str().len());
        match self {
            Event::Accepted(accepted) => json(&accepted.payload),
            Event::Finished(finished) => json(&finished.data),
            Event::Executed(executed) => json(&executed.data),
            Event::SessionAnnotated(row) => json(&row.value),
            Event::SessionCreated { spec, .. } => json(spec),
            Event::PromiseCreated(row) => row.weight_bytes() as usize,
            Event::PromiseSettled(settled) => json(&settled.value),
            Event::Graph(event) => event.weight_bytes(),
            _ => 0,
        }
    }

    /// The event's name as it stands in the journal.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Event::Booted(_) => "booted",
            Event::ConfigActivated { .. } => "config_activated",
            Event::Accepted(_) => "accepted",
            Event::Waiting { .. } => "waiting",
            Event::Started { .. } => "started",
            Event::Finished(_) => "finished",
            Event::Executed(_) => "executed",
            Event::EffectRequested { .. } => "effect_requested",
            Event::EffectDispatching { .. } => "effect_dispatching",
            Event::EffectSettled { .. } => "effect_settled",
            Event::EffectLate { .. } => "effect_late",
            Event::Stopping { .. } => "stopping",
            Event::InDoubt { .. } => "in_doubt",
            Event::Recovered { .. } => "recovered",
            Event::ProbeRequested { .. } => "probe_requested",
            Event::ProbeAnswered { .. } => "probe_answered",
            Event::Resolved(_) => "resolved",
            Event::OutputKept { .. } => "output_kept",
            Event::SessionCreated { .. } => "session_created",
            Event::SessionAnnotated(_) => "session_annotated",
            Event::SessionDeleted { .. } => "session_deleted",
            Event::WorkerChanged(_) => "worker_changed",
            Event::Interrupted { .. } => "interrupted",
            Event::PromiseCreated(_) => "promise_created",
            Event::PromiseSettled(_) => "promise_settled",
            Event::PromisesPruned { .. } => "promises_pruned",
            Event::Graph(event) => event.name(),
            Event::OutcomesPruned { .. } => "outcomes_pruned",
            Event::TombstonesDropped { .. } => "tombstones_dropped",
            Event::KeysExpired { .. } => "keys_expired",
            Event::Ticked(_) => "ticked",
            Event::ClockSampled(_) => "clock_sampled",
            Event::TimerSet(_) => "timer_set",
            Event::TimerFired(_) => "timer_fired",
            Event::TimerCancelled(_) => "timer_cancelled",
            Event::SnapshotTaken(_) => "snapshot_taken",
            Event::Closed {} => "closed",
            Event::Restore(_) => "restore",
        }
    }
}

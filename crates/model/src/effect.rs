//! Effects: wishes for the outside world, their stable ids, and what the world answered.

use crate::error::Fault;
use crate::hash::Hash;
use crate::json::Json;
use serde::{Deserialize, Serialize};

/// Stable id of an effect: `SHA-256(realm, incarnation, idx, n)`. A retry is a new command and so has a
/// new id; a restored or imported copy has a new incarnation, so it never reuses an external key.
pub type EffectId = Hash;

/// Makes the id of the `n`-th effect requested by record `idx`.
#[must_use]
pub fn effect_id(realm: &[u8; 16], incarnation: &[u8; 16], idx: u64, n: u64) -> EffectId {
    Hash::of_parts(
        "actum/effect/v1",
        &[realm, incarnation, &idx.to_be_bytes(), &n.to_be_bytes()],
    )
}

/// An effect to carry out. The command row holds the arguments; the kind says who carries it out.
#[derive(Clone, PartialEq, Debug)]
pub struct EffectRequest {
    /// The stable id, also the external idempotency key.
    pub effect: EffectId,
    /// Number of the command it belongs to.
    pub command: u64,
}

/// What the world answered to one effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SettledAs {
    /// It was done.
    Succeeded,
    /// It failed by itself, or could not be started.
    Failed,
    /// It was stopped as asked, and the stop is confirmed: nothing of it runs any more.
    Stopped,
    /// A stop was asked for and could not be confirmed.
    Unconfirmed,
}

/// An effect's answer with its result. `data` is a JSON object the contract's output schema describes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Settlement {
    /// What became of it.
    #[serde(rename = "as")]
    pub settled: SettledAs,
    /// The result, partial where it was stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Json>,
    /// The error where it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
}

impl Settlement {
    /// It was done, with this result.
    #[must_use]
    pub fn succeeded(data: Option<Json>) -> Settlement {
        Settlement {
            settled: SettledAs::Succeeded,
            data,
            fault: None,
        }
    }

    /// It failed, or was not done at all, and there is no more to say than why.
    #[must_use]
    pub fn failed(fault: Fault) -> Settlement {
        Settlement {
            settled: SettledAs::Failed,
            data: None,
            fault: Some(fault),
        }
    }

    /// It was stopped as asked, nothing of it runs, and it left nothing.
    #[must_use]
    pub fn stopped() -> Settlement {
        Settlement {
            settled: SettledAs::Stopped,
            data: None,
            fault: None,
        }
    }

    /// Nobody knows how far it came, and why not.
    #[must_use]
    pub fn unconfirmed(fault: Fault) -> Settlement {
        Settlement {
            settled: SettledAs::Unconfirmed,
            data: None,
            fault: Some(fault),
        }
    }
}

/// Why a command is in doubt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// The daemon died after the effect was dispatched.
    CrashAfterDispatch,
    /// Its time ran out after the effect was dispatched, and it is not contained.
    TimeoutAfterDispatch,
    /// It was cancelled, and the stop could not be confirmed.
    CancelAfterDispatch,
    /// It left, and what came of it was lost on the way back.
    AnswerLost,
}

impl Doubt {
    /// The reason as it stands on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Doubt::CrashAfterDispatch => "crash_after_dispatch",
            Doubt::TimeoutAfterDispatch => "timeout_after_dispatch",
            Doubt::CancelAfterDispatch => "cancel_after_dispatch",
            Doubt::AnswerLost => "answer_lost",
        }
    }
}

/// Where asking the world about a dispatched effect stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Probing {
    /// The command's probe is about to run, or runs.
    Asked,
    /// It could not tell. Why not, redacted, without a full stop.
    Unanswered(String),
}

/// What a probe found out about the effect of its command.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeAnswer {
    /// The effect happened.
    Landed,
    /// The effect did not happen.
    DidNotHappen,
    /// It could not tell. Why not, redacted, without a full stop.
    Unknown(String),
}

/// How an unfinished command is taken up again at boot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecoveryClass {
    /// Accepted, never started: it goes on waiting, and its limits still count.
    Queued,
    /// Not dispatched, or read-only or idempotent: it is dispatched again with the same effect id.
    Recoverable,
    /// Dispatched into a cage: it failed, the lane goes on.
    Interrupted,
    /// Dispatched to the outside, and it brought a probe: the world is asked.
    Probe,
    /// Dispatched to the outside: only a person can tell.
    InDoubt,
}

impl RecoveryClass {
    /// The class as it stands on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            RecoveryClass::Queued => "queued",
            RecoveryClass::Recoverable => "recoverable",
            RecoveryClass::Interrupted => "interrupted",
            RecoveryClass::Probe => "probe",
            RecoveryClass::InDoubt => "in_doubt",
        }
    }
}

//! What a provider is made of: the trait, the call it is given, and the answer it gives.
//!
//! It holds no provider. The rules every one of them keeps are in `tests/all/contract`.

mod arguments;
mod means;
mod stop;

pub use arguments::{parse, to_object};
pub use means::{Destination, Keep, Means, NoSecrets, Progress, SecretValue, Secrets};
pub use stop::{Canceller, Stop};

use crate::grants::Grants;
use actum_model::effect::ProbeAnswer;
use actum_model::{EffectId, ErrorCode, Fault};
use async_trait::async_trait;
use serde_json::{Map, Value};
use std::sync::Arc;

/// Carries out some command kinds.
#[async_trait]
pub trait Provider: Send + Sync {
    /// The kinds, each `area.verb`. No two providers of a registry share one.
    fn kinds(&self) -> &'static [&'static str];

    /// Carries out one call. It returns soon after the call's [`Stop`] says so, keeps the limits of its kind, and
    /// gives the same code for the same fault. It never panics, whatever the arguments are.
    async fn call(&self, call: Call) -> Answer;

    /// Asks the world whether an earlier call with these arguments happened, and changes nothing. A provider that
    /// cannot tell says so.
    async fn probe(&self, call: Call) -> ProbeAnswer {
        ProbeAnswer::Unknown(format!("`{}` has no probe", call.kind))
    }
}

/// Who calls, for messages and logs. It is not what the provider decides by: that is the grants.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The tenant.
    pub tenant: String,
    /// The principal.
    pub principal: String,
    /// The session, where the command names one.
    pub session: Option<String>,
}

/// The time of the command, as it is journaled. A provider has no clock of its own to answer from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moment {
    /// History time, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Run time of the realm, milliseconds.
    pub elapsed_ms: u64,
}

/// One call.
#[derive(Clone)]
pub struct Call {
    /// The command kind.
    pub kind: String,
    /// The arguments. They fitted the contract when the command came; secrets are still references in them.
    pub arguments: Value,
    /// The effect, and with it the key that tells a repetition from a new wish.
    pub effect: EffectId,
    /// Who calls.
    pub origin: Origin,
    /// When.
    pub moment: Moment,
    /// What the operator allows.
    pub grants: Arc<Grants>,
    /// What the daemon does for the provider.
    pub means: Means,
    /// When to give up.
    pub stop: Stop,
}

/// What came of a call: the members of a JSON object as the contract's output describes it, or why not.
pub type Answer = Result<Map<String, Value>, Failure>;

/// Whether something happened in the world although the call failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Happened {
    /// Nothing did.
    No,
    /// Nobody knows: the command is in doubt unless it is idempotent.
    Unknown,
}

/// A call that failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// Why.
    pub fault: Fault,
    /// What may have happened all the same.
    pub happened: Happened,
}

impl Failure {
    /// A failure after which nobody knows what happened.
    #[must_use]
    pub fn unknown(fault: Fault) -> Failure {
        let happened = Happened::Unknown;
        Failure { fault, happened }
    }

    /// A failure of which nothing came, of a code with a message.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Failure {
        Fault::new(code, message).into()
    }

    /// Its code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.fault.code
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Failure {
        let happened = Happened::No;
        Failure { fault, happened }
    }
}

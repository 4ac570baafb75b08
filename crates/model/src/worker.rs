//! What stands behind a session: what it is for, and the process that keeps its namespace.
//! **These types are disk format v1** (D4).

use crate::hash::Hash;
use crate::ids::{SessionId, Tenant};
use crate::json::Json;
use serde::{Deserialize, Serialize};

/// How strong a cage has to be. Each is weaker than the one before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sandbox {
    /// Every layer the cage is made of.
    Full,
    /// What this host has of them.
    Partial,
    /// No cage: programs run with the rights of the daemon.
    None,
}

impl Sandbox {
    /// The name on the command line and in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Sandbox::Full => "full",
            Sandbox::Partial => "partial",
            Sandbox::None => "none",
        }
    }

    /// Reads the name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Sandbox> {
        [Sandbox::Full, Sandbox::Partial, Sandbox::None]
            .into_iter()
            .find(|level| level.as_str() == text)
    }
}

/// The process of a session.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Worker {
    /// It keeps the session's namespace.
    Live(Live),
    /// It is gone, and the namespace with it. Nothing runs in the session until it is reset.
    Lost {
        /// Why, a clause without a full stop.
        reason: String,
        /// History time at which that was found, milliseconds.
        at: u64,
    },
}

/// See [`Worker::Live`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Live {
    /// Which process: the effect it was started for.
    pub incarnation: Hash,
    /// The boot it was started in; it does not outlive it.
    pub term: u64,
    /// The cage really in force: level and layers.
    pub sandbox: Json,
}

/// Something happened to the process of a session.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct WorkerNews {
    /// Its tenant.
    pub tenant: Tenant,
    /// The session.
    pub session: SessionId,
    /// The session's generation: news of an earlier one are none.
    pub generation: u64,
    /// Which process.
    pub incarnation: Hash,
    /// What happened.
    pub change: WorkerChange,
}

/// See [`WorkerNews`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerChange {
    /// It was started, in this cage.
    Started {
        /// The cage really in force: level and layers.
        sandbox: Json,
    },
    /// It ended, and the namespace with it.
    Ended {
        /// Why, a clause without a full stop.
        reason: String,
    },
}

/// See [`crate::Event::WorkerChanged`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct WorkerChanged {
    /// Its tenant.
    pub tenant: Tenant,
    /// The session.
    pub session: SessionId,
    /// The process from here on; absent: none, the next execution starts one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<Worker>,
}

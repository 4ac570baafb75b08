//! What crosses from the caller to the helper, and what comes back. Private to one build of the program: both ends
//! are the same file.

use crate::layer::{Enforced, Layer};
use crate::refusal::Refusal;
use crate::spec::Spec;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What the helper builds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) spec: Spec,
    /// Set for a cage that forks sessions.
    pub(crate) zygote: Option<ZygotePlan>,
    /// Layers that are left out in silence, so that tests can see them missed.
    pub(crate) sabotage: Vec<Layer>,
}

/// What a zygote's cage has besides.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ZygotePlan {
    /// Empty folders onto which sessions mount.
    pub(crate) places: Vec<PathBuf>,
    /// Source of the zygote itself.
    pub(crate) source: String,
}

/// What the helper tells.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The cage's init exists; its pidfd comes along.
    Born {
        pid: i32,
        /// Folders of its control group.
        groups: Vec<PathBuf>,
        /// The user of the cage, on the host.
        uid: u32,
        gid: u32,
    },
    /// The program runs.
    Running { enforced: Enforced },
    /// Nothing runs, and nothing will.
    Refused { refusal: Refusal },
    /// The program has ended.
    Ended { exit: Exit },
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// By itself, with this status.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

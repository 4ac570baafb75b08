//! Why there is no process: a closed list, each entry naming what is missing.
//!
//! It crosses from the helper to the caller as JSON, so it holds text instead of live errors.

use crate::layer::Layer;
use serde::{Deserialize, Serialize};

/// Why nothing was started. Whatever it says, no user code has run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "refusal")]
pub enum Refusal {
    /// The host cannot give a layer that was asked for.
    #[error("the sandbox lacks `{layer}`: {reason}")]
    Unavailable {
        /// The first layer that is missing.
        layer: Layer,
        /// What the host answered.
        reason: String,
    },
    /// The order itself is wrong.
    #[error("{reason}")]
    Spec {
        /// What was expected and what came.
        reason: String,
    },
    /// A folder to be shown in the cage cannot be.
    #[error("cannot show `{path}` in the sandbox: {reason}")]
    Folder {
        /// The path on the host.
        path: String,
        /// Why.
        reason: String,
    },
    /// The working directory cannot be entered.
    #[error("working directory `{path}` {reason}")]
    Directory {
        /// The path in the cage.
        path: String,
        /// Why.
        reason: String,
    },
    /// The program cannot be executed.
    #[error("cannot start `{program}`: {reason}")]
    Program {
        /// As it was asked for.
        program: String,
        /// Why.
        reason: String,
    },
    /// The helper failed in a way that tells nothing about the order or the host's layers.
    #[error("the sandbox helper failed at {step}: {reason}")]
    Helper {
        /// What it was doing.
        step: String,
        /// What happened.
        reason: String,
    },
}

impl Refusal {
    /// What an operator can do about it, where something can be said.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Refusal::Unavailable { layer, .. } => Some(layer.hint()),
            _ => None,
        }
    }

    pub(crate) fn helper(step: &str, error: impl std::fmt::Display) -> Refusal {
        Refusal::Helper {
            step: step.to_owned(),
            reason: error.to_string(),
        }
    }

    pub(crate) fn missing(layer: Layer, error: impl std::fmt::Display) -> Refusal {
        Refusal::Unavailable {
            layer,
            reason: error.to_string(),
        }
    }
}

/// Names the step of a fallible call.
pub(crate) trait Step<T> {
    /// As a failure of the helper.
    fn step(self, step: &str) -> Result<T, Refusal>;
    /// As a layer this host does not give.
    fn layer(self, layer: Layer, step: &str) -> Result<T, Refusal>;
}

impl<T, E: std::fmt::Display> Step<T> for Result<T, E> {
    fn step(self, step: &str) -> Result<T, Refusal> {
        self.map_err(|error| Refusal::helper(step, error))
    }

    fn layer(self, layer: Layer, step: &str) -> Result<T, Refusal> {
        self.map_err(|error| Refusal::missing(layer, format!("{step} ({error})")))
    }
}

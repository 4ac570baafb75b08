//! What this host can give: found by building a cage, running a program that does nothing in it, and ending it.

use crate::launch::Launcher;
use crate::layer::{Enforced, Layer, Level};
use crate::refusal::{Refusal, Step};
use crate::spec::Spec;
use serde::Serialize;
use std::fs::OpenOptions;
use std::os::fd::AsFd;

/// What was found, for the operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The strongest level this host gives to this user.
    pub level: Level,
    /// Layer by layer, as seen from inside; empty if there was no cage at all.
    pub layers: Vec<LayerReport>,
    /// Why there was no cage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// What can be done about that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<&'static str>,
}

/// One layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LayerReport {
    /// Which.
    pub layer: Layer,
    /// Whether it holds on this host.
    pub in_force: bool,
    /// Whether level `full` asks for it.
    pub required: bool,
    /// What was seen.
    pub detail: String,
    /// What can be done where it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<&'static str>,
}

impl Launcher {
    /// Builds a throw-away cage and tells what held.
    #[must_use]
    pub fn probe(&self) -> Report {
        match self.try_out() {
            Ok(enforced) => Report {
                level: enforced.level.clone(),
                layers: enforced.layers.iter().map(LayerReport::of).collect(),
                refused: None,
                hint: None,
            },
            Err(refusal) => Report {
                level: Level::None,
                layers: Vec::new(),
                refused: Some(refusal.to_string()),
                hint: refusal.hint(),
            },
        }
    }

    fn try_out(&self) -> Result<Enforced, Refusal> {
        let optional = Layer::ALL
            .into_iter()
            .filter(|layer| layer.is_optional())
            .collect();
        let spec = Spec {
            require: Level::Partial(optional),
            ..Spec::pure(vec!["/bin/true".to_owned()])
        };
        let nothing = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/null")
            .step("/dev/null")?;
        let mut caged = self.launch(&spec, [nothing.as_fd(); 3])?;
        let enforced = caged.enforced().clone();
        caged.wait().step("waiting for the end")?;
        Ok(enforced)
    }
}

impl LayerReport {
    fn of(state: &crate::layer::LayerState) -> LayerReport {
        LayerReport {
            layer: state.layer,
            in_force: state.in_force,
            required: state.layer.is_required(),
            detail: state.detail.clone(),
            hint: (!state.in_force).then(|| state.layer.hint()),
        }
    }
}

//! The providers of a daemon by the kinds they carry out. It passes calls on and changes nothing in them.

use crate::sdk::{Answer, Call, Failure, Provider};
use actum_model::ErrorCode;
use actum_model::effect::ProbeAnswer;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Providers by kind.
#[derive(Clone, Default)]
pub struct Registry {
    by_kind: BTreeMap<&'static str, Arc<dyn Provider>>,
}

/// A kind that two providers claim.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected one provider of `{0}`, got a second")]
pub struct Claimed(pub &'static str);

impl Registry {
    /// An empty one.
    #[must_use]
    pub fn new() -> Registry {
        Registry::default()
    }

    /// Adds a provider under all of its kinds, or under none.
    ///
    /// # Errors
    /// When another provider has one of them.
    pub fn add(&mut self, provider: &Arc<dyn Provider>) -> Result<(), Claimed> {
        let kinds = provider.kinds();
        if let Some(kind) = kinds.iter().find(|kind| self.by_kind.contains_key(*kind)) {
            return Err(Claimed(kind));
        }
        for kind in kinds {
            self.by_kind.insert(kind, Arc::clone(provider));
        }
        Ok(())
    }

    /// Who carries out a kind.
    #[must_use]
    pub fn find(&self, kind: &str) -> Option<&Arc<dyn Provider>> {
        self.by_kind.get(kind)
    }

    /// All kinds, ascending.
    pub fn kinds(&self) -> impl Iterator<Item = &'static str> {
        self.by_kind.keys().copied()
    }

    /// Carries out a call.
    ///
    /// # Errors
    /// `UNKNOWN_COMMAND` for a kind nobody carries out, else what the provider says.
    pub async fn call(&self, call: Call) -> Answer {
        call.stop.check()?;
        match self.find(&call.kind) {
            Some(provider) => provider.call(call).await,
            None => Err(Failure::new(
                ErrorCode::UnknownCommand,
                format!("no provider carries out `{}`", call.kind),
            )),
        }
    }

    /// Asks what came of a call.
    pub async fn probe(&self, call: Call) -> ProbeAnswer {
        match self.find(&call.kind) {
            Some(provider) => provider.probe(call).await,
            None => ProbeAnswer::Unknown(format!("no provider carries out `{}`", call.kind)),
        }
    }
}

//! Lanes: looking at the head of each lane that can go on, and starting it or saying why not.

use super::Decider;
use crate::commands;
use actum_model::event::Event;
use actum_model::outcome::Identity;
use actum_model::restore::{CommandRow, LaneKey, Phase};
use actum_model::{Contract, ErrorCode, Fault, Outcome, contract};
use serde_json::json;

impl Decider<'_> {
    /// Goes on with lanes that are ready, the longest ready first, as far as the record has room.
    pub(super) fn pump_lanes(&mut self) {
        while self.has_room() {
            let Some(key) = self.next_ready() else { return };
            let Some(head) = self
                .state
                .lanes
                .get(&key)
                .and_then(|lane| lane.queue.front().copied())
            else {
                return;
            };
            if self.needs_a_record_of_its_own(head) || !self.look_at(head) {
                return;
            }
        }
    }

    /// A creation waits for the next record where this one has no room for its annotations, or has created its
    /// session already: the record's position is the session's generation, which never repeats.
    fn needs_a_record_of_its_own(&self, seq: u64) -> bool {
        let Some(row) = self.state.command(seq) else {
            return false;
        };
        if row.identity.kind.as_str() != "session.create" {
            return false;
        }
        let created = |event: &Event| {
            matches!(event, Event::SessionCreated { tenant, session, .. }
                if *tenant == row.identity.tenant && Some(session) == row.identity.session.as_ref())
        };
        !self.has_room_for(commands::CREATE_EVENTS_MAX) || self.events.iter().any(created)
    }

    fn next_ready(&self) -> Option<LaneKey> {
        self.state.ready.get_min().map(|(_, key)| key.clone())
    }

    /// Looks at the command at the head of a lane. False where nothing followed, which would repeat for ever.
    fn look_at(&mut self, seq: u64) -> bool {
        let Some(row) = self.row(seq) else { return false };
        if matches!(row.phase, Phase::Running(_)) {
            return false;
        }
        let Some(contract) = contract::find(row.identity.kind.as_str()) else {
            let message = format!("this program knows no command kind `{}`", row.identity.kind);
            self.reject(seq, Fault::new(ErrorCode::UnknownCommand, message));
            return true;
        };
        if let Some(fault) = failed_dependency(&row.identity, &row.deps, row.failed_dep) {
            self.reject(seq, fault);
        } else if !row.pending.is_empty() {
            self.emit(Event::Waiting {
                seq,
                on: row.pending.clone(),
            });
        } else if let Some(fault) = self.unmet(&row.identity, row.if_generation, contract) {
            self.reject(seq, fault);
        } else {
            self.start(seq, &row, contract);
        }
        true
    }

    /// The first condition on the session that does not hold.
    pub(super) fn unmet(
        &self,
        identity: &Identity,
        if_generation: Option<u64>,
        contract: &Contract,
    ) -> Option<Fault> {
        let asked = identity.if_version;
        let creates = contract.kind == "session.create";
        if creates && asked.is_none() {
            return None;
        }
        let id = identity.session.as_ref()?;
        let Some(session) = self.state.session(&identity.tenant, id) else {
            let message = format!("no session `{id}` exists");
            return Some(Fault::new(ErrorCode::SessionNotFound, message));
        };
        let version_fits = asked.is_none_or(|version| version == session.version);
        let generation_fits = if_generation.is_none_or(|generation| generation == session.generation);
        if version_fits && generation_fits {
            return self.unfit_session(identity, contract);
        }
        let (expected, actual) = (asked.unwrap_or(0), session.version);
        let message = if version_fits {
            let expected = if_generation.unwrap_or(0);
            format!(
                "session `{id}` is generation {}, expected {expected}",
                session.generation
            )
        } else {
            format!("session `{id}` is at version {actual}, expected {expected}")
        };
        let details = json!({"expected": {"version": expected, "generation": if_generation},
            "actual": {"version": actual, "generation": session.generation}});
        Some(Fault::new(ErrorCode::VersionMismatch, message).with_details(&details))
    }

    fn start(&mut self, seq: u64, row: &CommandRow, contract: &'static Contract) {
        self.emit(Event::Started { seq });
        if contract.has_effect() {
            self.request_effect(seq, row, contract);
            return;
        }
        let payload = row.payload.clone().unwrap_or_default();
        commands::run(self, seq, contract, &payload);
    }

    pub(crate) fn fail(&mut self, seq: u64, fault: Fault) {
        self.finish(seq, Outcome::Failed, None, Some(fault));
    }
}

pub(super) fn failed_dependency(identity: &Identity, deps: &[u64], failed: Option<u64>) -> Option<Fault> {
    let failed = failed?;
    let at = deps.iter().position(|dep| *dep == failed)?;
    let id = identity.depends_on.get(at)?;
    let message = format!("`{id}`, which it depends on, did not succeed");
    Some(Fault::new(ErrorCode::DependencyFailed, message).with_details(&json!({"dependency": id.as_str()})))
}

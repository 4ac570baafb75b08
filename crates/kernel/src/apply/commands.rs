//! What happens to one command: accepted, started, waiting, finished, and those that depend on it.

use crate::state::{IdEntry, KeyEntry, State, id_key, idempotency_key};
use actum_model::effect::Probing;
use actum_model::event::{Accepted, Executed, Finished};
use actum_model::outcome::{Identity, OutcomeRow};
use actum_model::restore::{CommandRow, LaneKey, Phase, Running};
use actum_model::{EffectId, Outcome};
use std::sync::Arc;

impl State {
    pub(super) fn accepted(&mut self, accepted: Accepted) {
        let identity = accepted.identity;
        self.number(&identity);
        if let Some(key) = &identity.key {
            let entry = KeyEntry {
                seq: identity.seq,
                fingerprint: identity.fingerprint,
                finished_at: 0,
            };
            let lane = identity.lane.as_ref().map(|place| &place.lane);
            self.keys
                .insert(idempotency_key(&identity.tenant, lane, key), entry);
        }
        if let Some(place) = &identity.lane {
            self.join_lane(&identity, place);
        }
        let mut pending = accepted.deps.clone();
        pending.retain(|dep| self.command(*dep).is_some());
        let failed_dep = self.failed_of(&accepted.deps, &pending);
        self.file(Arc::new(CommandRow {
            identity,
            payload: accepted.payload,
            deps: accepted.deps,
            pending,
            failed_dep,
            if_generation: accepted.if_generation,
            timeout_ms: accepted.timeout_ms,
            queue_due: self.elapsed.saturating_add(accepted.queue_timeout_ms),
            redacted: accepted.redacted,
            accepted_idx: self.next_idx - 1,
            accepted_at: self.at,
            phase: Phase::Queued,
        }));
    }

    /// A whole command in one record: nothing of it ever stood in the maps of unfinished ones.
    pub(super) fn executed(&mut self, executed: Executed) {
        let identity = executed.identity;
        self.number(&identity);
        if let Some(place) = &identity.lane {
            let session_exists = executed.session_version.is_some();
            self.pass_lane(&identity, place, session_exists);
        }
        let idx = self.next_idx - 1;
        self.keep_finished(OutcomeRow {
            identity,
            outcome: executed.outcome,
            data: executed.data,
            fault: executed.fault,
            session_version: executed.session_version,
            accepted_idx: idx,
            accepted_at: self.at,
            started_idx: (!executed.unstarted).then_some(idx),
            finished_idx: idx,
            finished_at: self.at,
        });
    }

    /// The command has its number, and its id stands for it.
    fn number(&mut self, identity: &Identity) {
        self.next_seq = identity.seq + 1;
        if let Some(id) = &identity.id {
            let entry = IdEntry {
                seq: identity.seq,
                fingerprint: identity.fingerprint,
            };
            self.ids.insert(id_key(&identity.tenant, id), entry);
        }
    }

    /// The first dependency that has finished without success.
    pub(crate) fn failed_of(&self, deps: &[u64], pending: &[u64]) -> Option<u64> {
        let succeeded = |dep: &u64| {
            self.outcomes
                .get(dep)
                .is_some_and(|row| row.outcome == Outcome::Succeeded)
        };
        deps.iter()
            .copied()
            .find(|dep| !pending.contains(dep) && !succeeded(dep))
    }

    /// Enters a command into the maps.
    pub(crate) fn file(&mut self, row: Arc<CommandRow>) {
        let seq = row.identity.seq;
        if let Some(due) = due_of(&row) {
            self.due.insert((due, seq));
        }
        for dep in &row.pending {
            self.dependents.insert((*dep, seq));
        }
        self.commands.insert(seq, row);
    }

    /// Changes an unfinished command, keeping the list of limits in step.
    fn command_mut(&mut self, seq: u64, change: impl FnOnce(&mut CommandRow)) {
        let Some(row) = self.commands.get_mut(&seq) else {
            return;
        };
        let before = due_of(row);
        change(Arc::make_mut(row));
        let after = due_of(row);
        if before != after {
            if let Some(due) = before {
                self.due.remove(&(due, seq));
            }
            if let Some(due) = after {
                self.due.insert((due, seq));
            }
        }
    }

    pub(super) fn running_mut(&mut self, seq: u64, change: impl FnOnce(&mut Running)) {
        self.command_mut(seq, |row| {
            if let Phase::Running(running) = &mut row.phase {
                change(running);
            }
        });
    }

    pub(super) fn waiting(&mut self, seq: u64) {
        self.looked_at(seq);
        let due = self.wait_due(seq);
        self.command_mut(seq, |row| row.phase = Phase::Waiting { due });
    }

    /// Whether nobody knows, or knows yet, what came of its effect.
    fn is_uncertain(&self, seq: u64) -> bool {
        let uncertain = |running: &Running| running.doubt.is_some() || running.is_probed();
        self.command(seq)
            .is_some_and(|row| matches!(&row.phase, Phase::Running(running) if uncertain(running)))
    }

    pub(super) fn started(&mut self, seq: u64) {
        self.looked_at(seq);
        let (idx, elapsed) = (self.next_idx - 1, self.elapsed);
        self.command_mut(seq, |row| {
            row.phase = Phase::Running(Running {
                started_idx: idx,
                due: elapsed.saturating_add(row.timeout_ms),
                effect: EffectId::ZERO,
                dispatching: false,
                contained: false,
                stopping: None,
                doubt: None,
                probe: None,
                lost: false,
            });
        });
    }

    /// Its probe has a time of its own, and whatever stopped the command is over with its process.
    pub(super) fn probe_requested(&mut self, seq: u64, timeout_ms: u64, lost: bool) {
        let due = self.elapsed.saturating_add(timeout_ms);
        self.running_mut(seq, |running| {
            running.probe = Some(Probing::Asked);
            running.lost = lost;
            running.stopping = None;
            running.due = due;
        });
        self.hold_dependents(seq);
    }

    pub(super) fn effect_requested(&mut self, seq: u64, effect: EffectId, contained: bool) {
        self.running_mut(seq, |running| {
            running.effect = effect;
            running.contained = contained;
        });
    }

    pub(super) fn finish(&mut self, finished: Finished) {
        self.unclassified.remove(&finished.seq);
        let Some(row) = self.unfile(finished.seq) else {
            return;
        };
        self.leave_lane(&row);
        self.release_dependents(finished.seq, finished.outcome);
        let started_idx = match &row.phase {
            Phase::Running(running) => Some(running.started_idx),
            _ => None,
        };
        self.keep_finished(OutcomeRow {
            identity: row.identity.clone(),
            outcome: finished.outcome,
            data: finished.data,
            fault: finished.fault,
            session_version: finished.session_version,
            accepted_idx: row.accepted_idx,
            accepted_at: row.accepted_at,
            started_idx,
            finished_idx: self.next_idx - 1,
            finished_at: self.at,
        });
    }

    /// The command has its outcome: its session has its version, its key begins to age.
    fn keep_finished(&mut self, row: OutcomeRow) {
        let identity = &row.identity;
        if let (Some(version), Some(session)) = (row.session_version, &identity.session)
            && let Some(session) = self.sessions.get_mut(&(identity.tenant.clone(), session.clone()))
        {
            session.version = version;
        }
        if let Some(key) = &identity.key {
            let lane = identity.lane.as_ref().map(|place| &place.lane);
            let key = idempotency_key(&identity.tenant, lane, key);
            let entry = KeyEntry {
                seq: identity.seq,
                fingerprint: identity.fingerprint,
                finished_at: self.at,
            };
            self.keys.insert(key, entry);
            self.key_expiry.push_back((self.at, key));
        }
        self.keep_outcome(Arc::new(row));
    }

    fn unfile(&mut self, seq: u64) -> Option<Arc<CommandRow>> {
        let row = self.commands.remove(&seq)?;
        if let Some(due) = due_of(&row) {
            self.due.remove(&(due, seq));
        }
        for dep in &row.pending {
            self.dependents.remove(&(*dep, seq));
        }
        Some(row)
    }

    fn dependents_of(&self, seq: u64) -> Vec<u64> {
        self.dependents
            .range((seq, 0)..=(seq, u64::MAX))
            .map(|(_, dependent)| *dependent)
            .collect()
    }

    /// A command has its outcome: those that depend on it learn of it, and those at the head go on.
    fn release_dependents(&mut self, seq: u64, outcome: Outcome) {
        if self.dependents.is_empty() {
            return;
        }
        for dependent in self.dependents_of(seq) {
            self.dependents.remove(&(seq, dependent));
            self.command_mut(dependent, |row| {
                row.pending.retain(|dep| *dep != seq);
                if outcome != Outcome::Succeeded && row.failed_dep.is_none() {
                    row.failed_dep = Some(seq);
                }
            });
            let Some(row) = self.command(dependent) else {
                continue;
            };
            let Phase::Waiting { due } = row.phase else {
                continue;
            };
            if !row.pending.is_empty() && row.failed_dep.is_none() {
                if due == u64::MAX {
                    self.bound_wait(dependent);
                }
            } else if let Some(place) = &row.identity.lane {
                let key = LaneKey {
                    tenant: row.identity.tenant.clone(),
                    lane: place.lane.clone(),
                };
                self.wake(key);
            }
        }
    }

    /// The doubt that held this wait is over: what it still waits for has its time from now on.
    fn bound_wait(&mut self, seq: u64) {
        let bound = self.wait_due(seq);
        self.command_mut(seq, |row| {
            if let Phase::Waiting { due } = &mut row.phase {
                *due = bound;
            }
        });
    }

    /// Run time at which a wait for dependencies that starts now runs out: never while one is
    /// in doubt or its probe is asked.
    fn wait_due(&self, seq: u64) -> u64 {
        let held = self
            .command(seq)
            .is_some_and(|row| row.pending.iter().any(|dep| self.is_uncertain(*dep)));
        if held {
            return u64::MAX;
        }
        self.elapsed.saturating_add(self.config.dependency_wait_ms)
    }

    /// A dependency is in doubt, or its probe is asked: nobody's wait for it runs out.
    pub(super) fn hold_dependents(&mut self, seq: u64) {
        for dependent in self.dependents_of(seq) {
            self.command_mut(dependent, |row| {
                if let Phase::Waiting { due } = &mut row.phase {
                    *due = u64::MAX;
                }
            });
        }
    }
}

/// Run time at which a limit of this command runs out.
pub(crate) fn due_of(row: &CommandRow) -> Option<u64> {
    let due = match &row.phase {
        Phase::Queued if row.identity.lane.is_some() => row.queue_due,
        Phase::Queued => u64::MAX,
        Phase::Waiting { due } => *due,
        Phase::Running(running) => running.due,
    };
    (due != u64::MAX).then_some(due)
}

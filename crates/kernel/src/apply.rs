//! Applying events: the only way state changes, in a decision as in recovery. It never fails and never
//! looks at contracts, so an older history means the same to a newer program.

use crate::state::{IdEntry, KeyEntry, LaneState, Ready, Session, State, id_key, idempotency_key};
use actum_model::event::{Accepted, Booted, Event, Finished};
use actum_model::ids::{SessionId, Tenant};
use actum_model::outcome::OutcomeRow;
use actum_model::restore::{CommandRow, LaneKey, Phase, Running};
use actum_model::{EffectId, Lane, Outcome};
use imbl::{OrdMap, Vector};
use std::sync::Arc;

/// Where and when a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHead {
    /// Journal position.
    pub idx: u64,
    /// History time, milliseconds.
    pub at: u64,
    /// Run time, milliseconds.
    pub elapsed: u64,
}

/// Applies one record.
pub fn apply_record(state: &mut State, head: RecordHead, events: Vec<Event>) {
    state.begin_record(head);
    for event in events {
        apply_event(state, event);
    }
    state.end_record();
}

/// Applies one event within the record that [`State::begin_record`] opened.
pub fn apply_event(state: &mut State, event: Event) {
    match event {
        Event::Booted(booted) => state.booted(&booted),
        Event::ConfigActivated { config } => state.config = Arc::from(config),
        Event::Accepted(accepted) => state.accepted(accepted),
        Event::Waiting { seq, .. } => state.waiting(seq),
        Event::Started { seq } => state.started(seq),
        Event::Finished(finished) => state.finish(finished),
        Event::EffectRequested { effect, seq } => state.effect_requested(seq, effect),
        Event::EffectDispatching { seq } => state.running_mut(seq, |running| running.dispatching = true),
        Event::Stopping { seq, why } => {
            state.running_mut(seq, |running| {
                running.stopping = Some(why);
                running.due = u64::MAX;
            });
        }
        Event::InDoubt { seq, reason } => {
            state.running_mut(seq, |running| {
                running.doubt = Some(reason);
                running.due = u64::MAX;
            });
            state.hold_dependents(seq);
        }
        Event::Recovered { seq, .. } => {
            state.unclassified.remove(&seq);
        }
        Event::SessionCreated { tenant, session } => state.session_created(tenant, session),
        Event::SessionAnnotated {
            tenant,
            session,
            key,
            value,
        } => {
            if let Some(session) = state.sessions.get_mut(&(tenant, session)) {
                match value {
                    Some(value) => session.metadata.insert(key, value),
                    None => session.metadata.remove(&key),
                };
            }
        }
        Event::SessionDeleted { tenant, session } => {
            state.sessions.remove(&(tenant, session));
        }
        Event::OutcomesPruned { count } => state.prune_outcomes(count),
        Event::TombstonesDropped { count } => state.drop_tombstones(count),
        Event::KeysExpired { count } => state.expire_keys(count),
        Event::Closed {} => state.closed = true,
        Event::Restore(piece) => state.restore(*piece),
        // Facts for people and for the engine; nothing in state rests on them.
        Event::EffectSettled { .. }
        | Event::EffectLate { .. }
        | Event::Resolved(_)
        | Event::OutputKept { .. }
        | Event::SnapshotTaken(_) => {}
    }
}

impl State {
    /// Opens a record: events applied from here on happen in it.
    pub fn begin_record(&mut self, head: RecordHead) {
        self.next_idx = head.idx + 1;
        self.at = head.at;
        self.elapsed = head.elapsed;
    }

    /// Closes the record.
    pub fn end_record(&mut self) {
        if let Some(row) = self.fresh.take() {
            self.file(row);
        }
        for key in std::mem::take(&mut self.woken) {
            let place = self.next_ready;
            if let Some(lane) = self.lanes.get_mut(&key)
                && lane.ready == Ready::Now
            {
                lane.ready = Ready::At(place);
                self.ready.insert(place, key);
                self.next_ready += 1;
            }
        }
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

    fn booted(&mut self, booted: &Booted) {
        self.realm = booted.realm.as_slice().try_into().unwrap_or(self.realm);
        self.incarnation = booted
            .incarnation
            .as_slice()
            .try_into()
            .unwrap_or(self.incarnation);
        self.term = booted.term;
        self.closed = false;
        let running = self
            .commands
            .iter()
            .filter(|(_, row)| matches!(row.phase, Phase::Running(_)));
        self.unclassified = running.map(|(seq, _)| *seq).collect();
    }

    fn accepted(&mut self, accepted: Accepted) {
        if let Some(row) = self.fresh.take() {
            self.file(row);
        }
        let identity = accepted.identity;
        let seq = identity.seq;
        self.next_seq = seq + 1;
        if let Some(id) = &identity.id {
            let entry = IdEntry {
                seq,
                fingerprint: identity.fingerprint,
            };
            self.ids.insert(id_key(&identity.tenant, id), entry);
        }
        let lane = identity.lane.as_ref().map(|place| &place.lane);
        if let Some(key) = &identity.key {
            let entry = KeyEntry {
                seq,
                fingerprint: identity.fingerprint,
                finished_at: 0,
            };
            self.keys
                .insert(idempotency_key(&identity.tenant, lane, key), entry);
        }
        if let Some(place) = &identity.lane {
            let key = LaneKey {
                tenant: identity.tenant.clone(),
                lane: place.lane.clone(),
            };
            self.join_lane(key, place.generation, place.seq, seq);
        }
        let mut pending = accepted.deps.clone();
        pending.retain(|dep| self.command(*dep).is_some());
        let failed_dep = accepted.deps.iter().copied().find(|dep| {
            !pending.contains(dep)
                && self
                    .outcomes
                    .get(dep)
                    .is_none_or(|row| row.outcome != Outcome::Succeeded)
        });
        self.fresh = Some(Arc::new(CommandRow {
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

    fn join_lane(&mut self, key: LaneKey, generation: u64, place: u64, seq: u64) {
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.last_seq = place;
            lane.queue.push_back(seq);
            if lane.queue.len() == 1 && lane.ready == Ready::No {
                lane.ready = Ready::Now;
                self.woken.push(key);
            }
            return;
        }
        let lane = LaneState {
            generation,
            last_seq: place,
            queue: Vector::unit(seq),
            ready: Ready::Now,
        };
        self.lanes.insert(key.clone(), lane);
        self.woken.push(key);
    }

    /// Takes the command's lane off the ready list: its head was looked at.
    fn looked_at(&mut self, seq: u64) {
        let Some(row) = self.command(seq) else { return };
        let Some(place) = &row.identity.lane else { return };
        let key = LaneKey {
            tenant: row.identity.tenant.clone(),
            lane: place.lane.clone(),
        };
        if let Some(lane) = self.lanes.get_mut(&key) {
            if let Ready::At(place) = lane.ready {
                self.ready.remove(&place);
            }
            lane.ready = Ready::No;
        }
    }

    fn wake(&mut self, key: LaneKey) {
        if let Some(lane) = self.lanes.get_mut(&key)
            && lane.ready == Ready::No
        {
            lane.ready = Ready::Now;
            self.woken.push(key);
        }
    }

    /// Changes an unfinished command, keeping the list of limits in step.
    fn command_mut(&mut self, seq: u64, change: impl FnOnce(&mut CommandRow)) {
        if let Some(row) = self.fresh.as_mut().filter(|row| row.identity.seq == seq) {
            change(Arc::make_mut(row));
            return;
        }
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

    fn running_mut(&mut self, seq: u64, change: impl FnOnce(&mut Running)) {
        self.command_mut(seq, |row| {
            if let Phase::Running(running) = &mut row.phase {
                change(running);
            }
        });
    }

    fn waiting(&mut self, seq: u64) {
        self.looked_at(seq);
        let due = self.wait_due(seq);
        self.command_mut(seq, |row| row.phase = Phase::Waiting { due });
    }

    fn is_in_doubt(&self, seq: u64) -> bool {
        self.command(seq)
            .is_some_and(|row| matches!(&row.phase, Phase::Running(running) if running.doubt.is_some()))
    }

    fn started(&mut self, seq: u64) {
        self.looked_at(seq);
        let (idx, elapsed) = (self.next_idx - 1, self.elapsed);
        self.command_mut(seq, |row| {
            row.phase = Phase::Running(Running {
                started_idx: idx,
                due: elapsed.saturating_add(row.timeout_ms),
                effect: EffectId::ZERO,
                dispatching: false,
                stopping: None,
                doubt: None,
            });
        });
    }

    fn effect_requested(&mut self, seq: u64, effect: EffectId) {
        self.running_mut(seq, |running| running.effect = effect);
    }

    fn finish(&mut self, finished: Finished) {
        let seq = finished.seq;
        self.unclassified.remove(&seq);
        let row = match self.fresh.take_if(|row| row.identity.seq == seq) {
            Some(row) => row,
            None => match self.unfile(seq) {
                Some(row) => row,
                None => return,
            },
        };
        self.leave_lane(&row);
        let identity = row.identity.clone();
        if let (Some(version), Some(session)) = (finished.session_version, &identity.session)
            && let Some(session) = self.sessions.get_mut(&(identity.tenant.clone(), session.clone()))
        {
            session.version = version;
        }
        if let Some(key) = &identity.key {
            let lane = identity.lane.as_ref().map(|place| &place.lane);
            let key = idempotency_key(&identity.tenant, lane, key);
            let entry = KeyEntry {
                seq,
                fingerprint: identity.fingerprint,
                finished_at: self.at,
            };
            self.keys.insert(key, entry);
            self.key_expiry.push_back((self.at, key));
        }
        self.release_dependents(seq, finished.outcome);
        let started_idx = match &row.phase {
            Phase::Running(running) => Some(running.started_idx),
            _ => None,
        };
        let row = Arc::new(OutcomeRow {
            identity,
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
        self.keep_outcome(row);
    }

    pub(crate) fn keep_outcome(&mut self, row: Arc<OutcomeRow>) {
        for (outcome, count) in Outcome::ALL.iter().zip(self.finished.iter_mut()) {
            *count += u64::from(*outcome == row.outcome);
        }
        self.outcome_bytes += row.weight_bytes();
        self.finish_order.push_back(row.identity.seq);
        self.outcomes.insert(row.identity.seq, row);
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

    fn leave_lane(&mut self, row: &CommandRow) {
        let Some(place) = &row.identity.lane else { return };
        let seq = row.identity.seq;
        let key = LaneKey {
            tenant: row.identity.tenant.clone(),
            lane: place.lane.clone(),
        };
        let Some(lane) = self.lanes.get_mut(&key) else {
            return;
        };
        let was_head = lane.queue.front() == Some(&seq);
        if was_head {
            lane.queue.pop_front();
        } else if let Ok(at) = lane.queue.binary_search(&seq) {
            lane.queue.remove(at);
        }
        if !lane.queue.is_empty() {
            if was_head {
                self.wake(key);
            }
            return;
        }
        if let Ready::At(place) = lane.ready {
            self.ready.remove(&place);
        }
        lane.ready = Ready::No;
        let stays = match &key.lane {
            Lane::Server => true,
            Lane::Session(id) => self.sessions.contains_key(&(key.tenant.clone(), id.clone())),
            Lane::Exec(_) => false,
        };
        if !stays {
            self.lanes.remove(&key);
        }
    }

    /// Those that still wait for this command; the one accepted by this record is not filed yet.
    fn dependents_of(&self, seq: u64) -> Vec<u64> {
        let fresh = self.fresh.as_ref().filter(|row| row.pending.contains(&seq));
        self.dependents
            .range((seq, 0)..=(seq, u64::MAX))
            .map(|(_, dependent)| *dependent)
            .chain(fresh.map(|row| row.identity.seq))
            .collect()
    }

    /// A command has its outcome: those that depend on it learn of it, and those at the head go on.
    fn release_dependents(&mut self, seq: u64, outcome: Outcome) {
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

    /// Run time at which a wait for dependencies that starts now runs out: never while one is in doubt.
    fn wait_due(&self, seq: u64) -> u64 {
        let held = self
            .command(seq)
            .is_some_and(|row| row.pending.iter().any(|dep| self.is_in_doubt(*dep)));
        if held {
            return u64::MAX;
        }
        self.elapsed.saturating_add(self.config.dependency_wait_ms)
    }

    /// A dependency is in doubt: nobody's wait for it runs out.
    fn hold_dependents(&mut self, seq: u64) {
        for dependent in self.dependents_of(seq) {
            self.command_mut(dependent, |row| {
                if let Phase::Waiting { due } = &mut row.phase {
                    *due = u64::MAX;
                }
            });
        }
    }

    fn session_created(&mut self, tenant: Tenant, session: SessionId) {
        let row = Session {
            generation: self.next_idx - 1,
            version: 0,
            created_at: self.at,
            metadata: OrdMap::new(),
        };
        self.sessions.insert((tenant, session), row);
    }

    fn prune_outcomes(&mut self, count: u64) {
        for _ in 0..count {
            let Some(seq) = self.finish_order.pop_front() else {
                return;
            };
            let Some(row) = self.outcomes.remove(&seq) else {
                continue;
            };
            self.outcome_bytes = self.outcome_bytes.saturating_sub(row.weight_bytes());
            if let Some(id) = &row.identity.id {
                self.tombstones.push_back(id_key(&row.identity.tenant, id));
            }
        }
    }

    fn drop_tombstones(&mut self, count: u64) {
        for _ in 0..count {
            let Some(key) = self.tombstones.pop_front() else {
                return;
            };
            self.ids.remove(&key);
        }
    }

    fn expire_keys(&mut self, count: u64) {
        for _ in 0..count {
            let Some((finished_at, key)) = self.key_expiry.pop_front() else {
                return;
            };
            // A key used again after it had expired has a later end, and stays.
            if self
                .keys
                .get(&key)
                .is_some_and(|entry| entry.finished_at == finished_at)
            {
                self.keys.remove(&key);
            }
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

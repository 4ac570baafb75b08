//! Applying events: the only way state changes, in a decision as in recovery. It never fails and never
//! looks at contracts, so an older history means the same to a newer program.

mod commands;
mod graph;
mod lanes;
mod promises;
mod retention;
mod timers;

use crate::state::{Session, State};
use actum_graph::View;
use actum_model::Json;
use actum_model::effect::{ProbeAnswer, Probing};
use actum_model::event::{Booted, Event};
use actum_model::graph::GraphEvent;
use actum_model::ids::{SessionId, Tenant};
use actum_model::promise::PromiseCounts;
use actum_model::restore::Phase;
use imbl::OrdMap;
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
}

/// Applies one event within the record that [`State::begin_record`] opened.
pub fn apply_event(state: &mut State, event: Event) {
    match event {
        Event::Booted(booted) => state.booted(&booted),
        Event::ConfigActivated { config } => state.config = Arc::from(config),
        Event::Accepted(accepted) => state.accepted(accepted),
        Event::Executed(executed) => state.executed(executed),
        Event::Waiting { seq, .. } => state.waiting(seq),
        Event::Started { seq } => state.started(seq),
        Event::Finished(finished) => state.finish(finished),
        Event::EffectRequested {
            effect,
            seq,
            contained,
        } => state.effect_requested(seq, effect, contained),
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
        Event::ProbeRequested {
            seq,
            timeout_ms,
            lost,
        } => state.probe_requested(seq, timeout_ms, lost),
        Event::ProbeAnswered { seq, answer, .. } => {
            state.running_mut(seq, |running| {
                running.probe = match answer {
                    ProbeAnswer::Unknown(why) => Some(Probing::Unanswered(why)),
                    ProbeAnswer::Landed | ProbeAnswer::DidNotHappen => None,
                };
            });
        }
        Event::Recovered { seq, .. } => {
            state.unclassified.remove(&seq);
        }
        Event::SessionCreated {
            tenant,
            session,
            spec,
        } => state.session_created(tenant, session, spec),
        Event::SessionAnnotated(row) => {
            if let Some(session) = state.sessions.get_mut(&(row.tenant, row.session)) {
                match row.value {
                    Some(value) => session.metadata.insert(row.key, value),
                    None => session.metadata.remove(&row.key),
                };
            }
        }
        Event::SessionDeleted { tenant, session } => state.session_deleted(tenant, session),
        Event::WorkerChanged(changed) => state.worker_changed(*changed),
        Event::PromiseCreated(row) => state.promise_created(*row),
        Event::PromiseSettled(settled) => state.promise_settled(*settled),
        Event::PromisesPruned { count } => state.promises.prune(count),
        Event::Graph(event) => state.graph_event(*event, None),
        Event::OutcomesPruned { count } => state.prune_outcomes(count),
        Event::TombstonesDropped { count } => state.drop_tombstones(count),
        Event::KeysExpired { count } => state.expire_keys(count),
        Event::Ticked(ticked) => state.ticked(ticked),
        Event::ClockSampled(sample) => state.clock_sampled(sample),
        Event::TimerSet(row) => state.timers.insert(*row),
        Event::TimerFired(fired) => state.timer_fired(fired),
        Event::TimerCancelled(cancelled) => state.timer_cancelled(cancelled),
        Event::Closed {} => state.closed = true,
        Event::Restore(piece) => state.restore(*piece),
        // Facts for people and for the engine; nothing in state rests on them.
        Event::EffectSettled { .. }
        | Event::EffectLate { .. }
        | Event::Interrupted { .. }
        | Event::Resolved(_)
        | Event::OutputKept { .. }
        | Event::SnapshotTaken(_) => {}
    }
}

/// Applies an event of the graph whose view the decision knows already; without it the same view is made again.
pub(crate) fn apply_graph_event(state: &mut State, event: GraphEvent, view: View) {
    state.graph_event(event, Some(view));
}

impl State {
    /// Opens a record: events applied from here on happen in it.
    pub fn begin_record(&mut self, head: RecordHead) {
        self.next_idx = head.idx + 1;
        self.at = head.at;
        self.elapsed = head.elapsed;
    }

    fn booted(&mut self, booted: &Booted) {
        self.realm = booted.realm.as_slice().try_into().unwrap_or(self.realm);
        self.incarnation = booted
            .incarnation
            .as_slice()
            .try_into()
            .unwrap_or(self.incarnation);
        self.term = booted.term;
        self.contracts = booted.contracts;
        self.rules_activated(booted.policy, booted.rule_pack);
        self.clocks_start();
        self.closed = false;
        let running = self
            .commands
            .iter()
            .filter(|(_, row)| matches!(row.phase, Phase::Running(_)));
        self.stale_workers = self.live_workers.clone();
        self.unclassified = running.map(|(seq, _)| *seq).collect();
    }

    fn session_created(&mut self, tenant: Tenant, session: SessionId, spec: Option<Json>) {
        let row = Session {
            generation: self.next_idx - 1,
            version: 0,
            created_at: self.at,
            metadata: OrdMap::new(),
            spec,
            worker: None,
            promises: PromiseCounts::default(),
        };
        self.sessions.insert((tenant, session), row);
    }
}

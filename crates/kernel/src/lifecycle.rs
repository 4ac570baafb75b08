//! Events as subscribers see them: the wire form of what a record says, with the scope each belongs to.

use crate::apply::RecordHead;
use crate::read::{due_members, held_by, promise_json};
use crate::state::{Known, State};
use actum_model::event::{Event, Executed, Finished};
use actum_model::ids::{CommandId, SessionId, Tenant};
use actum_model::outcome::Identity;
use actum_model::promise::PromiseRow;
use actum_model::response::fault_json;
use actum_model::timer::TimerFired;
use actum_model::worker::{Worker, WorkerChanged};
use actum_model::{CommandId as Id, Fault, Outcome, time};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// An event on the wire and who may see it. Without a tenant everybody may.
#[derive(Clone, Debug)]
pub struct PublicEvent {
    /// The tenant it concerns.
    pub tenant: Option<Tenant>,
    /// The session it concerns.
    pub session: Option<SessionId>,
    /// The chain of commands it concerns.
    pub correlation: Option<CommandId>,
    /// `{"type":"event","event":…,"idx":…,"at":…, …}`, with the tenant, which is for scoping and not sent.
    pub json: Value,
}

/// Turns records into public events, in order. It remembers the commands it has seen, because most events
/// name a command by number only; what came before is looked up in a state.
#[derive(Default)]
pub struct Lifecycle {
    seen: BTreeMap<u64, Arc<Identity>>,
}

impl Lifecycle {
    /// The public events of one record. `state` is any state after it.
    pub fn record(&mut self, head: RecordHead, events: &[Event], state: &State) -> Vec<PublicEvent> {
        // What a record executes is said to be accepted and started before what follows from it.
        let executed = events.iter().find_map(|event| match event {
            Event::Executed(executed) => Some(executed),
            _ => None,
        });
        let mut out = Vec::new();
        if let Some(Executed {
            identity, unstarted, ..
        }) = executed
        {
            out.push(command(head, "command_accepted", identity, Map::new()));
            if !unstarted {
                out.push(command(head, "command_started", identity, Map::new()));
            }
        }
        out.extend(events.iter().filter_map(|event| self.event(head, event, state)));
        out
    }

    fn event(&mut self, head: RecordHead, event: &Event, state: &State) -> Option<PublicEvent> {
        match event {
            Event::Accepted(accepted) => {
                self.seen.insert(accepted.identity.seq, accepted.identity.clone());
                let identity = &accepted.identity;
                let held_by = identity
                    .lane
                    .as_ref()
                    .and_then(|place| held_by(state, &identity.tenant, place));
                let more = held_by.map(|id| ("heldBy".to_owned(), Value::from(id.as_str())));
                Some(command(
                    head,
                    "command_accepted",
                    identity,
                    more.into_iter().collect(),
                ))
            }
            Event::Started { seq } => Some(command(
                head,
                "command_started",
                &*self.identity(*seq, state)?,
                Map::new(),
            )),
            Event::Finished(finished) => {
                let identity = self.identity(finished.seq, state)?;
                self.seen.remove(&finished.seq);
                let Finished {
                    outcome,
                    fault,
                    session_version,
                    ..
                } = finished;
                let more = outcome_members(*outcome, fault.as_deref(), *session_version);
                Some(command(head, "command_finished", &identity, more))
            }
            Event::Executed(executed) => {
                let Executed {
                    identity,
                    outcome,
                    fault,
                    session_version,
                    ..
                } = executed;
                let more = outcome_members(*outcome, fault.as_deref(), *session_version);
                Some(command(head, "command_finished", identity, more))
            }
            Event::InDoubt { seq, reason } => {
                let mut more = Map::new();
                more.insert("reason".into(), reason.as_str().into());
                Some(command(
                    head,
                    "command_in_doubt",
                    &*self.identity(*seq, state)?,
                    more,
                ))
            }
            Event::SessionCreated { tenant, session, .. } => {
                Some(about_session(head, "session_created", tenant, session))
            }
            Event::SessionDeleted { tenant, session } => {
                Some(about_session(head, "session_deleted", tenant, session))
            }
            Event::WorkerChanged(changed) => Some(worker_changed(head, changed)),
            Event::PromiseCreated(row) => Some(about_promise(head, "promise_created", row)),
            Event::PromiseSettled(settled) => {
                let row = state.promise(&settled.tenant, &settled.promise)?;
                Some(about_promise(head, "promise_settled", row))
            }
            Event::Interrupted { seq, by } => {
                let mut more = Map::new();
                more.insert("by".into(), by.as_str().into());
                Some(command(
                    head,
                    "command_interrupted",
                    &*self.identity(*seq, state)?,
                    more,
                ))
            }
            Event::Booted(booted) => Some(server(
                head,
                "server_booted",
                &json!({"term": booted.term, "build": booted.build}),
            )),
            Event::Ticked(ticked) => Some(server(head, "tick", &json!({"tick": ticked.tick}))),
            Event::TimerSet(row) => {
                let mut more = Map::new();
                due_members(&mut more, row.due);
                more.insert("setBy".into(), row.set_by.as_str().into());
                Some(about_timer(head, "timer_set", &row.tenant, &row.timer, more))
            }
            Event::TimerFired(fired) => Some(self.timer_fired(head, fired, state)),
            Event::TimerCancelled(row) => Some(about_timer(
                head,
                "timer_cancelled",
                &row.tenant,
                &row.timer,
                Map::new(),
            )),
            Event::Closed {} => Some(server(head, "server_shutdown", &json!({}))),
            _ => None,
        }
    }

    fn timer_fired(&self, head: RecordHead, fired: &TimerFired, state: &State) -> PublicEvent {
        let mut more = Map::new();
        due_members(&mut more, fired.due);
        more.insert("tick".into(), fired.tick.into());
        more.insert("fire".into(), fired.fire.into());
        more.insert("late".into(), fired.late.into());
        more.insert("missed".into(), fired.missed.into());
        if let Some(next) = fired.next {
            let mut members = Map::new();
            due_members(&mut members, next);
            more.insert("next".into(), Value::Object(members));
        }
        if let Some(identity) = fired.command.and_then(|seq| self.identity(seq, state)) {
            more.insert("commandId".into(), identity.public_id().as_str().into());
        }
        if let Some(fault) = &fired.refused {
            more.insert("error".into(), fault_json(fault));
        }
        about_timer(head, "timer_fired", &fired.tenant, &fired.timer, more)
    }

    fn identity(&self, seq: u64, state: &State) -> Option<Arc<Identity>> {
        if let Some(identity) = self.seen.get(&seq) {
            return Some(identity.clone());
        }
        match state.known(seq)? {
            Known::InFlight(row) => Some(row.identity.clone()),
            Known::Finished(row) => Some(row.identity.clone()),
            Known::Retired(_) => None,
        }
    }
}

fn base(head: RecordHead, name: &str) -> Map<String, Value> {
    let mut out = Map::new();
    out.insert("type".into(), "event".into());
    out.insert("event".into(), name.into());
    out.insert("idx".into(), head.idx.into());
    out.insert("at".into(), time::rfc3339(head.at).into());
    out
}

fn server(head: RecordHead, name: &str, more: &Value) -> PublicEvent {
    let mut out = base(head, name);
    if let Value::Object(more) = more {
        out.extend(more.clone());
    }
    PublicEvent {
        tenant: None,
        session: None,
        correlation: None,
        json: Value::Object(out),
    }
}

fn about_session(head: RecordHead, name: &str, tenant: &Tenant, session: &SessionId) -> PublicEvent {
    let mut out = base(head, name);
    out.insert("sessionId".into(), session.as_str().into());
    out.insert("tenant".into(), tenant.as_str().into());
    PublicEvent {
        tenant: Some(tenant.clone()),
        session: Some(session.clone()),
        correlation: None,
        json: Value::Object(out),
    }
}

fn worker_changed(head: RecordHead, changed: &WorkerChanged) -> PublicEvent {
    let (name, reason) = match &changed.worker {
        Some(Worker::Live(_)) => ("session_started", None),
        Some(Worker::Lost { reason, .. }) => ("session_lost", Some(reason)),
        None => ("session_reset", None),
    };
    let mut event = about_session(head, name, &changed.tenant, &changed.session);
    if let (Some(reason), Value::Object(members)) = (reason, &mut event.json) {
        members.insert("reason".into(), reason.as_str().into());
    }
    event
}

fn about_promise(head: RecordHead, name: &str, row: &PromiseRow) -> PublicEvent {
    let mut out = base(head, name);
    if let Value::Object(members) = promise_json(row) {
        out.extend(members);
    }
    out.insert("tenant".into(), row.tenant.as_str().into());
    PublicEvent {
        tenant: Some(row.tenant.clone()),
        session: row.session.clone(),
        correlation: None,
        json: Value::Object(out),
    }
}

fn about_timer(
    head: RecordHead,
    name: &str,
    tenant: &Tenant,
    timer: &CommandId,
    more: Map<String, Value>,
) -> PublicEvent {
    let mut out = base(head, name);
    out.insert("timerId".into(), timer.as_str().into());
    out.extend(more);
    out.insert("tenant".into(), tenant.as_str().into());
    PublicEvent {
        tenant: Some(tenant.clone()),
        session: None,
        correlation: None,
        json: Value::Object(out),
    }
}

fn command(head: RecordHead, name: &str, identity: &Identity, more: Map<String, Value>) -> PublicEvent {
    let mut out = base(head, name);
    out.extend(identity_members(identity));
    out.extend(more);
    out.insert("tenant".into(), identity.tenant.as_str().into());
    PublicEvent {
        tenant: Some(identity.tenant.clone()),
        session: identity.session.clone(),
        correlation: Some(identity.correlation_id()),
        json: Value::Object(out),
    }
}

/// What every view of a command shows of who asked for what.
#[must_use]
pub fn identity_members(identity: &Identity) -> Map<String, Value> {
    let mut out = Map::new();
    out.insert("id".into(), identity.public_id().as_str().into());
    out.insert("command".into(), identity.kind.as_str().into());
    out.insert("principal".into(), identity.principal.as_str().into());
    out.insert("correlationId".into(), identity.correlation_id().as_str().into());
    if let Some(place) = &identity.lane {
        out.insert("lane".into(), place.lane.to_string().into());
        out.insert("laneGeneration".into(), place.generation.into());
        out.insert("laneSeq".into(), place.seq.into());
    }
    let text = |id: &Option<Id>| id.as_ref().map(|id| Value::from(id.as_str()));
    let optional = [
        (
            "sessionId",
            identity.session.as_ref().map(|id| id.as_str().into()),
        ),
        ("causationId", text(&identity.causation)),
        ("retryOf", text(&identity.retry_of)),
        (
            "idempotencyKey",
            identity.key.as_ref().map(|key| key.as_str().into()),
        ),
        ("ifSessionVersion", identity.if_version.map(Value::from)),
    ];
    out.extend(
        optional
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?))),
    );
    if !identity.depends_on.is_empty() {
        let ids: Vec<&str> = identity.depends_on.iter().map(Id::as_str).collect();
        out.insert("dependsOn".into(), ids.into());
    }
    out
}

fn outcome_members(
    outcome: Outcome,
    fault: Option<&Fault>,
    session_version: Option<u64>,
) -> Map<String, Value> {
    let mut out = Map::new();
    out.insert("success".into(), (outcome == Outcome::Succeeded).into());
    out.insert("outcome".into(), outcome.as_str().into());
    if let Some(fault) = fault {
        out.insert("error".into(), fault_json(fault));
    }
    if let Some(version) = session_version {
        out.insert("sessionVersion".into(), version.into());
    }
    if outcome == Outcome::TimedOut {
        out.insert("timedOut".into(), true.into());
    }
    out
}

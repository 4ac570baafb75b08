//! Reads: what can be said of a state to a caller. Pure; the shell answers read commands with these.

mod promises;
mod timers;

pub(crate) use promises::no_promise;
pub use promises::{is_settled, promise, promise_json, promises};
pub use timers::{
    Now, describe as describe_timer, now, now_json, submitted_by, tick_json, tick_of, ticks, ticks_json,
    timer, timer_json, timers,
};
pub(crate) use timers::{due_members, no_timer};

use crate::decide::workers::kind_of;
use crate::lifecycle::identity_members;
use crate::state::{Known, Session, State};
use actum_model::effect::{Doubt, Probing};
use actum_model::envelope::Caller;
use actum_model::event::StopReason;
use actum_model::ids::{CommandId, SessionId, Tenant};
use actum_model::outcome::{Identity, LanePlace};
use actum_model::promise::PromiseCounts;
use actum_model::response::fault_json;
use actum_model::restore::{CommandRow, Phase, Running};
use actum_model::worker::Worker;
use actum_model::{ErrorCode, Fault, Lane, Outcome, OutcomeRow, contract, time};
use serde_json::{Map, Value, json};

/// `session.get`.
///
/// # Errors
/// `SESSION_NOT_FOUND`.
pub fn session(state: &State, tenant: &Tenant, id: &SessionId) -> Result<Value, Fault> {
    let row = state.session(tenant, id);
    let fault = || Fault::new(ErrorCode::SessionNotFound, format!("no session `{id}` exists"));
    row.map(|row| session_json(id, row)).ok_or_else(fault)
}

/// `session.list`: at most `limit` sessions of the tenant after the session `after`, ascending by id.
#[must_use]
pub fn sessions(state: &State, tenant: &Tenant, after: Option<&str>, limit: usize) -> Value {
    let first = SessionId::parse("-").ok().map(|id| (tenant.clone(), id));
    let from = match after.and_then(|text| SessionId::parse(text).ok()) {
        Some(id) => Some((tenant.clone(), id)),
        None => first,
    };
    let Some(from) = from else {
        return json!({"sessions": []});
    };
    let rows = state
        .sessions
        .range(from..)
        .take_while(|((owner, _), _)| owner == tenant);
    let mut rows = rows.filter(|((_, id), _)| after.is_none_or(|after| id.as_str() > after));
    let page: Vec<(&SessionId, &Session)> = rows
        .by_ref()
        .take(limit)
        .map(|((_, id), row)| (id, row))
        .collect();
    let more = rows.next().is_some();
    let mut out = Map::new();
    if let Some((last, _)) = page.last().filter(|_| more) {
        out.insert("nextCursor".into(), last.as_str().into());
    }
    out.insert(
        "sessions".into(),
        page.iter().map(|(id, row)| session_json(id, row)).collect(),
    );
    Value::Object(out)
}

fn session_json(id: &SessionId, row: &Session) -> Value {
    let metadata: Map<String, Value> = row
        .metadata
        .iter()
        .map(|(key, value)| (key.to_string(), value.to_value()))
        .collect();
    let mut out = json!({"sessionId": id.as_str(), "version": row.version, "generation": row.generation,
        "createdAt": time::rfc3339(row.created_at), "metadata": metadata, "kind": kind_of(row.spec.as_ref())});
    let Value::Object(members) = &mut out else {
        return out;
    };
    if let Value::Object(spec) = row.spec_value() {
        members.extend(spec);
    }
    if let Some(worker) = &row.worker {
        members.insert("worker".into(), worker_json(worker));
    }
    if !row.promises.is_none() {
        let PromiseCounts {
            pending,
            high_water,
            resolved,
            rejected,
            timed_out,
            cancelled,
        } = row.promises;
        let counts = json!({"pending": pending, "highWater": high_water, "resolved": resolved,
            "rejected": rejected, "timedOut": timed_out, "cancelled": cancelled});
        members.insert("promises".into(), counts);
    }
    out
}

fn worker_json(worker: &Worker) -> Value {
    match worker {
        Worker::Live(live) => json!({"state": "live", "incarnation": live.incarnation.to_string(),
            "sandbox": live.sandbox.to_value()}),
        Worker::Lost { reason, at } => json!({"state": "lost", "reason": reason, "at": time::rfc3339(*at)}),
    }
}

fn known(state: &State, tenant: &Tenant, id: &CommandId) -> Result<Known, Fault> {
    let found = state.find(tenant, id);
    found.ok_or_else(|| {
        Fault::new(
            ErrorCode::CommandNotFound,
            format!("no command `{id}` is known here"),
        )
    })
}

/// `command.get`: where a command stands, with its outcome once it has one.
///
/// # Errors
/// `COMMAND_NOT_FOUND`, or `OUTCOME_EXPIRED` where the outcome is no longer kept.
pub fn command(state: &State, tenant: &Tenant, id: &CommandId) -> Result<Value, Fault> {
    match known(state, tenant, id)? {
        Known::InFlight(row) => Ok(unfinished_json(&row)),
        Known::Finished(row) => Ok(finished_json(&row)),
        Known::Retired(_) => {
            let message = format!("`{id}` finished, and its outcome is no longer kept");
            Err(Fault::new(ErrorCode::OutcomeExpired, message))
        }
    }
}

/// Whether this caller may wait for a command. A call from inside a running command must not wait for that command,
/// nor for one it was itself called from, nor for anything queued behind one of them: none of these can finish before.
///
/// # Errors
/// `INVALID_INPUT`.
pub fn check_wait(state: &State, caller: &Caller, target: &Identity) -> Result<(), Fault> {
    let mut parent = caller.exec;
    while let Some(row) = parent.and_then(|seq| state.command(seq)) {
        let place = row.identity.lane.as_ref();
        let lane = place.and_then(|place| state.lane(&row.identity.tenant, place));
        let itself = target.seq == row.identity.seq;
        if itself || lane.is_some_and(|lane| lane.queue.contains(&target.seq)) {
            let id = target.public_id();
            let message = format!("`{id}` cannot finish before the command this call comes from");
            return Err(Fault::new(ErrorCode::InvalidInput, message));
        }
        parent = place.and_then(|place| match place.lane {
            Lane::Exec(parent) => Some(parent),
            Lane::Session(_) | Lane::Server => None,
        });
    }
    Ok(())
}

/// The command in doubt at the head of a lane, which holds it.
#[must_use]
pub fn held_by(state: &State, tenant: &Tenant, place: &LanePlace) -> Option<CommandId> {
    let head = state.lane(tenant, place)?.queue.front()?;
    let row = state.command(*head)?;
    matches!(&row.phase, Phase::Running(running) if running.doubt.is_some()).then(|| row.identity.public_id())
}

/// Where an unfinished command stands, in one word.
#[must_use]
pub fn phase_name(row: &CommandRow) -> &'static str {
    match &row.phase {
        Phase::Queued => "queued",
        Phase::Waiting { .. } => "waiting",
        Phase::Running(running) if running.doubt.is_some() => "in_doubt",
        Phase::Running(running) if running.is_probed() => "probing",
        Phase::Running(running) if running.stopping.is_some() => "stopping",
        Phase::Running(_) => "running",
    }
}

fn unfinished_json(row: &CommandRow) -> Value {
    let mut out = identity_members(&row.identity);
    out.insert("state".into(), phase_name(row).into());
    out.insert("acceptedIdx".into(), row.accepted_idx.into());
    out.insert("acceptedAt".into(), time::rfc3339(row.accepted_at).into());
    if let Phase::Running(running) = &row.phase {
        out.insert("startedIdx".into(), running.started_idx.into());
        out.insert("effectId".into(), running.effect.to_string().into());
        if let Some(doubt) = running.doubt {
            out.insert("reason".into(), doubt.as_str().into());
        }
    }
    Value::Object(out)
}

/// A finished command, whole.
#[must_use]
pub fn finished_json(row: &OutcomeRow) -> Value {
    let mut out = identity_members(&row.identity);
    out.insert("state".into(), row.outcome.as_str().into());
    out.insert("success".into(), (row.outcome == Outcome::Succeeded).into());
    out.insert("acceptedIdx".into(), row.accepted_idx.into());
    out.insert("acceptedAt".into(), time::rfc3339(row.accepted_at).into());
    out.insert("finishedIdx".into(), row.finished_idx.into());
    out.insert("finishedAt".into(), time::rfc3339(row.finished_at).into());
    let optional = [
        ("startedIdx", row.started_idx.map(Value::from)),
        ("sessionVersion", row.session_version.map(Value::from)),
        ("data", row.data.as_ref().map(actum_model::Json::to_value)),
        ("error", row.fault.as_ref().map(|fault| fault_json(fault))),
    ];
    out.extend(
        optional
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?))),
    );
    Value::Object(out)
}

/// `command.why`: why a command stands where it stands, the nearest reason first.
///
/// # Errors
/// `COMMAND_NOT_FOUND`.
pub fn why(state: &State, tenant: &Tenant, id: &CommandId) -> Result<Value, Fault> {
    match known(state, tenant, id)? {
        Known::Retired(_) => Ok(json!({"id": id.as_str(), "state": "finished",
            "because": ["It finished, and its outcome is no longer kept here; the history still has its record."]})),
        Known::Finished(row) => {
            let mut because = finished_reasons(&row);
            because.extend(timers::reasons(state, tenant, id));
            Ok(json!({"id": id.as_str(), "state": row.outcome.as_str(), "because": because}))
        }
        Known::InFlight(row) => {
            let (mut because, next) = unfinished_reasons(state, tenant, &row);
            because.extend(timers::reasons(state, tenant, id));
            Ok(json!({"id": id.as_str(), "state": phase_name(&row), "because": because, "next": next}))
        }
    }
}

fn finished_reasons(row: &OutcomeRow) -> Vec<String> {
    let at = time::rfc3339(row.finished_at);
    match &row.fault {
        None => {
            let mut because = vec![format!("It succeeded in record {} at {at}.", row.finished_idx)];
            because.extend(
                by_probe(row).then(|| "Nobody saw what came of it; its probe found that it happened.".into()),
            );
            because
        }
        Some(fault) => vec![
            format!("{}: {}.", fault.code, fault.message),
            format!("Decided in record {} at {at}.", row.finished_idx),
            format!("What to do: {}.", fault.hint_text()),
        ],
    }
}

/// Whether the outcome of a command was found by its probe.
fn by_probe(row: &OutcomeRow) -> bool {
    let probed = contract::find(row.identity.kind.as_str()).is_some_and(|contract| contract.probe);
    let data = row
        .data
        .as_ref()
        .filter(|_| probed)
        .map(actum_model::Json::to_value);
    data.is_some_and(|data| data.get("probe").is_some())
}

fn unfinished_reasons(state: &State, tenant: &Tenant, row: &CommandRow) -> (Vec<String>, Vec<String>) {
    let id = row.identity.public_id();
    match &row.phase {
        Phase::Queued => (
            queued_reasons(state, tenant, row),
            vec![format!("actum cancel {id}")],
        ),
        Phase::Waiting { .. } => {
            let waits = row
                .pending
                .iter()
                .map(|dep| format!("It waits for {}.", describe(state, *dep)));
            (waits.collect(), vec![format!("actum cancel {id}")])
        }
        Phase::Running(running) => {
            let resolve = format!("actum resolve {id} --as landed|did_not_happen|retry --note TEXT");
            if let Some(doubt) = running.doubt {
                return (doubtful_reasons(running, doubt), vec![resolve]);
            }
            if running.is_probed() {
                return (probed_reasons(running), vec![format!("actum wait {id}"), resolve]);
            }
            let because = match &running.stopping {
                Some(StopReason::Timeout) => "Its time ran out, and it is being stopped.".to_owned(),
                Some(StopReason::Cancel { by, .. }) => {
                    format!("`{by}` cancelled it, and it is being stopped.")
                }
                None if running.dispatching => "It runs.".to_owned(),
                None => "It was started, and its effect is about to leave.".to_owned(),
            };
            (vec![because], vec![format!("actum cancel {id}")])
        }
    }
}

fn doubtful_reasons(running: &Running, doubt: Doubt) -> Vec<String> {
    let mut because = vec![format!(
        "Its effect was dispatched, and nobody knows what came of it ({}).",
        doubt.as_str()
    )];
    if let Some(Probing::Unanswered(why)) = &running.probe {
        because.push(format!("Its probe was asked and could not tell: {why}."));
    }
    because.push(
        "It is not contained: it may have changed things outside, so it is neither repeated nor given up."
            .into(),
    );
    because.push("Its lane waits until somebody says what happened.".into());
    because
}

fn probed_reasons(running: &Running) -> Vec<String> {
    let why = match running.lost {
        true => "Its effect was dispatched and its answer was lost, and its probe is asked what came of it.",
        false => "The daemon died after its effect was dispatched, and its probe is asked what came of it.",
    };
    let mut because = vec![why.to_owned()];
    match &running.stopping {
        Some(StopReason::Timeout) => {
            because.push("The probe's time ran out, and it is being stopped.".into());
        }
        Some(StopReason::Cancel { by, .. }) => {
            because.push(format!("`{by}` cancelled the probe, and it is being stopped."));
        }
        None => {}
    }
    because.push("Its lane waits meanwhile.".into());
    because
}

fn queued_reasons(state: &State, tenant: &Tenant, row: &CommandRow) -> Vec<String> {
    let lane = row
        .identity
        .lane
        .as_ref()
        .and_then(|place| state.lane(tenant, place));
    let (Some(lane), Some(place)) = (lane, &row.identity.lane) else {
        return vec!["It waits.".into()];
    };
    let ahead = lane
        .queue
        .iter()
        .take_while(|seq| **seq != row.identity.seq)
        .count();
    let mut reasons = vec![format!(
        "{ahead} command(s) stand before it in lane `{}`.",
        place.lane
    )];
    if let Some(head) = lane.queue.front().filter(|seq| **seq != row.identity.seq) {
        reasons.push(format!("At the head is {}.", describe(state, *head)));
    }
    reasons
}

fn describe(state: &State, seq: u64) -> String {
    match state.command(seq) {
        Some(row) => {
            let word = phase_name(row);
            format!(
                "`{}` ({}), which is {}",
                row.identity.public_id(),
                row.identity.kind,
                word.replace('_', " ")
            )
        }
        None => format!("command number {seq}"),
    }
}

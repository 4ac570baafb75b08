//! `session.cancel`, `session.interrupt`, `session.input`: what runs in a session is stopped, interrupted, answered.

use super::promise::{self, Told};
use crate::decide::Decider;
use actum_model::contract::Carrier;
use actum_model::event::{Event, StopReason};
use actum_model::outcome::Identity;
use actum_model::promise::PromiseState;
use actum_model::restore::{CommandRow, LaneKey, Phase};
use actum_model::{ErrorCode, Fault, Json, Lane, Outcome, contract};
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) fn run(decider: &mut Decider<'_>, seq: u64, kind: &str, arguments: &Value) {
    let Some(own) = decider.identity(seq) else { return };
    let done = running(decider, &own).and_then(|row| match kind {
        "session.cancel" => cancel(decider, &own, &row),
        "session.interrupt" => interrupt(decider, &own, &row),
        _ => input(decider, &own, &row, arguments),
    });
    match done {
        Ok(data) => decider.finish(seq, Outcome::Succeeded, Json::from_value(&data).ok(), None),
        Err(fault) => decider.fail(seq, fault),
    }
}

/// The command that runs in the session.
fn running(decider: &Decider<'_>, own: &Identity) -> Result<Arc<CommandRow>, Fault> {
    let Some(session) = own.session.clone() else {
        return Err(Fault::new(
            ErrorCode::InvalidInput,
            "/sessionId: expected a session",
        ));
    };
    if decider.state.session(&own.tenant, &session).is_none() {
        let message = format!("no session `{session}` exists");
        return Err(Fault::new(ErrorCode::SessionNotFound, message));
    }
    let key = LaneKey {
        tenant: own.tenant.clone(),
        lane: Lane::Session(session.clone()),
    };
    let head = decider
        .state
        .lanes
        .get(&key)
        .and_then(|lane| lane.queue.front().copied());
    let row = head.and_then(|head| decider.row(head));
    row.filter(|row| matches!(&row.phase, Phase::Running(running) if running.doubt.is_none()))
        .ok_or_else(|| {
            let message = format!("nothing runs in session `{session}`");
            Fault::new(ErrorCode::NothingRuns, message)
        })
}

fn cancel(decider: &mut Decider<'_>, own: &Identity, row: &CommandRow) -> Result<Value, Fault> {
    let by = own.principal.clone();
    decider.stop(row.identity.seq, StopReason::Cancel { by, command: own.seq });
    Ok(json!({"id": row.identity.public_id().as_str()}))
}

fn interrupt(decider: &mut Decider<'_>, own: &Identity, row: &CommandRow) -> Result<Value, Fault> {
    let in_worker = contract::find(row.identity.kind.as_str())
        .is_some_and(|contract| contract.carrier == Carrier::Session);
    if !in_worker {
        let message = format!(
            "`{}` is no code of the session's process: it can be cancelled",
            row.identity.public_id()
        );
        return Err(Fault::new(ErrorCode::NothingRuns, message));
    }
    decider.emit(Event::Interrupted {
        seq: row.identity.seq,
        by: own.principal.clone(),
    });
    Ok(json!({"id": row.identity.public_id().as_str()}))
}

fn input(
    decider: &mut Decider<'_>,
    own: &Identity,
    row: &CommandRow,
    arguments: &Value,
) -> Result<Value, Fault> {
    let Some(wanted) = decider.state.promises.pending_of_execution(row.identity.seq) else {
        let message = format!("`{}` does not ask for input", row.identity.public_id());
        return Err(Fault::new(ErrorCode::InputNotWanted, message));
    };
    let eof = arguments.get("eof").and_then(Value::as_bool).unwrap_or(false);
    let value = match (arguments.get("data").and_then(Value::as_str), eof) {
        (Some(data), false) => json!({"data": data}),
        (None, true) => json!({"eof": true}),
        (Some(_), true) | (None, false) => {
            let message = "/payload: expected either `data` or `eof: true`";
            return Err(Fault::new(ErrorCode::InvalidInput, message));
        }
    };
    let told = Told {
        state: PromiseState::Resolved,
        value: Json::from_value(&value).ok(),
        fault: None,
    };
    let id = promise::settle(decider, own, &wanted.promise, told)?;
    Ok(json!({"promiseId": id.as_str()}))
}

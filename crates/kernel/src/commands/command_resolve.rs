//! `command.resolve`: a person says what became of a command in doubt, or of one whose probe is still asked, and
//! it ends.

use crate::decide::Decider;
use crate::decide::admission::Candidate;
use actum_model::envelope::{Caller, Envelope};
use actum_model::event::{Event, Resolution, Resolved, StopReason};
use actum_model::ids::CommandId;
use actum_model::input::{OverRate, Submit};
use actum_model::outcome::Identity;
use actum_model::restore::{CommandRow, Phase, Running};
use actum_model::{ErrorCode, Fault, Hash, Json, Outcome, contract};
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) fn run(decider: &mut Decider<'_>, seq: u64, arguments: &Value) {
    let Some(own) = decider.identity(seq) else { return };
    let Some(id) = super::named(arguments) else { return };
    let Some(resolution) = arguments
        .get("as")
        .and_then(Value::as_str)
        .and_then(Resolution::parse)
    else {
        return;
    };
    let target = match target(decider, &own, &id) {
        Ok(target) => target,
        Err(fault) => return decider.fail(seq, fault),
    };
    stop_probe(decider, seq, &own, &target);
    let retried_by = (resolution == Resolution::Retry).then(|| CommandId::anonymous(seq + 1));
    decider.emit(Event::Resolved(Resolved {
        seq: target.identity.seq,
        resolution,
        by: own.principal.clone(),
        command: seq,
        note: arguments.get("note").and_then(Value::as_str).map(str::to_owned),
        retried_by: retried_by.clone(),
    }));
    match (resolution, &retried_by) {
        (Resolution::Landed, _) => {
            let result = arguments
                .get("result")
                .and_then(|value| Json::from_value(value).ok());
            decider.finish(target.identity.seq, Outcome::Succeeded, result, None);
        }
        (Resolution::Retry, Some(new)) => {
            let fault = Fault::new(
                ErrorCode::Retried,
                format!("ended by a person; `{new}` tries again"),
            )
            .with_details(&json!({"retriedBy": new.as_str()}));
            decider.fail(target.identity.seq, fault);
        }
        _ => {
            let message = format!("`{}` looked, and it did not happen", own.principal);
            decider.fail(target.identity.seq, Fault::new(ErrorCode::DidNotHappen, message));
        }
    }
    let data = match &retried_by {
        Some(new) => json!({"id": id.as_str(), "retriedBy": new.as_str()}),
        None => json!({"id": id.as_str()}),
    };
    decider.finish(seq, Outcome::Succeeded, Json::from_value(&data).ok(), None);
    if retried_by.is_some() {
        retry(decider, &own, &target, &id);
    }
}

fn target(decider: &Decider<'_>, own: &Identity, id: &CommandId) -> Result<Arc<CommandRow>, Fault> {
    let row = super::unfinished(decider, own, id)?;
    let uncertain = |running: &Running| running.doubt.is_some() || running.is_probed();
    if matches!(&row.phase, Phase::Running(running) if uncertain(running)) {
        return Ok(row);
    }
    Err(Fault::new(
        ErrorCode::NotInDoubt,
        format!("`{id}` is not in doubt"),
    ))
}

/// A person knows before the probe does: the probe is stopped, and what it still says comes late.
fn stop_probe(decider: &mut Decider<'_>, seq: u64, own: &Identity, target: &CommandRow) {
    if matches!(&target.phase, Phase::Running(running) if running.is_probed() && running.stopping.is_none()) {
        decider.emit(Event::Stopping {
            seq: target.identity.seq,
            why: StopReason::Cancel {
                by: own.principal.clone(),
                command: seq,
            },
        });
    }
}

/// A new command with the arguments of the old one, ordered by whoever resolved it, at the end of its lane.
fn retry(decider: &mut Decider<'_>, own: &Identity, old: &CommandRow, old_id: &CommandId) {
    let Some(contract) = contract::find(old.identity.kind.as_str()) else {
        return;
    };
    let envelope = Envelope {
        kind: old.identity.kind.clone(),
        id: None,
        session: old.identity.session.clone(),
        payload: old.payload.clone().unwrap_or_default(),
        depends_on: Vec::new(),
        if_version: None,
        key: None,
        timeout_ms: Some(old.timeout_ms),
        queue_timeout_ms: None,
        correlation: Some(old.identity.correlation_id()),
        causation: Some(own.public_id()),
        retry_of: Some(old_id.clone()),
        detach: true,
    };
    let caller = Caller {
        tenant: own.tenant.clone(),
        principal: own.principal.clone(),
        exec: None,
    };
    let submit = Submit {
        caller,
        envelope,
        fingerprint: Hash::ZERO,
        redacted: old.redacted,
        limited: OverRate::default(),
    };
    let lane = old.identity.lane.as_ref().map(|place| place.lane.clone());
    decider.accept(&Candidate {
        submit: &submit,
        contract,
        lane,
        deps: Vec::new(),
    });
}

//! `command.cancel`: what waits is over at once, what runs is stopped.

use crate::decide::Decider;
use actum_model::event::StopReason;
use actum_model::ids::CommandId;
use actum_model::outcome::Identity;
use actum_model::restore::Phase;
use actum_model::{ErrorCode, Fault, Json, Outcome};
use serde_json::{Value, json};

pub(super) fn run(decider: &mut Decider<'_>, seq: u64, arguments: &Value) {
    let Some(own) = decider.identity(seq) else { return };
    let Some(id) = super::named(arguments) else { return };
    let target = match target(decider, &own, &id) {
        Ok(target) => target,
        Err(fault) => return decider.fail(seq, fault),
    };
    let by = own.principal.clone();
    let queued = decider
        .row(target)
        .is_some_and(|row| !matches!(row.phase, Phase::Running(_)));
    if queued {
        let fault = Fault::new(
            ErrorCode::Cancelled,
            format!("cancelled by `{by}` before it started"),
        );
        decider.finish(target, Outcome::Cancelled, None, Some(fault));
    } else {
        decider.stop(target, StopReason::Cancel { by, command: seq });
    }
    let state = if decider.row(target).is_some() {
        "stopping"
    } else {
        "cancelled"
    };
    let data = json!({"id": id.as_str(), "state": state});
    decider.finish(seq, Outcome::Succeeded, Json::from_value(&data).ok(), None);
}

/// The number of the command to cancel.
fn target(decider: &Decider<'_>, own: &Identity, id: &CommandId) -> Result<u64, Fault> {
    if own.public_id() == *id {
        return Err(Fault::new(
            ErrorCode::InvalidInput,
            "a command cannot cancel itself",
        ));
    }
    let row = super::unfinished(decider, own, id)?;
    if matches!(&row.phase, Phase::Running(running) if running.doubt.is_some()) {
        let message = format!("`{id}` is in doubt: there is nothing left to stop");
        return Err(Fault::new(ErrorCode::InDoubt, message));
    }
    Ok(row.identity.seq)
}

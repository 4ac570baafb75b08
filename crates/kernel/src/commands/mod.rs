//! The command kinds the kernel carries out itself, one file each; the match below only delegates.

mod command_cancel;
mod command_resolve;
mod session_annotate;
mod session_create;
mod session_delete;
mod timer_cancel;
mod timer_set;

use crate::decide::Decider;
use crate::state::Known;
use actum_model::ids::CommandId;
use actum_model::outcome::Identity;
use actum_model::restore::{CommandRow, Phase};
use actum_model::{Contract, ErrorCode, Fault, Json};
use serde_json::Value;
use std::sync::Arc;

pub(crate) use crate::read::no_timer;
pub(crate) use session_create::EVENTS_MAX as CREATE_EVENTS_MAX;

/// Carries out a started command: makes its events, the last of which is its `finished`.
pub(crate) fn run(decider: &mut Decider<'_>, seq: u64, contract: &Contract, payload: &Json) {
    let arguments = payload.to_value();
    match contract.kind {
        "command.cancel" => command_cancel::run(decider, seq, &arguments),
        "command.resolve" => command_resolve::run(decider, seq, &arguments),
        "session.annotate" => session_annotate::run(decider, seq, &arguments),
        "session.create" => session_create::run(decider, seq, &arguments),
        "session.delete" => session_delete::run(decider, seq),
        "timer.cancel" => timer_cancel::run(decider, seq, &arguments),
        "timer.set" => timer_set::run(decider, seq, &arguments),
        kind => {
            let message = format!("`{kind}` is in the contract table, but nothing carries it out");
            decider.fail(seq, Fault::new(ErrorCode::Internal, message));
        }
    }
}

/// The command that the arguments name.
fn named(arguments: &Value) -> Option<CommandId> {
    arguments
        .get("id")
        .and_then(Value::as_str)
        .and_then(|text| CommandId::parse_any(text).ok())
}

/// The unfinished command that somebody names, and whether it is in doubt.
fn unfinished(
    decider: &Decider<'_>,
    own: &Identity,
    id: &CommandId,
) -> Result<(Arc<CommandRow>, bool), Fault> {
    match decider.state.find(&own.tenant, id) {
        None => Err(Fault::new(
            ErrorCode::CommandNotFound,
            format!("no command `{id}` is known"),
        )),
        Some(Known::Finished(row)) => {
            let message = format!("`{id}` has finished: {}", row.outcome.as_str());
            Err(Fault::new(ErrorCode::AlreadyFinished, message))
        }
        Some(Known::Retired(_)) => Err(Fault::new(
            ErrorCode::AlreadyFinished,
            format!("`{id}` finished long ago"),
        )),
        Some(Known::InFlight(row)) => {
            let doubt = matches!(&row.phase, Phase::Running(running) if running.doubt.is_some());
            Ok((row, doubt))
        }
    }
}

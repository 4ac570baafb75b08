//! The command kinds the kernel carries out itself, one file each; the match below only delegates.

mod command_cancel;
mod command_resolve;
mod graph;
mod promise;
mod session_annotate;
mod session_create;
mod session_delete;
mod session_running;
mod subject_erase;
mod timer_cancel;
mod timer_set;

use crate::decide::Decider;
use crate::state::Known;
use actum_model::ids::CommandId;
use actum_model::outcome::Identity;
use actum_model::restore::CommandRow;
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
        "graph.rewrite" | "sws.collapse" | "sws.create" | "sws.discard" | "sws.rebase" => {
            graph::run(decider, seq, contract.kind, &arguments);
        }
        "promise.cancel" | "promise.create" | "promise.reject" | "promise.resolve" => {
            promise::run(decider, seq, contract.kind, &arguments);
        }
        "session.annotate" => session_annotate::run(decider, seq, &arguments),
        "session.create" => session_create::run(decider, seq, &arguments),
        "session.cancel" | "session.input" | "session.interrupt" => {
            session_running::run(decider, seq, contract.kind, &arguments);
        }
        "session.delete" => session_delete::run(decider, seq),
        "subject.erase" => subject_erase::run(decider, seq, &arguments),
        "timer.cancel" => timer_cancel::run(decider, seq, &arguments),
        "timer.set" => timer_set::run(decider, seq, &arguments),
        kind => {
            let message = format!("`{kind}` is in the contract table, but nothing carries it out");
            decider.fail(seq, Fault::new(ErrorCode::Internal, message));
        }
    }
    // Redaction can take out an argument that a kind reads; without this such a command would never end.
    if decider.identity(seq).is_some() {
        let message = "an argument that Actum reads itself has the shape of a secret and was taken out";
        decider.fail(seq, Fault::new(ErrorCode::InvalidInput, message));
    }
}

/// Checks what a contract's schema cannot say of the arguments, before the command is accepted.
pub(crate) fn check(contract: &Contract, payload: &Json) -> Result<(), Fault> {
    match contract.kind {
        "graph.rewrite" => graph::check(&payload.to_value()),
        "session.create" => session_create::check(&payload.to_value()),
        _ => Ok(()),
    }
}

/// The command that the arguments name.
fn named(arguments: &Value) -> Option<CommandId> {
    arguments
        .get("id")
        .and_then(Value::as_str)
        .and_then(|text| CommandId::parse_any(text).ok())
}

/// The unfinished command that somebody names.
fn unfinished(decider: &Decider<'_>, own: &Identity, id: &CommandId) -> Result<Arc<CommandRow>, Fault> {
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
        Some(Known::InFlight(row)) => Ok(row),
    }
}

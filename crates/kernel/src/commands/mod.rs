//! The command kinds the kernel carries out itself, one file each; the match below only delegates.

mod command_cancel;
mod command_resolve;
mod session_annotate;
mod session_create;
mod session_delete;

use crate::decide::Decider;
use actum_model::ids::CommandId;
use actum_model::{Contract, ErrorCode, Fault, Json};
use serde_json::Value;

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

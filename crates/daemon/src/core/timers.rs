//! What the shell has to say to a timer that carries a command: it is carried out later, when neither the memory of
//! this process nor its flags are there any more.

use crate::redact::{self, Rules};
use actum_model::{Envelope, ErrorCode, Fault};
use serde_json::Value;

/// Whether a timer may be set that submits what it carries.
///
/// # Errors
/// `UNCAGED_REFUSED` for a program where programs are refused, `SECRET_UNAVAILABLE` for an inline secret.
pub(crate) fn check(envelope: &Envelope, allow_uncaged: bool, rules: &Rules) -> Result<(), Fault> {
    if envelope.kind.as_str() != "timer.set" {
        return Ok(());
    }
    let arguments = envelope.payload.to_value();
    let Some(command) = arguments.get("command") else {
        return Ok(());
    };
    if !allow_uncaged && command.get("type").and_then(Value::as_str) == Some("shell.run") {
        let message = "`shell.run` has no cage in this version, and this daemon does not run without one";
        return Err(Fault::new(ErrorCode::UncagedRefused, message));
    }
    if redact::command(&envelope.payload, rules).is_some() {
        let message = "a timer outlives the process that would have to keep an inline secret";
        return Err(Fault::new(ErrorCode::SecretUnavailable, message)
            .with_hint("put it into `<data>/secrets/NAME` and give it as `$secret:NAME`"));
    }
    Ok(())
}

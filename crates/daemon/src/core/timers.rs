//! What the shell has to say to a timer that carries a command: it is carried out later, when neither the memory of
//! this process nor its flags are there any more.

use crate::redact::{self, Rules};
use actum_model::{Envelope, ErrorCode, Fault};

/// Whether a timer may be set that submits what it carries.
///
/// # Errors
/// `SECRET_UNAVAILABLE` for an inline secret.
pub(crate) fn check(envelope: &Envelope, rules: &Rules) -> Result<(), Fault> {
    if envelope.kind.as_str() != "timer.set" {
        return Ok(());
    }
    let arguments = envelope.payload.to_value();
    if arguments.get("command").is_none() {
        return Ok(());
    }
    if redact::command(&envelope.payload, rules).is_some() {
        let message = "a timer outlives the process that would have to keep an inline secret";
        return Err(Fault::new(ErrorCode::SecretUnavailable, message)
            .with_hint("put it into `<data>/secrets/NAME` and give it as `$secret:NAME`"));
    }
    Ok(())
}

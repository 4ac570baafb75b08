//! Sessions and ids the command line makes where a kind needs one and none was named.

use crate::failure::{Failure, fault_of};
use crate::remote::Remote;
use actum_daemon::core::random_bytes;
use actum_model::contract::{self, SessionUse};
use actum_model::{ErrorCode, Hash};
use serde_json::json;

/// Whether commands of this kind get a session made for them: those that reach outside need one for their lane.
/// What is about a session must say which.
pub(crate) fn needs_session(kind: &str) -> bool {
    contract::find(kind)
        .is_some_and(|contract| contract.session == SessionUse::Required && contract.has_effect())
}

/// A new name with this beginning, that nobody else has.
pub(crate) fn fresh(prefix: &str) -> Result<String, Failure> {
    let bytes = random_bytes::<6>()
        .map_err(|error| Failure::new(ErrorCode::Internal, format!("no random bytes: {error}")))?;
    Ok(format!("{prefix}-{}", hex(&bytes)))
}

/// A name that the same content always gets, so that sending it again is a repetition and no conflict.
pub(crate) fn named_by(prefix: &str, content: &Hash) -> String {
    format!("{prefix}-{}", content.to_string().get(..12).unwrap_or_default())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Creates the session, unless it is there. Creating it again under the same name is answered from the record.
pub(crate) async fn create(remote: &Remote, session: &str) -> Result<(), Failure> {
    let id = format!("{session}-create");
    let envelope = json!({"type": "session.create", "id": id, "sessionId": session, "payload": {}});
    match fault_of(&remote.submit(&envelope).await?) {
        Some(fault) if fault.code != ErrorCode::SessionExists => Err(fault.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_content_gets_the_same_name() {
        let name = |text: &[u8]| named_by("submit", &Hash::of(text));
        assert_eq!(name(b"a"), name(b"a"));
        assert_ne!(name(b"a"), name(b"b"));
        assert!(actum_model::SessionId::parse(&name(b"a")).is_ok());
        assert!(
            needs_session("shell.run") && !needs_session("session.create") && !needs_session("session.get")
        );
    }
}

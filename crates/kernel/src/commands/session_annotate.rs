//! `session.annotate`: sets a metadata entry of a session, or removes it.

use crate::decide::Decider;
use actum_model::event::{Event, SessionAnnotated};
use actum_model::limits::ANNOTATIONS_MAX;
use actum_model::{ErrorCode, Fault, Json, Outcome};
use serde_json::Value;

pub(super) fn run(decider: &mut Decider<'_>, seq: u64, arguments: &Value) {
    let Some(identity) = decider.identity(seq) else {
        return;
    };
    let (Some(session), Some(key)) = (
        identity.session.clone(),
        arguments.get("key").and_then(Value::as_str),
    ) else {
        return;
    };
    let tenant = identity.tenant.clone();
    let value = match arguments.get("value") {
        None | Some(Value::Null) => None,
        Some(value) => Json::from_value(value).ok(),
    };
    let full = decider
        .state
        .session(&tenant, &session)
        .is_some_and(|state| state.metadata.len() >= ANNOTATIONS_MAX && !state.metadata.contains_key(key));
    if full && value.is_some() {
        let message = format!("session `{session}` has {ANNOTATIONS_MAX} annotations already");
        return decider.fail(seq, Fault::new(ErrorCode::LimitExceeded, message));
    }
    decider.emit(Event::SessionAnnotated(SessionAnnotated {
        tenant,
        session,
        key: key.into(),
        value,
    }));
    decider.finish(seq, Outcome::Succeeded, None, None);
}

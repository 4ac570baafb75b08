//! `session.create`: a session comes into being at version 0.

use crate::decide::Decider;
use actum_model::event::{Event, SessionAnnotated};
use actum_model::limits::{ANNOTATION_KEY_CHARS_MAX, ANNOTATIONS_MAX, SESSION_FOLDERS_MAX, SESSIONS_MAX};
use actum_model::{ErrorCode, Fault, Json, Outcome};
use serde_json::{Map, Value, json};

/// Annotations a session may start with: a record has room for them beside what else it holds.
const METADATA_MAX: usize = ANNOTATIONS_MAX / 2;
/// Events that carrying it out may make, from `started` on.
pub(crate) const EVENTS_MAX: usize = METADATA_MAX + 8;

pub(super) fn run(decider: &mut Decider<'_>, seq: u64, arguments: &Value) {
    let Some(identity) = decider.identity(seq) else {
        return;
    };
    let tenant = identity.tenant.clone();
    let Some(session) = identity.session.clone() else {
        return;
    };
    if decider.state.session(&tenant, &session).is_some() {
        let message = format!("a session `{session}` exists already");
        return decider.fail(seq, Fault::new(ErrorCode::SessionExists, message));
    }
    if decider.state.sessions.len() >= SESSIONS_MAX {
        let message = format!("there are {SESSIONS_MAX} sessions already");
        return decider.fail(seq, Fault::new(ErrorCode::LimitExceeded, message));
    }
    let metadata = match metadata(arguments) {
        Ok(metadata) => metadata,
        Err(fault) => return decider.fail(seq, fault),
    };
    decider.emit(Event::SessionCreated {
        tenant: tenant.clone(),
        session: session.clone(),
        spec: spec(arguments),
    });
    for (key, value) in metadata {
        let (tenant, session) = (tenant.clone(), session.clone());
        decider.emit(Event::SessionAnnotated(SessionAnnotated {
            tenant,
            session,
            key: key.into(),
            value: Some(value),
        }));
    }
    let data = json!({"sessionId": session.as_str(), "generation": decider.head.idx});
    decider.finish(seq, Outcome::Succeeded, Json::from_value(&data).ok(), None);
}

/// Members of the arguments that say what the session is for.
const SPEC: [&str; 4] = ["folders", "kind", "profile", "workspace"];

/// What the session is for, where it says so.
fn spec(arguments: &Value) -> Option<Json> {
    let members = SPEC
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), arguments.get(name)?.clone())));
    let members: Map<String, Value> = members.collect();
    if members.is_empty() {
        return None;
    }
    Json::from_value(&Value::Object(members)).ok()
}

/// What does not fit together in what a session is for.
pub(super) fn check(arguments: &Value) -> Result<(), Fault> {
    let invalid = |message: &str| Err(Fault::new(ErrorCode::InvalidInput, message));
    let profile = arguments
        .get("profile")
        .and_then(Value::as_str)
        .unwrap_or("workspace");
    let folders = arguments
        .get("folders")
        .and_then(Value::as_array)
        .map_or(0, Vec::len);
    if folders > SESSION_FOLDERS_MAX {
        let message = format!("/payload/folders: expected at most {SESSION_FOLDERS_MAX}, got {folders}");
        return Err(Fault::new(ErrorCode::LimitExceeded, message));
    }
    if profile != "workspace" && arguments.get("workspace").is_some() {
        return invalid("/payload/workspace: only the profile `workspace` has one");
    }
    match (profile, folders) {
        ("pure", 1..) => invalid("/payload/folders: the profile `pure` has none"),
        ("custom" | "read", 0) => {
            let message = format!("/payload/folders: the profile `{profile}` needs at least one");
            Err(Fault::new(ErrorCode::InvalidInput, message))
        }
        _ if profile != "custom" && writes(arguments) => {
            invalid("/payload/folders: only the profile `custom` has folders to write")
        }
        _ => Ok(()),
    }
}

fn writes(arguments: &Value) -> bool {
    let folders = arguments.get("folders").and_then(Value::as_array);
    let write = |folder: &Value| folder.get("write") == Some(&Value::Bool(true));
    folders.is_some_and(|folders| folders.iter().any(write))
}

fn metadata(arguments: &Value) -> Result<Vec<(String, Json)>, Fault> {
    let none = Map::new();
    let members = match arguments.get("metadata") {
        None => &none,
        Some(Value::Object(members)) if !members.contains_key("$redacted") => members,
        Some(Value::Object(_)) => {
            let message =
                "/payload/metadata: expected an object whose members may be marked, got one mark for all";
            return Err(Fault::new(ErrorCode::InvalidInput, message));
        }
        Some(_) => {
            return Err(Fault::new(
                ErrorCode::InvalidInput,
                "/payload/metadata: expected an object",
            ));
        }
    };
    if members.len() > METADATA_MAX {
        let message = format!(
            "a session starts with at most {METADATA_MAX} annotations, got {}",
            members.len()
        );
        return Err(Fault::new(ErrorCode::LimitExceeded, message));
    }
    if let Some(key) = members
        .keys()
        .find(|key| key.is_empty() || key.len() > ANNOTATION_KEY_CHARS_MAX)
    {
        let message = format!(
            "an annotation key has 1 to {ANNOTATION_KEY_CHARS_MAX} bytes, got {}",
            key.len()
        );
        return Err(Fault::new(ErrorCode::InvalidInput, message));
    }
    let entry =
        |(key, value): (&String, &Value)| Json::from_value(value).ok().map(|value| (key.clone(), value));
    Ok(members.iter().filter_map(entry).collect())
}

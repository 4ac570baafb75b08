//! Reads of promises. Every command is a promise too, under the id `exec:<command>`.

use super::{finished_json, known, unfinished_json};
use crate::state::{Known, State};
use actum_model::ids::{CommandId, Tenant};
use actum_model::promise::{EXECUTION_PREFIX, PromiseRow};
use actum_model::response::fault_json;
use actum_model::{ErrorCode, Fault, Outcome, time};
use serde_json::{Map, Value, json};

/// Rows that a page of a search looks at before it ends: what it looks for may be nowhere.
const SCANNED_MAX: usize = 10_000;

/// `promise.get`.
///
/// # Errors
/// `PROMISE_NOT_FOUND`; for the promise that a command is, as `command.get`.
pub fn promise(state: &State, tenant: &Tenant, id: &CommandId) -> Result<Value, Fault> {
    if let Some(row) = state.promise(tenant, id) {
        return Ok(promise_json(row));
    }
    let command = id.as_str().strip_prefix(EXECUTION_PREFIX);
    match command.and_then(|text| CommandId::parse_any(text).ok()) {
        Some(command) => execution_json(state, tenant, id, &command),
        None => Err(no_promise(id)),
    }
}

/// Whether a promise is settled, so that nobody need wait for it.
#[must_use]
pub fn is_settled(promise: &Value) -> bool {
    promise.get("state").and_then(Value::as_str) != Some("pending")
}

pub(crate) fn no_promise(id: &CommandId) -> Fault {
    Fault::new(ErrorCode::PromiseNotFound, format!("no promise `{id}` is known"))
}

fn execution_json(
    state: &State,
    tenant: &Tenant,
    id: &CommandId,
    command: &CommandId,
) -> Result<Value, Fault> {
    let (whole, word) = match known(state, tenant, command).map_err(|_| no_promise(id))? {
        Known::InFlight(row) => (unfinished_json(&row), "pending"),
        Known::Finished(row) => {
            let word = match row.outcome {
                Outcome::Succeeded => "resolved",
                Outcome::Failed | Outcome::Rejected => "rejected",
                Outcome::TimedOut => "timed_out",
                Outcome::Cancelled => "cancelled",
            };
            (finished_json(&row), word)
        }
        Known::Retired(_) => {
            let message = format!("`{command}` finished, and its outcome is no longer kept");
            return Err(Fault::new(ErrorCode::OutcomeExpired, message));
        }
    };
    let mut out = Map::new();
    out.insert("promiseId".into(), id.as_str().into());
    out.insert("state".into(), word.into());
    let same = [
        ("createdAt", "acceptedAt"),
        ("principal", "principal"),
        ("sessionId", "sessionId"),
        ("value", "data"),
        ("error", "error"),
        ("settledAt", "finishedAt"),
    ];
    for (name, of) in same {
        if let Some(value) = whole.get(of) {
            out.insert(name.into(), value.clone());
        }
    }
    Ok(Value::Object(out))
}

/// A promise on the wire.
#[must_use]
pub fn promise_json(row: &PromiseRow) -> Value {
    let mut out = Map::new();
    out.insert("promiseId".into(), row.promise.as_str().into());
    out.insert("state".into(), row.state_name().into());
    out.insert("createdAt".into(), time::rfc3339(row.created_at).into());
    out.insert("principal".into(), row.by.as_str().into());
    if let Some(session) = &row.session {
        out.insert("sessionId".into(), session.as_str().into());
    }
    if let Some(at) = row.timeout_at {
        out.insert("timeoutAt".into(), time::rfc3339(at).into());
    }
    if !row.tags.is_empty() {
        let tags = row.tags.iter();
        let tags: Map<String, Value> = tags
            .map(|(name, value)| (name.to_string(), value.as_str().into()))
            .collect();
        out.insert("tags".into(), tags.into());
    }
    if let Some(settled) = &row.settled {
        if let Some(value) = &settled.value {
            out.insert("value".into(), value.to_value());
        }
        if let Some(fault) = &settled.fault {
            out.insert("error".into(), fault_json(fault));
        }
        if let Some(by) = &settled.by {
            out.insert("settledBy".into(), by.as_str().into());
        }
        out.insert("settledAt".into(), time::rfc3339(settled.at).into());
    }
    Value::Object(out)
}

/// `promise.search`: at most `limit` promises of the tenant that fit, ascending by id. A page may end before it is
/// full, with a cursor, where many had to be looked at.
#[must_use]
pub fn promises(state: &State, tenant: &Tenant, arguments: &Value, limit: usize) -> Value {
    let text = |name: &str| arguments.get(name).and_then(Value::as_str);
    let (after, prefix) = (text("after"), text("prefix").unwrap_or_default());
    let from = after
        .into_iter()
        .chain([prefix, "-"])
        .find_map(|text| CommandId::parse_any(text).ok());
    let Some(from) = from else {
        return json!({"promises": []});
    };
    let mut page = Vec::new();
    let mut next = None;
    let rows = state.promises.rows.range((tenant.clone(), from)..);
    let rows = rows.take_while(|((owner, _), _)| owner == tenant);
    let mut last: Option<&CommandId> = None;
    for (looked, ((_, id), row)) in rows
        .filter(|((_, id), _)| after.is_none_or(|after| id.as_str() > after))
        .enumerate()
    {
        if page.len() == limit || looked == SCANNED_MAX {
            next = last;
            break;
        }
        last = Some(id);
        if fits(row, arguments, prefix) {
            page.push(promise_json(row));
        }
    }
    let mut out = json!({"promises": page});
    if let (Some(next), Value::Object(members)) = (next, &mut out) {
        members.insert("nextCursor".into(), next.as_str().into());
    }
    out
}

fn fits(row: &PromiseRow, arguments: &Value, prefix: &str) -> bool {
    let text = |name: &str| arguments.get(name).and_then(Value::as_str);
    let tags = arguments.get("tags").and_then(Value::as_object);
    let tagged = tags
        .into_iter()
        .flatten()
        .all(|(name, value)| row.tags.get(name.as_str()).map(|tag| tag.as_str()) == value.as_str());
    let session = row.session.as_ref().map(|session| session.as_str());
    tagged
        && row.promise.as_str().starts_with(prefix)
        && text("state").is_none_or(|state| state == row.state_name())
        && text("sessionId").is_none_or(|of| session == Some(of))
}

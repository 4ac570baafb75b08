//! `promise.create`, `promise.resolve`, `promise.reject`, `promise.cancel`: values that are still to come.

use crate::decide::Decider;
use actum_model::event::Event;
use actum_model::ids::CommandId;
use actum_model::limits::{PROMISES_PENDING_MAX, TIMER_MS_MAX};
use actum_model::outcome::Identity;
use actum_model::promise::{EXECUTION_PREFIX, PromiseRow, PromiseSettled, PromiseState};
use actum_model::{ErrorCode, Fault, Json, Outcome, time};
use serde_json::Value;

pub(super) fn run(decider: &mut Decider<'_>, seq: u64, kind: &str, arguments: &Value) {
    let Some(own) = decider.identity(seq) else { return };
    let done = match kind {
        "promise.create" => create(decider, &own, arguments),
        _ => named(arguments).and_then(|id| settle(decider, &own, &id, told(kind, arguments))),
    };
    match done {
        Ok(id) => {
            let data = crate::read::promise(decider.state, &own.tenant, &id).ok();
            let data = data.and_then(|data| Json::from_value(&data).ok());
            decider.finish(seq, Outcome::Succeeded, data, None);
        }
        Err(fault) => decider.fail(seq, fault),
    }
}

fn named(arguments: &Value) -> Result<CommandId, Fault> {
    let text = arguments.get("promiseId").and_then(Value::as_str);
    let id = text.and_then(|text| CommandId::parse_any(text).ok());
    id.ok_or_else(|| {
        Fault::new(
            ErrorCode::InvalidInput,
            "/payload/promiseId: expected the id of a promise",
        )
    })
}

fn create(decider: &mut Decider<'_>, own: &Identity, arguments: &Value) -> Result<CommandId, Fault> {
    let promise = match arguments.get("promiseId") {
        Some(_) => named(arguments)?,
        None => CommandId::parse(&format!("promise-{}", own.seq))
            .map_err(|error| Fault::new(ErrorCode::Internal, error.to_string()))?,
    };
    let caller = decider.current(own.seq).and_then(|current| current.exec);
    let execution = belongs_to(decider, caller, &promise)?;
    if decider.state.promise(&own.tenant, &promise).is_some() {
        let message = format!("a promise `{promise}` exists already");
        return Err(Fault::new(ErrorCode::PromiseExists, message));
    }
    if decider.state.promises.pending() >= PROMISES_PENDING_MAX {
        let message = format!("{PROMISES_PENDING_MAX} promises are pending already");
        return Err(Fault::new(ErrorCode::LimitExceeded, message));
    }
    let tags = arguments.get("tags").and_then(Value::as_object);
    let tags = tags.into_iter().flatten();
    let tag = |(name, value): (&String, &Value)| Some((name.as_str().into(), value.as_str()?.into()));
    let row = PromiseRow {
        tenant: own.tenant.clone(),
        promise: promise.clone(),
        by: own.principal.clone(),
        command: own.seq,
        session: session_of(decider, own, caller)?,
        execution,
        timeout_at: timeout(decider, arguments)?,
        tags: tags.filter_map(tag).collect(),
        created_idx: decider.head.idx,
        created_at: decider.head.at,
        settled: None,
    };
    decider.emit(Event::PromiseCreated(Box::new(row)));
    Ok(promise)
}

/// The running command that a promise belongs to. Ids of executions are only for calls from inside of them.
fn belongs_to(decider: &Decider<'_>, caller: Option<u64>, promise: &CommandId) -> Result<Option<u64>, Fault> {
    if !promise.as_str().starts_with(EXECUTION_PREFIX) {
        return Ok(None);
    }
    let caller = caller.and_then(|seq| decider.row(seq));
    let own = caller.filter(|row| {
        let prefix = format!("{EXECUTION_PREFIX}{}:", row.identity.public_id());
        promise.as_str().starts_with(&prefix)
    });
    match own {
        Some(row) => Ok(Some(row.identity.seq)),
        None => {
            let message = format!(
                "/payload/promiseId: ids that begin with `{EXECUTION_PREFIX}` are for executions themselves, got `{promise}`"
            );
            Err(Fault::new(ErrorCode::InvalidInput, message))
        }
    }
}

/// The session named, or that of the command it is called from.
fn session_of(
    decider: &Decider<'_>,
    own: &Identity,
    caller: Option<u64>,
) -> Result<Option<actum_model::SessionId>, Fault> {
    if let Some(session) = &own.session {
        return match decider.state.session(&own.tenant, session) {
            Some(_) => Ok(Some(session.clone())),
            None => {
                let message = format!("no session `{session}` exists");
                Err(Fault::new(ErrorCode::SessionNotFound, message))
            }
        };
    }
    let caller = caller.and_then(|seq| decider.row(seq));
    Ok(caller.and_then(|row| row.identity.session.clone()))
}

fn timeout(decider: &Decider<'_>, arguments: &Value) -> Result<Option<u64>, Fault> {
    let at = arguments.get("timeoutAt").and_then(Value::as_str);
    let within = arguments.get("timeoutMs").and_then(Value::as_u64);
    match (at, within) {
        (Some(_), Some(_)) => {
            let message = "/payload/timeoutMs: expected `timeoutAt` or `timeoutMs`, got both";
            Err(Fault::new(ErrorCode::InvalidInput, message))
        }
        (Some(text), None) => {
            let at = time::parse(text).ok_or_else(|| {
                let message = format!("/payload/timeoutAt: expected a time in RFC 3339, got `{text}`");
                Fault::new(ErrorCode::InvalidInput, message)
            })?;
            if at > decider.head.at.saturating_add(TIMER_MS_MAX) {
                let message = format!("/payload/timeoutAt: expected at most {TIMER_MS_MAX} ms ahead");
                return Err(Fault::new(ErrorCode::LimitExceeded, message));
            }
            Ok(Some(at))
        }
        (None, Some(within)) => Ok(Some(decider.head.at.saturating_add(within))),
        (None, None) => Ok(None),
    }
}

/// What a promise is settled with.
pub(super) struct Told {
    pub(super) state: PromiseState,
    pub(super) value: Option<Json>,
    pub(super) fault: Option<Fault>,
}

fn told(kind: &str, arguments: &Value) -> Told {
    let value = arguments.get("value").unwrap_or(&Value::Null);
    let value = Json::from_value(value).ok();
    let text = |name: &str| arguments.get(name).and_then(Value::as_str);
    match kind {
        "promise.resolve" => Told {
            state: PromiseState::Resolved,
            value,
            fault: None,
        },
        "promise.reject" => Told {
            state: PromiseState::Rejected,
            value: arguments.get("value").and(value),
            fault: Some(Fault::new(
                ErrorCode::PromiseRejected,
                text("message").unwrap_or("it was rejected"),
            )),
        },
        _ => Told {
            state: PromiseState::Cancelled,
            value: None,
            fault: Some(Fault::new(
                ErrorCode::Cancelled,
                text("reason").unwrap_or("somebody gave it up"),
            )),
        },
    }
}

/// Settles a pending promise. A settled one never changes; saying the same of it again is no error.
pub(super) fn settle(
    decider: &mut Decider<'_>,
    own: &Identity,
    id: &CommandId,
    told: Told,
) -> Result<CommandId, Fault> {
    let Some(row) = decider.state.promise(&own.tenant, id) else {
        return Err(crate::read::no_promise(id));
    };
    if let Some(settled) = &row.settled {
        if settled.settled == told.state && settled.value == told.value && settled.fault == told.fault {
            return Ok(id.clone());
        }
        let message = format!("promise `{id}` is {} already", row.state_name());
        return Err(Fault::new(ErrorCode::PromiseSettled, message));
    }
    decider.emit(Event::PromiseSettled(Box::new(PromiseSettled {
        tenant: own.tenant.clone(),
        promise: id.clone(),
        settled: told.state,
        value: told.value,
        fault: told.fault,
        by: Some(own.principal.clone()),
    })));
    Ok(id.clone())
}

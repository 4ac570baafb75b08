//! Answers read commands from a durable state, off the engine's thread.

use super::handle::{Published, Shared};
use super::thread::ReadRequest;
use crate::redact::REDACTION_VERSION;
use actum_kernel::{Known, State, read};
use actum_model::ids::{CommandId, Tenant};
use actum_model::limits::PAGE_DEFAULT;
use actum_model::{Envelope, ErrorCode, Fault, Outcome, Response, time};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long `command.wait` waits if it does not say.
const WAIT_MS_DEFAULT: u64 = 30_000;

/// Answers a read on the runtime.
pub(crate) fn spawn(
    runtime: &tokio::runtime::Handle,
    shared: &Arc<Shared>,
    published: Arc<Published>,
    request: ReadRequest,
) {
    let shared = Arc::clone(shared);
    runtime.spawn(async move {
        let envelope = &request.envelope;
        let id = envelope.id.as_ref().map(ToString::to_string);
        let response = match answer(&shared, published, &request).await {
            Ok(data) => Response::read(envelope.kind.as_str(), id.as_deref(), &data),
            Err(fault) => Response::refused(envelope.kind.as_str(), id.as_deref(), fault),
        };
        request.reply.send(response);
    });
}

async fn answer(
    shared: &Arc<Shared>,
    published: Arc<Published>,
    request: &ReadRequest,
) -> Result<Value, Fault> {
    let envelope = &request.envelope;
    let tenant = &request.caller.tenant;
    let arguments = envelope.payload.to_value();
    let state = &published.state;
    match envelope.kind.as_str() {
        "command.get" => read::command(state, tenant, &named(&arguments)?),
        "command.why" => read::why(state, tenant, &named(&arguments)?),
        "command.wait" => wait(shared, request, &arguments).await,
        "personal.get" => {
            let (shared, tenant) = (Arc::clone(shared), tenant.clone());
            let read = tokio::task::spawn_blocking(move || personal(&shared, &tenant, &arguments));
            read.await
                .map_err(|error| Fault::new(ErrorCode::Internal, error.to_string()))?
        }
        "promise.await" => wait_for_promise(shared, request, &arguments).await,
        "promise.get" => read::promise(state, tenant, &promise_named(&arguments)?),
        "promise.search" => {
            let limit = arguments.get("limit").and_then(Value::as_u64);
            let limit = limit.and_then(|n| usize::try_from(n).ok());
            Ok(read::promises(
                state,
                tenant,
                &arguments,
                limit.unwrap_or(PAGE_DEFAULT),
            ))
        }
        "server.health" => Ok(health(shared)),
        "server.metrics" => Ok(metrics(shared, &published)),
        "server.pool" => match shared.sessions.get() {
            Some(sessions) => Ok(sessions.describe(tenant)),
            None => Err(Fault::new(ErrorCode::ShuttingDown, "the daemon is starting")),
        },
        "server.recovery" => Ok(recovery(shared, tenant)),
        "server.history" => {
            let (shared, tenant) = (Arc::clone(shared), tenant.clone());
            let read =
                tokio::task::spawn_blocking(move || shared.history.query(&tenant, &arguments, &published));
            read.await
                .map_err(|error| Fault::new(ErrorCode::Internal, error.to_string()))?
        }
        "time.now" => Ok(read::now_json(state)),
        "time.ticks" => {
            let number = |name: &str| arguments.get(name).and_then(Value::as_u64);
            let first = number("first").and_then(|n| usize::try_from(n).ok());
            Ok(read::ticks_json(
                state,
                number("after"),
                first.unwrap_or(PAGE_DEFAULT),
            ))
        }
        "timer.get" => {
            let id = arguments
                .get("timerId")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let id = CommandId::parse_any(id)
                .map_err(|error| Fault::new(ErrorCode::InvalidInput, error.to_string()))?;
            read::timer(state, tenant, &id)
        }
        "timer.list" => {
            let limit = arguments.get("limit").and_then(Value::as_u64);
            let limit = limit.and_then(|n| usize::try_from(n).ok());
            let after = arguments.get("after").and_then(Value::as_str);
            Ok(read::timers(state, tenant, after, limit.unwrap_or(PAGE_DEFAULT)))
        }
        "session.get" => session(&published, request, envelope),
        "session.list" => {
            let limit = arguments
                .get("limit")
                .and_then(Value::as_u64)
                .and_then(|n| usize::try_from(n).ok());
            let after = arguments.get("after").and_then(Value::as_str);
            Ok(read::sessions(
                state,
                tenant,
                after,
                limit.unwrap_or(PAGE_DEFAULT),
            ))
        }
        kind => Err(Fault::new(
            ErrorCode::Internal,
            format!("nothing answers `{kind}`"),
        )),
    }
}

/// `server.recovery`: the counts, and the commands of the caller's own tenant.
fn recovery(shared: &Shared, tenant: &Tenant) -> Value {
    let mut summary = (**shared.recovery.load()).clone();
    if let Some(Value::Array(commands)) = summary.get_mut("commands") {
        commands.retain_mut(|command| {
            let Value::Object(members) = command else {
                return false;
            };
            members
                .remove("tenant")
                .is_some_and(|owner| owner == tenant.as_str())
        });
    }
    summary
}

/// `personal.get`: for the tenant the value was given by, as its commands are.
fn personal(shared: &Shared, tenant: &Tenant, arguments: &Value) -> Result<Value, Fault> {
    let reference = arguments.get("ref").and_then(Value::as_str).unwrap_or_default();
    let hash = reference
        .parse()
        .map_err(|error| Fault::new(ErrorCode::InvalidInput, format!("/payload/ref: {error}")))?;
    let value = shared.personal.open(tenant, &hash)?;
    Ok(json!({"value": value}))
}

fn named(arguments: &Value) -> Result<CommandId, Fault> {
    let id = arguments.get("id").and_then(Value::as_str).unwrap_or_default();
    CommandId::parse_any(id).map_err(|error| Fault::new(ErrorCode::InvalidInput, error.to_string()))
}

fn promise_named(arguments: &Value) -> Result<CommandId, Fault> {
    let id = arguments
        .get("promiseId")
        .and_then(Value::as_str)
        .unwrap_or_default();
    CommandId::parse_any(id).map_err(|error| Fault::new(ErrorCode::InvalidInput, error.to_string()))
}

fn session(published: &Published, request: &ReadRequest, envelope: &Envelope) -> Result<Value, Fault> {
    let missing = || Fault::new(ErrorCode::SessionRequired, "`session.get` needs a `sessionId`");
    let id = envelope.session.as_ref().ok_or_else(missing)?;
    read::session(&published.state, &request.caller.tenant, id)
}

/// `command.wait`: answers when the command has its outcome.
async fn wait(shared: &Arc<Shared>, request: &ReadRequest, arguments: &Value) -> Result<Value, Fault> {
    let id = named(arguments)?;
    let tenant = &request.caller.tenant;
    let look = |state: &State| match state.find(tenant, &id) {
        // Of a command that waits for the caller there is nothing to wait for.
        Some(Known::InFlight(row)) => {
            read::check_wait(state, &request.caller, &row.identity)?;
            Ok(None)
        }
        _ => read::command(state, tenant, &id).map(Some),
    };
    let late = |wait_ms| format!("`{id}` has not finished within {wait_ms} ms");
    watch(shared, arguments, look, late).await
}

/// `promise.await`: answers when the promise is settled.
async fn wait_for_promise(
    shared: &Arc<Shared>,
    request: &ReadRequest,
    arguments: &Value,
) -> Result<Value, Fault> {
    let id = promise_named(arguments)?;
    let tenant = &request.caller.tenant;
    let look = |state: &State| {
        let found = read::promise(state, tenant, &id)?;
        Ok(read::is_settled(&found).then_some(found))
    };
    let late = |wait_ms| format!("promise `{id}` was not settled within {wait_ms} ms");
    watch(shared, arguments, look, late).await
}

/// Looks at the newest durable state after each batch until there is an answer, for as long as `waitMs` says.
async fn watch(
    shared: &Arc<Shared>,
    arguments: &Value,
    look: impl Fn(&State) -> Result<Option<Value>, Fault>,
    late: impl Fn(u64) -> String,
) -> Result<Value, Fault> {
    let wait_ms = arguments
        .get("waitMs")
        .and_then(Value::as_u64)
        .unwrap_or(WAIT_MS_DEFAULT);
    let mut head = shared.head.subscribe();
    // Looked up behind that: a batch that was released since the request was is seen here, or it wakes.
    let mut latest = shared.published.load_full();
    let until_there = async {
        loop {
            if let Some(answer) = look(&latest.state)? {
                return Ok(answer);
            }
            if head.changed().await.is_err() {
                return Err(Fault::new(ErrorCode::ShuttingDown, "the daemon has ended"));
            }
            latest = shared.published.load_full();
        }
    };
    match tokio::time::timeout(Duration::from_millis(wait_ms), until_there).await {
        Ok(answer) => answer,
        Err(_) => Err(Fault::new(ErrorCode::WaitTimeout, late(wait_ms))),
    }
}

/// `server.health`.
pub(crate) fn health(shared: &Shared) -> Value {
    let published = shared.published.load();
    let draining = *shared.draining.borrow();
    let mut health = json!({
        "status": if draining { "draining" } else { "ok" },
        "version": env!("CARGO_PKG_VERSION"),
        "realm": shared.realm,
        "durability": shared.durability,
        "sandbox": shared.sandbox.as_str(),
        "head": published.head,
        "term": published.state.term,
        "inDoubt": published.state.in_doubt().count(),
        "historyTime": time::rfc3339(published.state.at),
        "redaction": REDACTION_VERSION,
    });
    if let (Some(hash), Value::Object(members)) = (shared.rules.hash(), &mut health) {
        members.insert("classes".into(), hash.to_string().into());
    }
    health
}

/// `server.metrics`.
fn metrics(shared: &Shared, published: &Published) -> Value {
    let state = &published.state;
    let finished: serde_json::Map<String, Value> = Outcome::ALL
        .iter()
        .map(|o| (o.as_str().to_owned(), state.finished_as(*o).into()))
        .collect();
    json!({
        "head": published.head,
        "commandsAccepted": state.next_seq.saturating_sub(1),
        "commandsInFlight": state.in_flight(),
        "commandsInDoubt": state.in_doubt().count(),
        "commandsFinished": finished,
        "sessions": state.sessions.len(),
        "lanes": state.lanes.len(),
        "outcomesKept": state.outcomes.len(),
        "tombstones": state.tombstones(),
        "idempotencyKeysLive": state.keys_live(),
        "timersLive": state.timers_live(),
        "ticks": state.next_tick(),
        "refused": shared.counters.refused.load(Ordering::Relaxed),
        "replayed": shared.counters.replayed.load(Ordering::Relaxed),
        "batches": shared.counters.batches.load(Ordering::Relaxed),
        "residentBytes": resident_bytes(),
    })
}

/// Memory the daemon holds, bytes; 0 where the system does not tell.
fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok());
    pages
        .unwrap_or(0)
        .saturating_mul(rustix::param::page_size() as u64)
}

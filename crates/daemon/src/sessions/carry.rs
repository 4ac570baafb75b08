//! Carrying out one command of a session: code, a checkpoint, a restore, a reset.

use super::live::{Execution, Live, read, tell_ended, tell_started};
use super::start::{Order, Workers};
use super::{Inner, Key, Owed, pool};
use crate::core::{is_in_memory, made};
use crate::redact::{OutputGuard, Secret};
use actum_engine::Start;
use actum_kernel::Session as Row;
use actum_model::limits::SESSION_PROCESSES_MAX;
use actum_model::worker::Worker;
use actum_model::{ErrorCode, Fault, Json, Settlement};
use actum_worker::protocol::{Skipped, Transaction};
use actum_worker::session::{Execute, SessionError};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// A live process, and its cage if it was started now.
type Started = (Arc<Live>, Option<Value>);
/// Where the stop of a command is asked for.
type Stop = watch::Receiver<Option<Duration>>;

/// Carries a command out, and pays what it is owed.
pub(super) async fn carry(
    inner: Arc<Inner>,
    key: Key,
    start: Start,
    make: impl FnOnce() -> Result<(Value, Vec<Secret>), Fault> + Send + 'static,
    stop: Stop,
    owed: Owed,
) {
    let (arguments, secrets) = match made(&start, make).await {
        Ok(made) => made,
        Err(fault) => return owed.pay(Settlement::failed(fault)),
    };
    let done = match start.identity.kind.as_str() {
        "session.reset" => reset(&inner, &key).await,
        "session.checkpoint" => checkpoint(&inner, &key, &start, stop.clone()).await,
        "session.restore" => restore(&inner, &key, &start, &arguments, stop.clone()).await,
        _ => return run(&inner, &key, &start, &arguments, &secrets, stop, owed).await,
    };
    owed.pay(match done {
        // It was asked to stop, and it did: whatever its worker said last is not why.
        Err(_) if stop.borrow().is_some() => Settlement::stopped(),
        Ok(data) => Settlement::succeeded(Json::from_value(&data).ok()),
        Err(fault) => Settlement::failed(fault),
    });
}

/// The process that code can be handed to at once: it is there, and so are the arguments.
pub(super) fn ready(inner: &Inner, key: &Key, start: &Start) -> Option<Arc<Live>> {
    if start.identity.kind.as_str() != "code.run" || !is_in_memory(start) {
        return None;
    }
    let generation = start.session.as_ref()?.generation;
    let live = inner.live().get(key).cloned();
    live.filter(|live| live.generation == generation)
}

async fn run(
    inner: &Arc<Inner>,
    key: &Key,
    start: &Start,
    arguments: &Value,
    secrets: &[Secret],
    mut stop: Stop,
    owed: Owed,
) {
    match live_unless_stopped(inner, key, start, &mut stop).await {
        Some(Ok((live, sandbox))) => hand_over(&live, start, arguments, secrets, sandbox, owed),
        Some(Err(fault)) => owed.pay(Settlement::failed(fault)),
        None => owed.pay(Settlement::stopped()),
    }
}

/// Hands code to its worker. What becomes of it is settled by whoever reads the worker's events.
pub(super) fn hand_over(
    live: &Arc<Live>,
    start: &Start,
    arguments: &Value,
    secrets: &[Secret],
    sandbox: Option<Value>,
    owed: Owed,
) {
    if !owed.becomes_code() {
        return owed.pay(Settlement::stopped());
    }
    let inner = Arc::clone(owed.inner());
    let guard = OutputGuard::new(secrets, &inner.sink.rules);
    let id = start.identity.public_id().to_string();
    let execution = Execution::new(start.caller.clone(), guard, sandbox, owed);
    live.begin(id.clone(), execution);
    if let Err(error) = live.session.execute(execute(id.clone(), arguments)) {
        return live.give_up(&id, Settlement::failed(refused(&error)));
    }
    // A stop that came before the worker knew of it met nothing.
    if let Some(grace) = inner.stopped(start.seq) {
        inner.cancel(Arc::clone(live), id, grace);
    }
}

/// Returns with the grace time when the stop is asked for, never if it is not.
async fn asked(stop: &mut Stop) -> Duration {
    let asked = stop.wait_for(Option::is_some).await.ok().and_then(|grace| *grace);
    match asked {
        Some(grace) => grace,
        None => std::future::pending().await,
    }
}

fn execute(id: String, arguments: &Value) -> Execute {
    let text = |name: &str| arguments.get(name).and_then(Value::as_str);
    Execute {
        source: text("source").map(str::to_owned),
        transaction: match text("transaction") {
            Some("rollback_on_failure") => Transaction::RollbackOnFailure,
            Some("rollback_always") => Transaction::RollbackAlways,
            _ => Transaction::CommitAlways,
        },
        ..Execute::new(id, text("code").unwrap_or_default())
    }
}

fn refused(error: &SessionError) -> Fault {
    match error {
        SessionError::Ended(reason) => Fault::new(ErrorCode::SessionLost, reason.to_string()),
        SessionError::NotOffered { .. } => Fault::new(ErrorCode::SessionKind, error.to_string()),
        SessionError::Failed(failure) => Fault::new(ErrorCode::WorkerFailed, failure.message.clone()),
        _ => Fault::new(ErrorCode::InvalidInput, error.to_string()),
    }
}

/// The same, or nothing if the stop is asked for first: then what was being started is dropped, and ends with it.
async fn live_unless_stopped(
    inner: &Arc<Inner>,
    key: &Key,
    start: &Start,
    stop: &mut Stop,
) -> Option<Result<Started, Fault>> {
    tokio::select! {
        biased;
        _ = asked(stop) => None,
        started = live(inner, key, start) => Some(started),
    }
}

/// The live process of the session. Where the session has none, one is started; where it had one that is gone, none is.
/// With it comes the cage, if it was started now.
async fn live(inner: &Arc<Inner>, key: &Key, start: &Start) -> Result<Started, Fault> {
    let gone = || Fault::new(ErrorCode::SessionLost, "the process of the session is gone");
    let session = start.session.as_ref().ok_or_else(gone)?;
    let found = inner.live().get(key).cloned();
    match (&session.worker, found) {
        (_, Some(live)) if live.generation == session.generation => return Ok((live, None)),
        (Some(Worker::Live(_)), _) => return Err(gone()),
        (Some(Worker::Lost { .. }) | None, _) => {}
    }
    if inner.live().len() >= SESSION_PROCESSES_MAX {
        let message = format!("{SESSION_PROCESSES_MAX} processes run already, the bound is reached");
        return Err(Fault::new(ErrorCode::PoolExhausted, message));
    }
    let (running, place) = process(inner, key, session).await?;
    let live = Arc::new(Live::new(
        running.session,
        start.effect,
        session.generation,
        place,
    ));
    inner.live().insert(key.clone(), Arc::clone(&live));
    // From here on it is listened to, also where the command is stopped at this point: one that is known and that nobody
    // listens to would never answer again.
    let (of, known, at) = (Arc::clone(inner), Arc::clone(&live), key.clone());
    let sandbox = running.sandbox.clone();
    inner.runtime.spawn(async move {
        tell_started(&of, &at, &known, &sandbox).await;
        read(of, at, known, running.events).await;
    });
    Ok((live, Some(running.sandbox)))
}

/// A process for the session: a warm one where it sees no folder of the user, else one that is forked for it.
async fn process(inner: &Inner, key: &Key, session: &Row) -> Result<(Workers, Option<pool::Place>), Fault> {
    let places = inner.starter.places();
    if let Some((sort, folder)) = places.sort(key, session) {
        let (workers, place) = inner.warmed.acquire(sort, folder).await?;
        return Ok((workers, Some(place)));
    }
    let place = places.of_session(key, session).await?;
    let workers = inner
        .starter
        .start(Order::of_session(key, session, place))
        .await?;
    Ok((workers, None))
}

async fn reset(inner: &Arc<Inner>, key: &Key) -> Result<Value, Fault> {
    // Taken out first, so that nobody takes its end for a loss.
    let live = inner.live().remove(key);
    if let Some(live) = live {
        live.session.shutdown().await;
    }
    Ok(json!({}))
}

/// Waits for an answer of a worker that was asked for something else than to run code. Asked to stop, it cancels that:
/// a worker that does not come to its end in time is killed, and its session told to be lost before the command ends.
async fn answered<T>(
    inner: &Arc<Inner>,
    key: &Key,
    live: &Arc<Live>,
    id: &str,
    mut stop: Stop,
    asked_for: impl Future<Output = Result<T, SessionError>>,
) -> Result<T, Fault> {
    let mut asked_for = std::pin::pin!(asked_for);
    let answer = tokio::select! {
        biased;
        answer = &mut asked_for => answer,
        grace = asked(&mut stop) => {
            let _over = live.session.cancel(id, grace).await;
            asked_for.await
        }
    };
    if let Err(SessionError::Ended(reason)) = &answer {
        tell_ended(inner, key, live, reason).await;
    }
    answer.map_err(|error| refused(&error))
}

async fn checkpoint(inner: &Arc<Inner>, key: &Key, start: &Start, mut stop: Stop) -> Result<Value, Fault> {
    let started = live_unless_stopped(inner, key, start, &mut stop).await;
    let (live, _) = started.unwrap_or_else(|| Err(Fault::new(ErrorCode::Cancelled, "it was stopped")))?;
    let id = start.identity.public_id().to_string();
    let saved = answered(inner, key, &live, &id, stop, live.session.checkpoint(&id)).await?;
    let hash = inner.sink.seal(saved.data.to_vec()).await;
    let hash = hash.map_err(|error| Fault::new(ErrorCode::Internal, format!("it was not kept: {error}")))?;
    Ok(
        json!({"checkpoint": hash.to_string(), "blob": hash.to_string(), "saved": saved.saved,
        "skipped": skipped(&saved.skipped)}),
    )
}

async fn restore(
    inner: &Arc<Inner>,
    key: &Key,
    start: &Start,
    arguments: &Value,
    mut stop: Stop,
) -> Result<Value, Fault> {
    let named = arguments
        .get("checkpoint")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let hash = named.parse().map_err(|_| {
        let message = format!("/payload/checkpoint: expected 64 hex digits, got `{named}`");
        Fault::new(ErrorCode::InvalidInput, message)
    })?;
    let core = inner.core.upgrade()?;
    let data = tokio::task::spawn_blocking(move || core.blob(&hash)).await;
    let data = data.map_err(|error| Fault::new(ErrorCode::Internal, error.to_string()))??;
    let clear = arguments.get("clear").and_then(Value::as_bool).unwrap_or(false);
    let started = live_unless_stopped(inner, key, start, &mut stop).await;
    let (live, _) = started.unwrap_or_else(|| Err(Fault::new(ErrorCode::Cancelled, "it was stopped")))?;
    let id = start.identity.public_id().to_string();
    let asked_for = live.session.restore(&id, &data, clear);
    let restored = answered(inner, key, &live, &id, stop, asked_for).await?;
    Ok(json!({"restored": restored.restored, "skipped": skipped(&restored.skipped)}))
}

fn skipped(rows: &[Skipped]) -> Vec<Value> {
    rows.iter()
        .map(|row| json!({"name": row.name, "type": row.value_type, "reason": row.why}))
        .collect()
}

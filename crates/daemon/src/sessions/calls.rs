//! What code asks for while it runs: each call becomes a command of its own, caused by the running one, and a line of
//! input a durable promise that anybody may resolve. The answers go back to the worker.

use super::Inner;
use super::live::Live;
use actum_model::ids::SessionId;
use actum_model::limits::{ID_CHARS_MAX, WAIT_MS_MAX};
use actum_model::{Body, Caller, Envelope, ErrorCode, Fault, Response};
use actum_worker::protocol::{CapabilityError, CapabilityRequest};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Kinds that code may call. What is about the session itself or about the server is not among them.
const CALLABLE: [&str; 7] = [
    "file.", "http.", "promise.", "shell.", "system.", "time.", "command.",
];

/// Where a call comes from.
pub(super) struct From {
    /// The execution.
    pub(super) id: String,
    /// As whom it calls: the sender of its command, from inside of it.
    pub(super) caller: Caller,
    /// Its session.
    pub(super) session: SessionId,
}

/// A line that code asks for.
pub(super) struct Input {
    pub(super) request: String,
    pub(super) prompt: String,
    pub(super) deadline_ms: Option<u64>,
    /// The how-manieth of its execution.
    pub(super) number: u64,
}

/// Carries out a call and answers the worker.
pub(super) async fn capability(
    inner: Arc<Inner>,
    live: Arc<Live>,
    from: From,
    request: CapabilityRequest,
    number: u64,
) {
    let answer = call(&inner, &from, &request, number).await;
    if matches!(&answer, Err(fault) if fault.code == ErrorCode::CallerEnded) {
        // The execution is being stopped: that is what its code learns, and not an error of the call.
        return;
    }
    let answer = answer.map_err(|fault| CapabilityError {
        code: fault.code.as_str().to_owned(),
        message: fault.message.clone(),
        hint: Some(fault.hint_text().to_owned()),
    });
    let too_large = match live.session.answer(&request.id, answer).await {
        Err(error) => error.to_string(),
        Ok(_) => return,
    };
    let error = CapabilityError {
        code: ErrorCode::LimitExceeded.as_str().to_owned(),
        message: format!("the answer cannot be handed over: {too_large}"),
        hint: Some("ask for less at once".to_owned()),
    };
    let _ended = live.session.answer(&request.id, Err(error)).await;
}

async fn call(inner: &Inner, from: &From, request: &CapabilityRequest, number: u64) -> Result<Value, Fault> {
    let kind = request.capability.as_str();
    if !CALLABLE.iter().any(|area| kind.starts_with(area)) {
        let message = format!("code cannot call `{kind}`");
        return Err(Fault::new(ErrorCode::UnknownCommand, message));
    }
    if kind == "promise.await" {
        return settled(inner, from, request).await;
    }
    let id = format!("{}:{kind}:{number}", from.id);
    let mut envelope = envelope(kind, &from.session, &request.payload);
    if id.len() <= ID_CHARS_MAX && !id.starts_with("anon:") {
        envelope.insert("id".into(), id.into());
    }
    if let Some(ms) = request.timeout_ms {
        envelope.insert("timeoutMs".into(), ms.into());
    }
    if let Some(key) = &request.idempotency_key {
        envelope.insert("idempotencyKey".into(), key.as_str().into());
    }
    submit(inner, from, envelope).await
}

/// Waits for a promise as long as the code waits for it: longer than one read may.
async fn settled(inner: &Inner, from: &From, request: &CapabilityRequest) -> Result<Value, Fault> {
    let until = request
        .timeout_ms
        .map(|ms| Instant::now() + Duration::from_millis(ms));
    loop {
        let left = until.map_or(WAIT_MS_MAX, |until| {
            let left = until.saturating_duration_since(Instant::now()).as_millis();
            u64::try_from(left).unwrap_or(u64::MAX)
        });
        let mut payload = request.payload.clone();
        if let Value::Object(members) = &mut payload {
            members.insert("waitMs".into(), left.min(WAIT_MS_MAX).into());
        }
        match submit(inner, from, envelope("promise.await", &from.session, &payload)).await {
            Err(fault) if fault.code == ErrorCode::WaitTimeout && (until.is_none() || left > WAIT_MS_MAX) => {
            }
            other => return other,
        }
    }
}

/// Asks for a line by a durable promise, and hands over what it is resolved with.
pub(super) async fn input(inner: Arc<Inner>, live: Arc<Live>, from: From, ask: Input) {
    let line = match line(&inner, &from, &ask).await {
        Ok(line) => line,
        // The execution is being stopped or the daemon ends: an answer would only be mistaken for the end of the input.
        Err(fault) if matches!(fault.code, ErrorCode::CallerEnded | ErrorCode::ShuttingDown) => return,
        Err(_) => None,
    };
    let _over = live.session.input(&ask.request, line).await;
}

async fn line(inner: &Inner, from: &From, ask: &Input) -> Result<Option<String>, Fault> {
    let promise = format!("exec:{}:input:{}", from.id, ask.number);
    let mut prompt = ask.prompt.clone();
    prompt.truncate(prompt.floor_char_boundary(actum_model::limits::PROMISE_TAG_CHARS_MAX));
    let mut payload = json!({"promiseId": promise, "tags": {"for": "input", "prompt": prompt}});
    if let (Value::Object(members), Some(ms)) = (&mut payload, ask.deadline_ms) {
        members.insert("timeoutMs".into(), ms.max(1).into());
    }
    submit(inner, from, envelope("promise.create", &from.session, &payload)).await?;
    let await_it = CapabilityRequest {
        id: ask.request.clone(),
        execution: from.id.clone(),
        capability: "promise.await".to_owned(),
        payload: json!({"promiseId": promise}),
        idempotency_key: None,
        timeout_ms: None,
    };
    let settled = settled(inner, from, &await_it).await?;
    let data = settled.pointer("/value/data").and_then(Value::as_str);
    Ok(data.map(str::to_owned))
}

fn envelope(kind: &str, session: &SessionId, payload: &Value) -> Map<String, Value> {
    let mut envelope = Map::new();
    envelope.insert("type".into(), kind.into());
    envelope.insert("payload".into(), without_nulls(payload));
    // What names no session by itself is about the one it is called from, where it may be.
    let takes_session = actum_model::contract::find(kind)
        .is_some_and(|contract| contract.session == actum_model::contract::SessionUse::Required);
    if takes_session {
        envelope.insert("sessionId".into(), session.as_str().into());
    }
    envelope
}

/// Arguments that code left out come as null.
fn without_nulls(payload: &Value) -> Value {
    match payload {
        Value::Object(members) => {
            let given = members.iter().filter(|(_, value)| !value.is_null());
            Value::Object(given.map(|(name, value)| (name.clone(), value.clone())).collect())
        }
        Value::Null => json!({}),
        other => other.clone(),
    }
}

async fn submit(inner: &Inner, from: &From, envelope: Map<String, Value>) -> Result<Value, Fault> {
    let envelope = match Envelope::from_value(Value::Object(envelope)) {
        Ok(envelope) => envelope,
        Err(refused) => return answer(*refused),
    };
    let core = inner.core.upgrade()?;
    answer(core.call(&from.caller, envelope).await)
}

/// The data of a response, or what went wrong. A program that ended with a failure of its own is a result: its exit
/// code and output are in the data.
fn answer(response: Response) -> Result<Value, Fault> {
    if let Some(fault) = response.fault() {
        return match (&response.body, fault.code) {
            (Body::Finished { data: Some(data), .. }, ErrorCode::CommandFailed) => Ok(data.to_value()),
            _ => Err(fault.clone()),
        };
    }
    match response.body {
        Body::Finished { data, .. } => Ok(data.map_or(Value::Null, |data| data.to_value())),
        Body::Read(data) => Ok(data.to_value()),
        _ => Ok(Value::Null),
    }
}

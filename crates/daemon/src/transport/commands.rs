//! `POST /v1/commands`: one command as JSON, or many as NDJSON (see [`super::ndjson`]).
//!
//! A body of another media type is refused: a form on a foreign page can send text, but not JSON.

use super::connection::too_long;
use super::http::{App, Peer};
use super::problem::{answer, problem_as};
use super::{ndjson, subscription};
use crate::access::Grant;
use actum_model::contract::Admission;
use actum_model::error::{ErrorCode, Fault};
use actum_model::json::{parse_strict, shorten};
use actum_model::limits::MESSAGE_BYTES_MAX;
use actum_model::{Envelope, Response};
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use serde_json::Value;

/// How much of a body above the limit is read and dropped, so that the client hears the answer and not a reset.
const OVERLONG_BYTES_MAX: usize = 64 * 1024 * 1024;

enum Media {
    Json,
    Lines,
    Other(String),
}

/// `POST /v1/commands`.
pub(crate) async fn post(
    State(app): State<App>,
    Extension(grant): Extension<Grant>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> axum::response::Response {
    let (head, body) = request.into_parts();
    match media(&head.headers) {
        Media::Lines if head.headers.contains_key("idempotency-key") => {
            let message =
                "the header `Idempotency-Key` is for one command; give each line its `idempotencyKey`";
            answer(&Response::refused(
                "",
                None,
                Fault::new(ErrorCode::InvalidInput, message),
            ))
        }
        Media::Lines => ndjson::stream(&app, grant, peer, body),
        Media::Json => {
            let response = match tokio::time::timeout(app.timings.body, read_whole(body)).await {
                Ok(Ok(bytes)) => one(&app, &grant, &head.headers, &bytes).await,
                Ok(Err(fault)) => Response::refused("", None, fault),
                Err(_late) => {
                    let message = format!("expected the body within {} s", app.timings.body.as_secs());
                    let fault = Fault::new(ErrorCode::InvalidJson, message);
                    return problem_as(StatusCode::REQUEST_TIMEOUT, &fault);
                }
            };
            answer(&response)
        }
        Media::Other(found) => {
            let message =
                format!("expected `Content-Type: application/json` or `application/x-ndjson`, got `{found}`");
            let fault = Fault::new(ErrorCode::InvalidInput, message).with_hint("name the type of the body");
            problem_as(StatusCode::UNSUPPORTED_MEDIA_TYPE, &fault)
        }
    }
}

fn media(headers: &HeaderMap) -> Media {
    let value = headers
        .get(header::CONTENT_TYPE)
        .map(|value| value.to_str().unwrap_or("?"));
    let essence = value
        .unwrap_or("none")
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    match essence.to_ascii_lowercase().as_str() {
        "application/json" => Media::Json,
        "application/x-ndjson" | "application/jsonl" => Media::Lines,
        other => Media::Other(shorten(other)),
    }
}

async fn one(app: &App, grant: &Grant, headers: &HeaderMap, bytes: &[u8]) -> Response {
    let envelope = match headers.get("idempotency-key") {
        None => Envelope::parse(bytes),
        Some(key) => keyed(bytes, key.as_bytes()),
    };
    match envelope {
        Ok(envelope)
            if envelope
                .contract()
                .is_some_and(|c| c.admission == Admission::Connection) =>
        {
            subscription::no_connection(&envelope)
        }
        Ok(envelope) => app.core.call(&grant.caller, envelope).await,
        Err(refusal) => *refusal,
    }
}

/// Reads an envelope whose idempotency key stands in the header, plain or as a quoted string.
fn keyed(bytes: &[u8], key: &[u8]) -> Result<Envelope, Box<Response>> {
    let refuse = |code, message: String| Box::new(Response::refused("", None, Fault::new(code, message)));
    let key = key
        .strip_prefix(b"\"")
        .and_then(|key| key.strip_suffix(b"\""))
        .unwrap_or(key);
    let key = std::str::from_utf8(key).map_err(|_| {
        refuse(
            ErrorCode::InvalidInput,
            "the header `Idempotency-Key` is not ASCII".to_owned(),
        )
    })?;
    let mut value = parse_strict(bytes).map_err(|error| refuse(ErrorCode::InvalidJson, error.to_string()))?;
    if let Value::Object(members) = &mut value {
        match members.get("idempotencyKey") {
            Some(inside) if inside.as_str() != Some(key) => {
                let text = |name: &str| members.get(name).and_then(Value::as_str).map(shorten);
                let message =
                    "/idempotencyKey: the body and the header `Idempotency-Key` name different keys";
                let fault = Fault::new(ErrorCode::InvalidInput, message).with_hint("send one of them");
                let kind = text("type").unwrap_or_default();
                return Err(Box::new(Response::refused(&kind, text("id").as_deref(), fault)));
            }
            _ => members.insert("idempotencyKey".to_owned(), key.into()),
        };
    }
    Envelope::from_value(value)
}

/// Reads a body up to the limit. What is longer is read on and dropped, within reason.
pub(crate) async fn read_whole(mut body: Body) -> Result<Bytes, Fault> {
    let mut whole = BytesMut::new();
    let mut dropped = 0;
    while let Some(frame) = body.frame().await {
        let broken = |error| Fault::new(ErrorCode::InvalidJson, format!("the body broke off: {error}"));
        let Ok(data) = frame.map_err(broken)?.into_data() else {
            continue;
        };
        if dropped == 0 && whole.len() + data.len() <= MESSAGE_BYTES_MAX {
            whole.extend_from_slice(&data);
        } else {
            dropped += whole.len() + data.len();
            whole = BytesMut::new();
        }
        if dropped > OVERLONG_BYTES_MAX {
            break;
        }
    }
    if dropped > 0 {
        Err(too_long())
    } else {
        Ok(whole.freeze())
    }
}

//! The arguments of `http.fetch`, read and checked. Nothing of them has been sent, and no secret been asked for.

use super::headers;
use super::target::Target;
use crate::grants::METHODS;
use crate::sdk::{Call, Failure, parse};
use actum_model::{ErrorCode, limits};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Arguments {
    url: String,
    method: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, Words>,
    body: Option<Words>,
    body_base64: Option<String>,
    timeout_ms: Option<u64>,
    max_bytes: Option<u64>,
    redirects: Option<u64>,
    probe: Option<Probe>,
}

/// How to ask the world what came of a request.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Probe {
    pub(super) url: String,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, Words>,
    pub(super) landed_status: Option<u16>,
    pub(super) did_not_happen_status: Option<u16>,
}

/// A text, which may hold `$secret:NAME`, or a secret as the whole of it.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Words {
    Text(String),
    Secret {
        #[serde(rename = "$secret")]
        secret: String,
    },
}

impl Words {
    /// As one text with references in it.
    pub(super) fn into_text(self) -> String {
        match self {
            Words::Text(text) => text,
            Words::Secret { secret } => format!("$secret:{secret}"),
        }
    }
}

/// What is sent. References to secrets are still references.
#[derive(Clone)]
pub(super) enum Payload {
    None,
    Text(String),
    Bytes(Vec<u8>),
}

/// A request as it was asked for.
pub(super) struct Request {
    pub(super) target: Target,
    pub(super) method: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) payload: Payload,
    pub(super) timeout_ms: u64,
    pub(super) max_bytes: usize,
    pub(super) redirects: u64,
    pub(super) probe: Option<Probe>,
}

/// Whether a request with these arguments may be sent again without doing anything twice, by its method.
#[must_use]
pub fn is_idempotent(arguments: &Value) -> bool {
    match arguments.get("method") {
        None => true,
        Some(method) => method.as_str().is_some_and(is_safe),
    }
}

/// Whether a method only looks.
pub(super) fn is_safe(method: &str) -> bool {
    matches!(method, "GET" | "HEAD")
}

impl Request {
    pub(super) fn read(call: &Call) -> Result<Request, Failure> {
        let asked: Arguments = parse(&call.kind, &call.arguments)?;
        let method = asked.method.unwrap_or_else(|| "GET".to_owned());
        if !METHODS.contains(&method.as_str()) {
            let known = METHODS.join("`, `");
            let got = crate::grants::shown(&method);
            return Err(invalid(format!(
                "expected a `method` that is one of `{known}`, got `{got}`"
            )));
        }
        let payload = payload(asked.body, asked.body_base64)?;
        if is_safe(&method) && !matches!(payload, Payload::None) {
            return Err(invalid(format!("expected no body with `{method}`")));
        }
        let max = limits::HTTP_RESPONSE_BYTES_MAX;
        let max_bytes = bounded("maxBytes", asked.max_bytes, max as u64, max as u64)?;
        Ok(Request {
            target: Target::parse(&asked.url)?,
            headers: headers::read(asked.headers)?,
            payload,
            timeout_ms: bounded(
                "timeoutMs",
                asked.timeout_ms,
                limits::HTTP_TIMEOUT_MS,
                limits::RUN_TIMEOUT_MS_MAX,
            )?,
            max_bytes: usize::try_from(max_bytes).unwrap_or(max),
            redirects: bounded(
                "redirects",
                asked.redirects,
                limits::HTTP_REDIRECTS_MAX,
                limits::HTTP_REDIRECTS_MAX,
            )?,
            probe: asked.probe,
            method,
        })
    }
}

fn payload(body: Option<Words>, base64: Option<String>) -> Result<Payload, Failure> {
    let payload = match (body, base64) {
        (None, None) => return Ok(Payload::None),
        (Some(body), None) => Payload::Text(body.into_text()),
        (None, Some(text)) => Payload::Bytes(
            STANDARD
                .decode(text)
                .map_err(|error| invalid(format!("expected `bodyBase64` in base64: {error}")))?,
        ),
        (Some(_), Some(_)) => return Err(invalid("expected `body` or `bodyBase64`, got both".to_owned())),
    };
    let (limit, got) = match &payload {
        Payload::Text(text) => (limits::HTTP_REQUEST_BYTES_MAX, text.len()),
        Payload::Bytes(bytes) => (limits::HTTP_REQUEST_BYTES_MAX, bytes.len()),
        Payload::None => (0, 0),
    };
    match got > limit {
        true => Err(Failure::new(
            ErrorCode::TooLarge,
            format!("expected a body of at most {limit} bytes, got {got}"),
        )),
        false => Ok(payload),
    }
}

fn bounded(name: &str, got: Option<u64>, default: u64, max: u64) -> Result<u64, Failure> {
    match got {
        None => Ok(default),
        Some(got) if got <= max => Ok(got),
        Some(got) => Err(invalid(format!("expected `{name}` of at most {max}, got {got}"))),
    }
}

pub(super) fn invalid(message: String) -> Failure {
    Failure::new(ErrorCode::InvalidInput, message)
}

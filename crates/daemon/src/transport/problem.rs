//! Responses and faults as HTTP: success as JSON, everything else as an RFC 9457 problem document.
//!
//! A problem that answers a command carries the whole response beside the problem's own members; only `type`,
//! which both have, is the problem's.

use actum_model::error::{ErrorCode, Fault};
use actum_model::response::fault_json;
use actum_model::{Body, Response};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use serde_json::{Map, Value};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");

/// The HTTP answer to a command.
pub(crate) fn answer(response: &Response) -> axum::response::Response {
    let text = response.to_json();
    if let Some(fault) = response.fault() {
        let status = status_of(fault.code);
        let mut members = problem_members(status, fault);
        if let Ok(Value::Object(response)) = serde_json::from_str(&text) {
            for (name, value) in response {
                members.entry(name).or_insert(value);
            }
        }
        return problem_answer(status, fault, members);
    }
    let status = match response.body {
        Body::Accepted { .. } => StatusCode::ACCEPTED,
        _ => StatusCode::OK,
    };
    json(status, text)
}

/// A problem that answers no command: nothing of the request was looked at.
pub(crate) fn problem(fault: &Fault) -> axum::response::Response {
    problem_as(status_of(fault.code), fault)
}

/// The same with a status that says it better than the code's own.
pub(crate) fn problem_as(status: StatusCode, fault: &Fault) -> axum::response::Response {
    let mut members = problem_members(status, fault);
    members.insert("error".into(), fault_json(fault));
    problem_answer(status, fault, members)
}

/// JSON text as an answer.
pub(crate) fn json(status: StatusCode, text: String) -> axum::response::Response {
    (status, common_headers(JSON), text).into_response()
}

/// Headers of every answer: what the daemon says is for this moment and this caller.
pub(crate) fn common_headers(content_type: HeaderValue) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        HeaderName::from_static("x-content-type-options"),
        HeaderValue::from_static("nosniff"),
    );
    headers
}

fn status_of(code: ErrorCode) -> StatusCode {
    StatusCode::from_u16(code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn problem_members(status: StatusCode, fault: &Fault) -> Map<String, Value> {
    let mut members = Map::new();
    members.insert("type".into(), format!("urn:actum:error:{}", fault.code).into());
    members.insert("title".into(), fault.code.title().into());
    members.insert("status".into(), status.as_u16().into());
    members.insert("detail".into(), fault.message.clone().into());
    members
}

fn problem_answer(
    status: StatusCode,
    fault: &Fault,
    members: Map<String, Value>,
) -> axum::response::Response {
    let mut headers = common_headers(PROBLEM);
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    let details = fault.details.as_ref().map(actum_model::Json::to_value);
    let retry_ms = details
        .as_ref()
        .and_then(|details| details.get("retryAfterMs")?.as_u64());
    if let Some(ms) = retry_ms {
        headers.insert(RETRY_AFTER, HeaderValue::from(ms.div_ceil(1000)));
    }
    (status, headers, Value::Object(members).to_string()).into_response()
}

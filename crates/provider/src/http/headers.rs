//! Headers: which a caller may give, which go along to another origin, and those of an answer as JSON.

use super::request::{Words, invalid};
use crate::grants::shown;
use crate::sdk::Failure;
use actum_model::limits;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Headers about the connection and the length of things, which are this side's to say.
const OWN: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Headers that go along when an answer redirects to another origin. All others were meant for the first one, and
/// any of them may say who asks.
const COMMON: &[&str] = &[
    "accept",
    "accept-encoding",
    "accept-language",
    "content-language",
    "content-type",
    "user-agent",
];

/// Reads the headers of a request: lower case, in order of their names. References to secrets stay.
pub(super) fn read(given: BTreeMap<String, Words>) -> Result<Vec<(String, String)>, Failure> {
    if given.len() > limits::HTTP_HEADERS_MAX {
        let (limit, got) = (limits::HTTP_HEADERS_MAX, given.len());
        return Err(invalid(format!("expected at most {limit} headers, got {got}")));
    }
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    let mut bytes = 0;
    for (name, value) in given {
        let lower = HeaderName::try_from(name.as_str())
            .map_err(|_| invalid(format!("expected the name of a header, got `{}`", shown(&name))))?
            .to_string();
        if OWN.contains(&lower.as_str()) {
            return Err(invalid(format!(
                "the header `{lower}` cannot be given: it is set where it applies"
            )));
        }
        let value = value.into_text();
        if HeaderValue::try_from(value.as_str()).is_err() {
            return Err(invalid(format!(
                "the header `{lower}` holds what no header may hold"
            )));
        }
        bytes += lower.len() + value.len();
        if headers.insert(lower.clone(), value).is_some() {
            return Err(invalid(format!("expected the header `{lower}` once")));
        }
    }
    match bytes > limits::HTTP_HEADER_BYTES_MAX {
        true => Err(invalid(format!(
            "expected at most {} bytes of headers, got {bytes}",
            limits::HTTP_HEADER_BYTES_MAX
        ))),
        false => Ok(headers.into_iter().collect()),
    }
}

/// Whether a header goes along to another origin.
pub(super) fn is_common(name: &str) -> bool {
    COMMON.contains(&name)
}

/// Whether a header is about the body, and goes with it.
pub(super) fn is_about_body(name: &str) -> bool {
    name.starts_with("content-") || name == "idempotency-key"
}

/// The headers of an answer. Those that come several times are joined by commas, cookies by line ends.
pub(super) fn to_json(headers: &HeaderMap, scrub: impl Fn(String) -> String) -> Value {
    let mut members = Map::new();
    for name in headers.keys() {
        let values: Vec<_> = headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect();
        let between = if name == "set-cookie" { "\n" } else { ", " };
        members.insert(name.to_string(), scrub(values.join(between)).into());
    }
    Value::Object(members)
}

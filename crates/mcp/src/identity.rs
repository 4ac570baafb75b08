//! Ids of commands, out of what a request calls itself: the same request is the same command, however often it comes.
//!
//! Within a connection the JSON-RPC id names a request. Across connections only an idempotency key can.

use crate::limits::KEY_BYTES_MAX;
use actum_model::{ErrorCode, Fault, Hash};
use rmcp::model::{RequestId, RequestMetaObject};
use serde_json::Value;

/// Where a request may bring an idempotency key: the name of a member of its `_meta`.
pub(crate) const KEY: &str = "actum/idempotencyKey";

/// Digits of a hash in an id: enough that two never meet.
const HASH_DIGITS: usize = 40;

/// The command id of a request of the connection named `run`.
///
/// # Errors
/// `INVALID_INPUT` where the idempotency key is none.
pub(crate) fn command_id(run: &str, id: &RequestId, meta: &RequestMetaObject) -> Result<String, Fault> {
    match meta.get(KEY) {
        None => Ok(format!("{run}.{}", own(id))),
        Some(Value::String(key)) if (1..=KEY_BYTES_MAX).contains(&key.len()) => {
            Ok(format!("mcp-key-{}", short(key)))
        }
        Some(other) => {
            let got = actum_model::json::shorten(&other.to_string());
            let message = format!("/_meta/{KEY}: expected 1 to {KEY_BYTES_MAX} bytes of text, got {got}");
            Err(Fault::new(ErrorCode::InvalidInput, message))
        }
    }
}

/// Numbers and texts never give the same: in JSON-RPC `1` and `"1"` are two ids.
fn own(id: &RequestId) -> String {
    match id {
        RequestId::Number(number) => number.to_string(),
        RequestId::String(text) if plain(text) => format!("s-{text}"),
        RequestId::String(text) => format!("h-{}", short(text)),
    }
}

fn plain(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn short(text: &str) -> String {
    let digits = Hash::of_parts("actum/mcp/id/v1", &[text.as_bytes()]).to_string();
    digits.get(..HASH_DIGITS).unwrap_or(&digits).to_owned()
}

/// A new name that nobody else has, of this connection.
///
/// # Errors
/// Where the system gives no random bytes.
pub(crate) fn fresh() -> Result<String, Fault> {
    let mut bytes = [0; 6];
    getrandom::fill(&mut bytes)
        .map_err(|error| Fault::new(ErrorCode::Internal, format!("no random bytes: {error}")))?;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("mcp-{digits}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actum_model::CommandId;
    use serde_json::json;

    fn id_of(id: &RequestId, meta: &Value) -> Result<String, Fault> {
        let meta: RequestMetaObject = serde_json::from_value(meta.clone()).unwrap();
        command_id("mcp-0", id, &meta)
    }

    fn text(text: &str) -> RequestId {
        RequestId::String(text.into())
    }

    #[test]
    fn the_same_request_is_the_same_command_and_no_other_is() {
        let ids = [
            RequestId::Number(1),
            RequestId::Number(-1),
            text("1"),
            text("-1"),
            text(""),
            text("a b"),
            text("a\u{0}b"),
            text("s-1"),
            text(&"x".repeat(100_000)),
        ];
        let made: std::collections::BTreeSet<String> =
            ids.iter().map(|id| id_of(id, &json!({})).unwrap()).collect();
        assert_eq!(made.len(), ids.len(), "{made:?}");
        for id in &made {
            assert!(CommandId::parse(id).is_ok(), "{id}");
        }
        assert_eq!(id_of(&ids[0], &json!({})).unwrap(), "mcp-0.1");
    }

    #[test]
    fn a_key_names_a_command_whatever_the_connection() {
        let key = json!({KEY: "charge-7"});
        let meta: RequestMetaObject = serde_json::from_value(key).unwrap();
        let one = command_id("mcp-0", &RequestId::Number(1), &meta).unwrap();
        assert_eq!(one, command_id("mcp-1", &RequestId::Number(2), &meta).unwrap());
        for bad in [json!(""), json!(7), json!("x".repeat(257))] {
            let fault = id_of(&RequestId::Number(1), &json!({KEY: bad})).unwrap_err();
            assert_eq!(fault.code, ErrorCode::InvalidInput);
        }
    }

    #[test]
    fn names_of_connections_differ() {
        assert_ne!(fresh().unwrap(), fresh().unwrap());
    }
}

//! The command kinds of the graph: `graph.rewrite` and `sws.*`, one file each, and what they share.

mod collapse;
mod create;
mod discard;
mod rebase;
mod receipt;
mod rewrite;

pub(super) use rewrite::check;

use crate::decide::Decider;
use crate::state::COLLAPSE_POLICY;
use actum_model::{ErrorCode, Fault, Json};
use serde_json::Value;

/// Collapses fail fast: with any conflict, nothing is changed.
const FAIL_FAST: u64 = COLLAPSE_POLICY as u64;

pub(super) fn run(decider: &mut Decider<'_>, seq: u64, kind: &str, arguments: &Value) {
    let done = match kind {
        "graph.rewrite" => rewrite::run(decider, seq, arguments),
        "sws.collapse" => collapse::run(decider, seq, arguments),
        "sws.create" => create::run(decider, seq, arguments),
        "sws.discard" => discard::run(decider, seq, arguments),
        _ => rebase::run(decider, seq, arguments),
    };
    if let Err(fault) = done {
        decider.fail(seq, fault);
    }
}

/// The shadow working set that the arguments name.
fn named(arguments: &Value) -> Result<u64, Fault> {
    let text = arguments.get("swsId").and_then(Value::as_str).unwrap_or_default();
    let id: Option<u64> = text.parse().ok();
    id.filter(|id| id.to_string() == text).ok_or_else(|| {
        let shown = actum_model::json::shorten(text);
        let message = format!("/payload/swsId: expected a number such as `0`, got `{shown}`");
        Fault::new(ErrorCode::InvalidInput, message)
    })
}

/// What a caller says of a thing; `null` says nothing.
fn meta(arguments: &Value) -> Option<Json> {
    let meta = arguments.get("meta").filter(|meta| !meta.is_null())?;
    Json::from_value(meta).ok()
}

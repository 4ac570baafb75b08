//! The whole output of a stream as it stands in a result: inline while it is small, else its edges and a sealed blob.
//!
//! Large output is sealed before the settlement exists, so that no record names a blob that is not there.

use super::capture::Captured;
use super::{Sink, text};
use actum_model::limits::{INLINE_BYTES_MAX, OUTPUT_EDGE_BYTES};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// `{bytes, text}` or `{bytes, head, tail, blob}`, with `lossy`, `dropped`, `lost` where they apply.
pub(crate) async fn shape(sink: &Sink, captured: Captured) -> Value {
    let Captured {
        spool,
        dropped,
        mut lost,
    } = captured;
    let bytes = spool.len();
    let mut out = Map::from_iter([("bytes".to_owned(), Value::from(bytes))]);
    // One at a time: whole outputs in memory are what a busy daemon cannot afford.
    let _turn = if bytes > INLINE_BYTES_MAX as u64 {
        sink.sealing.acquire().await.ok()
    } else {
        None
    };
    let seal = Arc::clone(&sink.seal);
    let shaped = if bytes > INLINE_BYTES_MAX as u64 {
        tokio::task::spawn_blocking(move || spool.into_bytes().map(|whole| sealed(&whole, &*seal))).await
    } else {
        Ok(spool.into_bytes().map(|whole| inline(&whole)))
    };
    match shaped {
        Ok(Ok(Value::Object(shape))) => out.extend(shape),
        Ok(Ok(_)) => {}
        Ok(Err(error)) => lost = Some(error.to_string()),
        Err(error) => lost = Some(error.to_string()),
    }
    if dropped > 0 {
        out.insert("dropped".into(), dropped.into());
    }
    if let Some(lost) = lost {
        out.insert("lost".into(), lost.into());
    }
    Value::Object(out)
}

fn inline(whole: &[u8]) -> Value {
    flagged(whole, json!({"text": String::from_utf8_lossy(whole)}))
}

fn sealed(whole: &[u8], seal: &dyn Fn(&[u8]) -> Result<actum_model::Hash, String>) -> Value {
    let edges =
        json!({"head": text::head(whole, OUTPUT_EDGE_BYTES), "tail": text::tail(whole, OUTPUT_EDGE_BYTES)});
    let mut out = flagged(whole, edges);
    if let Value::Object(members) = &mut out {
        match seal(whole) {
            Ok(hash) => members.insert("blob".into(), hash.to_string().into()),
            Err(error) => members.insert("lost".into(), error.into()),
        };
    }
    out
}

fn flagged(whole: &[u8], mut out: Value) -> Value {
    if std::str::from_utf8(whole).is_err()
        && let Value::Object(members) = &mut out
    {
        members.insert("lossy".into(), true.into());
    }
    out
}

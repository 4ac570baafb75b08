//! From how a process ended to the settlement of its command.
//!
//! Large output is sealed as a blob before the settlement exists, so that no record names a blob that is not there.

use super::pump::Captured;
use super::{Inner, text};
use actum_model::effect::SettledAs;
use actum_model::limits::{INLINE_BYTES_MAX, OUTPUT_EDGE_BYTES};
use actum_model::{ErrorCode, Fault, Json, Settlement};
use serde_json::{Map, Value, json};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

/// How the main process came to its end.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ending {
    /// By itself.
    Exited(ExitStatus),
    /// By a stop, and nothing of it is left.
    Stopped(ExitStatus),
    /// A stop was tried, and something is left.
    Unconfirmed(Option<ExitStatus>),
}

/// Everything a settlement is made of.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) ending: Ending,
    pub(super) ran: Duration,
    /// Processes that were still there when the main process had ended, and were ended then.
    pub(super) leftover: usize,
    /// Processes that could not be ended.
    pub(super) survivors: usize,
    pub(super) stdout: Captured,
    pub(super) stderr: Captured,
}

impl Report {
    /// Seals what is large and says what became of the command.
    pub(super) async fn settle(self, inner: &Inner) -> Settlement {
        let (settled, status) = match self.ending {
            Ending::Exited(status) if status.success() => (SettledAs::Succeeded, Some(status)),
            Ending::Exited(status) => (SettledAs::Failed, Some(status)),
            Ending::Stopped(status) => (SettledAs::Stopped, Some(status)),
            Ending::Unconfirmed(status) => (SettledAs::Unconfirmed, status),
        };
        let mut data = Map::new();
        if let Some((name, number)) = status.and_then(how) {
            data.insert(name.into(), number.into());
        }
        data.insert(
            "durationMs".into(),
            u64::try_from(self.ran.as_millis()).unwrap_or(u64::MAX).into(),
        );
        for (name, count) in [("leftover", self.leftover), ("survivors", self.survivors)] {
            if count > 0 {
                data.insert(name.into(), count.into());
            }
        }
        data.insert("stdout".into(), stream(inner, self.stdout).await);
        data.insert("stderr".into(), stream(inner, self.stderr).await);
        let fault = status.filter(|_| settled == SettledAs::Failed).map(failure);
        Settlement {
            settled,
            data: Json::from_value(&Value::Object(data)).ok(),
            fault,
        }
    }
}

/// The exit code or the signal, under its name.
fn how(status: ExitStatus) -> Option<(&'static str, i32)> {
    status
        .code()
        .map(|code| ("exitCode", code))
        .or_else(|| status.signal().map(|signal| ("signal", signal)))
}

fn failure(status: ExitStatus) -> Fault {
    let message = match how(status) {
        Some(("signal", signal)) => format!("killed by signal {signal}"),
        Some((_, code)) => format!("exit code {code}"),
        None => format!("ended in an unknown way ({status})"),
    };
    let details: Map<String, Value> = how(status)
        .map(|(name, number)| (name.into(), number.into()))
        .into_iter()
        .collect();
    Fault::new(ErrorCode::CommandFailed, message).with_details(&Value::Object(details))
}

async fn stream(inner: &Inner, captured: Captured) -> Value {
    let Captured {
        spool,
        dropped,
        mut lost,
    } = captured;
    let bytes = spool.len();
    let mut out = Map::from_iter([("bytes".to_owned(), Value::from(bytes))]);
    // One at a time: whole outputs in memory are what a busy daemon cannot afford.
    let _turn = if bytes > INLINE_BYTES_MAX as u64 {
        inner.sealing.acquire().await.ok()
    } else {
        None
    };
    let seal = Arc::clone(&inner.seal);
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

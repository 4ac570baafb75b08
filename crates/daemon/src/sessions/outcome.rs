//! From how an execution ended to the settlement of its command. Everything in it is redacted.

use crate::output::{Captured, Sink, shape};
use crate::redact::OutputGuard;
use actum_model::effect::SettledAs;
use actum_model::limits::INLINE_BYTES_MAX;
use actum_model::{ErrorCode, Fault, Json, Settlement};
use actum_worker::protocol::{Failure, Mime};
use actum_worker::session::{Ending, Outcome};
use base64::Engine;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What is known of an execution that came to its end.
pub(super) struct Ended {
    pub(super) outcome: Outcome,
    pub(super) stdout: Captured,
    pub(super) stderr: Captured,
    pub(super) displays: Vec<Value>,
    pub(super) displays_dropped: u64,
    /// The cage, where the process was started for it.
    pub(super) sandbox: Option<Value>,
}

/// What became of a command that ran code. `by_stop`: its stop was asked for.
pub(super) async fn settle(sink: &Sink, ended: Ended, guard: &OutputGuard, by_stop: bool) -> Settlement {
    let mut data = Map::new();
    let (settled, fault) = told(&ended.outcome, guard, by_stop, &mut data);
    if let Some(value) = data.remove("value") {
        keep_value(sink, value, &mut data).await;
    }
    if let Some(how) = ended.outcome.ending.ended() {
        let ms = how.duration_ns as f64 / 1e6;
        data.insert("durationMs".into(), json!(ms));
        if how.rolled_back {
            data.insert("rolledBack".into(), true.into());
        }
        if how.restarted {
            data.insert("restarted".into(), true.into());
        }
    }
    if settled != SettledAs::Succeeded {
        let session = if ended.outcome.session_kept {
            "kept"
        } else {
            "lost"
        };
        data.insert("session".into(), session.into());
    }
    data.insert("stdout".into(), shape(sink, ended.stdout).await);
    data.insert("stderr".into(), shape(sink, ended.stderr).await);
    if !ended.displays.is_empty() {
        data.insert("displays".into(), ended.displays.into());
    }
    if ended.displays_dropped > 0 {
        data.insert("displaysDropped".into(), ended.displays_dropped.into());
    }
    if let Some(sandbox) = ended.sandbox {
        data.insert("sandbox".into(), sandbox);
    }
    Settlement {
        settled,
        data: Json::from_value(&Value::Object(data)).ok(),
        fault,
    }
}

fn told(
    outcome: &Outcome,
    guard: &OutputGuard,
    by_stop: bool,
    data: &mut Map<String, Value>,
) -> (SettledAs, Option<Fault>) {
    match &outcome.ending {
        Ending::Succeeded(success) => {
            if let Some(value) = &success.value {
                data.insert("value".into(), guard.value(value.clone()));
            }
            if let Some(why) = &success.value_omitted {
                data.insert("valueOmitted".into(), why.as_str().into());
            }
            if !success.repr.is_empty() {
                data.insert("repr".into(), guard.text(&success.repr).into());
            }
            (SettledAs::Succeeded, None)
        }
        Ending::Failed(failure) => {
            data.insert("error".into(), error(failure, guard));
            if let Some(exit) = failure.ended.exit {
                data.insert("exitCode".into(), exit.into());
            }
            if by_stop {
                // However it put it: it was asked to stop, and it did.
                return (SettledAs::Stopped, None);
            }
            (SettledAs::Failed, Some(fault(failure, guard)))
        }
        Ending::Lost(_) if by_stop => (SettledAs::Stopped, None),
        Ending::Lost(reason) => (
            SettledAs::Failed,
            Some(Fault::new(
                ErrorCode::WorkerFailed,
                guard.text(&reason.to_string()),
            )),
        ),
    }
}

fn error(failure: &Failure, guard: &OutputGuard) -> Value {
    let notes: Vec<String> = failure.notes.iter().map(|note| guard.text(note)).collect();
    json!({"code": failure.code, "type": failure.error_type, "message": guard.text(&failure.message),
        "traceback": guard.text(&failure.traceback), "notes": notes})
}

fn fault(failure: &Failure, guard: &OutputGuard) -> Fault {
    let code = match failure.code.as_str() {
        "OUTPUT_DRAIN_TIMEOUT" => ErrorCode::OutputDrainTimeout,
        "OUTPUT_OVERFLOW" => ErrorCode::LimitExceeded,
        _ => ErrorCode::ExecutionFailed,
    };
    let message = guard.text(&failure.message);
    let message = match failure.error_type.as_str() {
        "" => message,
        kind if message.is_empty() => kind.to_owned(),
        kind => format!("{kind}: {message}"),
    };
    Fault::new(code, message)
}

/// The value inline while it is small, else as a sealed blob of its JSON.
async fn keep_value(sink: &Sink, value: Value, data: &mut Map<String, Value>) {
    let text = value.to_string();
    if text.len() <= INLINE_BYTES_MAX {
        data.insert("value".into(), value);
        return;
    }
    let bytes = text.len();
    let mut large = json!({"bytes": bytes});
    if let (Value::Object(members), Ok(hash)) = (&mut large, sink.seal(text.into_bytes()).await) {
        members.insert("blob".into(), hash.to_string().into());
    }
    data.insert("valueLarge".into(), large);
}

/// A bundle as JSON; bytes in base64.
pub(super) fn bundle(data: &BTreeMap<String, Mime>) -> Value {
    let members = data.iter().map(|(mime, content)| {
        let content = match content {
            Mime::Text(text) => text.as_str().into(),
            Mime::Json(value) => value.clone(),
            Mime::Bytes(bytes) => base64::engine::general_purpose::STANDARD.encode(bytes).into(),
        };
        (mime.clone(), content)
    });
    Value::Object(members.collect())
}

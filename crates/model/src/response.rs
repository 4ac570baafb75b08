//! The one response to a submission, as it stands on the wire.

use crate::error::{ErrorCode, Fault};
use crate::ids::CommandId;
use crate::json::Json;
use crate::outcome::{Identity, LanePlace, Outcome, OutcomeRow};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// A response. [`Response::to_json`] gives its wire form.
#[derive(Clone, PartialEq, Debug)]
pub struct Response {
    /// Who asked for what, once it was accepted.
    pub identity: Option<Arc<Identity>>,
    /// Kind and id as they were sent, for a command that was not accepted.
    pub asked: Option<(String, Option<String>)>,
    /// What came of it.
    pub body: Body,
    /// Journal position of the outcome (of the acceptance, while there is none).
    pub idx: Option<u64>,
    /// True where a recorded outcome is given again.
    pub replayed: bool,
    /// True where it left before the disk confirmed it (`batched` durability).
    pub relaxed: bool,
}

/// What a response says.
#[derive(Clone, PartialEq, Debug)]
pub enum Body {
    /// It is accepted; the outcome comes later (`detach`).
    Accepted {
        /// The command in doubt that holds its lane.
        held_by: Option<CommandId>,
    },
    /// It has its outcome.
    Finished {
        /// How it ended.
        outcome: Outcome,
        /// The result.
        data: Option<Json>,
        /// The error.
        fault: Option<Arc<Fault>>,
        /// Version of the session after it.
        session_version: Option<u64>,
    },
    /// The answer of a read.
    Read(Json),
    /// It was refused before it was accepted; nothing is stored.
    Refused(Box<Fault>),
}

impl Response {
    /// The response of a finished command.
    #[must_use]
    pub fn finished(row: &OutcomeRow, replayed: bool) -> Response {
        Response {
            identity: Some(row.identity.clone()),
            asked: None,
            body: Body::Finished {
                outcome: row.outcome,
                data: row.data.clone(),
                fault: row.fault.clone(),
                session_version: row.session_version,
            },
            idx: Some(row.finished_idx),
            replayed,
            relaxed: false,
        }
    }

    /// The response of a refused submission.
    #[must_use]
    pub fn refused(kind: &str, id: Option<&str>, fault: Fault) -> Response {
        Response {
            identity: None,
            asked: Some((kind.to_owned(), id.map(str::to_owned))),
            body: Body::Refused(Box::new(fault)),
            idx: None,
            replayed: false,
            relaxed: false,
        }
    }

    /// The answer of a read.
    #[must_use]
    pub fn read(kind: &str, id: Option<&str>, data: &Value) -> Response {
        Response {
            identity: None,
            asked: Some((kind.to_owned(), id.map(str::to_owned))),
            body: Body::Read(Json::from_value(data).unwrap_or_default()),
            idx: None,
            replayed: false,
            relaxed: false,
        }
    }

    /// The fault, if it has one.
    #[must_use]
    pub fn fault(&self) -> Option<&Fault> {
        match &self.body {
            Body::Finished { fault, .. } => fault.as_deref(),
            Body::Refused(fault) => Some(fault),
            Body::Accepted { .. } | Body::Read(_) => None,
        }
    }

    /// Whether the command succeeded, was accepted, or the read was answered.
    #[must_use]
    pub fn success(&self) -> bool {
        match &self.body {
            Body::Accepted { .. } | Body::Read(_) => true,
            Body::Finished { outcome, .. } => *outcome == Outcome::Succeeded,
            Body::Refused(_) => false,
        }
    }

    /// Writes the wire form, one line without its end. Members come in a fixed order.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut out = String::with_capacity(256);
        out.push_str("{\"type\":\"response\"");
        if let Some(identity) = &self.identity {
            push(&mut out, "command", identity.kind.as_str());
            push(&mut out, "id", identity.public_id().as_str());
        } else if let Some((kind, id)) = &self.asked {
            push(&mut out, "command", kind);
            if let Some(id) = id {
                push(&mut out, "id", id);
            }
        }
        push_raw(&mut out, "success", if self.success() { "true" } else { "false" });
        self.push_body(&mut out);
        if let Some(LanePlace {
            lane,
            generation,
            seq,
        }) = self.identity.as_ref().and_then(|i| i.lane.as_ref())
        {
            push(&mut out, "lane", &lane.to_string());
            push_number(&mut out, "laneGeneration", *generation);
            push_number(&mut out, "laneSeq", *seq);
        }
        if let Some(idx) = self.idx {
            push_number(&mut out, "idx", idx);
        }
        if self.replayed {
            push_raw(&mut out, "replayed", "true");
        }
        if self.relaxed {
            push(&mut out, "durability", "batched");
        }
        out.push('}');
        out
    }

    fn push_body(&self, out: &mut String) {
        match &self.body {
            Body::Accepted { held_by } => {
                push_raw(out, "accepted", "true");
                if let Some(id) = held_by {
                    push(out, "heldBy", id.as_str());
                }
            }
            Body::Read(data) => push_raw(out, "data", data.as_str()),
            Body::Finished {
                outcome,
                data,
                fault,
                session_version,
            } => {
                push(out, "outcome", outcome.as_str());
                if let Some(data) = data {
                    push_raw(out, "data", data.as_str());
                }
                if let Some(fault) = fault {
                    push_raw(out, "error", &fault_json(fault).to_string());
                }
                if let Some(version) = session_version {
                    push_number(out, "sessionVersion", *version);
                }
                if *outcome == Outcome::TimedOut {
                    push_raw(out, "timedOut", "true");
                }
            }
            Body::Refused(fault) => push_raw(out, "error", &fault_json(fault).to_string()),
        }
    }
}

fn push_raw(out: &mut String, key: &str, raw: &str) {
    out.push_str(",\"");
    out.push_str(key);
    out.push_str("\":");
    out.push_str(raw);
}

fn push_number(out: &mut String, key: &str, number: u64) {
    push_raw(out, key, &number.to_string());
}

fn push(out: &mut String, key: &str, text: &str) {
    push_raw(out, key, &json!(text).to_string());
}

/// The wire form of a fault: `{code, message, hint, details?, retryable}`.
#[must_use]
pub fn fault_json(fault: &Fault) -> Value {
    let mut out = Map::new();
    out.insert("code".into(), fault.code.as_str().into());
    out.insert("message".into(), fault.message.clone().into());
    out.insert("hint".into(), fault.hint_text().into());
    if let Some(details) = &fault.details {
        out.insert("details".into(), details.to_value());
    }
    out.insert("retryable".into(), fault.code.retryable().into());
    Value::Object(out)
}

/// Reads the wire form of a fault back; none where it has no code. A code that is not known, as a daemon of a later
/// version may have, is [`ErrorCode::Internal`] and stands in the message.
#[must_use]
pub fn fault_of_json(error: &Value) -> Option<Fault> {
    let text = |name: &str| error.get(name).and_then(Value::as_str);
    let code = text("code")?;
    let message = text("message").unwrap_or_default();
    let known = ErrorCode::ALL.iter().find(|known| known.as_str() == code);
    let mut fault = match known {
        Some(known) => Fault::new(*known, message),
        None => Fault::new(ErrorCode::Internal, format!("{code}: {message}")),
    };
    if let Some(hint) = text("hint") {
        fault = fault.with_hint(hint);
    }
    if let Some(details) = error.get("details") {
        fault = fault.with_details(details);
    }
    Some(fault)
}

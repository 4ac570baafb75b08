//! The messages of both directions, as they travel: maps with a `type`, fields in camel case.
//!
//! Unknown fields are ignored, so that a later version may add some; unknown types and wrong shapes are errors.

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// A stream of output with a credit window of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// What was written to descriptor 1.
    Stdout,
    /// What was written to descriptor 2.
    Stderr,
    /// Bundles shown with `display`.
    Display,
}

/// What happens to output when its credit is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Backpressure {
    /// The writer waits.
    #[default]
    Block,
    /// The oldest output that is not yet sent makes room; counted.
    DropOldest,
    /// New output is thrown away; counted.
    DropNew,
    /// New output is thrown away, and the execution ends with `OUTPUT_OVERFLOW`.
    Error,
}

/// What an execution leaves in the namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Transaction {
    /// Everything, whatever comes.
    #[default]
    CommitAlways,
    /// Nothing, if it fails.
    RollbackOnFailure,
    /// Nothing.
    RollbackAlways,
}

impl Transaction {
    fn is_default(&self) -> bool {
        *self == Transaction::default()
    }
}

/// From the daemon to a worker.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
#[expect(missing_docs, reason = "fields are described in docs/session-protocol.md")]
pub enum ToWorker {
    Hello {
        protocol: u32,
        daemon: String,
        credits: BTreeMap<Stream, u64>,
        backpressure: BTreeMap<Stream, Backpressure>,
        config: Json,
    },
    Execute {
        id: String,
        code: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        mode: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        source: Option<String>,
        #[serde(skip_serializing_if = "Transaction::is_default")]
        transaction: Transaction,
    },
    InputResponse {
        id: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<String>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        eof: bool,
    },
    Cancel {
        id: String,
        grace_ms: u64,
    },
    Interrupt {
        id: String,
    },
    Checkpoint {
        id: String,
    },
    Restore {
        id: String,
        #[serde(with = "serde_bytes")]
        data: Vec<u8>,
        clear: bool,
    },
    CapabilityResponse {
        id: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        value: Option<Json>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<CapabilityError>,
    },
    StreamData {
        id: String,
        seq: u64,
        #[serde(with = "serde_bytes")]
        data: Vec<u8>,
    },
    StreamClose {
        id: String,
        reason: String,
    },
    Credit {
        stream: String,
        bytes: u64,
    },
    Shutdown {},
}

/// Why a capability gave no value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapabilityError {
    /// A stable code.
    pub code: String,
    /// One sentence.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// From a worker to the daemon.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
#[expect(missing_docs, reason = "fields are described in docs/session-protocol.md")]
pub enum FromWorker {
    Hello(WorkerHello),
    Ready {
        #[serde(default)]
        session: String,
    },
    Ack {
        of: String,
    },
    Output {
        id: String,
        stream: Stream,
        seq: u64,
        #[serde(deserialize_with = "bytes")]
        data: Bytes,
    },
    InputRequest {
        id: String,
        execution: String,
        prompt: String,
        deadline_ms: Option<u64>,
    },
    Result(Success),
    Error(Failure),
    CheckpointData(Checkpoint),
    Restored(Restored),
    CapabilityRequest(CapabilityRequest),
    StreamOpen(StreamOpen),
    StreamData {
        id: String,
        seq: u64,
        #[serde(deserialize_with = "bytes")]
        data: Bytes,
    },
    StreamClose {
        id: String,
        reason: String,
    },
    Credit {
        stream: String,
        bytes: u64,
    },
    Display {
        id: String,
        data: BTreeMap<String, Mime>,
    },
    Progress {
        id: String,
        step: f64,
        total: Option<f64>,
        text: Option<String>,
    },
    Heartbeat {
        rss: u64,
        cpu: f64,
        names: u64,
        #[serde(default)]
        stray: u64,
    },
    Fault {
        code: String,
        message: String,
    },
}

/// The first message of a worker.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct WorkerHello {
    /// Version of the protocol it speaks.
    pub protocol: u32,
    /// Its name and version, such as `python/3.11.7`.
    pub worker: String,
    /// What it can do beyond the required; names stand in `docs/session-protocol.md`.
    #[serde(default)]
    pub capabilities: Vec<String>,
}

/// What `result` and `error` have in common.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ended {
    /// How long the code ran, in nanoseconds.
    pub duration_ns: u64,
    /// Whether the namespace is as it was before.
    pub rolled_back: bool,
    /// Exit code, where the code left by one.
    pub exit: Option<i64>,
    /// Whether what the session kept (variables of a shell) was lost with a restart.
    pub restarted: bool,
    /// Bytes of output that were dropped, by stream.
    pub dropped: BTreeMap<String, u64>,
    /// Bytes written between executions, which belong to none.
    pub stray: u64,
}

/// An execution came to its end.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Success {
    /// The execution.
    pub id: String,
    /// Value of the trailing expression, if there was one and JSON has a form for it.
    #[serde(default, deserialize_with = "present")]
    pub value: Option<Json>,
    /// Why there is a representation and no value.
    pub value_omitted: Option<String>,
    /// Bounded representation of the value; empty without one.
    #[serde(default)]
    pub repr: String,
    /// The rest.
    #[serde(flatten)]
    pub ended: Ended,
}

/// An execution failed, was stopped, or a request could not be met.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// The execution or request.
    pub id: String,
    /// `EXCEPTION`, `EXIT`, `CANCELLED`, `INTERRUPTED`, `OUTPUT_DRAIN_TIMEOUT`, `OUTPUT_OVERFLOW`, …
    pub code: String,
    /// Type of the exception.
    pub error_type: String,
    /// Its text.
    pub message: String,
    /// Its traceback, with the lines of the user's own code.
    #[serde(default)]
    pub traceback: String,
    /// Notes added to it.
    #[serde(default)]
    pub notes: Vec<String>,
    /// The rest.
    #[serde(flatten)]
    pub ended: Ended,
}

/// What a session kept of itself. Only a worker may open `data`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Checkpoint {
    /// The request.
    pub id: String,
    /// Opaque bytes; they can run code when they are loaded.
    #[serde(deserialize_with = "bytes")]
    pub data: Bytes,
    /// Names that are in it.
    pub saved: Vec<String>,
    /// Names that are not, and why.
    pub skipped: Vec<Skipped>,
}

/// What a session took from a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Restored {
    /// The request.
    pub id: String,
    /// Names that are there again.
    pub restored: Vec<String>,
    /// Names that are not, and why.
    pub skipped: Vec<Skipped>,
}

/// A name that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Skipped {
    /// The name.
    pub name: String,
    /// Type of its value.
    pub value_type: String,
    /// The reason.
    pub why: String,
}

/// Code asks the daemon for something.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CapabilityRequest {
    /// Id of the request, unique in the session.
    pub id: String,
    /// The execution it comes from.
    pub execution: String,
    /// What is asked, such as `file.read`.
    pub capability: String,
    /// Its arguments.
    #[serde(default)]
    pub payload: Json,
    /// Two requests with the same key are one.
    pub idempotency_key: Option<String>,
    /// How long the answer is waited for, in milliseconds.
    pub timeout_ms: Option<u64>,
}

/// Code opens a channel.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct StreamOpen {
    /// Id of the channel, unique in the session.
    pub id: String,
    /// The execution it comes from.
    pub execution: String,
    /// What it is opened to.
    pub capability: String,
    /// Its arguments.
    #[serde(default)]
    pub params: Json,
}

/// One representation in a bundle.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Mime {
    /// Bytes, such as a picture. The first, or bytes that happen to be UTF-8 would be taken for text.
    Bytes(#[serde(deserialize_with = "bytes")] Bytes),
    /// Text.
    Text(String),
    /// A JSON value.
    Json(Json),
}

fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    struct Visitor;
    impl serde::de::Visitor<'_> for Visitor {
        type Value = Bytes;

        fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            formatter.write_str("bytes")
        }

        fn visit_bytes<E>(self, value: &[u8]) -> Result<Bytes, E> {
            Ok(Bytes::copy_from_slice(value))
        }

        fn visit_byte_buf<E>(self, value: Vec<u8>) -> Result<Bytes, E> {
            Ok(value.into())
        }
    }
    deserializer.deserialize_byte_buf(Visitor)
}

/// A field that is there, even if it is null.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

//! The closed registry of operations: their names, versions and fields, and the values they parse into. What is
//! not in [`SPECS`] cannot be done to a view. A change of what an operation means takes a new version here.

mod apply;
mod fault;
mod kinds;
mod parse;

pub use apply::{Applied, OpResult, Reason, Refusal};
pub use fault::{InputFault, ParseError};
pub use kinds::{KindMode, KindRefusal, KindRegistry};
pub use parse::parse_ops;

use crate::content::Payload;
use crate::ids::{AttachmentKey, EdgeId, KindName, NodeId, TargetId};
use actum_model::{Hash, Json};
use serde::{Deserialize, Serialize};

/// One operation. Its serde form is the one of the journal: ids and payloads are bytes there.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Op {
    /// Adds a node.
    AddNode {
        /// Its kind.
        kind: KindName,
        /// Its payload.
        payload: Payload,
    },
    /// Adds an edge between nodes that exist.
    AddEdge {
        /// Where it starts.
        from: NodeId,
        /// Where it ends.
        to: NodeId,
        /// Its kind.
        kind: KindName,
        /// Its payload, if any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        payload: Option<Payload>,
    },
    /// Removes a node nothing refers to.
    RemoveNode {
        /// Its id.
        id: NodeId,
    },
    /// Removes an edge nothing refers to.
    RemoveEdge {
        /// Its id.
        id: EdgeId,
    },
    /// Sets an attachment of a node or edge.
    SetAttachment {
        /// What it hangs on.
        target: TargetId,
        /// Its key.
        key: AttachmentKey,
        /// Its value.
        value: Json,
        /// The version it must have now; 0 for none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expected_version: Option<u64>,
    },
    /// Clears an attachment.
    ClearAttachment {
        /// What it hangs on.
        target: TargetId,
        /// Its key.
        key: AttachmentKey,
        /// The version it must have now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expected_version: Option<u64>,
    },
}

/// One entry of the registry.
#[derive(Debug)]
pub struct OpSpec {
    /// Name on the wire.
    pub name: &'static str,
    /// Version of its meaning.
    pub version: u32,
    /// Fields of `data` that must be there, sorted.
    pub required: &'static [&'static str],
    /// Fields of `data` that may be there, sorted.
    pub optional: &'static [&'static str],
}

/// Every operation there is, sorted by name.
pub const SPECS: &[OpSpec] = &[
    OpSpec {
        name: "AddEdge",
        version: 1,
        required: &["from", "kind", "to"],
        optional: &["payload_b64"],
    },
    OpSpec {
        name: "AddNode",
        version: 1,
        required: &["kind", "payload_b64"],
        optional: &[],
    },
    OpSpec {
        name: "ClearAttachment",
        version: 1,
        required: &["key", "target"],
        optional: &["expectedVersion"],
    },
    OpSpec {
        name: "RemoveEdge",
        version: 1,
        required: &["id"],
        optional: &[],
    },
    OpSpec {
        name: "RemoveNode",
        version: 1,
        required: &["id"],
        optional: &[],
    },
    OpSpec {
        name: "SetAttachment",
        version: 1,
        required: &["key", "target", "value"],
        optional: &["expectedVersion"],
    },
];

/// The hash of the registry, part of `rulePackId`: `SHA-256` over `"actum/graph-ops/v1"` and one part per
/// operation, `name/version required,… optional?,…` in the order of the names.
#[must_use]
pub fn registry_hash() -> Hash {
    let lines: Vec<String> = SPECS.iter().map(OpSpec::line).collect();
    let parts: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
    Hash::of_parts("actum/graph-ops/v1", &parts)
}

impl OpSpec {
    fn line(&self) -> String {
        let optional = self.optional.iter().map(|field| format!("{field}?"));
        let fields: Vec<String> = self
            .required
            .iter()
            .map(ToString::to_string)
            .chain(optional)
            .collect();
        format!("{}/{} {}", self.name, self.version, fields.join(","))
    }
}

impl Op {
    /// Its name on the wire.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Op::AddNode { .. } => "AddNode",
            Op::AddEdge { .. } => "AddEdge",
            Op::RemoveNode { .. } => "RemoveNode",
            Op::RemoveEdge { .. } => "RemoveEdge",
            Op::SetAttachment { .. } => "SetAttachment",
            Op::ClearAttachment { .. } => "ClearAttachment",
        }
    }

    /// Its form on the wire, which [`parse_ops`] reads back.
    #[must_use]
    pub fn to_wire(&self) -> serde_json::Value {
        use serde_json::json;
        let mut data = match self {
            Op::AddNode { kind, payload } => {
                json!({"kind": kind.as_str(), "payload_b64": payload.to_base64()})
            }
            Op::AddEdge { from, to, kind, .. } => {
                json!({"from": from.to_string(), "to": to.to_string(), "kind": kind.as_str()})
            }
            Op::RemoveNode { id } => json!({"id": id.to_string()}),
            Op::RemoveEdge { id } => json!({"id": id.to_string()}),
            Op::SetAttachment {
                target, key, value, ..
            } => {
                json!({"target": target.to_string(), "key": key.as_str(), "value": value.to_value()})
            }
            Op::ClearAttachment { target, key, .. } => {
                json!({"target": target.to_string(), "key": key.as_str()})
            }
        };
        let optional = match self {
            Op::AddEdge { payload, .. } => payload
                .as_ref()
                .map(|payload| ("payload_b64", json!(payload.to_base64()))),
            Op::SetAttachment { expected_version, .. } | Op::ClearAttachment { expected_version, .. } => {
                expected_version.map(|version| ("expectedVersion", json!(version)))
            }
            _ => None,
        };
        if let (Some((name, value)), Some(members)) = (optional, data.as_object_mut()) {
            members.insert(name.to_owned(), value);
        }
        json!({"op": self.name(), "data": data})
    }
}

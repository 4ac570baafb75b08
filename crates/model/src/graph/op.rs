//! The operations a rewrite is made of. Which there are, their versions and their meaning are the graph crate's.

use super::content::Payload;
use super::ids::{AttachmentKey, EdgeId, KindName, NodeId, TargetId};
use crate::json::Json;
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

    /// Rough size in memory, in bytes. Deterministic.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        let content = match self {
            Op::AddNode { payload, .. } => payload.as_bytes().len(),
            Op::AddEdge { payload, .. } => payload.as_ref().map_or(0, |payload| payload.as_bytes().len()),
            Op::SetAttachment { value, .. } => value.as_str().len(),
            Op::RemoveNode { .. } | Op::RemoveEdge { .. } | Op::ClearAttachment { .. } => 0,
        };
        128 + content
    }

    /// Its form on the wire, which `parse_ops` of the graph crate reads back.
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

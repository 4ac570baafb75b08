//! Steps from one view to another, as snapshots write them.

use super::content::{Edge, Node};
use super::ids::{AttachmentKey, EdgeId, NodeId, TargetId};
use crate::json::Json;
use serde::{Deserialize, Serialize};

/// One step from one view to another, in its compact form: ids and payloads are bytes in CBOR.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Patch {
    /// Adds a node.
    Node(Node),
    /// Adds an edge.
    Edge(Edge),
    /// Sets an attachment.
    Attachment {
        /// What it hangs on.
        target: TargetId,
        /// Its key.
        key: AttachmentKey,
        /// Its value.
        value: Json,
        /// Its version.
        version: u64,
    },
    /// Removes a node.
    NoNode(NodeId),
    /// Removes an edge.
    NoEdge(EdgeId),
    /// Clears an attachment.
    NoAttachment(TargetId, AttachmentKey),
    /// Sets the version floor of the view.
    VersionFloor(u64),
}

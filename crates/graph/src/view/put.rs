//! The only places that change a view: one entry at a time, with its indices. They ask for no rules; whoever
//! calls them keeps every edge between nodes that exist, and every attachment on a target that exists.

use super::View;
use crate::content::{Attachment, Edge, Node, attachment_path};
use crate::ids::{AttachmentKey, EdgeId, NodeId, TargetId};

impl View {
    /// Adds a node under its id. Returns false where it is there already.
    pub(crate) fn put_node(&mut self, id: NodeId, node: Node) -> bool {
        if self.node(&id).is_some() {
            return false;
        }
        self.nodes.insert(*id.bytes(), node);
        true
    }

    /// Takes a node out.
    pub(crate) fn take_node(&mut self, id: &NodeId) -> Option<Node> {
        self.nodes.remove(id.bytes())
    }

    /// Adds an edge under its id. Returns false where it is there already.
    pub(crate) fn put_edge(&mut self, id: EdgeId, edge: Edge) -> bool {
        if self.edge(&id).is_some() {
            return false;
        }
        self.outgoing.insert((edge.from, id));
        self.incoming.insert((edge.to, id));
        self.edges.insert(*id.bytes(), edge);
        true
    }

    /// Takes an edge out.
    pub(crate) fn take_edge(&mut self, id: &EdgeId) -> Option<Edge> {
        let edge = self.edges.remove(id.bytes())?;
        self.outgoing.remove(&(edge.from, *id));
        self.incoming.remove(&(edge.to, *id));
        Some(edge)
    }

    /// Puts an attachment, whatever was there; returns what was there.
    pub(crate) fn put_attachment(&mut self, target: &TargetId, attachment: Attachment) -> Option<Attachment> {
        let path = attachment_path(target, attachment.key());
        self.attachments.insert(path, attachment)
    }

    /// Takes an attachment out and lifts the version floor to its version.
    pub(crate) fn take_attachment(&mut self, target: &TargetId, key: &AttachmentKey) -> Option<Attachment> {
        let taken = self.remove_attachment(target, key)?;
        self.lift_version_floor(taken.version());
        Some(taken)
    }

    /// Takes an attachment out and leaves the version floor to the caller.
    pub(crate) fn remove_attachment(&mut self, target: &TargetId, key: &AttachmentKey) -> Option<Attachment> {
        self.attachments.remove(&attachment_path(target, key))
    }

    /// Lifts the version floor to at least `version`.
    pub(crate) fn lift_version_floor(&mut self, version: u64) {
        self.version_floor = self.version_floor.max(version);
    }

    /// Sets the version floor back, when a rewrite is undone.
    pub(crate) fn reset_version_floor(&mut self, version: u64) {
        self.version_floor = version;
    }
}

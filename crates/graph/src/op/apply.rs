//! Carrying out the operations of one rewrite on a view: all of them, or none. Changes are made in place and
//! taken back on a refusal, so that a replay, which is never refused, copies nothing.

use super::Op;
use crate::content::{Attachment, Edge, Node};
use crate::diff::EntryKey;
use crate::ids::{AttachmentKey, EdgeId, NodeId, TargetId};
use crate::view::{Referrer, View};
use actum_model::Hash;
use actum_model::Json;
use actum_model::limits::GRAPH_OPS_MAX;
use serde::{Deserialize, Serialize};

/// What one operation did.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpResult {
    /// The node, edge or attachment it was about.
    pub key: EntryKey,
    /// False where the view was so already.
    pub changed: bool,
    /// Version of the attachment that was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
}

/// What a rewrite did, one result per operation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Applied {
    /// In the order of the operations.
    pub results: Vec<OpResult>,
}

impl Applied {
    /// Whether anything changed at all.
    #[must_use]
    pub fn changed(&self) -> bool {
        self.results.iter().any(|result| result.changed)
    }
}

/// Why an operation cannot be carried out.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Reason {
    /// Code `INVALID_INPUT`: none, or more than one rewrite may have.
    #[error("expected 1 to {max} operations, got {found}")]
    OpsCount {
        /// Most operations of a rewrite.
        max: usize,
        /// Operations given.
        found: usize,
    },
    /// Code `MISSING_ENDPOINT`: an end of the edge, or the target of the attachment, does not exist.
    #[error("it refers to `{missing}`, which does not exist in this view")]
    EndpointMissing {
        /// Id of what is missing.
        missing: Hash,
    },
    /// Code `NOT_FOUND`: what should be removed or cleared does not exist.
    #[error("it does not exist in this view")]
    NotFound,
    /// Code `IN_USE`: something refers to what should be removed.
    #[error("it is in use by {by:?}")]
    InUse {
        /// One of those that refer to it.
        by: Referrer,
    },
    /// Code `VERSION_MISMATCH`: the attachment was set by somebody else meanwhile.
    #[error("expected version {expected}, it has version {actual}")]
    VersionMismatch {
        /// The version the caller knows.
        expected: u64,
        /// The version it has; 0 where there is no such attachment.
        actual: u64,
    },
}

impl Reason {
    /// The error code of the wire.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Reason::OpsCount { .. } => "INVALID_INPUT",
            Reason::EndpointMissing { .. } => "MISSING_ENDPOINT",
            Reason::NotFound => "NOT_FOUND",
            Reason::InUse { .. } => "IN_USE",
            Reason::VersionMismatch { .. } => "VERSION_MISMATCH",
        }
    }
}

/// Why a rewrite was refused; the view is as before.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("operation {op_index} is refused: {reason}")]
pub struct Refusal {
    /// The operation, counted from 0.
    pub op_index: usize,
    /// Why.
    pub reason: Reason,
}

/// What was in a place before an operation.
enum Undo {
    Nothing,
    AddedNode(NodeId),
    AddedEdge(EdgeId),
    RemovedNode(Node),
    RemovedEdge(Edge),
    SetAttachment(TargetId, AttachmentKey, Option<Attachment>),
}

type Step = Result<(OpResult, Undo), Reason>;

impl View {
    /// Carries out the operations of one rewrite, in order, each on what those before it left.
    ///
    /// # Errors
    /// The first operation that cannot be carried out; then nothing is changed.
    pub fn apply(&mut self, ops: &[Op]) -> Result<Applied, Refusal> {
        if ops.is_empty() || ops.len() > GRAPH_OPS_MAX {
            let (max, found) = (GRAPH_OPS_MAX, ops.len());
            let reason = Reason::OpsCount { max, found };
            return Err(Refusal { op_index: 0, reason });
        }
        let floor = self.version_floor();
        let mut results = Vec::with_capacity(ops.len());
        let mut undo = Vec::with_capacity(ops.len());
        for (op_index, op) in ops.iter().enumerate() {
            match self.step(op) {
                Ok((result, before)) => {
                    results.push(result);
                    undo.push(before);
                }
                Err(reason) => {
                    undo.into_iter().rev().for_each(|before| self.undo(before));
                    self.reset_version_floor(floor);
                    return Err(Refusal { op_index, reason });
                }
            }
        }
        Ok(Applied { results })
    }

    fn step(&mut self, op: &Op) -> Step {
        match op {
            Op::AddNode { kind, payload } => {
                let (kind, payload) = (kind.clone(), payload.clone());
                Ok(self.add_node(Node { kind, payload }))
            }
            Op::AddEdge {
                from,
                to,
                kind,
                payload,
            } => self.add_edge(Edge {
                from: *from,
                to: *to,
                kind: kind.clone(),
                payload: payload.clone(),
            }),
            Op::RemoveNode { id } => self.remove_node(*id),
            Op::RemoveEdge { id } => self.remove_edge(*id),
            Op::SetAttachment {
                target,
                key,
                value,
                expected_version,
            } => self.set_attachment(*target, key, value, *expected_version),
            Op::ClearAttachment {
                target,
                key,
                expected_version,
            } => self.clear_attachment(*target, key, *expected_version),
        }
    }

    fn add_node(&mut self, node: Node) -> (OpResult, Undo) {
        let id = node.id();
        let changed = self.put_node(id, node);
        let undo = if changed {
            Undo::AddedNode(id)
        } else {
            Undo::Nothing
        };
        (done(EntryKey::Node(id), changed), undo)
    }

    fn add_edge(&mut self, edge: Edge) -> Step {
        let missing = [edge.from, edge.to]
            .into_iter()
            .find(|id| self.node(id).is_none());
        if let Some(missing) = missing {
            return Err(Reason::EndpointMissing { missing: missing.0 });
        }
        let id = edge.id();
        let changed = self.put_edge(id, edge);
        let undo = if changed {
            Undo::AddedEdge(id)
        } else {
            Undo::Nothing
        };
        Ok((done(EntryKey::Edge(id), changed), undo))
    }

    fn remove_node(&mut self, id: NodeId) -> Step {
        if let Some(by) = self.referrer_of_node(&id) {
            return Err(Reason::InUse { by });
        }
        let node = self.take_node(&id).ok_or(Reason::NotFound)?;
        Ok((done(EntryKey::Node(id), true), Undo::RemovedNode(node)))
    }

    fn remove_edge(&mut self, id: EdgeId) -> Step {
        if let Some(by) = self.referrer_of_edge(&id) {
            return Err(Reason::InUse { by });
        }
        let edge = self.take_edge(&id).ok_or(Reason::NotFound)?;
        Ok((done(EntryKey::Edge(id), true), Undo::RemovedEdge(edge)))
    }

    fn set_attachment(
        &mut self,
        target: TargetId,
        key: &AttachmentKey,
        value: &Json,
        expected: Option<u64>,
    ) -> Step {
        if !self.has_target(&target) {
            return Err(Reason::EndpointMissing { missing: target.0 });
        }
        let now = self.attachment(&target, key);
        check_version(expected, now)?;
        let (changed, version) = match now {
            Some(now) if now.value() == value => (false, now.version()),
            Some(now) => (true, now.version().saturating_add(1)),
            None => (true, self.version_floor().saturating_add(1)),
        };
        let mut undo = Undo::Nothing;
        if changed {
            let before = self.put_attachment(&target, Attachment::new(key.clone(), value.clone(), version));
            undo = Undo::SetAttachment(target, key.clone(), before);
        }
        let key = EntryKey::Attachment(target, key.clone());
        let version = Some(version);
        let result = OpResult {
            key,
            changed,
            version,
        };
        Ok((result, undo))
    }

    fn clear_attachment(&mut self, target: TargetId, key: &AttachmentKey, expected: Option<u64>) -> Step {
        check_version(expected, self.attachment(&target, key))?;
        let before = self.take_attachment(&target, key).ok_or(Reason::NotFound)?;
        let undo = Undo::SetAttachment(target, key.clone(), Some(before));
        Ok((done(EntryKey::Attachment(target, key.clone()), true), undo))
    }

    fn undo(&mut self, before: Undo) {
        match before {
            Undo::Nothing => {}
            Undo::AddedNode(id) => drop(self.take_node(&id)),
            Undo::AddedEdge(id) => drop(self.take_edge(&id)),
            Undo::RemovedNode(node) => drop(self.put_node(node.id(), node)),
            Undo::RemovedEdge(edge) => drop(self.put_edge(edge.id(), edge)),
            Undo::SetAttachment(target, _, Some(before)) => drop(self.put_attachment(&target, before)),
            Undo::SetAttachment(target, key, None) => drop(self.remove_attachment(&target, &key)),
        }
    }
}

fn done(key: EntryKey, changed: bool) -> OpResult {
    let version = None;
    OpResult {
        key,
        changed,
        version,
    }
}

fn check_version(expected: Option<u64>, now: Option<&Attachment>) -> Result<(), Reason> {
    let actual = now.map_or(0, Attachment::version);
    match expected {
        Some(expected) if expected != actual => Err(Reason::VersionMismatch { expected, actual }),
        _ => Ok(()),
    }
}

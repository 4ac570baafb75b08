//! What the tests share: a naive model of a view on plain maps, the same operations on it, and strategies that
//! make rewrites in a small world, so that they meet.

use actum_graph::content::attachment_path;
use actum_graph::{AttachmentKey, Edge, EdgeId, EntryKey, KindName, Node, NodeId, Op, Page, TargetId, View};
use actum_graph::{EdgeFilter, NodeFilter};
use actum_model::{Hash, Json};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Entries of a view on plain maps.
#[derive(Clone, Default, PartialEq, Debug)]
pub(crate) struct Model {
    pub(crate) nodes: BTreeMap<NodeId, Node>,
    pub(crate) edges: BTreeMap<EdgeId, Edge>,
    /// By target and key: value and version.
    pub(crate) attachments: BTreeMap<(TargetId, AttachmentKey), (Json, u64)>,
    pub(crate) floor: u64,
}

impl Model {
    /// What a view holds, read through its pages.
    pub(crate) fn of(view: &View) -> Model {
        let mut model = Model {
            floor: view.version_floor(),
            ..Model::default()
        };
        let mut page = Page {
            first: 3,
            after: None,
        };
        loop {
            let paged = view.nodes(&NodeFilter::default(), &page);
            model.nodes.extend(paged.items);
            page.after = paged.next;
            if page.after.is_none() {
                break;
            }
        }
        let mut page = Page {
            first: 3,
            after: None,
        };
        loop {
            let paged = view.edges(&EdgeFilter::default(), &page);
            model.edges.extend(paged.items);
            page.after = paged.next;
            if page.after.is_none() {
                break;
            }
        }
        let targets = model.nodes.keys().map(|id| TargetId(id.0));
        let targets: Vec<TargetId> = targets
            .chain(model.edges.keys().map(|id| TargetId(id.0)))
            .collect();
        for target in targets {
            let mut page = Page {
                first: 1,
                after: None,
            };
            loop {
                let paged = view.attachments(&target, &page);
                for found in paged.items {
                    let entry = (found.value().clone(), found.version());
                    model.attachments.insert((target, found.key().clone()), entry);
                }
                page.after = paged.next;
                if page.after.is_none() {
                    break;
                }
            }
        }
        let counts = view.counts();
        assert_eq!(
            (counts.nodes, counts.edges, counts.attachments),
            (model.nodes.len(), model.edges.len(), model.attachments.len())
        );
        model
    }

    /// Whether a node or edge has this id.
    pub(crate) fn has(&self, target: &TargetId) -> bool {
        self.nodes.contains_key(&NodeId(target.0)) || self.edges.contains_key(&EdgeId(target.0))
    }

    fn attached(&self, target: Hash) -> bool {
        self.attachments.keys().any(|(at, _)| at.0 == target)
    }

    /// Whether an edge or attachment refers to a node or edge.
    pub(crate) fn used(&self, id: Hash) -> bool {
        let ends = |edge: &Edge| edge.from.0 == id || edge.to.0 == id;
        self.attached(id) || self.edges.values().any(ends)
    }

    /// One operation; true if it changed something, or the code of its refusal.
    pub(crate) fn step(&mut self, op: &Op) -> Result<bool, &'static str> {
        match op {
            Op::AddNode { kind, payload } => {
                let (kind, payload) = (kind.clone(), payload.clone());
                let node = Node { kind, payload };
                Ok(self.nodes.insert(node.id(), node).is_none())
            }
            Op::AddEdge {
                from,
                to,
                kind,
                payload,
            } => {
                if !self.nodes.contains_key(from) || !self.nodes.contains_key(to) {
                    return Err("MISSING_ENDPOINT");
                }
                let edge = Edge {
                    from: *from,
                    to: *to,
                    kind: kind.clone(),
                    payload: payload.clone(),
                };
                Ok(self.edges.insert(edge.id(), edge).is_none())
            }
            Op::RemoveNode { id } if self.used(id.0) => Err("IN_USE"),
            Op::RemoveNode { id } => self.nodes.remove(id).map(|_| true).ok_or("NOT_FOUND"),
            Op::RemoveEdge { id } if self.attached(id.0) => Err("IN_USE"),
            Op::RemoveEdge { id } => self.edges.remove(id).map(|_| true).ok_or("NOT_FOUND"),
            Op::SetAttachment {
                target,
                key,
                value,
                expected_version,
            } => {
                if !self.has(target) {
                    return Err("MISSING_ENDPOINT");
                }
                let now = self.attachments.get(&(*target, key.clone())).cloned();
                let version = now.as_ref().map_or(0, |now| now.1);
                if expected_version.is_some_and(|expected| expected != version) {
                    return Err("VERSION_MISMATCH");
                }
                if now.as_ref().is_some_and(|now| now.0 == *value) {
                    return Ok(false);
                }
                let next = now.map_or(self.floor, |now| now.1) + 1;
                self.attachments
                    .insert((*target, key.clone()), (value.clone(), next));
                Ok(true)
            }
            Op::ClearAttachment {
                target,
                key,
                expected_version,
            } => {
                let now = self
                    .attachments
                    .get(&(*target, key.clone()))
                    .map_or(0, |now| now.1);
                if expected_version.is_some_and(|expected| expected != now) {
                    return Err("VERSION_MISMATCH");
                }
                self.attachments
                    .remove(&(*target, key.clone()))
                    .ok_or("NOT_FOUND")?;
                self.floor = self.floor.max(now);
                Ok(true)
            }
        }
    }

    /// Every key, in the order of entries.
    pub(crate) fn keys(&self) -> Vec<EntryKey> {
        let nodes = self.nodes.keys().map(|id| EntryKey::Node(*id));
        let edges = self.edges.keys().map(|id| EntryKey::Edge(*id));
        let mut paths: Vec<_> = self.attachments.keys().cloned().collect();
        paths.sort_by_key(|(target, key)| attachment_path(target, key));
        let attachments = paths
            .into_iter()
            .map(|(target, key)| EntryKey::Attachment(target, key));
        nodes.chain(edges).chain(attachments).collect()
    }

    /// The view with these entries, added from the last to the first.
    pub(crate) fn rebuilt(&self) -> View {
        let mut view = View::default();
        let nodes = self.nodes.values().rev().cloned().map(actum_graph::Patch::Node);
        let edges = self.edges.values().rev().cloned().map(actum_graph::Patch::Edge);
        let attachments = self
            .attachments
            .iter()
            .rev()
            .map(
                |((target, key), (value, version))| actum_graph::Patch::Attachment {
                    target: *target,
                    key: key.clone(),
                    value: value.clone(),
                    version: *version,
                },
            );
        let floor = actum_graph::Patch::VersionFloor(self.floor);
        actum_graph::apply_patches(&mut view, nodes.chain(edges).chain(attachments).chain([floor]));
        view
    }
}

pub(crate) fn kind(text: &str) -> KindName {
    KindName::parse(text).unwrap()
}

pub(crate) fn key(text: &str) -> AttachmentKey {
    AttachmentKey::parse(text).unwrap()
}

/// Node `number` of the small world.
pub(crate) fn node(number: u8) -> Node {
    Node {
        kind: kind(if number.is_multiple_of(2) { "even" } else { "odd" }),
        payload: vec![number].into(),
    }
}

/// Edge of the small world.
pub(crate) fn edge(from: u8, to: u8, payload: Option<u8>) -> Edge {
    Edge {
        from: node(from).id(),
        to: node(to).id(),
        kind: kind("to"),
        payload: payload.map(|byte| vec![byte; usize::from(byte)].into()),
    }
}

pub(crate) fn add_node(number: u8) -> Op {
    let Node { kind, payload } = node(number);
    Op::AddNode { kind, payload }
}

pub(crate) fn add_edge(edge: Edge) -> Op {
    let Edge {
        from,
        to,
        kind,
        payload,
    } = edge;
    Op::AddEdge {
        from,
        to,
        kind,
        payload,
    }
}

pub(crate) fn set(target: impl Into<TargetId>, name: &str, value: u8) -> Op {
    Op::SetAttachment {
        target: target.into(),
        key: key(name),
        value: Json::from_canonical(&value.to_string()),
        expected_version: None,
    }
}

pub(crate) fn clear(target: impl Into<TargetId>, name: &str) -> Op {
    Op::ClearAttachment {
        target: target.into(),
        key: key(name),
        expected_version: None,
    }
}

fn any_edge() -> impl Strategy<Value = Edge> {
    (0u8..4, 0u8..4, prop::option::weighted(0.3, 0u8..2))
        .prop_map(|(from, to, payload)| edge(from, to, payload))
}

fn any_target() -> impl Strategy<Value = TargetId> {
    prop_oneof![
        (0u8..4).prop_map(|number| node(number).id().into()),
        any_edge().prop_map(|edge| edge.id().into())
    ]
}

pub(crate) fn any_op() -> impl Strategy<Value = Op> {
    let name = prop_oneof![Just("a"), Just("b")];
    let version = || prop::option::weighted(0.2, 0u64..4);
    prop_oneof![
        4 => (0u8..4).prop_map(add_node),
        4 => any_edge().prop_map(add_edge),
        2 => (0u8..4).prop_map(|number| Op::RemoveNode { id: node(number).id() }),
        2 => any_edge().prop_map(|edge| Op::RemoveEdge { id: edge.id() }),
        5 => (any_target(), name.clone(), 0u8..3, version()).prop_map(|(target, name, value, version)| {
            let mut op = set(target, name, value);
            if let Op::SetAttachment { expected_version, .. } = &mut op {
                *expected_version = version;
            }
            op
        }),
        2 => (any_target(), name, version()).prop_map(|(target, name, version)| {
            let mut op = clear(target, name);
            if let Op::ClearAttachment { expected_version, .. } = &mut op {
                *expected_version = version;
            }
            op
        }),
    ]
}

/// Many single operations, most of which are carried out.
pub(crate) fn any_ops(most: usize) -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(any_op(), 0..most)
}

/// Carries out each operation that can be.
pub(crate) fn run(view: &mut View, ops: &[Op]) {
    for op in ops {
        drop(view.apply(std::slice::from_ref(op)));
    }
}

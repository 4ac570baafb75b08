//! A view: nodes, edges and attachments at one moment, with the indices that answer who refers to whom. The
//! indices follow from the entries and are no part of the digest.
//!
//! A view knows no history, no rules about kinds and no clock; `op` changes it under rules, `merge` joins two.

mod check;
mod page;
mod put;

pub use check::Broken;
pub(crate) use page::page_of;
pub use page::{Direction, EdgeFilter, Neighbor, NodeFilter, Page, Paged};

use crate::content::{Attachment, Edge, Node, attachment_path};
use crate::ids::{AttachmentKey, EdgeId, NodeId, TargetId};
use crate::trie::Trie;
use actum_model::Hash;
use imbl::OrdSet;
use std::fmt;

/// A view of the graph. A clone costs O(1) and is not touched by changes to the original.
#[derive(Clone, Default)]
pub struct View {
    pub(crate) nodes: Trie<32, Node>,
    pub(crate) edges: Trie<32, Edge>,
    pub(crate) attachments: Trie<64, Attachment>,
    /// Edges by where they start.
    outgoing: OrdSet<(NodeId, EdgeId)>,
    /// Edges by where they end.
    incoming: OrdSet<(NodeId, EdgeId)>,
    version_floor: u64,
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "View({:?})", self.counts())
    }
}

/// The digests of the three tries of a view.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Roots {
    /// Of the nodes.
    pub nodes: Hash,
    /// Of the edges.
    pub edges: Hash,
    /// Of the attachments.
    pub attachments: Hash,
}

impl Roots {
    /// The digest of a view with these roots: `SHA-256` over `"actum/view/v1"` and the three, each preceded by
    /// its length.
    #[must_use]
    pub fn digest(&self) -> Hash {
        Hash::of_parts(
            "actum/view/v1",
            &[&self.nodes.0, &self.edges.0, &self.attachments.0],
        )
    }
}

/// How much a view holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Nodes.
    pub nodes: usize,
    /// Edges.
    pub edges: usize,
    /// Attachments.
    pub attachments: usize,
}

impl View {
    /// The digest of the entries; those that did not change since it was last asked for cost nothing.
    #[must_use]
    pub fn digest(&self) -> Hash {
        self.roots().digest()
    }

    /// Whether the digest costs next to nothing, because nothing changed since it was last asked for.
    #[must_use]
    pub fn digest_is_known(&self) -> bool {
        self.nodes.digest_is_known() && self.edges.digest_is_known() && self.attachments.digest_is_known()
    }

    /// The digests of the three tries.
    #[must_use]
    pub fn roots(&self) -> Roots {
        Roots {
            nodes: self.nodes.digest(),
            edges: self.edges.digest(),
            attachments: self.attachments.digest(),
        }
    }

    /// How many nodes, edges and attachments there are.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            nodes: self.nodes.len(),
            edges: self.edges.len(),
            attachments: self.attachments.len(),
        }
    }

    /// Whether nothing was changed between the two, by looking at memory alone: never wrong about a yes.
    #[must_use]
    pub fn same(&self, other: &View) -> bool {
        self.nodes.same(&other.nodes)
            && self.edges.same(&other.edges)
            && self.attachments.same(&other.attachments)
            && self.version_floor == other.version_floor
    }

    /// The highest version that any cleared attachment of this view ever had; 0 if none was cleared. A key that
    /// is set anew starts one above it, so no version of a key is ever given twice. It is part of the state of a
    /// view and goes with it into snapshots, and it is no part of the digest.
    #[must_use]
    pub fn version_floor(&self) -> u64 {
        self.version_floor
    }

    /// The node with this id.
    #[must_use]
    pub fn node(&self, id: &NodeId) -> Option<&Node> {
        self.nodes.get(id.bytes())
    }

    /// The edge with this id.
    #[must_use]
    pub fn edge(&self, id: &EdgeId) -> Option<&Edge> {
        self.edges.get(id.bytes())
    }

    /// The attachment of `target` under `key`.
    #[must_use]
    pub fn attachment(&self, target: &TargetId, key: &AttachmentKey) -> Option<&Attachment> {
        self.attachments.get(&attachment_path(target, key))
    }

    /// Whether a node or an edge has this id.
    #[must_use]
    pub fn has_target(&self, target: &TargetId) -> bool {
        self.node(&NodeId(target.0)).is_some() || self.edge(&EdgeId(target.0)).is_some()
    }

    /// Who keeps a node from being removed: an edge from it or to it, or an attachment.
    #[must_use]
    pub fn referrer_of_node(&self, id: &NodeId) -> Option<Referrer> {
        let start = (*id, EdgeId(Hash::ZERO));
        let mut edges = self
            .outgoing
            .range(start..)
            .take(1)
            .chain(self.incoming.range(start..).take(1));
        match edges.find(|(node, _)| node == id) {
            Some((_, edge)) => Some(Referrer::Edge(*edge)),
            None => self.attachment_of(&(*id).into()),
        }
    }

    /// What keeps an edge from being removed: an attachment.
    #[must_use]
    pub fn referrer_of_edge(&self, id: &EdgeId) -> Option<Referrer> {
        self.attachment_of(&(*id).into())
    }

    fn attachment_of(&self, target: &TargetId) -> Option<Referrer> {
        let first = self.attachments.prefixed(target.bytes()).next();
        first.map(|(_, attachment)| Referrer::Attachment(attachment.key().clone()))
    }
}

/// What refers to a node or edge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Referrer {
    /// An edge that starts or ends there.
    Edge(EdgeId),
    /// The attachment under this key.
    Attachment(AttachmentKey),
}

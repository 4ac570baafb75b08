//! What two views differ in, and the compact form in which views are written as differences from each other.
//!
//! Changes come nodes first, then edges, then attachments; each by id, attachments by target and the SHA-256 of
//! their key. The work is proportional to the changes where one view was forked from the other.

pub use actum_model::graph::Patch;

use crate::content::{Attachment, Edge, Node, attachment_path, path_target};
use crate::ids::{AttachmentKey, EdgeId, NodeId, TargetId};
use crate::trie::Difference;
use crate::view::{Page, Paged, View, page_of};
use actum_model::Hash;
use actum_model::limits::GRAPH_PAGE_SCANNED_MAX;
use serde::{Deserialize, Serialize};

/// Which entry of a view.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKey {
    /// A node.
    Node(NodeId),
    /// An edge.
    Edge(EdgeId),
    /// The attachment of a node or edge under a key.
    Attachment(TargetId, AttachmentKey),
}

impl EntryKey {
    /// What entries are sorted by: their kind, then their key in the trie.
    #[must_use]
    pub fn order(&self) -> (u8, [u8; 64]) {
        match self {
            EntryKey::Node(id) => (0, widen(id.bytes())),
            EntryKey::Edge(id) => (1, widen(id.bytes())),
            EntryKey::Attachment(target, key) => (2, attachment_path(target, key)),
        }
    }
}

fn widen(id: &[u8; 32]) -> [u8; 64] {
    let mut wide = [0; 64];
    for (to, from) in wide.iter_mut().zip(id) {
        *to = *from;
    }
    wide
}

/// An entry with what it holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Entry {
    /// A node.
    Node(Node),
    /// An edge.
    Edge(Edge),
    /// An attachment.
    Attachment(Attachment),
}

/// One entry in which two views differ.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// Which entry.
    pub key: EntryKey,
    /// What it is in the first view; nothing if the second added it.
    pub before: Option<Entry>,
    /// What it is in the second view; nothing if it was removed.
    pub after: Option<Entry>,
}

fn node_change(difference: Difference<'_, 32, Node>) -> Change {
    Change {
        key: EntryKey::Node(NodeId(Hash(*difference.key))),
        before: difference.before.cloned().map(Entry::Node),
        after: difference.after.cloned().map(Entry::Node),
    }
}

fn edge_change(difference: Difference<'_, 32, Edge>) -> Change {
    Change {
        key: EntryKey::Edge(EdgeId(Hash(*difference.key))),
        before: difference.before.cloned().map(Entry::Edge),
        after: difference.after.cloned().map(Entry::Edge),
    }
}

fn attachment_change(difference: Difference<'_, 64, Attachment>) -> Option<Change> {
    let key = difference.after.or(difference.before)?.key().clone();
    Some(Change {
        key: EntryKey::Attachment(path_target(difference.key), key),
        before: difference.before.cloned().map(Entry::Attachment),
        after: difference.after.cloned().map(Entry::Attachment),
    })
}

/// What `to` differs in from `from`, behind `after`. Two attachments with one value and two versions differ.
pub fn diff<'a>(
    from: &'a View,
    to: &'a View,
    after: Option<&EntryKey>,
) -> impl Iterator<Item = Change> + use<'a> {
    let rank = after.map_or(0, |after| after.order().0);
    let (mut node, mut edge, mut path) = (None, None, None);
    match after {
        Some(EntryKey::Node(id)) => node = Some(*id.bytes()),
        Some(EntryKey::Edge(id)) => edge = Some(*id.bytes()),
        Some(EntryKey::Attachment(target, key)) => path = Some(attachment_path(target, key)),
        None => {}
    }
    let nodes = (rank == 0).then(|| from.nodes.diff(&to.nodes, node.as_ref()));
    let edges = (rank <= 1).then(|| from.edges.diff(&to.edges, edge.as_ref()));
    let attachments = from.attachments.diff(&to.attachments, path.as_ref());
    nodes
        .into_iter()
        .flatten()
        .map(node_change)
        .chain(edges.into_iter().flatten().map(edge_change))
        .chain(attachments.filter_map(attachment_change))
}

/// One page of the changes; a cursor is the key of the last one.
#[must_use]
pub fn diff_page(from: &View, to: &View, page: &Page<EntryKey>) -> Paged<Change, EntryKey> {
    let changes = diff(from, to, page.after.as_ref()).map(|change| (change.key.clone(), change));
    page_of(
        page.first,
        GRAPH_PAGE_SCANNED_MAX,
        changes,
        |_, _| true,
        Change::weigh_bytes,
    )
    .map(|(_, change)| change)
}

/// The steps that make `to` of `from`. From the empty view, they are the whole of `to`.
pub fn patches<'a>(from: &'a View, to: &'a View) -> impl Iterator<Item = Patch> + use<'a> {
    let floor = to.version_floor();
    let floor = (from.version_floor() != floor).then_some(Patch::VersionFloor(floor));
    diff(from, to, None).map(Change::into_patch).chain(floor)
}

/// Takes steps on a view. In between, and at the end of a list that is not whole, edges and attachments may lack
/// what they refer to; `View::check` says whether the end is sound.
pub fn apply_patches(view: &mut View, patches: impl IntoIterator<Item = Patch>) {
    for patch in patches {
        match patch {
            Patch::Node(node) => drop(view.put_node(node.id(), node)),
            Patch::Edge(edge) => drop(view.put_edge(edge.id(), edge)),
            Patch::Attachment {
                target,
                key,
                value,
                version,
            } => drop(view.put_attachment(&target, Attachment::new(key, value, version))),
            Patch::NoNode(id) => drop(view.take_node(&id)),
            Patch::NoEdge(id) => drop(view.take_edge(&id)),
            Patch::NoAttachment(target, key) => drop(view.remove_attachment(&target, &key)),
            Patch::VersionFloor(version) => view.reset_version_floor(version),
        }
    }
}

/// Takes the changes of a [`diff`] on a view that is as the first one was; after all of them it holds what the
/// second one does. Its version floor is lifted by what is cleared.
pub fn apply_changes(view: &mut View, changes: impl IntoIterator<Item = Change>) {
    for change in changes {
        if let Some(Entry::Attachment(before)) = &change.before {
            view.lift_version_floor(if change.after.is_none() {
                before.version()
            } else {
                0
            });
        }
        apply_patches(view, [change.into_patch()]);
    }
}

impl Change {
    /// The step this change is.
    #[must_use]
    pub fn into_patch(self) -> Patch {
        match (self.key, self.after) {
            (_, Some(Entry::Node(node))) => Patch::Node(node),
            (_, Some(Entry::Edge(edge))) => Patch::Edge(edge),
            (EntryKey::Attachment(target, key), Some(Entry::Attachment(attachment))) => Patch::Attachment {
                target,
                key,
                value: attachment.value().clone(),
                version: attachment.version(),
            },
            (EntryKey::Node(id), _) => Patch::NoNode(id),
            (EntryKey::Edge(id), _) => Patch::NoEdge(id),
            (EntryKey::Attachment(target, key), _) => Patch::NoAttachment(target, key),
        }
    }

    fn weigh_bytes(&self) -> usize {
        let entries = [&self.before, &self.after];
        entries.into_iter().flatten().map(Entry::weigh_bytes).sum()
    }
}

impl Entry {
    fn weigh_bytes(&self) -> usize {
        match self {
            Entry::Node(node) => node.payload.as_bytes().len(),
            Entry::Edge(edge) => edge
                .payload
                .as_ref()
                .map_or(0, |payload| payload.as_bytes().len()),
            Entry::Attachment(attachment) => attachment.value().as_str().len(),
        }
    }
}

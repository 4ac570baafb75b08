//! What a shadow working set differs in from the System it rests on.

use super::connection::Connection;
use super::content::{Attachment, GraphEdge, GraphNode};
use super::receipt::SnapshotRef;
use crate::graphql::inputs::{self, ChangeKind, EntrySort, PageInput, ViewKind, ViewRefInput, cost};
use crate::graphql::moment::{Moment, moment};
use crate::graphql::scalars::HexHash;
use actum_graph::{AttachmentKey, Change, Entry, EntryKey, View, diff_page};
use actum_kernel::state::{SnapshotId, Version};
use actum_model::Fault;
use actum_model::graph::ViewName;
use async_graphql::{Context, ID, Object, Result, Union};
use std::sync::Arc;

/// An entry of a view.
#[derive(Union, Clone)]
pub(crate) enum GraphEntry {
    /// A node.
    Node(GraphNode),
    /// An edge.
    Edge(GraphEdge),
    /// An attachment.
    Attachment(Attachment),
}

/// See the object below.
#[derive(Clone)]
pub(crate) struct GraphChange {
    change: Change,
    before: Arc<Version>,
    after: Arc<Version>,
}

impl GraphChange {
    fn entry(&self, entry: &Entry, version: &Arc<Version>) -> Option<GraphEntry> {
        Some(match (entry, &self.change.key) {
            (Entry::Node(node), EntryKey::Node(id)) => {
                GraphEntry::Node(GraphNode::new(version, *id, node.clone()))
            }
            (Entry::Edge(edge), EntryKey::Edge(id)) => {
                GraphEntry::Edge(GraphEdge::new(version, *id, edge.clone()))
            }
            (Entry::Attachment(attachment), EntryKey::Attachment(target, _)) => {
                GraphEntry::Attachment(Attachment::new(*target, attachment.clone()))
            }
            _ => return None,
        })
    }
}

/// An entry in which two views differ.
#[Object]
impl GraphChange {
    /// What became of it.
    async fn change(&self) -> ChangeKind {
        match (&self.change.before, &self.change.after) {
            (None, _) => ChangeKind::Added,
            (_, None) => ChangeKind::Removed,
            _ => ChangeKind::Changed,
        }
    }

    /// The sort of entry.
    async fn sort(&self) -> EntrySort {
        match &self.change.key {
            EntryKey::Node(_) => EntrySort::Node,
            EntryKey::Edge(_) => EntrySort::Edge,
            EntryKey::Attachment(..) => EntrySort::Attachment,
        }
    }

    /// The node or edge; of an attachment, what it hangs on.
    async fn id(&self) -> HexHash {
        HexHash(match &self.change.key {
            EntryKey::Node(id) => id.0,
            EntryKey::Edge(id) => id.0,
            EntryKey::Attachment(target, _) => target.0,
        })
    }

    /// Key of the attachment.
    async fn key(&self) -> Option<&str> {
        match &self.change.key {
            EntryKey::Attachment(_, key) => Some(key.as_str()),
            _ => None,
        }
    }

    /// What it was; null if it is new.
    async fn before(&self) -> Option<GraphEntry> {
        self.entry(self.change.before.as_ref()?, &self.before)
    }

    /// What it is; null if it is gone.
    async fn after(&self) -> Option<GraphEntry> {
        self.entry(self.change.after.as_ref()?, &self.after)
    }
}

/// See the object below.
pub(crate) struct SwsDiff {
    id: u64,
    base: Arc<Version>,
    version: Arc<Version>,
}

impl SwsDiff {
    /// What a shadow working set, or a version of it, differs in from the System it rests on now.
    pub(crate) fn new(moment: &Moment, id: &ID, snapshot: Option<ID>) -> Result<SwsDiff, Fault> {
        let number = inputs::sws_number(id)?;
        let sws = moment.published.state.graph.active(moment.tenant(), number)?;
        let base = Version {
            name: ViewName::System,
            n: sws.row.base,
            digest: sws.row.base_digest,
            view: View::clone(&sws.base),
        };
        let view = ViewRefInput {
            kind: ViewKind::Sws,
            sws_id: Some(id.clone()),
            snapshot_id: snapshot,
        };
        Ok(SwsDiff {
            id: number,
            base: Arc::new(base),
            version: moment.version(&view)?,
        })
    }
}

fn reference(version: &Version) -> SnapshotRef {
    SnapshotRef {
        snapshot_id: ID(SnapshotId::new(version.n, &version.digest).to_string()),
        digest: HexHash(version.digest),
    }
}

/// What a shadow working set differs in from the System it rests on.
#[Object]
impl SwsDiff {
    /// Number of the shadow working set.
    async fn sws_id(&self) -> ID {
        ID(self.id.to_string())
    }

    /// The version of System it rests on.
    async fn base(&self) -> SnapshotRef {
        reference(&self.base)
    }

    /// The version of the shadow working set; give its `snapshotId` to page through what it is now.
    async fn view(&self, ctx: &Context<'_>) -> Result<SnapshotRef> {
        moment(ctx)?.pins.keep(self.version.snapshot(), &self.version);
        Ok(reference(&self.version))
    }

    /// The entries that differ: nodes, then edges, then attachments, each by id.
    #[graphql(complexity = "cost(&page, child_complexity)")]
    async fn changes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which part of them.")] page: Option<PageInput>,
    ) -> Result<Connection<GraphChange>> {
        moment(ctx)?.breathe().await?;
        let page = inputs::page(page.as_ref(), cursor)?;
        let found = diff_page(&self.base.view, &self.version.view, &page);
        let next = found.next.as_ref().map(written);
        let entries = found.items.into_iter().map(|change| {
            let cursor = written(&change.key);
            let (before, after) = (Arc::clone(&self.base), Arc::clone(&self.version));
            let change = GraphChange {
                change,
                before,
                after,
            };
            (cursor, change)
        });
        Ok(Connection::new(entries.collect(), next, page.after.is_some()))
    }
}

/// A cursor: the sort of entry, its id, and the key of an attachment.
fn written(key: &EntryKey) -> String {
    match key {
        EntryKey::Node(id) => format!("node:{id}"),
        EntryKey::Edge(id) => format!("edge:{id}"),
        EntryKey::Attachment(target, key) => format!("attachment:{target}:{}", key.as_str()),
    }
}

fn cursor(text: &str) -> Option<EntryKey> {
    let (sort, rest) = text.split_once(':')?;
    match sort {
        "node" => rest.parse().ok().map(EntryKey::Node),
        "edge" => rest.parse().ok().map(EntryKey::Edge),
        "attachment" => {
            let (target, key) = rest.split_once(':')?;
            let key = AttachmentKey::parse(key).ok()?;
            Some(EntryKey::Attachment(target.parse().ok()?, key))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actum_model::Hash;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let hash = Hash::of(b"x");
        let keys = [
            EntryKey::Node(actum_graph::NodeId(hash)),
            EntryKey::Edge(actum_graph::EdgeId(hash)),
            EntryKey::Attachment(
                actum_graph::ids::TargetId(hash),
                AttachmentKey::parse("a:b").unwrap(),
            ),
        ];
        for key in keys {
            assert_eq!(cursor(&written(&key)), Some(key));
        }
        for bad in ["", "node", "node:", "node:x", "other:1", "attachment:x:y"] {
            assert_eq!(cursor(bad), None, "{bad}");
        }
    }
}

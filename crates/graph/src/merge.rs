//! The three-way merge of a collapse: what `ours` (a shadow working set) changed since `base` is carried over to
//! `theirs` (System today), or refused with every conflict. The work is proportional to what ours changed.
//!
//! Nodes and edges are named by their content, so they are there or not; only the value of an attachment can be
//! changed on both sides. An attachment counts as changed where its *value* differs from the one in base; a
//! version alone is no change, so setting something and setting it back leaves no conflict and no trace.
//!
//! Versions: an attachment that ours set gets the greater of its version in ours and one above anything the key
//! ever had in theirs, so nobody who knows an older value of System can pass `expectedVersion`. Where both sides
//! came to the same value, System's entry stays as it is. The version floor becomes the greater of both.

use crate::content::{Attachment, Edge, path_target};
use crate::diff::EntryKey;
use crate::ids::{EdgeId, NodeId, TargetId};
use crate::trie::Difference;
use crate::view::View;
use actum_model::Hash;
use actum_model::limits::GRAPH_CONFLICTS_LISTED_MAX;
use serde::{Deserialize, Serialize};

/// Why a change cannot be carried over.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ConflictCode {
    /// Both changed the attachment, to different results.
    ContentConflict,
    /// Something would refer to what is no longer there.
    MissingEndpoint,
    /// System cleared the attachment that ours set.
    DeletedInSystem,
}

/// One conflict; a key has at most one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conflict {
    /// What ours changed and cannot carry over: the edge or attachment that would refer to nothing, or the node
    /// or edge that was removed while System made something refer to it.
    pub key: EntryKey,
    /// Why.
    pub code: ConflictCode,
}

/// The conflicts of a merge.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
#[error("{count} conflicts")]
#[serde(deny_unknown_fields)]
pub struct Conflicts {
    /// Sorted by key, up to `GRAPH_CONFLICTS_LISTED_MAX`.
    pub listed: Vec<Conflict>,
    /// How many there are.
    pub count: u64,
}

/// How many entries of one sort a merge changed in System.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeCounts {
    /// Added.
    pub added: u64,
    /// Removed.
    pub removed: u64,
    /// Changed in place; only attachments are.
    pub changed: u64,
}

/// How much a merge changed in System.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MergeCounts {
    /// Nodes.
    pub nodes: ChangeCounts,
    /// Edges.
    pub edges: ChangeCounts,
    /// Attachments.
    pub attachments: ChangeCounts,
}

/// What a merge came to.
#[derive(Clone, Debug)]
pub struct Merged {
    /// The new System.
    pub view: View,
    /// What it differs in from the old one.
    pub counts: MergeCounts,
}

/// Merges what `ours` changed since `base` into `theirs`. None of the three is changed.
///
/// # Errors
/// The conflicts, if there is one.
pub fn merge(base: &View, theirs: &View, ours: &View) -> Result<Merged, Conflicts> {
    let mut merge = Merge {
        theirs,
        ours,
        view: theirs.clone(),
        counts: MergeCounts::default(),
        added: Vec::new(),
        removed: Vec::new(),
        conflicts: Vec::new(),
    };
    merge.nodes(base);
    merge.edges(base);
    for difference in base.attachments.diff(&ours.attachments, None) {
        merge.attachment(&difference);
    }
    merge.view.lift_version_floor(ours.version_floor());
    merge.check_references();
    merge.finish()
}

struct Merge<'a> {
    theirs: &'a View,
    ours: &'a View,
    view: View,
    counts: MergeCounts,
    /// Edges and attachments that ours put into the result.
    added: Vec<EntryKey>,
    /// Nodes and edges that ours took out of the result.
    removed: Vec<EntryKey>,
    conflicts: Vec<Conflict>,
}

impl Merge<'_> {
    fn nodes(&mut self, base: &View) {
        for difference in base.nodes.diff(&self.ours.nodes, None) {
            let id = NodeId(Hash(*difference.key));
            if let Some(node) = difference.after {
                self.counts.nodes.added += u64::from(self.view.put_node(id, node.clone()));
            } else if self.view.take_node(&id).is_some() {
                self.counts.nodes.removed += 1;
                self.removed.push(EntryKey::Node(id));
            }
        }
    }

    fn edges(&mut self, base: &View) {
        for difference in base.edges.diff(&self.ours.edges, None) {
            let id = EdgeId(Hash(*difference.key));
            if let Some(edge) = difference.after {
                if self.view.put_edge(id, edge.clone()) {
                    self.counts.edges.added += 1;
                    self.added.push(EntryKey::Edge(id));
                }
            } else if self.view.take_edge(&id).is_some() {
                self.counts.edges.removed += 1;
                self.removed.push(EntryKey::Edge(id));
            }
        }
    }

    fn attachment(&mut self, difference: &Difference<'_, 64, Attachment>) {
        let target = path_target(difference.key);
        let Some(attachment) = difference.after.or(difference.before) else {
            return;
        };
        let now = self.theirs.attachments.get(difference.key);
        let value = Attachment::value;
        let (base, system, ours) = (
            difference.before.map(value),
            now.map(value),
            difference.after.map(value),
        );
        if ours == base || ours == system {
            return;
        }
        let key = EntryKey::Attachment(target, attachment.key().clone());
        if system != base {
            let code = match system {
                None => ConflictCode::DeletedInSystem,
                Some(_) => ConflictCode::ContentConflict,
            };
            return self.conflicts.push(Conflict { key, code });
        }
        match difference.after {
            Some(set) => self.set(target, set, now.map(Attachment::version)),
            None => {
                self.view.take_attachment(&target, attachment.key());
                self.counts.attachments.removed += 1;
            }
        }
    }

    fn set(&mut self, target: TargetId, set: &Attachment, system_version: Option<u64>) {
        let counts = &mut self.counts.attachments;
        match system_version {
            Some(_) => counts.changed += 1,
            None => counts.added += 1,
        }
        let known = system_version.unwrap_or(self.theirs.version_floor());
        let version = set.version().max(known.saturating_add(1));
        let attachment = Attachment::new(set.key().clone(), set.value().clone(), version);
        self.view.put_attachment(&target, attachment);
        self.added.push(EntryKey::Attachment(target, set.key().clone()));
    }

    /// What ours added must have what it refers to; what ours removed must not be referred to any more.
    fn check_references(&mut self) {
        let view = &self.view;
        let ends_missing = |edge: &Edge| view.node(&edge.from).is_none() || view.node(&edge.to).is_none();
        let dangling = self.added.iter().filter(|key| match key {
            EntryKey::Edge(id) => view.edge(id).is_some_and(ends_missing),
            EntryKey::Attachment(target, _) => !view.has_target(target),
            EntryKey::Node(_) => false,
        });
        let still_used = self.removed.iter().filter(|key| match key {
            EntryKey::Node(id) => view.referrer_of_node(id).is_some(),
            EntryKey::Edge(id) => view.referrer_of_edge(id).is_some(),
            EntryKey::Attachment(..) => false,
        });
        let code = ConflictCode::MissingEndpoint;
        let found: Vec<Conflict> = dangling
            .chain(still_used)
            .map(|key| Conflict {
                key: key.clone(),
                code,
            })
            .collect();
        self.conflicts.extend(found);
    }

    fn finish(mut self) -> Result<Merged, Conflicts> {
        if self.conflicts.is_empty() {
            let (view, counts) = (self.view, self.counts);
            return Ok(Merged { view, counts });
        }
        self.conflicts.sort_by_cached_key(|conflict| conflict.key.order());
        let count = self.conflicts.len() as u64;
        self.conflicts.truncate(GRAPH_CONFLICTS_LISTED_MAX);
        let listed = self.conflicts;
        Err(Conflicts { listed, count })
    }
}

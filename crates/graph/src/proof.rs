//! Proofs that an entry is, or is not, in a view with a given digest. Making them is here; checking them is in
//! `verify`, which needs neither a view nor a trie.

use crate::content::attachment_path;
use crate::diff::EntryKey;
use crate::trie::PathProof;
use crate::view::View;
use actum_model::Hash;
use serde::{Deserialize, Serialize};

/// One of the three tries of a view.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The nodes.
    Nodes,
    /// The edges.
    Edges,
    /// The attachments.
    Attachments,
}

/// A proof about one entry of a view. In JSON, hashes are lowercase hex.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViewProof {
    /// The trie the entry belongs into.
    pub part: Part,
    /// The roots of the two others, in the order nodes, edges, attachments.
    pub others: [Hash; 2],
    /// The path in the trie.
    pub path: PathProof,
}

impl View {
    /// The proof of what is, or is not, under `key`.
    #[must_use]
    pub fn prove(&self, key: &EntryKey) -> ViewProof {
        let roots = self.roots();
        match key {
            EntryKey::Node(id) => ViewProof {
                part: Part::Nodes,
                others: [roots.edges, roots.attachments],
                path: self.nodes.prove(id.bytes()),
            },
            EntryKey::Edge(id) => ViewProof {
                part: Part::Edges,
                others: [roots.nodes, roots.attachments],
                path: self.edges.prove(id.bytes()),
            },
            EntryKey::Attachment(target, key) => ViewProof {
                part: Part::Attachments,
                others: [roots.nodes, roots.edges],
                path: self.attachments.prove(&attachment_path(target, key)),
            },
        }
    }

    /// The hash that stands for the entry under `key`; nothing if there is none. A proof shows exactly this.
    #[must_use]
    pub fn value_hash(&self, key: &EntryKey) -> Option<Hash> {
        match key {
            EntryKey::Node(id) => self.node(id).map(|_| id.0),
            EntryKey::Edge(id) => self.edge(id).map(|_| id.0),
            EntryKey::Attachment(target, key) => {
                let attachment = self.attachment(target, key)?;
                Some(attachment.hash(target))
            }
        }
    }
}

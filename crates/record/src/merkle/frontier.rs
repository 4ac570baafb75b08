//! The roots of the full subtrees along the right edge: all that appending needs. Snapshots carry it.

use super::{empty_root, leaf_hash, node_hash};
use actum_model::Hash;
use serde::{Deserialize, Serialize};

/// The right edge of the tree: one root per one-bit of `size`, the largest subtree first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Wire")]
pub struct Frontier {
    nodes: Vec<Hash>,
    size: u64,
}

/// A frontier whose number of nodes does not fit its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a tree frontier of size {size} has {expected} nodes, got {found}")]
pub struct BadFrontier {
    /// Leaves.
    pub size: u64,
    /// One-bits of the size.
    pub expected: usize,
    /// Nodes given.
    pub found: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    nodes: Vec<Hash>,
    size: u64,
}

impl TryFrom<Wire> for Frontier {
    type Error = BadFrontier;

    fn try_from(wire: Wire) -> Result<Frontier, BadFrontier> {
        let expected = wire.size.count_ones() as usize;
        if wire.nodes.len() != expected {
            return Err(BadFrontier {
                size: wire.size,
                expected,
                found: wire.nodes.len(),
            });
        }
        Ok(Frontier {
            nodes: wire.nodes,
            size: wire.size,
        })
    }
}

impl Frontier {
    /// Leaves so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends the record hash of record number [`Frontier::size`].
    pub fn push(&mut self, record: &Hash) {
        let mut node = leaf_hash(record);
        // Each trailing one-bit of the size is a full subtree of the same height as `node`: they join.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.nodes.pop() {
                node = node_hash(&left, &node);
            }
        }
        self.nodes.push(node);
        self.size += 1;
    }

    /// The root of the tree.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut nodes = self.nodes.iter().rev();
        let Some(last) = nodes.next() else {
            return empty_root();
        };
        nodes.fold(*last, |right, left| node_hash(left, &right))
    }
}

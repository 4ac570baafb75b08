//! The versioned registry of node and edge kinds. While it is open every well-formed kind may be used.

use super::Op;
use crate::ids::KindName;
use actum_model::Hash;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Whether kinds that are not listed may be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KindMode {
    /// Yes.
    #[default]
    Open,
    /// No.
    Closed,
}

/// The kinds of nodes and edges.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KindRegistry {
    /// Counts the registries of a realm; 0 is the open one it starts with.
    pub version: u32,
    /// Whether other kinds may be used.
    pub mode: KindMode,
    /// Kinds of nodes.
    pub node_kinds: BTreeSet<KindName>,
    /// Kinds of edges.
    pub edge_kinds: BTreeSet<KindName>,
}

/// An operation with a kind the registry does not have.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "operation {op_index} wants kind `{kind}`, which version {version} of the kind registry does not have"
)]
pub struct KindRefusal {
    /// The operation, counted from 0.
    pub op_index: usize,
    /// Its kind.
    pub kind: KindName,
    /// Version of the registry.
    pub version: u32,
}

impl KindRegistry {
    /// Checks the kinds a rewrite adds. Removing is always allowed.
    ///
    /// # Errors
    /// The first operation whose kind is not in a closed registry.
    pub fn check(&self, ops: &[Op]) -> Result<(), KindRefusal> {
        if self.mode == KindMode::Open {
            return Ok(());
        }
        for (op_index, op) in ops.iter().enumerate() {
            let (known, kind) = match op {
                Op::AddNode { kind, .. } => (&self.node_kinds, kind),
                Op::AddEdge { kind, .. } => (&self.edge_kinds, kind),
                _ => continue,
            };
            if !known.contains(kind) {
                return Err(KindRefusal {
                    op_index,
                    kind: kind.clone(),
                    version: self.version,
                });
            }
        }
        Ok(())
    }

    /// Its hash, part of `rulePackId`: `SHA-256` over `"actum/graph-kinds/v1"`, the version in decimal, the mode,
    /// the node kinds and the edge kinds, each list sorted and joined by commas.
    #[must_use]
    pub fn hash(&self) -> Hash {
        let mode = match self.mode {
            KindMode::Open => "open",
            KindMode::Closed => "closed",
        };
        let join = |kinds: &BTreeSet<KindName>| {
            let kinds: Vec<&str> = kinds.iter().map(KindName::as_str).collect();
            kinds.join(",")
        };
        let (version, nodes, edges) = (
            self.version.to_string(),
            join(&self.node_kinds),
            join(&self.edge_kinds),
        );
        let parts = [&version, mode, &nodes, &edges].map(str::as_bytes);
        Hash::of_parts("actum/graph-kinds/v1", &parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_registry_refuses_what_it_does_not_list() {
        let kind = |text| KindName::parse(text).unwrap();
        let op = Op::AddNode {
            kind: kind("task"),
            payload: Vec::new().into(),
        };
        let mut registry = KindRegistry::default();
        let open = registry.hash();
        assert!(registry.check(std::slice::from_ref(&op)).is_ok());
        registry.mode = KindMode::Closed;
        let refused = registry.check(std::slice::from_ref(&op)).unwrap_err();
        assert_eq!((refused.op_index, refused.kind.as_str()), (0, "task"));
        registry.edge_kinds.insert(kind("task"));
        assert!(registry.check(std::slice::from_ref(&op)).is_err(), "an edge kind");
        let other = registry.hash();
        registry.node_kinds.insert(kind("task"));
        assert!(registry.check(&[op]).is_ok());
        assert_eq!(
            [open, other, registry.hash()]
                .iter()
                .collect::<BTreeSet<_>>()
                .len(),
            3
        );
    }
}

//! Proofs of one key. The path to the only leaf that can have the key proves both: that the key is there with
//! this value, or, where the leaf has another key, that it is not there.

use super::TrieValue;
use super::bits::bit;
use super::link::Link;
use actum_model::Hash;
use serde::{Deserialize, Serialize};

/// The subtree beside the path at one inner node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sibling {
    /// The bit the inner node decides.
    pub bit: u16,
    /// Digest of the child the path does not take.
    pub hash: Hash,
}

/// The leaf a path ends at.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LeafProof {
    /// Its key in lowercase hex.
    pub key: String,
    /// The hash of its value.
    pub value_hash: Hash,
}

/// A path from the root of one trie to a leaf.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathProof {
    /// The leaf; `null` in the empty trie.
    pub leaf: Option<LeafProof>,
    /// From the root down.
    pub siblings: Vec<Sibling>,
}

pub(super) fn prove<const N: usize, V: TrieValue<N>>(root: Option<&Link<N, V>>, key: &[u8; N]) -> PathProof {
    let mut siblings = Vec::new();
    let Some(mut link) = root else {
        return PathProof { leaf: None, siblings };
    };
    loop {
        match link {
            Link::Inner(inner) => {
                let right = bit(key, inner.bit);
                siblings.push(Sibling {
                    bit: inner.bit,
                    hash: inner.child(!right).digest(),
                });
                link = inner.child(right);
            }
            Link::Leaf(leaf) => {
                let leaf = LeafProof {
                    key: hex(&leaf.key),
                    value_hash: leaf.value.value_hash(&leaf.key),
                };
                return PathProof {
                    leaf: Some(leaf),
                    siblings,
                };
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

//! The RFC 6962 Merkle tree over record hashes: leaf `SHA-256(0x00 ‖ record hash)`, node
//! `SHA-256(0x01 ‖ left ‖ right)`, root of the empty tree `SHA-256("")`.
//!
//! [`Frontier`] appends in O(log n) memory; proofs are made from a source of record hashes and checked with
//! nothing but hashes. Where the record hashes are kept is the journal's business.

mod frontier;
mod prove;
mod verify;

pub use frontier::{BadFrontier, Frontier};
pub use prove::{LeafSource, OutOfRange, consistency_proof, inclusion_proof, root};
pub use verify::{ProofError, verify_consistency, verify_inclusion};

use actum_model::Hash;
use sha2::{Digest, Sha256};

/// The hash of a leaf: of one record hash.
#[must_use]
pub fn leaf_hash(record: &Hash) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([0]);
    hasher.update(record.0);
    Hash(hasher.finalize().into())
}

/// The hash of an inner node.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([1]);
    hasher.update(left.0);
    hasher.update(right.0);
    Hash(hasher.finalize().into())
}

/// The root of the tree without leaves.
#[must_use]
pub fn empty_root() -> Hash {
    Hash::of(&[])
}

/// The size of the left subtree of a tree of `size` ≥ 2 leaves: the largest power of two below `size`.
fn split(size: u64) -> u64 {
    1 << (63 - (size - 1).leading_zeros())
}

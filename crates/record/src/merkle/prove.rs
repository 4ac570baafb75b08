//! Making proofs from a source of record hashes. Subtrees are hashed anew each time, O(size) hashes per proof.

use super::{Frontier, split};
use actum_model::Hash;
use std::ops::Range;

/// Where record hashes come from.
pub trait LeafSource {
    /// What can go wrong.
    type Error: From<OutOfRange>;

    /// The hash of record `idx`.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    fn record_hash(&mut self, idx: u64) -> Result<Hash, Self::Error>;
}

/// A proof was asked for that the tree does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no proof from {from} in a tree of {size} leaves")]
pub struct OutOfRange {
    /// Leaf, or older size.
    pub from: u64,
    /// Leaves of the tree.
    pub size: u64,
}

/// The root over the first `size` records.
///
/// # Errors
/// Those of the source.
pub fn root<S: LeafSource>(source: &mut S, size: u64) -> Result<Hash, S::Error> {
    subtree(source, 0..size)
}

/// The proof that record `idx` is in the tree of `size` leaves: sibling hashes from the leaf up.
///
/// # Errors
/// [`OutOfRange`] when `idx` ≥ `size`; those of the source.
pub fn inclusion_proof<S: LeafSource>(source: &mut S, idx: u64, size: u64) -> Result<Vec<Hash>, S::Error> {
    if idx >= size {
        return Err(OutOfRange { from: idx, size }.into());
    }
    let mut siblings = Vec::new();
    let mut range = 0..size;
    while range.end - range.start > 1 {
        let middle = range.start + split(range.end - range.start);
        if idx < middle {
            siblings.push(subtree(source, middle..range.end)?);
            range.end = middle;
        } else {
            siblings.push(subtree(source, range.start..middle)?);
            range.start = middle;
        }
    }
    siblings.reverse();
    Ok(siblings)
}

/// The proof that the tree of `old` leaves is the start of the tree of `size` leaves.
///
/// # Errors
/// [`OutOfRange`] when `old` is 0 or beyond `size`; those of the source.
pub fn consistency_proof<S: LeafSource>(source: &mut S, old: u64, size: u64) -> Result<Vec<Hash>, S::Error> {
    if old == 0 || old > size {
        return Err(OutOfRange { from: old, size }.into());
    }
    let mut proof = Vec::new();
    let mut range = 0..size;
    // The old tree is a whole subtree of the new one as long as only left turns were taken.
    let mut whole = true;
    while range.end != old {
        let middle = range.start + split(range.end - range.start);
        if old <= middle {
            proof.push(subtree(source, middle..range.end)?);
            range.end = middle;
        } else {
            proof.push(subtree(source, range.start..middle)?);
            range.start = middle;
            whole = false;
        }
    }
    if !whole {
        proof.push(subtree(source, range)?);
    }
    proof.reverse();
    Ok(proof)
}

fn subtree<S: LeafSource>(source: &mut S, range: Range<u64>) -> Result<Hash, S::Error> {
    let mut frontier = Frontier::default();
    for idx in range {
        frontier.push(&source.record_hash(idx)?);
    }
    Ok(frontier.root())
}

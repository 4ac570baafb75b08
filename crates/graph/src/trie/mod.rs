//! A persistent Merkle trie: entries under keys of `N` bytes, one digest for the set of them.
//!
//! It is a binary trie with compressed paths: an inner node names the first bit in which the keys below it
//! differ, so its shape depends on the set of keys alone. Nodes are shared by `Arc`: a clone costs O(1), a
//! change copies what is shared on one path and changes in place what is not. The digest of an inner node is
//! computed when somebody asks and kept until something below it changes.
//!
//! What the digest is made of says `hash.rs`. Nothing here knows what a value means.

mod bits;
mod diff;
mod hash;
mod iter;
mod link;
mod prove;

pub use diff::{Diff, Difference};
pub use iter::Iter;
pub use prove::{LeafProof, PathProof, Sibling};

use actum_model::Hash;
use bits::{bit, first_difference};
use link::{Inner, Link};
use std::sync::{Arc, OnceLock};

/// A value that a trie with keys of `N` bytes can hold.
pub trait TrieValue<const N: usize>: Clone + PartialEq {
    /// The hash that stands for this value, under this key, in the digest of the trie.
    fn value_hash(&self, key: &[u8; N]) -> Hash;
}

/// The trie. A clone costs O(1).
#[derive(Clone, Debug)]
pub struct Trie<const N: usize, V> {
    root: Option<Link<N, V>>,
    len: usize,
}

impl<const N: usize, V> Default for Trie<N, V> {
    fn default() -> Self {
        Trie { root: None, len: 0 }
    }
}

impl<const N: usize, V: TrieValue<N>> Trie<N, V> {
    /// Entries in the trie.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The digest of the set of entries. Costs one hash per inner node changed since it was last asked for.
    #[must_use]
    pub fn digest(&self) -> Hash {
        self.root.as_ref().map_or_else(hash::empty_root, Link::digest)
    }

    /// Whether the digest costs at most one hash, because nothing changed since it was last asked for.
    #[must_use]
    pub fn digest_is_known(&self) -> bool {
        match &self.root {
            Some(inner @ Link::Inner(_)) => inner.known_digest().is_some(),
            Some(Link::Leaf(_)) | None => true,
        }
    }

    /// Whether both are the same trie in memory, which is a quick yes and no proof of a difference.
    #[must_use]
    pub fn same(&self, other: &Trie<N, V>) -> bool {
        match (&self.root, &other.root) {
            (None, None) => true,
            (Some(a), Some(b)) => a.same(b),
            _ => false,
        }
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &[u8; N]) -> Option<&V> {
        let leaf = self.root.as_ref()?.candidate(key);
        (leaf.key == *key).then_some(&leaf.value)
    }

    /// Puts a value and returns what was there. O(log n).
    pub fn insert(&mut self, key: [u8; N], value: V) -> Option<V> {
        let Some(root) = &mut self.root else {
            self.root = Some(Link::leaf(key, value));
            self.len = 1;
            return None;
        };
        let Some(split) = first_difference(&root.candidate(&key).key, &key) else {
            return root.replace(&key, value);
        };
        let place = root.descend(&key, split);
        let (old, new) = (place.clone(), Link::leaf(key, value));
        let (left, right) = if bit(&key, split) { (old, new) } else { (new, old) };
        *place = Link::Inner(Arc::new(Inner {
            bit: split,
            left,
            right,
            hash: OnceLock::new(),
        }));
        self.len += 1;
        None
    }

    /// Takes a value out and returns it. O(log n).
    pub fn remove(&mut self, key: &[u8; N]) -> Option<V> {
        let removed = self.get(key)?.clone();
        if let Some(root) = &mut self.root
            && !root.detach(key)
        {
            self.root = None;
        }
        self.len -= 1;
        Some(removed)
    }

    /// All entries, ascending by key.
    #[must_use]
    pub fn iter(&self) -> Iter<'_, N, V> {
        Iter::new(self.root.as_ref())
    }

    /// The entries whose keys are greater than `key`, ascending.
    #[must_use]
    pub fn after(&self, key: &[u8; N]) -> Iter<'_, N, V> {
        Iter::from(self.root.as_ref(), key, false)
    }

    /// The entries whose keys are `key` or greater, ascending.
    #[must_use]
    pub fn from(&self, key: &[u8; N]) -> Iter<'_, N, V> {
        Iter::from(self.root.as_ref(), key, true)
    }

    /// The entries whose keys start with `prefix`, ascending.
    pub fn prefixed<'a>(
        &'a self,
        prefix: &[u8],
    ) -> impl Iterator<Item = (&'a [u8; N], &'a V)> + use<'a, N, V> {
        let mut start = [0; N];
        for (to, from) in start.iter_mut().zip(prefix) {
            *to = *from;
        }
        let len = prefix.len();
        self.from(&start)
            .take_while(move |(key, _)| key.get(..len) == start.get(..len))
    }

    /// What must change to make `to` of this trie, ascending by key. Costs O(changes · log n): what both share
    /// in memory, or know to have the same digest, is not visited.
    #[must_use]
    pub fn diff<'a>(&'a self, to: &'a Trie<N, V>, after: Option<&[u8; N]>) -> Diff<'a, N, V> {
        Diff::new(self.root.as_ref(), to.root.as_ref(), after.copied())
    }

    /// The proof of what is, or is not, under `key`.
    #[must_use]
    pub fn prove(&self, key: &[u8; N]) -> PathProof {
        prove::prove(self.root.as_ref(), key)
    }
}

#[cfg(test)]
mod tests;

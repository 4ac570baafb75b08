//! The nodes of the trie in memory and the three walks that change them.

use super::bits::bit;
use super::{TrieValue, hash};
use actum_model::Hash;
use std::sync::{Arc, OnceLock};

/// A subtree that is not empty.
#[derive(Clone, Debug)]
pub(super) enum Link<const N: usize, V> {
    Leaf(Arc<Leaf<N, V>>),
    Inner(Arc<Inner<N, V>>),
}

/// One entry.
#[derive(Clone, Debug)]
pub(super) struct Leaf<const N: usize, V> {
    pub(super) key: [u8; N],
    pub(super) value: V,
}

/// Two subtrees whose keys agree in all bits before `bit`, and differ in it.
#[derive(Clone, Debug)]
pub(super) struct Inner<const N: usize, V> {
    pub(super) bit: u16,
    /// Keys with a 0 there.
    pub(super) left: Link<N, V>,
    /// Keys with a 1 there.
    pub(super) right: Link<N, V>,
    pub(super) hash: OnceLock<Hash>,
}

impl<const N: usize, V> Inner<N, V> {
    pub(super) fn child(&self, right: bool) -> &Link<N, V> {
        if right { &self.right } else { &self.left }
    }
}

impl<const N: usize, V> Link<N, V> {
    pub(super) fn leaf(key: [u8; N], value: V) -> Self {
        Link::Leaf(Arc::new(Leaf { key, value }))
    }

    /// The bit an inner node decides; a leaf decides none, which is greater than every bit.
    pub(super) fn bit(&self) -> u16 {
        match self {
            Link::Inner(inner) => inner.bit,
            Link::Leaf(_) => u16::MAX,
        }
    }

    /// The same subtree in memory.
    pub(super) fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Link::Leaf(a), Link::Leaf(b)) => Arc::ptr_eq(a, b),
            (Link::Inner(a), Link::Inner(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }

    /// The digest if it is already known.
    pub(super) fn known_digest(&self) -> Option<&Hash> {
        match self {
            Link::Inner(inner) => inner.hash.get(),
            Link::Leaf(_) => None,
        }
    }

    /// The only leaf below here that can have this key.
    pub(super) fn candidate(&self, key: &[u8; N]) -> &Leaf<N, V> {
        let mut link = self;
        loop {
            match link {
                Link::Leaf(leaf) => return leaf,
                Link::Inner(inner) => link = inner.child(bit(key, inner.bit)),
            }
        }
    }

    /// The leaf with the least key below here.
    pub(super) fn first(&self) -> &Leaf<N, V> {
        let mut link = self;
        loop {
            match link {
                Link::Leaf(leaf) => return leaf,
                Link::Inner(inner) => link = &inner.left,
            }
        }
    }
}

impl<const N: usize, V: TrieValue<N>> Link<N, V> {
    // The depth of the recursion is bounded by the bits of a key.
    pub(super) fn digest(&self) -> Hash {
        match self {
            Link::Leaf(leaf) => hash::leaf(&leaf.key, &leaf.value.value_hash(&leaf.key)),
            Link::Inner(inner) => *inner
                .hash
                .get_or_init(|| hash::inner(inner.bit, &inner.left.digest(), &inner.right.digest())),
        }
    }

    /// Goes down towards `key`, past every inner node that decides a bit before `until`, making what it passes
    /// its own and forgetting its digests.
    pub(super) fn descend(&mut self, key: &[u8; N], until: u16) -> &mut Self {
        let mut link = self;
        while link.bit() < until {
            let Link::Inner(inner) = link else { return link };
            link = Self::touch(inner, bit(key, inner.bit));
        }
        link
    }

    fn touch(inner: &mut Arc<Inner<N, V>>, right: bool) -> &mut Self {
        let inner = Arc::make_mut(inner);
        inner.hash = OnceLock::new();
        if right { &mut inner.right } else { &mut inner.left }
    }

    /// Puts another value under a key that is there; returns the old one.
    pub(super) fn replace(&mut self, key: &[u8; N], value: V) -> Option<V> {
        match self.descend(key, u16::MAX) {
            Link::Leaf(leaf) => Some(std::mem::replace(&mut Arc::make_mut(leaf).value, value)),
            Link::Inner(_) => None,
        }
    }

    /// Takes out a key that is there. Returns false where the key is this whole subtree.
    pub(super) fn detach(&mut self, key: &[u8; N]) -> bool {
        let mut link = self;
        loop {
            if let Some(sibling) = link.sibling_of_leaf(key) {
                // The sibling takes the place of the inner node, which has nothing left to decide.
                *link = sibling;
                return true;
            }
            let Link::Inner(inner) = link else { return false };
            link = Self::touch(inner, bit(key, inner.bit));
        }
    }

    /// The other child, where the child towards `key` is a leaf.
    fn sibling_of_leaf(&self, key: &[u8; N]) -> Option<Self> {
        let Link::Inner(inner) = self else { return None };
        let right = bit(key, inner.bit);
        matches!(inner.child(right), Link::Leaf(_)).then(|| inner.child(!right).clone())
    }
}

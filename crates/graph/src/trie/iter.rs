//! Entries in the order of their keys, from the start or from a key on.

use super::bits::{bit, first_difference};
use super::link::Link;

/// Entries ascending by key.
pub struct Iter<'a, const N: usize, V> {
    /// Subtrees still to visit, the least on top.
    stack: Vec<&'a Link<N, V>>,
}

impl<'a, const N: usize, V> Iter<'a, N, V> {
    pub(super) fn new(root: Option<&'a Link<N, V>>) -> Self {
        Iter {
            stack: root.into_iter().collect(),
        }
    }

    /// Starts behind `key`, or at it where it is `inclusive`.
    pub(super) fn from(root: Option<&'a Link<N, V>>, key: &[u8; N], inclusive: bool) -> Self {
        let mut stack = Vec::new();
        let Some(root) = root else {
            return Iter { stack };
        };
        let split = first_difference(&root.candidate(key).key, key);
        let mut link = root;
        // Down to the subtree that is wholly on one side of the key: the one that leaves its path first.
        while let Link::Inner(inner) = link
            && split.is_none_or(|split| inner.bit < split)
        {
            let right = bit(key, inner.bit);
            if !right {
                stack.push(&inner.right);
            }
            link = inner.child(right);
        }
        let keep = split.map_or(inclusive, |split| !bit(key, split));
        if keep {
            stack.push(link);
        }
        Iter { stack }
    }
}

impl<'a, const N: usize, V> Iterator for Iter<'a, N, V> {
    type Item = (&'a [u8; N], &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        let mut link = self.stack.pop()?;
        loop {
            match link {
                Link::Leaf(leaf) => return Some((&leaf.key, &leaf.value)),
                Link::Inner(inner) => {
                    self.stack.push(&inner.right);
                    link = &inner.left;
                }
            }
        }
    }
}

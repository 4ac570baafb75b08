//! A compact persistent table from 16-byte hashes to small rows: a 16-way trie with sorted leaves.
//!
//! A general persistent map costs two to three times the memory for two million keys, and cannot be loaded
//! from a sorted run. Keys are hashes, so the trie needs no balancing. Iteration is in key order.

use std::sync::Arc;

/// Entries of a leaf before it splits; a copy of a full leaf is about 2 KiB.
const LEAF_MAX: usize = 64;

/// A key: the first 16 bytes of a SHA-256.
pub type Key = [u8; 16];

/// The table. A clone costs O(1).
#[derive(Clone, Debug)]
pub struct Table<V> {
    root: Node<V>,
    len: usize,
}

#[derive(Clone, Debug)]
enum Node<V> {
    Leaf(Arc<Vec<(Key, V)>>),
    Branch(Arc<[Node<V>; 16]>),
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        Table {
            root: Node::default(),
            len: 0,
        }
    }
}

impl<V> Default for Node<V> {
    fn default() -> Self {
        Node::Leaf(Arc::default())
    }
}

/// The 4 bits of the key that choose a child at this depth.
fn nibble(key: &Key, depth: usize) -> usize {
    let byte = key.get(depth / 2).copied().unwrap_or(0);
    usize::from(if depth.is_multiple_of(2) {
        byte >> 4
    } else {
        byte & 15
    })
}

impl<V: Copy> Table<V> {
    /// Entries in the table.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The row of a key.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<V> {
        let mut node = &self.root;
        let mut depth = 0;
        loop {
            match node {
                Node::Leaf(entries) => {
                    let at = entries.binary_search_by(|(k, _)| k.cmp(key)).ok()?;
                    return entries.get(at).map(|(_, v)| *v);
                }
                Node::Branch(children) => {
                    node = children.get(nibble(key, depth))?;
                    depth += 1;
                }
            }
        }
    }

    /// Puts a row, replacing what was there.
    pub fn insert(&mut self, key: Key, value: V) {
        if self.root.insert(key, value, 0) {
            self.len += 1;
        }
    }

    /// Takes a row out.
    pub fn remove(&mut self, key: &Key) {
        if self.root.remove(key, 0) {
            self.len -= 1;
        }
    }

    /// All rows, ascending by key.
    pub fn iter(&self) -> impl Iterator<Item = (Key, V)> + '_ {
        let mut stack = vec![&self.root];
        let mut leaf: &[(Key, V)] = &[];
        std::iter::from_fn(move || {
            loop {
                if let Some((first, rest)) = leaf.split_first() {
                    leaf = rest;
                    return Some(*first);
                }
                match stack.pop()? {
                    Node::Leaf(entries) => leaf = entries,
                    Node::Branch(children) => stack.extend(children.iter().rev()),
                }
            }
        })
    }
}

impl<V: Copy> Node<V> {
    /// Returns true where the key is new.
    fn insert(&mut self, key: Key, value: V, depth: usize) -> bool {
        match self {
            Node::Branch(children) => match Arc::make_mut(children).get_mut(nibble(&key, depth)) {
                Some(child) => child.insert(key, value, depth + 1),
                None => false,
            },
            Node::Leaf(entries) => {
                let entries = Arc::make_mut(entries);
                match entries.binary_search_by(|(k, _)| k.cmp(&key)) {
                    Ok(at) => {
                        if let Some(entry) = entries.get_mut(at) {
                            entry.1 = value;
                        }
                        false
                    }
                    Err(at) => {
                        entries.insert(at, (key, value));
                        if entries.len() > LEAF_MAX && depth < 32 {
                            *self = split(entries, depth);
                        }
                        true
                    }
                }
            }
        }
    }

    fn remove(&mut self, key: &Key, depth: usize) -> bool {
        match self {
            Node::Branch(children) => match Arc::make_mut(children).get_mut(nibble(key, depth)) {
                Some(child) => child.remove(key, depth + 1),
                None => false,
            },
            Node::Leaf(entries) => match entries.binary_search_by(|(k, _)| k.cmp(key)) {
                Ok(at) => {
                    Arc::make_mut(entries).remove(at);
                    true
                }
                Err(_) => false,
            },
        }
    }
}

fn split<V: Copy>(entries: &[(Key, V)], depth: usize) -> Node<V> {
    let mut children: [Vec<(Key, V)>; 16] = Default::default();
    for entry in entries {
        if let Some(child) = children.get_mut(nibble(&entry.0, depth)) {
            child.push(*entry);
        }
    }
    Node::Branch(Arc::new(children.map(|child| Node::Leaf(Arc::new(child)))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn key(n: u64) -> Key {
        actum_model::Hash::of(&n.to_be_bytes()).short()
    }

    #[test]
    fn it_is_a_sorted_map_and_copies_stay_as_they_were() {
        let mut table = Table::default();
        let mut plain = BTreeMap::new();
        let mut copies = Vec::new();
        for n in 0..5000u64 {
            table.insert(key(n % 1700), n);
            plain.insert(key(n % 1700), n);
            if n % 3 == 0 {
                table.remove(&key(n / 2 % 1700));
                plain.remove(&key(n / 2 % 1700));
            }
            if n % 500 == 0 {
                copies.push((table.clone(), plain.clone()));
            }
        }
        copies.push((table, plain));
        for (table, plain) in copies {
            assert_eq!(table.len(), plain.len());
            assert!(table.iter().eq(plain.iter().map(|(k, v)| (*k, *v))));
            assert!((0..1700).all(|n| table.get(&key(n)) == plain.get(&key(n)).copied()));
        }
    }
}

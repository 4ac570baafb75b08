//! A compact persistent table from 16-byte hashes to small rows: a 16-way trie with sorted leaves.
//!
//! A general persistent map costs two to three times the memory for two million keys, and cannot be loaded
//! from a sorted run. Keys are hashes, so the trie needs no balancing. Iteration is in key order.

use std::sync::Arc;

/// Entries of a leaf before it splits; a copy of a full leaf is about 2 KiB.
const LEAF_MAX: usize = 64;

/// A key: the first 16 bytes of a SHA-256.
pub type Key = [u8; 16];

/// Rows that wait to be put in together while a table is loaded.
const GATHERED_MAX: usize = 32_768;

/// The table. A clone costs O(1).
#[derive(Clone, Debug)]
pub struct Table<V> {
    root: Node<V>,
    len: usize,
    /// While the table is loaded: rows not put in yet, in the order they came. Nothing is read meanwhile.
    gathered: Option<Vec<(Key, V)>>,
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
            gathered: None,
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
        if let Some(gathered) = &mut self.gathered {
            gathered.push((key, value));
            if gathered.len() >= GATHERED_MAX {
                self.put_in();
            }
        } else if self.root.insert(key, value, 0) {
            self.len += 1;
        }
    }

    /// From here to [`Table::loaded`] rows are put in many at a time, in the order of their keys: neighbours
    /// share the way to their leaf, which halves the cost of a row. Until then only [`Table::get_loading`] reads.
    pub(crate) fn load(&mut self) {
        self.gathered.get_or_insert_default();
    }

    /// Ends what [`Table::load`] began.
    pub(crate) fn loaded(&mut self) {
        self.put_in();
        self.gathered = None;
    }

    /// The row of a key, also while the table is loaded.
    pub(crate) fn get_loading(&mut self, key: &Key) -> Option<V> {
        self.put_in();
        self.get(key)
    }

    fn put_in(&mut self) {
        let Some(gathered) = &mut self.gathered else {
            return;
        };
        // Stable, so that of two rows of one key the later stays the later.
        gathered.sort_by_key(|(key, _)| u128::from_be_bytes(*key));
        self.len += self.root.insert_run(gathered, 0);
        gathered.clear();
    }

    /// Takes a row out.
    pub fn remove(&mut self, key: &Key) {
        self.put_in();
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

    /// Puts in rows sorted by key, of equal ones the last. Returns how many keys are new.
    fn insert_run(&mut self, run: &[(Key, V)], depth: usize) -> usize {
        match self {
            Node::Branch(children) => {
                let children = Arc::make_mut(children);
                let runs = run.chunk_by(|(a, _), (b, _)| nibble(a, depth) == nibble(b, depth));
                let put = |run: &[(Key, V)]| {
                    let (key, _) = run.first()?;
                    let child = children.get_mut(nibble(key, depth))?;
                    Some(child.insert_run(run, depth + 1))
                };
                runs.filter_map(put).sum()
            }
            Node::Leaf(entries) => {
                let entries = Arc::make_mut(entries);
                let before = entries.len();
                merge(entries, run);
                let new = entries.len() - before;
                if entries.len() > LEAF_MAX && depth < 32 {
                    *self = split(entries, depth);
                }
                new
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

/// Puts sorted rows among sorted ones; of equal keys the last stays.
fn merge<V: Copy>(entries: &mut Vec<(Key, V)>, run: &[(Key, V)]) {
    entries.extend_from_slice(run);
    // Two sorted runs are merged in one pass, and stably.
    entries.sort_by_key(|(key, _)| u128::from_be_bytes(*key));
    entries.dedup_by(|later, kept| {
        let same = later.0 == kept.0;
        if same {
            kept.1 = later.1;
        }
        same
    });
}

/// Sorted rows, more than a leaf holds, as a branch.
fn split<V: Copy>(entries: &[(Key, V)], depth: usize) -> Node<V> {
    let mut children: [Node<V>; 16] = Default::default();
    for run in entries.chunk_by(|(a, _), (b, _)| nibble(a, depth) == nibble(b, depth)) {
        let first = run.first().map_or(0, |(key, _)| nibble(key, depth));
        if let Some(child) = children.get_mut(first) {
            *child = if run.len() > LEAF_MAX && depth < 31 {
                split(run, depth + 1)
            } else {
                Node::Leaf(Arc::new(run.to_vec()))
            };
        }
    }
    Node::Branch(Arc::new(children))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn key(n: u64) -> Key {
        actum_model::Hash::of(&n.to_be_bytes()).short()
    }

    #[test]
    fn rows_put_in_together_stand_as_if_put_in_one_by_one() {
        for rows in [1u64, 60, 3000, 100_000] {
            let mut one_by_one = Table::default();
            let mut together = Table::default();
            for n in 0..40 {
                one_by_one.insert(key(n), n);
                together.insert(key(n), n);
            }
            together.load();
            for n in 0..rows {
                one_by_one.insert(key(n % 50_000), n);
                together.insert(key(n % 50_000), n);
                if n % 997 == 0 {
                    let gone = key(n / 2);
                    assert_eq!(together.get_loading(&gone), one_by_one.get(&gone));
                    one_by_one.remove(&gone);
                    together.remove(&gone);
                }
            }
            together.loaded();
            assert_eq!(one_by_one.len(), together.len());
            assert!(one_by_one.iter().eq(together.iter()));
            assert!((0..rows).all(|n| together.get(&key(n)) == one_by_one.get(&key(n))));
        }
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

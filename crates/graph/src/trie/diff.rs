//! What two tries differ in, ascending by key, without visiting what they share.

use super::TrieValue;
use super::bits::{bit, first_difference};
use super::link::Link;

/// One key with its value in the first trie and in the second; at least one is there and they differ.
#[derive(Debug)]
pub struct Difference<'a, const N: usize, V> {
    /// The key.
    pub key: &'a [u8; N],
    /// The value in the first trie.
    pub before: Option<&'a V>,
    /// The value in the second trie.
    pub after: Option<&'a V>,
}

impl<const N: usize, V> Clone for Difference<'_, N, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<const N: usize, V> Copy for Difference<'_, N, V> {}

type Side<'a, const N: usize, V> = Option<&'a Link<N, V>>;

/// The differences of two tries, found while one iterates.
pub struct Diff<'a, const N: usize, V> {
    /// Pairs of subtrees still to compare, the least on top. Keys of one pair are never in another.
    stack: Vec<(Side<'a, N, V>, Side<'a, N, V>)>,
    /// Keys up to this one are left out. Gone as soon as a subtree behind it comes up.
    after: Option<[u8; N]>,
}

/// Where a subtree lies with regard to the key one starts behind.
enum Place {
    Before,
    Around,
    Behind,
}

fn place<const N: usize, V>(link: &Link<N, V>, after: &[u8; N]) -> Place {
    match first_difference(&link.first().key, after) {
        None if matches!(link, Link::Leaf(_)) => Place::Before,
        Some(split) if split < link.bit() => {
            if bit(after, split) {
                Place::Before
            } else {
                Place::Behind
            }
        }
        _ => Place::Around,
    }
}

impl<'a, const N: usize, V: TrieValue<N>> Diff<'a, N, V> {
    pub(super) fn new(a: Side<'a, N, V>, b: Side<'a, N, V>, after: Option<[u8; N]>) -> Self {
        Diff {
            stack: vec![(a, b)],
            after,
        }
    }

    /// Drops what lies before the starting key.
    fn cut(&mut self, side: Side<'a, N, V>) -> Side<'a, N, V> {
        let (Some(link), Some(after)) = (side, &self.after) else {
            return side;
        };
        (!matches!(place(link, after), Place::Before)).then_some(link)
    }

    /// Forgets the starting key once all that is left lies behind it.
    fn settle(&mut self, a: Side<'a, N, V>, b: Side<'a, N, V>) {
        let Some(after) = &self.after else { return };
        let behind =
            |side: Side<'a, N, V>| side.is_none_or(|link| matches!(place(link, after), Place::Behind));
        if (a.is_some() || b.is_some()) && behind(a) && behind(b) {
            self.after = None;
        }
    }

    /// Pushes the two parts of a pair; `right` is visited after `left`.
    fn push(&mut self, left: (Side<'a, N, V>, Side<'a, N, V>), right: (Side<'a, N, V>, Side<'a, N, V>)) {
        self.stack.push(right);
        self.stack.push(left);
    }

    /// Splits a pair of which at least one is an inner node. Two leaves are compared by the caller, unless their
    /// keys differ.
    fn split(&mut self, a: &'a Link<N, V>, b: &'a Link<N, V>) {
        if let (Link::Inner(x), Link::Inner(y)) = (a, b)
            && x.bit == y.bit
            && (x.left.same(&y.left) || x.right.same(&y.right))
        {
            // A shared half proves that both have the same prefix.
            self.push((Some(&x.left), Some(&y.left)), (Some(&x.right), Some(&y.right)));
            return;
        }
        let (key_a, key_b) = (&a.first().key, &b.first().key);
        let apart = first_difference(key_a, key_b).filter(|apart| *apart < a.bit().min(b.bit()));
        match (a, b, apart) {
            // No common prefix: all keys of one lie before all keys of the other.
            (_, _, Some(apart)) if bit(key_a, apart) => self.push((None, Some(b)), (Some(a), None)),
            (_, _, Some(_)) => self.push((Some(a), None), (None, Some(b))),
            (Link::Inner(x), Link::Inner(y), None) if x.bit == y.bit => {
                self.push((Some(&x.left), Some(&y.left)), (Some(&x.right), Some(&y.right)));
            }
            // One decides a bit earlier than the other, which lies wholly on one side of it.
            (Link::Inner(x), _, None) if x.bit < b.bit() => {
                if bit(key_b, x.bit) {
                    self.push((Some(&x.left), None), (Some(&x.right), Some(b)));
                } else {
                    self.push((Some(&x.left), Some(b)), (Some(&x.right), None));
                }
            }
            (_, Link::Inner(y), None) => {
                if bit(key_a, y.bit) {
                    self.push((None, Some(&y.left)), (Some(a), Some(&y.right)));
                } else {
                    self.push((Some(a), Some(&y.left)), (None, Some(&y.right)));
                }
            }
            (_, Link::Leaf(_), None) => {}
        }
    }
}

impl<'a, const N: usize, V: TrieValue<N>> Iterator for Diff<'a, N, V> {
    type Item = Difference<'a, N, V>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (a, b) = self.stack.pop()?;
            let (a, b) = (self.cut(a), self.cut(b));
            self.settle(a, b);
            match (a, b) {
                (None, None) => {}
                (Some(a), Some(b)) if equal(a, b) => {}
                (Some(Link::Leaf(x)), Some(Link::Leaf(y))) if x.key == y.key => {
                    if x.value != y.value {
                        return Some(Difference {
                            key: &x.key,
                            before: Some(&x.value),
                            after: Some(&y.value),
                        });
                    }
                }
                (Some(a), Some(b)) => self.split(a, b),
                (Some(Link::Inner(x)), None) => self.push((Some(&x.left), None), (Some(&x.right), None)),
                (None, Some(Link::Inner(y))) => self.push((None, Some(&y.left)), (None, Some(&y.right))),
                (Some(Link::Leaf(x)), None) => {
                    return Some(Difference {
                        key: &x.key,
                        before: Some(&x.value),
                        after: None,
                    });
                }
                (None, Some(Link::Leaf(y))) => {
                    return Some(Difference {
                        key: &y.key,
                        before: None,
                        after: Some(&y.value),
                    });
                }
            }
        }
    }
}

/// Whether two subtrees are known to hold the same without looking into them.
fn equal<const N: usize, V>(a: &Link<N, V>, b: &Link<N, V>) -> bool {
    a.same(b) || matches!((a.known_digest(), b.known_digest()), (Some(x), Some(y)) if x == y)
}

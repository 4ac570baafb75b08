//! Reading a view page by page. Nodes, edges and neighbours come in the order of their ids, attachments in the
//! order of the hash of their keys. A page looks at no more than `GRAPH_PAGE_SCANNED_MAX` entries (fewer where each
//! must have keys) and ends after
//! `GRAPH_PAGE_BYTES_MAX` payload bytes, so it may hold fewer than `first` and still have a cursor: go on until
//! there is none. On a held view, following the cursors neither repeats nor misses.

use super::View;
use crate::content::{Attachment, Edge, Node, Payload, attachment_path};
use crate::ids::{AttachmentKey, EdgeId, KindName, NodeId, TargetId};
use actum_model::Hash;
use actum_model::limits::{GRAPH_PAGE_BYTES_MAX, GRAPH_PAGE_DEFAULT, GRAPH_PAGE_SCANNED_MAX, PAGE_MAX};
use std::cmp::Ordering;
use std::ops::Bound;

/// Which part of a listing is wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page<K> {
    /// Most entries of the page; taken as 1 to `PAGE_MAX`.
    pub first: usize,
    /// Cursor of the page before: entries behind it only.
    pub after: Option<K>,
}

impl<K> Default for Page<K> {
    fn default() -> Self {
        Page {
            first: GRAPH_PAGE_DEFAULT,
            after: None,
        }
    }
}

/// One page of a listing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Paged<T, K> {
    /// What matched, in order.
    pub items: Vec<T>,
    /// Cursor of the next page. Without one the listing is complete.
    pub next: Option<K>,
}

/// Which nodes are wanted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NodeFilter {
    /// Only these kinds; all if empty.
    pub kinds: Vec<KindName>,
    /// Only nodes that have all of these attachments.
    pub has_keys: Vec<AttachmentKey>,
}

/// Which edges are wanted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EdgeFilter {
    /// Only these kinds; all if empty.
    pub kinds: Vec<KindName>,
    /// Only edges that start here.
    pub from: Option<NodeId>,
    /// Only edges that end here.
    pub to: Option<NodeId>,
}

/// Which edges of a node lead to its neighbours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// Those that start at it.
    Outgoing,
    /// Those that end at it.
    Incoming,
    /// All; one that starts and ends at it comes once.
    Both,
}

/// A neighbour and the edge to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Neighbor {
    /// The edge.
    pub edge_id: EdgeId,
    /// Its content.
    pub edge: Edge,
    /// The node at its other end.
    pub node: NodeId,
}

/// Takes one page out of an ordered run of candidates, of which it looks at no more than `scanned_max`.
pub(crate) fn page_of<K: Clone, V>(
    first: usize,
    scanned_max: usize,
    candidates: impl Iterator<Item = (K, V)>,
    keep: impl Fn(&K, &V) -> bool,
    weigh_bytes: impl Fn(&V) -> usize,
) -> Paged<(K, V), K> {
    let first = first.clamp(1, PAGE_MAX);
    let mut candidates = candidates.peekable();
    let (mut items, mut scanned, mut bytes) = (Vec::new(), 0, 0);
    while let Some((key, value)) = candidates.next() {
        scanned += 1;
        let cursor = key.clone();
        if keep(&key, &value) {
            bytes += weigh_bytes(&value);
            items.push((key, value));
        }
        let full = items.len() >= first || scanned >= scanned_max || bytes >= GRAPH_PAGE_BYTES_MAX;
        if full {
            let next = candidates.peek().map(|_| cursor);
            return Paged { items, next };
        }
    }
    Paged { items, next: None }
}

impl<T, K> Paged<T, K> {
    pub(crate) fn map<U>(self, convert: impl FnMut(T) -> U) -> Paged<U, K> {
        Paged {
            items: self.items.into_iter().map(convert).collect(),
            next: self.next,
        }
    }
}

fn wanted(kinds: &[KindName], kind: &KindName) -> bool {
    kinds.is_empty() || kinds.contains(kind)
}

fn edge_bytes(edge: &Edge) -> usize {
    edge.payload.as_ref().map_or(0, payload_bytes)
}

fn payload_bytes(payload: &Payload) -> usize {
    payload.as_bytes().len()
}

impl View {
    /// Nodes in the order of their ids.
    #[must_use]
    pub fn nodes(&self, filter: &NodeFilter, page: &Page<NodeId>) -> Paged<(NodeId, Node), NodeId> {
        let entries = match &page.after {
            Some(after) => self.nodes.after(after.bytes()),
            None => self.nodes.iter(),
        };
        let keep = |id: &NodeId, node: &&Node| {
            let has = |key| self.attachment(&(*id).into(), key).is_some();
            wanted(&filter.kinds, &node.kind) && filter.has_keys.iter().all(has)
        };
        // Each key is a lookup of its own.
        let scanned_max = GRAPH_PAGE_SCANNED_MAX / (1 + filter.has_keys.len());
        let candidates = entries.map(|(id, node)| (NodeId(Hash(*id)), node));
        page_of(page.first, scanned_max, candidates, keep, |node| {
            payload_bytes(&node.payload)
        })
        .map(|(id, node)| (id, node.clone()))
    }

    /// Edges in the order of their ids. With `from`, or else with `to`, only the edges of that node are looked at.
    #[must_use]
    pub fn edges(&self, filter: &EdgeFilter, page: &Page<EdgeId>) -> Paged<(EdgeId, Edge), EdgeId> {
        let keep = |_: &EdgeId, edge: &&Edge| {
            wanted(&filter.kinds, &edge.kind)
                && filter.from.is_none_or(|from| edge.from == from)
                && filter.to.is_none_or(|to| edge.to == to)
        };
        let paged = match (filter.from, filter.to) {
            (None, None) => {
                let entries = match &page.after {
                    Some(after) => self.edges.after(after.bytes()),
                    None => self.edges.iter(),
                };
                let candidates = entries.map(|(id, edge)| (EdgeId(Hash(*id)), edge));
                page_of(page.first, GRAPH_PAGE_SCANNED_MAX, candidates, keep, |edge| {
                    edge_bytes(edge)
                })
            }
            (from, to) => {
                let ids: Box<dyn Iterator<Item = EdgeId>> = match (from, to) {
                    (Some(from), _) => Box::new(self.edge_ids(Direction::Outgoing, from, page.after)),
                    (None, Some(to)) => Box::new(self.edge_ids(Direction::Incoming, to, page.after)),
                    (None, None) => Box::new(std::iter::empty()),
                };
                page_of(
                    page.first,
                    GRAPH_PAGE_SCANNED_MAX,
                    self.with_edges(ids),
                    keep,
                    |edge| edge_bytes(edge),
                )
            }
        };
        paged.map(|(id, edge)| (id, edge.clone()))
    }

    /// The neighbours of a node in the order of the ids of the edges to them.
    #[must_use]
    pub fn neighbors(
        &self,
        id: &NodeId,
        direction: Direction,
        kinds: &[KindName],
        page: &Page<EdgeId>,
    ) -> Paged<Neighbor, EdgeId> {
        let ids: Box<dyn Iterator<Item = EdgeId>> = match direction {
            Direction::Both => Box::new(union(
                self.edge_ids(Direction::Outgoing, *id, page.after),
                self.edge_ids(Direction::Incoming, *id, page.after),
            )),
            one => Box::new(self.edge_ids(one, *id, page.after)),
        };
        let keep = |_: &EdgeId, edge: &&Edge| wanted(kinds, &edge.kind);
        page_of(
            page.first,
            GRAPH_PAGE_SCANNED_MAX,
            self.with_edges(ids),
            keep,
            |edge| edge_bytes(edge),
        )
        .map(|(edge_id, edge)| {
            let outgoing = edge.from == *id && direction != Direction::Incoming;
            Neighbor {
                edge_id,
                edge: edge.clone(),
                node: if outgoing { edge.to } else { edge.from },
            }
        })
    }

    /// The attachments of a node or edge. The cursor is the key of the last one.
    #[must_use]
    pub fn attachments(
        &self,
        target: &TargetId,
        page: &Page<AttachmentKey>,
    ) -> Paged<Attachment, AttachmentKey> {
        let entries: Box<dyn Iterator<Item = (&[u8; 64], &Attachment)>> = match &page.after {
            None => Box::new(self.attachments.prefixed(target.bytes())),
            Some(after) => {
                let target = *target;
                let behind = self.attachments.after(&attachment_path(&target, after));
                Box::new(behind.take_while(move |(path, _)| path.starts_with(target.bytes())))
            }
        };
        let candidates = entries.map(|(_, attachment)| (attachment.key().clone(), attachment));
        let weigh = |attachment: &&Attachment| attachment.value().as_str().len();
        page_of(page.first, GRAPH_PAGE_SCANNED_MAX, candidates, |_, _| true, weigh)
            .map(|(_, attachment)| attachment.clone())
    }

    /// Ids of the edges that start or end at a node, behind `after`.
    fn edge_ids(
        &self,
        direction: Direction,
        node: NodeId,
        after: Option<EdgeId>,
    ) -> impl Iterator<Item = EdgeId> + '_ {
        let index = match direction {
            Direction::Incoming => &self.incoming,
            Direction::Outgoing | Direction::Both => &self.outgoing,
        };
        let start = match after {
            Some(after) => Bound::Excluded((node, after)),
            None => Bound::Included((node, EdgeId(Hash::ZERO))),
        };
        index
            .range((start, Bound::Unbounded))
            .take_while(move |(at, _)| *at == node)
            .map(|(_, edge)| *edge)
    }

    fn with_edges<'a>(
        &'a self,
        ids: impl Iterator<Item = EdgeId> + 'a,
    ) -> impl Iterator<Item = (EdgeId, &'a Edge)> + 'a {
        ids.filter_map(|id| self.edge(&id).map(|edge| (id, edge)))
    }
}

/// The ordered union of two ordered runs.
fn union<T: Ord>(a: impl Iterator<Item = T>, b: impl Iterator<Item = T>) -> impl Iterator<Item = T> {
    let (mut a, mut b) = (a.peekable(), b.peekable());
    std::iter::from_fn(move || {
        let order = match (a.peek(), b.peek()) {
            (Some(x), Some(y)) => x.cmp(y),
            (_, None) => Ordering::Less,
            (None, _) => Ordering::Greater,
        };
        match order {
            Ordering::Less => a.next(),
            Ordering::Greater => b.next(),
            Ordering::Equal => {
                b.next();
                a.next()
            }
        }
    })
}

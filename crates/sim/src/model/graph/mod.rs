//! The graph written down a second time: System and the shadow working sets as plain maps, what a command must
//! come to, and what is kept of earlier versions and of the rewrite log.

mod compare;
mod foresee;
mod merge;
mod sheet;

pub(super) use foresee::Foreseen;
pub(crate) use sheet::Sheet;

use super::{Model, Reading};
use crate::broken::{Broken, hold};
use actum_model::graph::{GraphEvent, Node, RewriteKind, SwsState};
use actum_model::{Hash, RealmConfig};
use foresee::Change;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// The graph of a realm.
#[derive(Clone, Debug, Default)]
pub(crate) struct Graph {
    next_sws: u64,
    next_rewrite: u64,
    pub(crate) system: Line,
    pub(crate) sws: BTreeMap<u64, Sws>,
    /// The newest entries of the rewrite log.
    log: VecDeque<Entry>,
    /// How often what came of commands about the graph, by names of events and codes.
    pub(super) tally: BTreeMap<String, u64>,
}

/// A view that goes on.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) sheet: Arc<Sheet>,
    digest: Hash,
    n: u64,
    kept: VecDeque<Kept>,
    /// Entries it ever had in the log.
    entries: u64,
}

/// An earlier version of a view.
#[derive(Clone, Debug)]
struct Kept {
    n: u64,
    digest: Hash,
    until: u64,
    sheet: Arc<Sheet>,
}

/// A shadow working set.
#[derive(Clone, Debug)]
pub(crate) struct Sws {
    pub(crate) state: SwsState,
    base: Arc<Sheet>,
    base_n: u64,
    base_digest: Hash,
    pub(crate) line: Line,
}

/// An entry of the rewrite log: what it did, and its place among those of each view it is about.
#[derive(Clone, Debug)]
struct Entry {
    idx: u64,
    kind: RewriteKind,
    sws: u64,
    sws_idx: u64,
    system_idx: Option<u64>,
}

impl Default for Line {
    fn default() -> Line {
        let sheet = Sheet::default();
        Line {
            digest: sheet.digest(),
            sheet: Arc::new(sheet),
            n: 0,
            kept: VecDeque::new(),
            entries: 0,
        }
    }
}

impl Line {
    /// Other entries take the place of these; a version begins only where the digest is another.
    fn advance(&mut self, sheet: Sheet, digest: Hash, at: u64, config: &RealmConfig) {
        let before = std::mem::replace(&mut self.sheet, Arc::new(sheet));
        if digest == self.digest {
            return;
        }
        self.kept.push_back(Kept {
            n: self.n,
            digest: self.digest,
            until: at,
            sheet: before,
        });
        (self.n, self.digest) = (self.n + 1, digest);
        let oldest = at.saturating_sub(config.graph_snapshot_age_ms_max);
        let excess = self.kept.len() as u64;
        let excess = excess.saturating_sub(config.graph_snapshots_max);
        let old = self.kept.iter().take_while(|kept| kept.until < oldest).count() as u64;
        let gone = usize::try_from(excess.max(old)).unwrap_or(usize::MAX);
        self.kept.drain(..gone);
    }

    fn enter(&mut self) -> u64 {
        self.entries += 1;
        self.entries - 1
    }
}

impl Graph {
    /// Shadow working sets that may be worked on.
    pub(crate) fn active(&self) -> impl Iterator<Item = (u64, &Sws)> {
        let active = self.sws.iter().filter(|(_, sws)| sws.state == SwsState::Active);
        active.map(|(id, sws)| (*id, sws))
    }

    /// Nodes that an earlier version of System had and System no longer has.
    pub(crate) fn removed_from_system(&self) -> Vec<Node> {
        let now = &self.system.sheet.nodes;
        let earlier = self.system.kept.iter().flat_map(|kept| kept.sheet.nodes.iter());
        let gone: BTreeMap<_, _> = earlier.filter(|(id, _)| !now.contains_key(id)).collect();
        gone.into_values().cloned().collect()
    }

    /// Only so many closed ones are known, those with the greatest numbers.
    fn forget_closed(&mut self, config: &RealmConfig) {
        let closed = self.sws.iter().filter(|(_, sws)| sws.state != SwsState::Active);
        let closed: BTreeSet<u64> = closed.map(|(id, _)| *id).collect();
        let excess = (closed.len() as u64).saturating_sub(config.sws_closed_max);
        let excess = usize::try_from(excess).unwrap_or(usize::MAX);
        for id in closed.into_iter().take(excess) {
            self.sws.remove(&id);
        }
    }

    fn enter(&mut self, kind: RewriteKind, sws: u64, config: &RealmConfig) {
        let sws_idx = self.sws.get_mut(&sws).map_or(0, |sws| sws.line.enter());
        let system_idx = (kind == RewriteKind::Collapse).then(|| self.system.enter());
        self.log.push_back(Entry {
            idx: self.next_rewrite,
            kind,
            sws,
            sws_idx,
            system_idx,
        });
        self.next_rewrite += 1;
        while self.log.len() as u64 > config.graph_rewrites_max {
            self.log.pop_front();
        }
    }
}

impl Model {
    /// An event of the graph must be what its command was foreseen to do, and nothing else.
    pub(super) fn graph_event(
        &mut self,
        reading: &mut Reading<'_>,
        event: &GraphEvent,
    ) -> Result<(), Broken> {
        let foreseen = reading.graph.as_mut();
        let foreseen = foreseen.ok_or_else(|| Broken("nobody asked for a change of the graph".to_owned()))?;
        let (seq, sws, digest, change) = (
            foreseen.seq,
            foreseen.sws,
            foreseen.digest,
            foreseen.change.take(),
        );
        let change = change.ok_or_else(|| Broken("it must not change the graph".to_owned()))?;
        hold!(event.sws() == sws, "another shadow working set than {sws}");
        let (by, idx, named, fits) = match event {
            GraphEvent::SwsCreated { seq, .. } => (seq, None, None, matches!(change, Change::Create)),
            GraphEvent::Rewritten {
                seq,
                idx,
                digest,
                ops,
                ..
            } => {
                let fits = matches!(&change, Change::Rewrite(_, count) if *count == ops.len());
                (seq, Some(idx), Some(digest), fits)
            }
            GraphEvent::Collapsed { seq, idx, digest, .. } => (
                seq,
                Some(idx),
                Some(digest),
                matches!(change, Change::Collapse(_)),
            ),
            GraphEvent::Conflicted {
                seq, idx, conflicts, ..
            } => {
                let fits = matches!(change, Change::Conflict(count) if count == *conflicts);
                (seq, Some(idx), None, fits)
            }
            GraphEvent::Discarded { seq, idx, .. } => {
                (seq, Some(idx), None, matches!(change, Change::Discard))
            }
            GraphEvent::Rebased { seq, idx, digest, .. } => {
                (seq, Some(idx), Some(digest), matches!(change, Change::Rebase(_)))
            }
        };
        hold!(*by == seq && fits, "expected command {seq} to do {change:?}");
        let next = self.graph.next_rewrite;
        hold!(
            idx.is_none_or(|idx| *idx == next),
            "rewrite {idx:?} where {next} should be"
        );
        hold!(
            named.is_none_or(|named| *named == digest),
            "another digest than {digest}, which its entries have"
        );
        self.changes(sws, digest, change);
        Ok(())
    }

    fn changes(&mut self, id: u64, digest: Hash, change: Change) {
        let (at, config, graph) = (self.at, &self.config, &mut self.graph);
        let (sheet, base) = (graph.system.sheet.clone(), graph.system.digest);
        if let Change::Create = change {
            let line = Line {
                sheet: sheet.clone(),
                digest: base,
                ..Line::default()
            };
            let sws = Sws {
                state: SwsState::Active,
                base: sheet,
                base_n: graph.system.n,
                base_digest: base,
                line,
            };
            graph.sws.insert(id, sws);
            graph.next_sws = id + 1;
            return;
        }
        let Some(sws) = graph.sws.get_mut(&id) else {
            return;
        };
        let kind = match change {
            Change::Create | Change::Conflict(_) => RewriteKind::Conflict,
            Change::Rewrite(sheet, _) => {
                sws.line.advance(sheet, digest, at, config);
                RewriteKind::Rewrite
            }
            Change::Rebase(moved) => {
                (sws.base, sws.base_n, sws.base_digest) = (sheet, graph.system.n, base);
                sws.line.advance(moved, digest, at, config);
                RewriteKind::Rebase
            }
            Change::Collapse(sheet) => {
                sws.state = SwsState::Collapsed;
                graph.system.advance(sheet, digest, at, config);
                RewriteKind::Collapse
            }
            Change::Discard => {
                sws.state = SwsState::Discarded;
                RewriteKind::Discard
            }
        };
        if sws.state != SwsState::Active {
            (sws.base, sws.line.kept) = (Arc::default(), VecDeque::new());
        }
        graph.enter(kind, id, config);
        graph.forget_closed(config);
    }
}

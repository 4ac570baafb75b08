//! What happens to the graph. Recovery applies a collapse by merging again: the merge is a function of the three
//! views, and its digest stands in the event. A decision hands over the view it has made for that digest.

use crate::state::{Branch, State, Sws};
use actum_graph::View;
use actum_model::graph::{GraphEvent, Op, RewriteKind, RewriteRow, SwsRow, SwsState};
use actum_model::{Hash, Json};
use std::sync::Arc;

/// What an entry of the log is made of, besides where it stands.
struct Entry {
    seq: u64,
    idx: u64,
    sws: u64,
    kind: RewriteKind,
    digest: Hash,
    ops: Vec<Op>,
    meta: Option<Json>,
    reason: Option<String>,
}

impl Entry {
    fn new(kind: RewriteKind, (seq, idx, sws): (u64, u64, u64), digest: Hash) -> Entry {
        Entry {
            seq,
            idx,
            sws,
            kind,
            digest,
            ops: Vec::new(),
            meta: None,
            reason: None,
        }
    }
}

impl State {
    /// `known` is the view the event leads to, where a decision has just made it.
    pub(super) fn graph_event(&mut self, event: GraphEvent, known: Option<View>) {
        match event {
            GraphEvent::SwsCreated {
                seq,
                sws,
                tenant,
                by,
                meta,
            } => {
                let row = SwsRow {
                    id: sws,
                    tenant,
                    by,
                    seq,
                    created_idx: self.next_idx - 1,
                    created_at: self.at,
                    state: SwsState::Active,
                    base: self.graph.system.n,
                    base_digest: self.graph.system.digest,
                    meta,
                };
                self.graph.next_sws = sws + 1;
                self.graph.insert_fork(row);
            }
            GraphEvent::Rewritten {
                seq,
                idx,
                sws,
                digest,
                ops,
                meta,
            } => {
                self.change_sws(sws, digest, |sws| {
                    known.unwrap_or_else(|| {
                        let mut view = sws.branch.view.clone();
                        // Decided on this very view, so nothing is refused.
                        let _ = view.apply(&ops);
                        view
                    })
                });
                self.log(Entry {
                    ops,
                    meta,
                    ..Entry::new(RewriteKind::Rewrite, (seq, idx, sws), digest)
                });
            }
            GraphEvent::Rebased {
                seq,
                idx,
                sws,
                digest,
                meta,
            } => {
                let system = self.graph.system.current_content();
                self.change_sws(sws, digest, |sws| {
                    let merged = known.unwrap_or_else(|| merged(&sws.base, &system.0, &sws.branch.view));
                    sws.base = system.0.clone();
                    (sws.row.base, sws.row.base_digest) = (system.1, system.2);
                    merged
                });
                self.log(Entry {
                    meta,
                    ..Entry::new(RewriteKind::Rebase, (seq, idx, sws), digest)
                });
            }
            GraphEvent::Collapsed {
                seq,
                idx,
                sws,
                digest,
                meta,
                ..
            } => {
                let config = self.config.clone();
                if let Some(row) = self.graph.sws.get(&sws) {
                    let system = &mut self.graph.system;
                    let view = known.unwrap_or_else(|| merged(&row.base, &system.view, &row.branch.view));
                    system.advance(view, digest, self.at, &config);
                }
                self.close_sws(sws, SwsState::Collapsed);
                self.log(Entry {
                    meta,
                    ..Entry::new(RewriteKind::Collapse, (seq, idx, sws), digest)
                });
            }
            GraphEvent::Conflicted {
                seq, idx, sws, meta, ..
            } => {
                let digest = self.sws_digest(sws);
                self.log(Entry {
                    meta,
                    ..Entry::new(RewriteKind::Conflict, (seq, idx, sws), digest)
                });
            }
            GraphEvent::Discarded {
                seq,
                idx,
                sws,
                reason,
                meta,
            } => {
                let digest = self.sws_digest(sws);
                self.close_sws(sws, SwsState::Discarded);
                self.log(Entry {
                    meta,
                    reason,
                    ..Entry::new(RewriteKind::Discard, (seq, idx, sws), digest)
                });
            }
        }
    }

    fn change_sws(&mut self, id: u64, digest: Hash, change: impl FnOnce(&mut Sws) -> View) {
        let (at, config) = (self.at, self.config.clone());
        if let Some(sws) = self.graph.sws.get_mut(&id) {
            let sws = Arc::make_mut(sws);
            let view = change(sws);
            sws.branch.advance(view, digest, at, &config);
        }
    }

    fn close_sws(&mut self, id: u64, state: SwsState) {
        if let Some(sws) = self.graph.sws.get_mut(&id) {
            let sws = Arc::make_mut(sws);
            sws.row.state = state;
            sws.base = View::default();
            sws.branch.close();
            self.graph.closed.insert(id);
        }
    }

    /// Only so many closed ones are kept. After the log has its entry: the one that closed may be the first to go.
    fn forget_closed(&mut self) {
        while self.graph.closed.len() as u64 > self.config.sws_closed_max {
            let Some(oldest) = self.graph.closed.remove_min() else {
                return;
            };
            self.graph.sws.remove(&oldest);
        }
    }

    fn sws_digest(&self, id: u64) -> Hash {
        let sws = self.graph.sws.get(&id);
        sws.map_or(Hash::ZERO, |sws| sws.branch.digest)
    }

    fn log(&mut self, entry: Entry) {
        let system_idx = (entry.kind == RewriteKind::Collapse).then(|| self.graph.system.enter(entry.idx));
        let sws_idx = self
            .graph
            .sws
            .get_mut(&entry.sws)
            .map_or(0, |sws| Arc::make_mut(sws).branch.enter(entry.idx));
        self.graph.next_rewrite = entry.idx + 1;
        self.graph.keep(Arc::new(RewriteRow {
            idx: entry.idx,
            record: self.next_idx - 1,
            at: self.at,
            seq: entry.seq,
            kind: entry.kind,
            sws: entry.sws,
            sws_idx,
            system_idx,
            digest: entry.digest,
            ops: entry.ops,
            meta: entry.meta,
            reason: entry.reason,
        }));
        let (rows_max, bytes_max) = (
            self.config.graph_rewrites_max,
            self.config.graph_rewrite_bytes_max,
        );
        let graph = &mut self.graph;
        while graph.rewrites.len() as u64 > rows_max || graph.rewrite_bytes > bytes_max {
            graph.forget_oldest();
        }
        self.forget_closed();
    }
}

/// The merge that was decided on these very views, so it has no conflicts.
fn merged(base: &View, theirs: &View, ours: &View) -> View {
    actum_graph::merge(base, theirs, ours).map_or_else(|_| theirs.clone(), |merged| merged.view)
}

impl Branch {
    /// Enters an entry of the rewrite log. Returns its place among those of this view.
    fn enter(&mut self, idx: u64) -> u64 {
        self.log.push_back(idx);
        self.entries += 1;
        self.entries - 1
    }

    fn current_content(&self) -> (View, u64, Hash) {
        (self.view.clone(), self.n, self.digest)
    }
}

//! Writing the graph as snapshot pieces, and building it again from them. Versions of a view are written as
//! differences, so what they share is written once and shared again.

use super::graph::{Branch, Graph, Kept, Sws};
use super::restore::{ROWS_PER_PIECE, TEXT_BYTES_PER_PIECE, runs};
use actum_graph::{EntryKey, View, apply_patches, diff};
use actum_model::graph::{GraphMeta, GraphPiece, Patch, RewriteRow, SwsState, VersionRow, ViewName};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A view that is being restored, and the versions of System that shadow working sets begin at.
#[derive(Clone, Debug)]
pub(crate) struct Building {
    name: ViewName,
    view: View,
    bases: BTreeMap<u64, View>,
}

type Versions = Vec<(VersionRow, View)>;

impl Branch {
    /// The versions that can be read, ascending, the current one last.
    fn versions(&self) -> Versions {
        let kept = self.kept.iter().map(|kept| {
            let row = VersionRow {
                n: kept.n,
                digest: kept.digest,
                until: kept.until,
                kept: true,
            };
            (row, kept.view.clone())
        });
        let current = VersionRow {
            n: self.n,
            digest: self.digest,
            until: 0,
            kept: true,
        };
        kept.chain([(current, self.view.clone())]).collect()
    }
}

impl Graph {
    /// The pieces of this graph in their fixed order.
    pub(super) fn pieces(&self) -> impl Iterator<Item = GraphPiece> + '_ {
        let rows: Vec<_> = self.sws.values().map(|sws| sws.row.clone()).collect();
        let rows: Vec<_> = rows
            .chunks(512)
            .map(|rows| GraphPiece::Sws(rows.to_vec()))
            .collect();
        let system = self.system_versions();
        let views = std::iter::once((ViewName::System, &self.system, View::default(), system)).chain(
            self.sws.values().map(|sws| {
                let name = ViewName::Sws(sws.row.id);
                (name, &sws.branch, sws.base.clone(), sws.branch.versions())
            }),
        );
        let views = views.flat_map(|(view, branch, from, versions)| {
            let entries = branch.entries;
            std::iter::once(GraphPiece::View { view, entries }).chain(chain(from, versions))
        });
        let log = runs(
            self.rewrites.iter().map(|row| (**row).clone()),
            |row: &RewriteRow| row.weight_bytes() as usize,
        );
        // The log ends a restore, also where it is empty.
        let end = self.rewrites.is_empty().then(|| GraphPiece::Log(Vec::new()));
        (!self.is_empty())
            .then_some(GraphPiece::Meta(self.meta()))
            .into_iter()
            .chain(rows)
            .chain(views)
            .chain(log.map(GraphPiece::Log))
            .chain(end)
            .filter(|_| !self.is_empty())
    }

    fn meta(&self) -> GraphMeta {
        GraphMeta {
            next_sws: self.next_sws,
            next_rewrite: self.next_rewrite,
            system_entries: self.system.entries,
        }
    }

    /// The versions of System that can be read, and those that only shadow working sets rest on.
    fn system_versions(&self) -> Versions {
        let mut versions: BTreeMap<u64, (VersionRow, View)> = self
            .system
            .versions()
            .into_iter()
            .map(|version| (version.0.n, version))
            .collect();
        for sws in self.sws.values().filter(|sws| sws.row.state == SwsState::Active) {
            versions.entry(sws.row.base).or_insert_with(|| {
                let row = VersionRow {
                    n: sws.row.base,
                    digest: sws.row.base_digest,
                    until: 0,
                    kept: false,
                };
                (row, sws.base.clone())
            });
        }
        versions.into_values().collect()
    }

    /// What the digest of the state covers: every row, and of every view its digest as its content gives it.
    pub(super) fn outline(&self) -> impl Iterator<Item = Value> + '_ {
        let views = std::iter::once((ViewName::System, &self.system)).chain(
            self.sws
                .values()
                .map(|sws| (ViewName::Sws(sws.row.id), &sws.branch)),
        );
        let views = views.map(|(name, branch)| {
            let versions: Vec<Value> = branch
                .versions()
                .iter()
                .map(|(row, view)| {
                    json!({"n": row.n, "digest": view.digest().to_string(), "until": row.until,
                        "floor": view.version_floor()})
                })
                .collect();
            json!({"view": name, "named": branch.digest.to_string(), "entries": branch.entries,
                "versions": versions})
        });
        let rows = self.sws.values().map(|sws| json!(sws.row));
        let log = self.rewrites.iter().map(|row| json!(**row));
        (!self.is_empty())
            .then(|| json!(self.meta()))
            .into_iter()
            .chain(rows)
            .chain(views)
            .chain(log)
            .filter(|_| !self.is_empty())
    }

    pub(super) fn restore(&mut self, piece: GraphPiece) {
        match piece {
            GraphPiece::Meta(meta) => {
                self.next_sws = meta.next_sws;
                self.next_rewrite = meta.next_rewrite;
                self.system.entries = meta.system_entries;
            }
            GraphPiece::Sws(rows) => {
                for row in rows {
                    if row.state != SwsState::Active {
                        self.closed.insert(row.id);
                    }
                    let (base, branch) = (View::default(), Branch::default());
                    self.sws.insert(row.id, Arc::new(Sws { row, base, branch }));
                }
            }
            GraphPiece::View { view, entries } => self.begin(view, entries),
            GraphPiece::Patches(steps) => {
                if let Some(building) = &mut self.building {
                    apply_patches(&mut building.view, steps);
                }
            }
            GraphPiece::Version(row) => self.built(&row),
            GraphPiece::Log(rows) => {
                self.building = None;
                rows.into_iter().for_each(|row| self.restore_entry(row));
            }
        }
    }

    fn begin(&mut self, name: ViewName, entries: u64) {
        let bases = self.building.take().map(|building| building.bases);
        let bases = bases.unwrap_or_default();
        let mut view = View::default();
        match name {
            ViewName::System => self.system.entries = entries,
            ViewName::Sws(id) => {
                if let Some(sws) = self.sws.get_mut(&id) {
                    let sws = Arc::make_mut(sws);
                    sws.branch.entries = entries;
                    if sws.row.state == SwsState::Active {
                        sws.base = bases.get(&sws.row.base).cloned().unwrap_or_default();
                        view = sws.base.clone();
                    }
                }
            }
        }
        self.building = Some(Box::new(Building { name, view, bases }));
    }

    fn built(&mut self, row: &VersionRow) {
        let Some(building) = &mut self.building else {
            return;
        };
        let (name, view) = (building.name, building.view.clone());
        let branch = match name {
            ViewName::System => {
                building.bases.insert(row.n, view.clone());
                &mut self.system
            }
            ViewName::Sws(id) => match self.sws.get_mut(&id) {
                Some(sws) => &mut Arc::make_mut(sws).branch,
                None => return,
            },
        };
        if row.until == 0 && row.kept {
            (branch.view, branch.n, branch.digest) = (view, row.n, row.digest);
        } else if row.kept {
            branch.kept.push_back(Kept {
                n: row.n,
                digest: row.digest,
                until: row.until,
                view,
            });
        }
    }

    fn restore_entry(&mut self, row: RewriteRow) {
        if row.system_idx.is_some() {
            self.system.log.push_back(row.idx);
        }
        if let Some(sws) = self.sws.get_mut(&row.sws) {
            Arc::make_mut(sws).branch.log.push_back(row.idx);
        }
        self.keep(Arc::new(row));
    }
}

/// The steps from `from` over each version to the last.
fn chain(from: View, versions: Versions) -> impl Iterator<Item = GraphPiece> {
    let mut before = from;
    versions.into_iter().flat_map(move |(row, view)| {
        let from = std::mem::replace(&mut before, view.clone());
        steps(from, view).chain([GraphPiece::Version(row)])
    })
}

/// The steps from one view to another, piece by piece, so that a large view is never written out in memory.
fn steps(from: View, to: View) -> impl Iterator<Item = GraphPiece> {
    let floor = to.version_floor();
    let mut floor = (from.version_floor() != floor).then_some(Patch::VersionFloor(floor));
    let mut after: Option<EntryKey> = None;
    std::iter::from_fn(move || {
        let mut piece = Vec::new();
        let mut bytes = 0;
        let mut last = None;
        for change in diff(&from, &to, after.as_ref()).take(ROWS_PER_PIECE) {
            last = Some(change.key.clone());
            let step = change.into_patch();
            bytes += step_bytes(&step);
            piece.push(step);
            if bytes > TEXT_BYTES_PER_PIECE {
                break;
            }
        }
        if last.is_some() {
            after = last;
        } else {
            piece.extend(floor.take());
        }
        (!piece.is_empty()).then_some(GraphPiece::Patches(piece))
    })
}

fn step_bytes(step: &Patch) -> usize {
    match step {
        Patch::Node(node) => node.payload.as_bytes().len(),
        Patch::Edge(edge) => edge
            .payload
            .as_ref()
            .map_or(0, |payload| payload.as_bytes().len()),
        Patch::Attachment { value, .. } => value.as_str().len(),
        _ => 0,
    }
}

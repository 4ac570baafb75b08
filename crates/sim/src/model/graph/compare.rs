//! The graph of the kernel's state against the books: entries, not digests.

use super::super::Model;
use super::{Line, Sheet};
use crate::broken::{Broken, hold};
use actum_graph::{EdgeFilter, NodeFilter, Page, View};
use actum_kernel::State;
use actum_kernel::state::SnapshotId;
use actum_model::ErrorCode;
use actum_model::graph::{GraphEvent, SwsState, ViewName};
use actum_model::ids::Tenant;
use std::collections::BTreeMap;

impl Model {
    /// Compares every view, every version that is kept, and the rewrite log.
    ///
    /// # Errors
    /// With the first thing that differs.
    pub fn compare_graph(&self, state: &State) -> Result<(), Broken> {
        let (found, graph) = (&state.graph, &self.graph);
        hold!(
            (found.next_sws, found.next_rewrite) == (graph.next_sws, graph.next_rewrite),
            "next shadow working set {}, next rewrite {}, expected {} and {}",
            found.next_sws,
            found.next_rewrite,
            graph.next_sws,
            graph.next_rewrite
        );
        let known: Vec<u64> = found.sws.keys().copied().collect();
        let expected: Vec<u64> = graph.sws.keys().copied().collect();
        hold!(
            known == expected,
            "shadow working sets {known:?}, expected {expected:?}"
        );
        self.compare_view(state, ViewName::System)?;
        self.compare_versions(state, ViewName::System, &graph.system)?;
        for (id, sws) in &graph.sws {
            let name = ViewName::Sws(*id);
            self.compare_view(state, name)?;
            if sws.state == SwsState::Active {
                self.compare_versions(state, name, &sws.line)?;
            }
            self.compare_log(state, name)?;
        }
        self.compare_log(state, ViewName::System)
    }

    /// Compares System and the shadow working set that an event is about: it is as the event leaves it, and
    /// nothing but a collapse changes System.
    ///
    /// # Errors
    /// With what differs.
    pub fn compare_touched(&self, state: &State, event: &GraphEvent) -> Result<(), Broken> {
        self.compare_view(state, ViewName::System)?;
        self.compare_view(state, ViewName::Sws(event.sws()))
    }

    fn compare_view(&self, state: &State, name: ViewName) -> Result<(), Broken> {
        let line = match name {
            ViewName::System => &self.graph.system,
            ViewName::Sws(id) => {
                let (found, sws) = (state.graph.sws.get(&id), self.graph.sws.get(&id));
                let (Some(found), Some(sws)) = (found, sws) else {
                    hold!(
                        found.is_none() && sws.is_none(),
                        "{name} is known on one side only"
                    );
                    return Ok(());
                };
                let rows = (found.row.state, found.row.base, found.row.base_digest);
                let expected = (sws.state, sws.base_n, sws.base_digest);
                hold!(rows == expected, "{name} is {rows:?}, expected {expected:?}");
                if sws.state != SwsState::Active {
                    return Ok(());
                }
                same(&format!("the base of {name}"), &found.base, &sws.base)?;
                &sws.line
            }
        };
        let found = state.version(&Tenant::main(), name, None);
        let found = found.map_err(|fault| Broken(format!("{name} cannot be read: {}", fault.message)))?;
        hold!(
            (found.n, found.digest) == (line.n, line.digest),
            "{name} is at {}, expected {}",
            found.snapshot(),
            SnapshotId::new(line.n, &line.digest)
        );
        same(&name.to_string(), &found.view, &line.sheet)
    }

    /// Earlier versions can be read as long as they must be, and no longer.
    fn compare_versions(&self, state: &State, name: ViewName, line: &Line) -> Result<(), Broken> {
        let oldest = state.at.saturating_sub(self.config.graph_snapshot_age_ms_max);
        for kept in &line.kept {
            let asked = SnapshotId::new(kept.n, &kept.digest);
            match state.version(&Tenant::main(), name, Some(asked)) {
                Ok(found) => {
                    hold!(kept.until >= oldest, "{name} at {asked} outlived its time");
                    same(&format!("{name} at {asked}"), &found.view, &kept.sheet)?;
                }
                Err(fault) => hold!(
                    fault.code == ErrorCode::SnapshotExpired && kept.until < oldest,
                    "{name} at {asked}: {}",
                    fault.message
                ),
            }
        }
        Ok(())
    }

    fn compare_log(&self, state: &State, name: ViewName) -> Result<(), Broken> {
        let of_view = self.graph.log.iter().filter_map(|entry| {
            let place = match name {
                ViewName::System => entry.system_idx,
                ViewName::Sws(id) => (entry.sws == id).then_some(entry.sws_idx),
            };
            place.map(|place| (place, entry.idx, entry.kind))
        });
        let expected: Vec<_> = of_view.collect();
        let tenant = Tenant::main();
        let found = state.graph.rewrites_of(&tenant, name, None);
        let found =
            found.map_err(|fault| Broken(format!("the log of {name} is not there: {}", fault.message)))?;
        let found: Vec<_> = found.map(|(at, row)| (at, row.idx, row.kind)).collect();
        hold!(
            found == expected,
            "the log of {name} is {found:?}, expected {expected:?}"
        );
        Ok(())
    }
}

fn same(what: &str, view: &View, expected: &Sheet) -> Result<(), Broken> {
    let found = entries(view);
    let counts = view.counts();
    let whole = (counts.nodes, counts.edges, counts.attachments)
        == (found.nodes.len(), found.edges.len(), found.attachments.len());
    hold!(
        whole && found == *expected,
        "invariants 2 and 8: {what} holds {found:?}, expected {expected:?}"
    );
    Ok(())
}

/// Reads everything a view holds, page by page.
fn entries(view: &View) -> Sheet {
    let (mut nodes, mut edges) = (BTreeMap::new(), BTreeMap::new());
    let mut page = Page::default();
    loop {
        let paged = view.nodes(&NodeFilter::default(), &page);
        nodes.extend(paged.items);
        page.after = paged.next;
        if page.after.is_none() {
            break;
        }
    }
    let mut page = Page::default();
    loop {
        let paged = view.edges(&EdgeFilter::default(), &page);
        edges.extend(paged.items);
        page.after = paged.next;
        if page.after.is_none() {
            break;
        }
    }
    let targets = nodes
        .keys()
        .map(|id| (*id).into())
        .chain(edges.keys().map(|id| (*id).into()));
    let mut attachments = BTreeMap::new();
    for target in targets {
        // There are few keys in these worlds, and they fit into one page.
        for held in view.attachments(&target, &Page::default()).items {
            let value = (held.value().clone(), held.version());
            attachments.insert((target, held.key().clone()), value);
        }
    }
    Sheet {
        nodes,
        edges,
        attachments,
        floor: view.version_floor(),
    }
}

//! What the model knows of the graph: numbers without gaps, and that nothing happens to what is closed.

use super::Model;
use crate::broken::{Broken, hold};
use actum_model::graph::GraphEvent;
use std::collections::BTreeSet;

/// Numbers given out, and what is open.
#[derive(Clone, Debug, Default)]
pub(crate) struct Graph {
    next_sws: u64,
    next_rewrite: u64,
    active: BTreeSet<u64>,
}

impl Model {
    pub(super) fn graph_event(&mut self, event: &GraphEvent) -> Result<(), Broken> {
        let graph = &mut self.graph;
        let sws = event.sws();
        if let GraphEvent::SwsCreated { .. } = event {
            hold!(
                sws == graph.next_sws,
                "shadow working set {sws} after {}",
                graph.next_sws
            );
            graph.next_sws += 1;
            graph.active.insert(sws);
            return Ok(());
        }
        hold!(
            graph.active.contains(&sws),
            "shadow working set {sws} is not active"
        );
        let idx = match event {
            GraphEvent::Rewritten { idx, .. }
            | GraphEvent::Collapsed { idx, .. }
            | GraphEvent::Conflicted { idx, .. }
            | GraphEvent::Discarded { idx, .. }
            | GraphEvent::Rebased { idx, .. } => *idx,
            GraphEvent::SwsCreated { .. } => return Ok(()),
        };
        hold!(
            idx == graph.next_rewrite,
            "rewrite {idx} after {}",
            graph.next_rewrite
        );
        graph.next_rewrite += 1;
        if matches!(event, GraphEvent::Collapsed { .. } | GraphEvent::Discarded { .. }) {
            graph.active.remove(&sws);
        }
        Ok(())
    }
}

//! `sws.rebase`: a shadow working set is moved onto System as it is, if nothing of it is in conflict.

use super::{meta, named, receipt};
use crate::decide::Decider;
use actum_model::graph::GraphEvent;
use actum_model::{ErrorCode, Fault, Outcome};
use serde_json::{Value, json};

pub(super) fn run(decider: &mut Decider<'_>, seq: u64, arguments: &Value) -> Result<(), Fault> {
    let Some(identity) = decider.identity(seq) else {
        return Ok(());
    };
    let id = named(arguments)?;
    let graph = &decider.state.graph;
    let sws = graph.active(&identity.tenant, id)?.clone();
    let (idx, from) = (
        graph.next_rewrite,
        receipt::version(sws.row.base, &sws.row.base_digest),
    );
    let to = receipt::version(graph.system.n, &graph.system.digest);
    let merged = actum_graph::merge(&sws.base, &graph.system.view, &sws.branch.view);
    let merged = merged.map_err(|conflicts| {
        let counted = receipt::counted(&conflicts);
        let message = format!("{counted} between shadow working set `{id}` and System; it stays where it is");
        Fault::new(ErrorCode::CollapseConflict, message).with_details(&receipt::conflicts(&conflicts))
    })?;
    let digest = merged.view.digest();
    let event = GraphEvent::Rebased {
        seq,
        idx,
        sws: id,
        digest,
        meta: meta(arguments),
    };
    decider.emit_graph(event, merged.view);
    let n = decider.state.graph.sws.get(&id).map_or(0, |sws| sws.branch.n);
    let data = json!({"swsId": id.to_string(), "rewriteIdx": idx, "from": from, "base": to,
        "view": receipt::version(n, &digest)});
    let data = receipt::pinned(decider.state, data);
    decider.finish(seq, Outcome::Succeeded, data, None);
    Ok(())
}

//! `graph.rewrite`: operations on a shadow working set, all of them or none.

use super::{meta, receipt};
use crate::decide::Decider;
use crate::state::SnapshotId;
use actum_graph::op::{ParseError, Refusal};
use actum_graph::{Op, View, parse_ops};
use actum_model::graph::{GraphEvent, ViewName};
use actum_model::limits::GRAPH_ENTRIES_MAX;
use actum_model::{ErrorCode, Fault, Outcome};
use serde_json::{Value, json};

/// Checks the shape of the arguments, before anything is accepted.
pub(in crate::commands) fn check(arguments: &Value) -> Result<(), Fault> {
    read(arguments).map(|_| ())
}

fn read(arguments: &Value) -> Result<(u64, Vec<Op>), Fault> {
    let text = arguments.get("view").and_then(Value::as_str).unwrap_or_default();
    let sws = match text.parse() {
        Ok(ViewName::Sws(sws)) => sws,
        Ok(ViewName::System) => {
            let message = "a rewrite goes to a shadow working set, never to System";
            return Err(Fault::new(ErrorCode::SystemReadOnly, message));
        }
        Err(error) => {
            let message = format!("/payload/view: {error}");
            return Err(Fault::new(ErrorCode::InvalidInput, message));
        }
    };
    let ops = arguments.get("ops").unwrap_or(&Value::Null);
    let ops = parse_ops(ops, "/payload/ops").map_err(|error| unreadable(&error))?;
    Ok((sws, ops))
}

fn unreadable(error: &ParseError) -> Fault {
    match error {
        ParseError::NotImplemented { .. } => Fault::new(ErrorCode::NotImplemented, error.to_string()),
        ParseError::InvalidInput { faults, count } => {
            let listed: Vec<Value> = faults
                .iter()
                .map(|fault| json!({"pointer": fault.pointer, "message": fault.message}))
                .collect();
            let details = json!({"faults": listed, "count": count});
            let first = faults
                .first()
                .map(|fault| format!("{}: {}", fault.pointer, fault.message));
            let more = match count.saturating_sub(1) {
                0 => String::new(),
                more => format!(" (and {more} more)"),
            };
            let message = format!("{}{more}", first.unwrap_or_default());
            Fault::new(ErrorCode::InvalidInput, message).with_details(&details)
        }
    }
}

pub(super) fn run(decider: &mut Decider<'_>, seq: u64, arguments: &Value) -> Result<(), Fault> {
    let Some(identity) = decider.identity(seq) else {
        return Ok(());
    };
    let (id, ops) = read(arguments)?;
    let graph = &decider.state.graph;
    let sws = graph.active(&identity.tenant, id)?;
    if let Err(refusal) = graph.kinds.check(&ops) {
        let pointer = format!("/payload/ops/{}/data/kind", refusal.op_index);
        let fault = Fault::new(ErrorCode::InvalidInput, refusal.to_string());
        return Err(fault.with_details(&json!({"pointer": pointer})));
    }
    let mut view = sws.branch.view.clone();
    let applied = view.apply(&ops).map_err(|refusal| refused(&refusal))?;
    if too_large(&view) {
        let message = format!("a view has at most {GRAPH_ENTRIES_MAX} entries of each sort");
        return Err(Fault::new(ErrorCode::LimitExceeded, message));
    }
    let (idx, digest) = (graph.next_rewrite, view.digest());
    let view_idx = sws.branch.entries;
    let event = GraphEvent::Rewritten {
        seq,
        idx,
        sws: id,
        digest,
        ops,
        meta: meta(arguments),
    };
    decider.emit_graph(event, view);
    let n = decider.state.graph.sws.get(&id).map_or(0, |sws| sws.branch.n);
    let results: Vec<Value> = applied.results.iter().map(receipt::result).collect();
    let data = json!({
        "rewriteIdx": idx, "view": ViewName::Sws(id), "viewIdx": view_idx, "viewDigest": digest.to_string(),
        "snapshotId": SnapshotId::new(n, &digest).to_string(), "results": results,
    });
    let data = receipt::pinned(decider.state, data);
    decider.finish(seq, Outcome::Succeeded, data, None);
    Ok(())
}

fn too_large(view: &View) -> bool {
    let counts = view.counts();
    [counts.nodes, counts.edges, counts.attachments]
        .into_iter()
        .any(|count| count > GRAPH_ENTRIES_MAX)
}

fn refused(refusal: &Refusal) -> Fault {
    let code = ErrorCode::ALL
        .iter()
        .find(|code| code.as_str() == refusal.reason.code())
        .copied()
        .unwrap_or(ErrorCode::Internal);
    let pointer = format!("/payload/ops/{}", refusal.op_index);
    Fault::new(code, refusal.to_string()).with_details(&json!({"pointer": pointer}))
}

//! `sws.collapse`: the transaction that makes a shadow working set part of System. The three-way merge of its
//! base, System and itself succeeds whole, or every conflict is on the record and nothing is changed.

use super::{FAIL_FAST, meta, named, receipt};
use crate::decide::Decider;
use actum_model::event::Event;
use actum_model::graph::GraphEvent;
use actum_model::{ErrorCode, Fault, Outcome};
use serde_json::{Value, json};

pub(super) fn run(decider: &mut Decider<'_>, seq: u64, arguments: &Value) -> Result<(), Fault> {
    let Some(identity) = decider.identity(seq) else {
        return Ok(());
    };
    let id = named(arguments)?;
    let policy = arguments
        .get("policyId")
        .and_then(Value::as_u64)
        .unwrap_or(FAIL_FAST);
    if policy != FAIL_FAST {
        let message = format!("/payload/policyId: no collapse policy {policy} exists, expected {FAIL_FAST}");
        return Err(Fault::new(ErrorCode::InvalidInput, message));
    }
    let graph = &decider.state.graph;
    let sws = graph.active(&identity.tenant, id)?.clone();
    let (idx, before) = (
        graph.next_rewrite,
        receipt::version(graph.system.n, &graph.system.digest),
    );
    let base = receipt::version(sws.row.base, &sws.row.base_digest);
    let mut said = json!({"swsId": id.to_string(), "rewriteIdx": idx, "base": base, "before": before});
    let mut say = |name: &str, value: Value| {
        if let Value::Object(members) = &mut said {
            members.insert(name.to_owned(), value);
        }
    };
    let merged = actum_graph::merge(&sws.base, &graph.system.view, &sws.branch.view);
    let fault = match merged {
        Ok(merged) => {
            let digest = merged.view.digest();
            let event = GraphEvent::Collapsed {
                seq,
                idx,
                sws: id,
                policy: FAIL_FAST as u32,
                digest,
                meta: meta(arguments),
            };
            decider.emit_graph(event, merged.view);
            let system = &decider.state.graph.system;
            say("committed", true.into());
            say("after", receipt::version(system.n, &digest));
            say("counts", json!(merged.counts));
            None
        }
        Err(conflicts) => {
            decider.emit(Event::Graph(Box::new(GraphEvent::Conflicted {
                seq,
                idx,
                sws: id,
                policy: FAIL_FAST as u32,
                conflicts: conflicts.count,
                meta: meta(arguments),
            })));
            say("committed", false.into());
            if let Value::Object(members) = receipt::conflicts(&conflicts) {
                members.into_iter().for_each(|(name, value)| say(&name, value));
            }
            let message = format!(
                "{} between shadow working set `{id}` and System; nothing was changed",
                receipt::counted(&conflicts)
            );
            Some(Fault::new(ErrorCode::CollapseConflict, message))
        }
    };
    let outcome = if fault.is_none() {
        Outcome::Succeeded
    } else {
        Outcome::Failed
    };
    let data = receipt::pinned(decider.state, said);
    decider.finish(seq, outcome, data, fault);
    Ok(())
}

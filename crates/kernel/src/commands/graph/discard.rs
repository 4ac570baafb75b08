//! `sws.discard`: a shadow working set is given up, on the record.

use super::{meta, named, receipt};
use crate::decide::Decider;
use actum_model::event::Event;
use actum_model::graph::GraphEvent;
use actum_model::{Fault, Outcome};
use serde_json::{Value, json};

pub(super) fn run(decider: &mut Decider<'_>, seq: u64, arguments: &Value) -> Result<(), Fault> {
    let Some(identity) = decider.identity(seq) else {
        return Ok(());
    };
    let sws = named(arguments)?;
    let branch = &decider.state.graph.active(&identity.tenant, sws)?.branch;
    let last = receipt::version(branch.n, &branch.digest);
    let idx = decider.state.graph.next_rewrite;
    let reason = arguments.get("reason").and_then(Value::as_str);
    decider.emit(Event::Graph(Box::new(GraphEvent::Discarded {
        seq,
        idx,
        sws,
        reason: reason.map(ToOwned::to_owned),
        meta: meta(arguments),
    })));
    let data = json!({"swsId": sws.to_string(), "rewriteIdx": idx, "last": last});
    let data = receipt::pinned(decider.state, data);
    decider.finish(seq, Outcome::Succeeded, data, None);
    Ok(())
}

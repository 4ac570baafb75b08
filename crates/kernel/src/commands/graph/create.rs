//! `sws.create`: a shadow working set forks System as it is.

use super::{meta, receipt};
use crate::decide::Decider;
use actum_model::event::Event;
use actum_model::graph::GraphEvent;
use actum_model::{ErrorCode, Fault, Outcome};
use serde_json::{Value, json};

pub(super) fn run(decider: &mut Decider<'_>, seq: u64, arguments: &Value) -> Result<(), Fault> {
    let Some(identity) = decider.identity(seq) else {
        return Ok(());
    };
    let max = decider.state.config.sws_active_max;
    if decider.state.graph.active_count() as u64 >= max {
        let message = format!("{max} shadow working sets are active already");
        return Err(Fault::new(ErrorCode::LimitExceeded, message));
    }
    let sws = decider.state.graph.next_sws;
    decider.emit(Event::Graph(Box::new(GraphEvent::SwsCreated {
        seq,
        sws,
        tenant: identity.tenant.clone(),
        by: identity.principal.clone(),
        meta: meta(arguments),
    })));
    let system = &decider.state.graph.system;
    let base = receipt::version(system.n, &system.digest);
    let data = receipt::pinned(decider.state, json!({"swsId": sws.to_string(), "base": base}));
    decider.finish(seq, Outcome::Succeeded, data, None);
    Ok(())
}

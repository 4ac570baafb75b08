//! Known bugs, put back on purpose into what recovery hands to the engine, to show that the checks see them.
//! `docs/invariants.md` tells of each.

use crate::model::{Model, Stand};
use actum_kernel::{Known, State, apply_event};
use actum_model::graph::{Node, Op};
use actum_model::restore::{Phase, Restore};
use actum_model::{ErrorCode, Event, Fault, Outcome};
use std::sync::Arc;

/// A bug of recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// The table of outcomes is rebuilt from all answers that were ever given, so the rejection of a
    /// conflicting duplicate takes the place of the outcome of the command whose id it used.
    RejectionsAreOutcomes,
    /// The mark that an effect may have left is not taken up, so it is dispatched a second time.
    DispatchesAreForgotten,
    /// A collapse takes over what the shadow working set holds and ignores what System removed, so that comes
    /// back.
    RemovalsComeBack,
}

impl Flaw {
    /// Spoils a recovered state. `conflicts` are the commands whose id was used for something else.
    pub(crate) fn spoil(self, state: &mut State, model: &Model, conflicts: &[u64]) {
        match self {
            Flaw::RemovalsComeBack => bring_back(state, model),
            Flaw::RejectionsAreOutcomes => conflicts.iter().for_each(|seq| reject(state, *seq)),
            Flaw::DispatchesAreForgotten => forget(state),
        }
    }
}

fn reject(state: &mut State, seq: u64) {
    let Some(Known::Finished(row)) = state.known(seq) else {
        return;
    };
    let mut row = (*row).clone();
    row.outcome = Outcome::Rejected;
    row.data = None;
    row.fault = Some(Arc::new(Fault::new(
        ErrorCode::IdentityConflict,
        "the last answer given",
    )));
    apply_event(state, Event::Restore(Box::new(Restore::Outcomes(vec![row]))));
}

fn forget(state: &mut State) {
    let rows: Vec<_> = state.commands.values().map(|row| (**row).clone()).collect();
    for mut row in rows {
        if let Phase::Running(running) = &mut row.phase {
            running.dispatching = false;
            apply_event(state, Event::Restore(Box::new(Restore::Commands(vec![row]))));
        }
    }
}

fn bring_back(state: &mut State, model: &Model) {
    for Node { kind, payload } in model.graph.removed_from_system() {
        // A node can always be added.
        let _ = state.graph.system.view.apply(&[Op::AddNode { kind, payload }]);
    }
}

/// Commands whose id was used for something else, as far as the model knows them to have an outcome.
pub(crate) fn conflicts(model: &Model, seqs: &[u64]) -> Vec<u64> {
    let done = |seq: &&u64| {
        model
            .commands
            .get(seq)
            .is_some_and(|command| matches!(command.stand, Stand::Done(_)))
    };
    seqs.iter().filter(done).copied().collect()
}

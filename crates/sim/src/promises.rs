//! What the world was promised: answers, acceptances, effects that left. Compared with what is there after every
//! crash.

use crate::broken::{Broken, hold};
use crate::model::Model;
use actum_kernel::{Known, State};
use actum_model::restore::Phase;
use actum_model::{Body, CommandId, EffectId, ErrorCode, Json, Outcome, Response};
use std::collections::BTreeMap;

/// An outcome somebody was told.
#[derive(Clone, Debug, PartialEq)]
struct Told {
    id: CommandId,
    outcome: Outcome,
    code: Option<ErrorCode>,
    data: Option<Json>,
    version: Option<u64>,
    idx: Option<u64>,
}

/// Everything that was promised and must still be so.
#[derive(Clone, Debug, Default)]
pub(crate) struct Promises {
    outcomes: BTreeMap<u64, Told>,
    accepted: BTreeMap<u64, CommandId>,
    /// Effects that left, and the command each belongs to.
    effects: BTreeMap<EffectId, u64>,
}

impl Promises {
    /// An answer was given that a crash must not take back.
    pub(crate) fn answered(&mut self, response: &Response) -> Result<(), Broken> {
        let Some(identity) = &response.identity else {
            return Ok(());
        };
        let (seq, id) = (identity.seq, identity.public_id());
        match &response.body {
            Body::Accepted { .. } => {
                self.accepted.insert(seq, id);
            }
            Body::Finished {
                outcome,
                data,
                fault,
                session_version,
            } => {
                let told = Told {
                    id,
                    outcome: *outcome,
                    code: fault.as_ref().map(|fault| fault.code),
                    data: data.clone(),
                    version: *session_version,
                    idx: response.idx,
                };
                let before = self.outcomes.entry(seq).or_insert_with(|| told.clone());
                hold!(*before == told, "invariant 3: answered {told:?} after {before:?}");
            }
            Body::Read(_) | Body::Refused(_) => {}
        }
        Ok(())
    }

    /// An effect leaves.
    pub(crate) fn left(&mut self, effect: EffectId, seq: u64) -> Result<(), Broken> {
        let before = self.effects.insert(effect, seq);
        hold!(
            before.is_none(),
            "invariant 7: effect {effect} of command {seq} left a second time"
        );
        Ok(())
    }

    /// Whether a state keeps them all.
    pub(crate) fn kept_by(&self, state: &State, model: &Model) -> Result<(), Broken> {
        for (seq, told) in &self.outcomes {
            match state.known(*seq) {
                Some(Known::Finished(row)) => {
                    let now = Told {
                        id: row.identity.public_id(),
                        outcome: row.outcome,
                        code: row.fault.as_ref().map(|fault| fault.code),
                        data: row.data.clone(),
                        version: row.session_version,
                        idx: Some(row.finished_idx),
                    };
                    hold!(
                        now == *told,
                        "invariants 1, 3, 6: {told:?} was answered, now it is {now:?}"
                    );
                }
                Some(Known::Retired(_)) if model.done(*seq).is_some_and(|done| done.retired) => {}
                other => {
                    return Err(Broken(format!(
                        "invariant 1: {told:?} was answered, now it is {other:?}"
                    )));
                }
            }
        }
        for (seq, id) in &self.accepted {
            let known = match state.known(*seq) {
                Some(Known::InFlight(row)) => row.identity.public_id() == *id,
                Some(Known::Finished(row)) => row.identity.public_id() == *id,
                Some(Known::Retired(_)) => true,
                None => false,
            };
            hold!(known, "invariant 1: `{id}` was accepted and is gone");
        }
        self.effects_are_known(state)
    }

    /// Of every effect that left, history says so, or knows how it ended.
    fn effects_are_known(&self, state: &State) -> Result<(), Broken> {
        for (effect, seq) in &self.effects {
            let marked = match state.known(*seq) {
                Some(Known::InFlight(row)) => {
                    matches!(&row.phase, Phase::Running(running) if running.effect == *effect && running.dispatching)
                }
                Some(Known::Finished(_) | Known::Retired(_)) => true,
                None => false,
            };
            hold!(
                marked,
                "invariant 1: effect {effect} of command {seq} left, and history does not know"
            );
        }
        Ok(())
    }

    /// Effects that left so far.
    pub(crate) fn effects(&self) -> usize {
        self.effects.len()
    }
}

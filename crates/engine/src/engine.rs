//! The engine itself: inputs in, staged records and pending answers out.

use crate::release::{OpenBatch, Pending, Publish};
use actum_journal::{Batch, StageError, Stager};
use actum_kernel::{Decision, Reply, State, advance};
use actum_model::event::Event;
use actum_model::{Body, Input, Response, Stamped};
use std::collections::HashMap;

/// The engine cannot go on. Only a bug, or a record beyond the format's bounds, can cause it.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The input could not be encoded.
    #[error("an input has no encoding: {0}")]
    Encode(String),
    /// The record was refused.
    #[error("a record could not be staged")]
    Stage(#[source] StageError),
}

/// Decides, stages and holds back. `R` is where an answer goes; the engine never looks into it.
pub struct Engine<R> {
    state: State,
    stager: Stager,
    /// Who waits for the outcome of which command, and whether as a repetition.
    waiters: HashMap<u64, Vec<(R, bool)>>,
    open: OpenBatch<R>,
    input: Vec<u8>,
}

impl<R> Engine<R> {
    /// An engine over a recovered state and the journal that goes with it.
    #[must_use]
    pub fn new(state: State, stager: Stager) -> Engine<R> {
        Engine {
            state,
            stager,
            waiters: HashMap::new(),
            open: OpenBatch::default(),
            input: Vec::new(),
        }
    }

    /// The state decided so far, ahead of the disk. Nothing of it may be shown before it is durable.
    #[must_use]
    pub fn ahead(&self) -> &State {
        &self.state
    }

    /// Decides one input. `reply` is where the answer goes, for a submission.
    ///
    /// # Errors
    /// When the record cannot be encoded or staged; the engine must not be used any further then.
    pub fn input(&mut self, stamped: &Stamped, reply: Option<R>) -> Result<(), EngineError> {
        let decision = advance(&mut self.state, stamped);
        if !decision.events.is_empty() {
            self.stage(stamped, &decision)?;
        }
        if let (Some(answer), Some(to)) = (&decision.reply, reply) {
            self.answer(stamped, answer, to);
        }
        self.follow(decision);
        Ok(())
    }

    /// Goes on with what did not fit into one record, with the times of `stamped`, until a batch is full.
    ///
    /// # Errors
    /// As [`Engine::input`].
    pub fn go_on(&mut self, at: u64, elapsed: u64) -> Result<(), EngineError> {
        while self.state.has_more() && !self.is_full() {
            let before = self.state.next_idx;
            self.input(
                &Stamped {
                    at,
                    elapsed,
                    input: Input::Continue,
                },
                None,
            )?;
            if self.state.next_idx == before {
                break;
            }
        }
        Ok(())
    }

    /// A read: it is answered when everything decided so far is durable, from the state of that moment.
    pub fn read(&mut self, to: R) {
        self.open.reads.push(to);
    }

    /// Whether the open batch should be sealed before more is decided.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.stager.staged_bytes() >= actum_model::limits::BATCH_BYTES_MAX
            || self.open.len() >= actum_model::limits::BATCH_INPUTS_MAX
    }

    /// Whether there is anything to seal.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.open.is_empty() && self.stager.staged_records() == 0
    }

    /// Closes the open batch: the records to write, and what may be released once they are committed.
    pub fn seal(&mut self) -> (Batch, Pending<R>) {
        let batch = self.stager.seal();
        let publish = Publish {
            state: self.state.clone(),
        };
        let pending = Pending::new(std::mem::take(&mut self.open), publish, self.stager.next_idx());
        (batch, pending)
    }

    /// Answers of commands that nobody will answer any more: the daemon is going down.
    pub fn abandon(&mut self) -> Vec<(u64, R)> {
        self.waiters
            .drain()
            .flat_map(|(seq, list)| list.into_iter().map(move |(to, _)| (seq, to)))
            .collect()
    }

    fn stage(&mut self, stamped: &Stamped, decision: &Decision) -> Result<(), EngineError> {
        self.input.clear();
        serde_ipld_dagcbor::to_writer(&mut self.input, &stamped.input)
            .map_err(|error| EngineError::Encode(error.to_string()))?;
        let head = decision.head;
        let ticket = self
            .stager
            .stage(head.at, head.elapsed, &self.input, &decision.events)
            .map_err(EngineError::Stage)?;
        // INVARIANT: the kernel and the journal count the same records.
        assert_eq!(
            ticket.idx(),
            head.idx,
            "record numbers of kernel and journal differ"
        );
        Ok(())
    }

    fn answer(&mut self, stamped: &Stamped, reply: &Reply, to: R) {
        let Input::Submit(submit) = &stamped.input else {
            return;
        };
        let envelope = &submit.envelope;
        match reply {
            Reply::Refused(fault) => {
                let id = envelope.id.as_ref().map(ToString::to_string);
                let response = Response::refused(envelope.kind.as_str(), id.as_deref(), fault.clone());
                self.open.replies.push((to, response));
            }
            Reply::Accepted(seq) | Reply::Joined(seq) if envelope.detach => {
                let replayed = matches!(reply, Reply::Joined(_));
                if let Some(response) = self.accepted(*seq, replayed) {
                    self.open.replies.push((to, response));
                }
            }
            Reply::Accepted(seq) => self.waiters.entry(*seq).or_default().push((to, false)),
            Reply::Joined(seq) => self.waiters.entry(*seq).or_default().push((to, true)),
            Reply::Recorded(seq) => {
                if let Some(row) = self.state.outcomes.get(seq) {
                    self.open.finished(to, row, true);
                }
            }
        }
    }

    fn accepted(&self, seq: u64, replayed: bool) -> Option<Response> {
        let (identity, idx) = match self.state.known(seq)? {
            actum_kernel::Known::InFlight(row) => (row.identity.clone(), row.accepted_idx),
            actum_kernel::Known::Finished(row) => (row.identity.clone(), row.accepted_idx),
            actum_kernel::Known::Retired(_) => return None,
        };
        let place = identity.lane.as_ref();
        let held_by =
            place.and_then(|place| actum_kernel::read::held_by(&self.state, &identity.tenant, place));
        Some(Response {
            identity: Some(identity),
            asked: None,
            body: Body::Accepted { held_by },
            idx: Some(idx),
            replayed,
            relaxed: false,
        })
    }

    /// Notes what follows from a record once it is durable.
    fn follow(&mut self, decision: Decision) {
        for event in &decision.events {
            match event {
                Event::Finished(finished) => self.finished(finished.seq),
                Event::Executed(executed) => self.finished(executed.identity.seq),
                Event::EffectRequested { seq, .. } => self.open.effect(&self.state, *seq),
                Event::EffectDispatching { seq } => self.open.start(&self.state, *seq),
                Event::Recovered {
                    seq,
                    class: actum_model::effect::RecoveryClass::Recoverable,
                } => {
                    self.open.effect(&self.state, *seq);
                }
                Event::ProbeRequested { seq, .. } => self.open.probe(&self.state, *seq),
                Event::Stopping { seq, .. } => self.open.stops.push(*seq),
                Event::Interrupted { seq, .. } => self.open.interrupts.push(*seq),
                Event::SessionDeleted { tenant, session } => {
                    self.open.ended.push((tenant.clone(), session.clone()));
                }
                Event::InDoubt { seq, reason } => self.open.doubts.push((*seq, *reason)),
                _ => {}
            }
        }
        if !decision.events.is_empty() {
            self.open.records.push((decision.head, decision.events));
        }
    }

    fn finished(&mut self, seq: u64) {
        let Some(waiters) = self.waiters.remove(&seq) else {
            return;
        };
        let Some(row) = self.state.outcomes.get(&seq) else {
            return;
        };
        for (to, replayed) in waiters {
            self.open.finished(to, row, replayed);
        }
    }
}

//! Deciding: what follows from an input in a state. Pure and total; the answer is plain data.
//!
//! A decision applies its events as it makes them, through the same `apply` that recovery uses, so what it
//! decides next rests on what history will hold.

pub(crate) mod admission;
mod boot;
mod due;
mod effects;
mod lane;
mod probe;
mod promises;
mod timers;
pub(crate) mod workers;

use crate::apply::{RecordHead, apply_event, apply_graph_event};
use crate::state::State;
use actum_graph::View;
use actum_model::event::{Event, Executed, Finished};
use actum_model::graph::GraphEvent;
use actum_model::limits::EVENTS_PER_RECORD_MAX;
use actum_model::outcome::Identity;
use actum_model::restore::CommandRow;
use actum_model::{ErrorCode, Fault, Input, Json, Outcome, Stamped};
use std::sync::Arc;

/// Events one step may add: the room kept free before a step is begun.
const EVENTS_PER_STEP_MAX: usize = 12;
/// Bytes of arguments, operations and results in a record after which no further step is taken: what a step adds,
/// and an input of the largest size, still fit into the 16 MiB of a frame.
const RECORD_BYTES_FULL: usize = 4 * 1024 * 1024;

/// What follows from an input.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Where the record stands, if there are events.
    pub head: RecordHead,
    /// The facts, in order. None: no record.
    pub events: Vec<Event>,
    /// The answer to a submission.
    pub reply: Option<Reply>,
}

/// The answer to a submission.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// Refused; nothing is stored.
    Refused(Fault),
    /// Accepted as this command; the answer is its outcome.
    Accepted(u64),
    /// The same as this command, which is in flight: the answer is its outcome, marked as replayed.
    Joined(u64),
    /// The same as this command, which has finished.
    Recorded(u64),
}

/// Decides `input` in `state`, leaving `state` as it is.
#[must_use]
pub fn decide(state: &State, input: &Stamped) -> Decision {
    let mut after = state.clone();
    advance(&mut after, input)
}

/// Decides `input` and moves `state` on by the decision. The same as [`decide`] and then
/// [`crate::apply_record`], without applying twice. Without events the state is unchanged.
pub fn advance(state: &mut State, input: &Stamped) -> Decision {
    let head = RecordHead {
        idx: state.next_idx,
        at: input.at.max(state.at),
        elapsed: input.elapsed.max(state.elapsed),
    };
    let mut decider = Decider {
        state,
        head,
        events: Vec::new(),
        bytes: 0,
        effects: 0,
        current: None,
        is_tick: matches!(input.input, Input::Tick),
    };
    let reply = match &input.input {
        Input::Boot(boot) => {
            decider.boot(boot);
            None
        }
        Input::Submit(submit) => Some(decider.submit(submit)),
        Input::Dispatch { seq } => {
            decider.dispatch(*seq);
            None
        }
        Input::Outcome { seq, settlement } => {
            decider.settle(*seq, settlement);
            None
        }
        Input::Output {
            seq,
            stream,
            offset,
            data,
        } => {
            decider.output(*seq, stream, *offset, data);
            None
        }
        Input::Worker(news) => {
            decider.worker(news);
            None
        }
        Input::Tick => {
            decider.tick();
            None
        }
        Input::ClockSample { wall_ms, standing } => {
            decider.clock_sample(*wall_ms, *standing);
            None
        }
        Input::Continue => None,
        Input::SnapshotTaken(taken) => {
            decider.emit(Event::SnapshotTaken(taken.clone()));
            None
        }
        Input::Close => {
            decider.emit(Event::Closed {});
            return decider.end(None);
        }
    };
    if !matches!(
        reply,
        Some(Reply::Refused(_) | Reply::Joined(_) | Reply::Recorded(_))
    ) {
        decider.go_on();
    }
    decider.end(reply)
}

/// A decision being made.
pub(crate) struct Decider<'a> {
    pub(crate) state: &'a mut State,
    pub(crate) head: RecordHead,
    pub(crate) events: Vec<Event>,
    /// Bytes of them that a client can make many.
    pub(crate) bytes: usize,
    /// Effects requested so far in this record.
    pub(crate) effects: u64,
    /// The command that this record accepts and finishes.
    pub(crate) current: Option<Current>,
    /// What is decided follows from a tick, so it begins with one.
    is_tick: bool,
}

/// A command that is accepted and finished by one record.
pub(crate) struct Current {
    pub(crate) identity: Arc<Identity>,
    /// True until its conditions are found to hold.
    pub(crate) unstarted: bool,
    /// The running command it is called from.
    pub(crate) exec: Option<u64>,
}

impl Decider<'_> {
    /// Makes an event: a fact from here on.
    pub(crate) fn emit(&mut self, event: Event) {
        if self.events.is_empty() {
            self.open();
        }
        self.push(event);
    }

    /// Begins the record; one of a tick begins with the tick.
    fn open(&mut self) {
        self.state.begin_record(self.head);
        if self.is_tick {
            for event in self.opening_of_a_tick() {
                self.push(event);
            }
        }
    }

    fn push(&mut self, event: Event) {
        apply_event(self.state, event.clone());
        self.note(event);
    }

    /// Makes an event of the graph and hands over the view it leads to, so that it is not made twice.
    pub(crate) fn emit_graph(&mut self, event: GraphEvent, view: View) {
        if self.events.is_empty() {
            self.state.begin_record(self.head);
        }
        apply_graph_event(self.state, event.clone(), view);
        self.note(Event::Graph(Box::new(event)));
    }

    fn note(&mut self, event: Event) {
        self.bytes += event.weight_bytes();
        self.events.push(event);
    }

    /// Whether another step fits into this record.
    pub(crate) fn has_room(&self) -> bool {
        self.bytes < RECORD_BYTES_FULL && self.has_room_for(EVENTS_PER_STEP_MAX)
    }

    /// Whether this many more events fit into this record.
    pub(crate) fn has_room_for(&self, events: usize) -> bool {
        self.events.len() + events <= EVENTS_PER_RECORD_MAX
    }

    /// The command that this record accepts and finishes, if it is this one.
    pub(crate) fn current(&self, seq: u64) -> Option<&Current> {
        self.current
            .as_ref()
            .filter(|current| current.identity.seq == seq)
    }

    /// Who asks for what, of a command that is being carried out.
    pub(crate) fn identity(&self, seq: u64) -> Option<Arc<Identity>> {
        let current = self.current(seq).map(|current| current.identity.clone());
        current.or_else(|| self.state.command(seq).map(|row| row.identity.clone()))
    }

    pub(crate) fn finish(&mut self, seq: u64, outcome: Outcome, data: Option<Json>, fault: Option<Fault>) {
        let session_version = self.version_after(seq, outcome);
        let fault = fault.map(Arc::new);
        self.cancel_promises_of(seq);
        if let Some(Current {
            identity, unstarted, ..
        }) = self.current.take_if(|now| now.identity.seq == seq)
        {
            let executed = Executed {
                identity,
                outcome,
                data,
                fault,
                session_version,
                unstarted,
            };
            return self.emit(Event::Executed(executed));
        }
        self.emit(Event::Finished(Finished {
            seq,
            outcome,
            data,
            fault,
            session_version,
        }));
    }

    pub(crate) fn reject(&mut self, seq: u64, fault: Fault) {
        self.finish(seq, Outcome::Rejected, None, Some(fault));
    }

    pub(crate) fn time_out(&mut self, seq: u64, code: ErrorCode, message: String) {
        self.finish(seq, Outcome::TimedOut, None, Some(Fault::new(code, message)));
    }

    /// The version its session has after a command: one more for a successful change.
    fn version_after(&self, seq: u64, outcome: Outcome) -> Option<u64> {
        let identity = self.identity(seq)?;
        let session = self.state.session(&identity.tenant, identity.session.as_ref()?)?;
        let contract = actum_model::contract::find(identity.kind.as_str())?;
        let creates = contract.kind == "session.create";
        let change = contract.mutates_session && !creates && outcome == Outcome::Succeeded;
        Some(session.version + u64::from(change))
    }

    /// Everything that follows by itself: classification left from boot, lanes that can go on, retention.
    fn go_on(&mut self) {
        self.lose_workers();
        self.classify_running();
        self.pump_lanes();
        self.retire();
    }

    fn end(mut self, reply: Option<Reply>) -> Decision {
        let events = std::mem::take(&mut self.events);
        Decision {
            head: self.head,
            events,
            reply,
        }
    }

    pub(crate) fn row(&self, seq: u64) -> Option<Arc<CommandRow>> {
        self.state.command(seq).cloned()
    }
}

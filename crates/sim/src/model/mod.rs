//! The reference model: what a realm must do, written down a second time and as plainly as possible. It reads
//! inputs, predicts answers and outcomes by its own books, and checks every event against them.
//!
//! It shares no code with the kernel but the vocabulary and the contract table, keeps everything for ever in
//! plain maps, and does not care for speed. Calls from inside running commands are not modelled.

mod accept;
mod admit;
mod compare;
mod events;
mod finish;
mod foresee;
mod graph;
mod retention;
mod timers;

pub(crate) use graph::Sheet;

use crate::broken::{Broken, hold};
use actum_kernel::{Decision, Reply};
use actum_model::effect::{Doubt, RecoveryClass, SettledAs};
use actum_model::event::{Resolution, StopReason};
use actum_model::hash::Fingerprint;
use actum_model::ids::{CommandId, IdempotencyKey, Principal, SessionId};
use actum_model::{Contract, ErrorCode, Input, Json, Lane, Outcome, RealmConfig, Stamped, contract};
use smol_str::SmolStr;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
pub use timers::Timer;

/// A command with everything the model remembers of it, for ever.
#[derive(Clone, Debug)]
pub struct Command {
    /// Its number.
    pub seq: u64,
    /// The id its client gave.
    pub id: Option<CommandId>,
    /// Its kind.
    pub kind: String,
    /// Who sent it.
    pub principal: Principal,
    /// Its lane.
    pub lane: Option<Lane>,
    /// Its session.
    pub session: Option<SessionId>,
    /// What it asks for.
    pub payload: Json,
    /// What tells a repetition.
    pub fingerprint: Fingerprint,
    /// Its key.
    pub key: Option<IdempotencyKey>,
    /// The commands it depends on.
    pub deps: Vec<u64>,
    /// The version it asks for.
    pub if_version: Option<u64>,
    /// The generation it asks for.
    pub if_generation: Option<u64>,
    /// How long it may run.
    pub timeout_ms: u64,
    /// Run time at which its wait in the lane ends.
    pub queue_due: u64,
    /// Where it stands.
    pub stand: Stand,
}

/// Where a command stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Stand {
    /// In its lane.
    Queued,
    /// At the head, waiting for dependencies until this run time.
    Waiting(u64),
    /// Started.
    Running(Running),
    /// It has its outcome.
    Done(Done),
}

/// A started command.
#[derive(Clone, Debug, PartialEq)]
pub struct Running {
    /// Run time at which its time runs out.
    pub due: u64,
    /// Whether its effect may have left.
    pub dispatched: bool,
    /// Whether a confirmed stop of it means that nothing outside has changed.
    pub contained: bool,
    /// Why it is being stopped.
    pub stopping: Option<StopReason>,
    /// Why nobody knows.
    pub doubt: Option<Doubt>,
    /// Whether its probe is asked.
    pub probed: bool,
    /// Whether it was asked because the answer was lost.
    pub lost: bool,
}

impl Running {
    /// Whether nobody knows, or knows yet, what came of it.
    pub(crate) fn is_uncertain(&self) -> bool {
        self.doubt.is_some() || self.probed
    }
}

/// An outcome.
#[derive(Clone, Debug, PartialEq)]
pub struct Done {
    /// How it ended.
    pub outcome: Outcome,
    /// The error's code.
    pub code: Option<ErrorCode>,
    /// The result.
    pub data: Option<Json>,
    /// Version of the session after it.
    pub version: Option<u64>,
    /// The record.
    pub idx: u64,
    /// History time.
    pub at: u64,
    /// Whether it was started.
    pub started: bool,
    /// Whether only a tombstone is left.
    pub retired: bool,
}

/// A session.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// The record that created it.
    pub generation: u64,
    /// Successful changes since.
    pub version: u64,
    /// Its metadata.
    pub metadata: BTreeMap<SmolStr, Json>,
}

/// The model of a realm.
#[derive(Clone, Debug, Default)]
pub struct Model {
    pub(crate) next_idx: u64,
    pub(crate) next_seq: u64,
    pub(crate) at: u64,
    pub(crate) elapsed: u64,
    pub(crate) term: u64,
    pub(crate) config: RealmConfig,
    pub(crate) sessions: BTreeMap<SessionId, Session>,
    pub(crate) graph: graph::Graph,
    pub(crate) lanes: BTreeMap<Lane, VecDeque<u64>>,
    /// The last place given out in each lane, for ever.
    pub(crate) places: BTreeMap<Lane, (u64, u64)>,
    /// Every generation a session ever had.
    pub(crate) generations: BTreeSet<(SessionId, u64)>,
    pub(crate) commands: BTreeMap<u64, Command>,
    /// Commands that were ever in doubt.
    pub(crate) doubts: usize,
    /// Those without an outcome.
    pub(crate) open: BTreeSet<u64>,
    pub(crate) ids: BTreeMap<CommandId, u64>,
    pub(crate) keys: BTreeMap<(Option<Lane>, IdempotencyKey), u64>,
    pub(crate) key_ends: VecDeque<(u64, Option<Lane>, IdempotencyKey, u64)>,
    pub(crate) kept: VecDeque<u64>,
    pub(crate) tombstones: VecDeque<CommandId>,
    pub(crate) unclassified: BTreeSet<u64>,
    pub(crate) timers: BTreeMap<CommandId, Timer>,
    /// Whether each promise that ever was is settled.
    pub(crate) promises: BTreeMap<CommandId, bool>,
    pub(crate) next_tick: u64,
    /// Timers that fired.
    pub(crate) fired: u64,
    /// Run time of the last tick.
    pub(crate) last_tick: u64,
    /// History time and run time of the last boot.
    pub(crate) booted: (u64, u64),
    /// The last monotonic sample and its record.
    pub(crate) now: (u64, u64),
}

/// What holds within the record being read.
struct Reading<'a> {
    input: &'a Input,
    idx: u64,
    accepted: Vec<u64>,
    settled: Option<u64>,
    doubted: Option<u64>,
    /// The command that this record is to accept and finish.
    immediate: Option<Immediate>,
    cancels: Option<u64>,
    resolves: Option<(u64, Resolution)>,
    recovered: Option<u64>,
    class: Option<RecoveryClass>,
    /// The command whose probe could not tell.
    unanswered: Option<u64>,
    /// The command whose effect was requested last.
    requested: Option<u64>,
    /// Events read before this one.
    events: usize,
    /// The command that set or cancelled a timer last.
    timer_done: Option<u64>,
    /// What the firing before is to submit.
    carried: Option<timers::Carried>,
    /// Commands that timers submitted.
    submitted: usize,
    /// What the command about the graph that is being carried out must come to.
    graph: Option<graph::Foreseen>,
}

/// A command that is over when its record ends.
#[derive(Clone, Debug)]
struct Immediate {
    seq: u64,
    started: bool,
    end: (Outcome, Option<ErrorCode>),
}

impl Model {
    /// An empty realm.
    #[must_use]
    pub fn new() -> Model {
        Model {
            next_seq: 1,
            ..Model::default()
        }
    }

    /// Checks a decision against the books, and takes it into them.
    ///
    /// # Errors
    /// With the first thing that is not as it must be.
    pub fn decided(&mut self, stamped: &Stamped, decision: &Decision) -> Result<(), Broken> {
        if let Input::Submit(submit) = &stamped.input {
            let expected = self.predict(submit, stamped.at.max(self.at));
            let told = decision.reply.as_ref().map(Predicted::of);
            hold!(
                told.as_ref() == Some(&expected),
                "expected the answer {expected:?} to {submit:?}, got {told:?}"
            );
            let accepts = matches!(expected, Predicted::Accepted(_));
            hold!(
                accepts != decision.events.is_empty(),
                "{expected:?} with {} events",
                decision.events.len()
            );
        }
        if decision.events.is_empty() {
            return self.nothing_followed(stamped);
        }
        let head = decision.head;
        hold!(
            head.idx == self.next_idx,
            "record {} where {} should be",
            head.idx,
            self.next_idx
        );
        hold!(
            head.at >= self.at && head.elapsed >= self.elapsed,
            "time went back at record {}",
            head.idx
        );
        hold!(
            head.at == stamped.at.max(self.at),
            "record {} has another time than its input",
            head.idx
        );
        (self.next_idx, self.at, self.elapsed) = (head.idx + 1, head.at, head.elapsed);
        let mut reading = Reading {
            input: &stamped.input,
            idx: head.idx,
            accepted: Vec::new(),
            settled: None,
            doubted: None,
            immediate: None,
            cancels: None,
            resolves: None,
            recovered: None,
            class: None,
            unanswered: None,
            requested: None,
            events: 0,
            timer_done: None,
            carried: None,
            submitted: 0,
            graph: None,
        };
        if let Input::Submit(submit) = &stamped.input {
            self.foresee(&mut reading, submit);
        }
        for event in &decision.events {
            self.event(&mut reading, event)
                .map_err(|Broken(what)| Broken(format!("record {}: {what} at {event:?}", head.idx)))?;
            reading.events += 1;
        }
        self.record_ends(&reading)
    }

    /// Inputs that must lead to something did not, or were right to.
    fn nothing_followed(&self, stamped: &Stamped) -> Result<(), Broken> {
        let idle = match &stamped.input {
            Input::Tick => {
                let (at, elapsed) = (stamped.at.max(self.at), stamped.elapsed.max(self.elapsed));
                self.due(elapsed).is_none()
                    && self.timer_due(at, elapsed).is_none()
                    && self.cadence_due().is_none_or(|due| due > elapsed)
            }
            Input::Dispatch { seq } => !self.may_dispatch(*seq),
            Input::Outcome { .. }
            | Input::Boot(_)
            | Input::ClockSample { .. }
            | Input::Close
            | Input::SnapshotTaken(_) => false,
            Input::Output { seq, .. } => self.running(*seq).is_none(),
            Input::Continue | Input::Submit(_) | Input::Worker(_) => true,
        };
        hold!(idle, "nothing followed from {:?}", stamped.input);
        Ok(())
    }

    /// The first command whose limit has run out.
    pub(crate) fn due(&self, elapsed: u64) -> Option<u64> {
        let late = |command: &&Command| match &command.stand {
            Stand::Queued => command.lane.is_some() && command.queue_due <= elapsed,
            Stand::Waiting(due) => *due <= elapsed,
            Stand::Running(running) => running.due <= elapsed,
            Stand::Done(_) => false,
        };
        self.unfinished().find(late).map(|command| command.seq)
    }

    pub(crate) fn running(&self, seq: u64) -> Option<&Running> {
        match &self.commands.get(&seq)?.stand {
            Stand::Running(running) => Some(running),
            _ => None,
        }
    }

    fn may_dispatch(&self, seq: u64) -> bool {
        self.running(seq).is_some_and(|running| {
            !running.dispatched && running.stopping.is_none() && running.doubt.is_none()
        })
    }

    pub(crate) fn command(&self, seq: u64) -> Result<&Command, Broken> {
        self.commands
            .get(&seq)
            .ok_or_else(|| Broken(format!("command {seq} is not in the books")))
    }

    fn stand(&mut self, seq: u64, stand: Stand) {
        if let Some(command) = self.commands.get_mut(&seq) {
            command.stand = stand;
        }
    }

    pub(crate) fn contract(&self, seq: u64) -> Result<&'static Contract, Broken> {
        let kind = &self.command(seq)?.kind;
        contract::find(kind).ok_or_else(|| Broken(format!("no contract `{kind}`")))
    }

    /// The outcome of a command, if it has one.
    #[must_use]
    pub fn done(&self, seq: u64) -> Option<&Done> {
        match &self.commands.get(&seq)?.stand {
            Stand::Done(done) => Some(done),
            _ => None,
        }
    }

    /// Commands without an outcome.
    pub fn unfinished(&self) -> impl Iterator<Item = &Command> {
        self.open.iter().filter_map(|seq| self.commands.get(seq))
    }

    /// Commands in doubt.
    pub fn in_doubt(&self) -> impl Iterator<Item = &Command> {
        self.unfinished()
            .filter(|command| matches!(&command.stand, Stand::Running(running) if running.doubt.is_some()))
    }

    /// Commands of which a person may say what came of them.
    pub fn uncertain(&self) -> impl Iterator<Item = &Command> {
        self.unfinished()
            .filter(|command| matches!(&command.stand, Stand::Running(running) if running.is_uncertain()))
    }
}

/// An answer as the model predicts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Predicted {
    /// Refused with this code.
    Refused(ErrorCode),
    /// Accepted under this number.
    Accepted(u64),
    /// Joins this command.
    Joined(u64),
    /// Answered from this outcome.
    Recorded(u64),
}

impl Predicted {
    pub(crate) fn of(reply: &Reply) -> Predicted {
        match reply {
            Reply::Refused(fault) => Predicted::Refused(fault.code),
            Reply::Accepted(seq) => Predicted::Accepted(*seq),
            Reply::Joined(seq) => Predicted::Joined(*seq),
            Reply::Recorded(seq) => Predicted::Recorded(*seq),
        }
    }
}

/// What a settlement must come to: an outcome, or a doubt. It is harmless where nothing outside has changed by what was
/// stopped, or doing it again changes nothing more.
fn settles_as(settled: SettledAs, stopping: Option<&StopReason>, harmless: bool) -> Result<Outcome, Doubt> {
    match (settled, stopping) {
        (SettledAs::Succeeded, _) => Ok(Outcome::Succeeded),
        (SettledAs::Failed, _) => Ok(Outcome::Failed),
        (SettledAs::Stopped, Some(StopReason::Cancel { .. })) => Ok(Outcome::Cancelled),
        (SettledAs::Stopped, Some(StopReason::Timeout)) if harmless => Ok(Outcome::TimedOut),
        (_, Some(StopReason::Timeout)) => Err(Doubt::TimeoutAfterDispatch),
        (_, Some(StopReason::Cancel { .. })) => Err(Doubt::CancelAfterDispatch),
        (_, None) => Err(Doubt::AnswerLost),
    }
}

/// The id people use for a command.
pub(crate) fn id_of(command: &Command) -> CommandId {
    events::public_id(command)
}

impl Model {
    /// Commands that were accepted.
    #[must_use]
    pub fn accepted_count(&self) -> usize {
        self.commands.len()
    }

    /// Commands that were in doubt, however they ended.
    #[must_use]
    pub fn doubt_count(&self) -> usize {
        self.doubts
    }

    /// Commands that have their outcome.
    #[must_use]
    pub fn ended(&self) -> usize {
        self.commands.len() - self.open.len()
    }

    /// How often what came of commands about the graph: `<kind> <outcome or code>`, `conflict <code>`.
    #[must_use]
    pub fn graph_tally(&self) -> &BTreeMap<String, u64> {
        &self.graph.tally
    }
}

//! The engine's turns, and the thread that carries them out: it takes what has come, decides it, makes it durable in one
//! batch, releases it. While it waits for the disk the next batch gathers, so batches grow with the load. Where there
//! is little to do, turns are carried out by whoever brings a message (see [`super::inbox`]).

use super::crash;
use super::effects::{Effects, Originals};
use super::handle::{Counters, Published, ReplyTo, Shared};
use super::inbox::Desk;
use super::mail::Mail;
use super::snapshots::Snapshots;
use super::ticker::Due;
use super::{live, reads};
use actum_engine::{Clock, Engine, Pending, Released};
use actum_journal::{AppendError, Batch, Committed, Writer};
use actum_kernel::RecordHead;
use actum_model::envelope::{Caller, Envelope};
use actum_model::event::{Event, SnapshotTaken};
use actum_model::input::Submit;
use actum_model::worker::WorkerNews;
use actum_model::{Body, ErrorCode, Fault, Input, Json, Response, Settlement, Stamped};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// Durable records whose leaves may be missing in the file. They are made again at a start.
const LEAVES_WAITING_MAX: u64 = 64;

/// A read on its way to durable state.
pub(crate) struct ReadRequest {
    pub(crate) caller: Caller,
    pub(crate) envelope: Envelope,
    pub(crate) reply: ReplyTo,
}

/// What comes to the engine's thread.
pub(crate) enum Msg {
    Submit {
        submit: Box<Submit>,
        originals: Option<Box<Originals>>,
        reply: ReplyTo,
    },
    Read(Box<ReadRequest>),
    Settled {
        seq: u64,
        settlement: Settlement,
    },
    Output {
        seq: u64,
        stream: &'static str,
        offset: u64,
        data: String,
    },
    /// Something happened to the process of a session.
    Worker(Box<WorkerNews>),
    Tick,
    /// Under batched durability: make durable what was released relaxed.
    Sync,
    SnapshotTaken(SnapshotTaken),
    Close(oneshot::Sender<()>),
}

/// Records with where they stand.
pub(crate) type Records = Vec<(RecordHead, Vec<Event>)>;

/// Where the engine's answers go.
pub(crate) enum To {
    Reply(ReplyTo),
    Read(Box<ReadRequest>),
}

/// Why the thread ended.
pub(crate) enum End {
    Closed(oneshot::Sender<()>),
    /// Every handle is gone.
    Dropped,
    Failed(Fault),
}

pub(crate) struct EngineThread {
    pub(crate) engine: Engine<To>,
    pub(crate) writer: Writer,
    pub(crate) clock: Clock,
    pub(crate) shared: Arc<Shared>,
    pub(crate) effects: Effects,
    pub(crate) snapshots: Snapshots,
    pub(crate) mail: Mail,
    pub(crate) ticker: super::ticker::Ticker,
    pub(crate) runtime: tokio::runtime::Handle,
    /// Effects whose request became durable and that ask for their durable mark.
    pub(crate) dispatches: Vec<u64>,
    /// Told that something was released before it was durable.
    pub(crate) relaxed: mpsc::Sender<()>,
    /// Messages in the last turn, and how long it took.
    pub(crate) last: (usize, Duration),
    /// Why it cannot go on.
    pub(crate) failed: Option<Fault>,
}

/// What a turn leaves to be done.
pub(crate) enum Left {
    Nothing,
    Work,
    Failure,
}

/// Runs the engine until it is closed or cannot go on.
pub(crate) fn run(mut messages: mpsc::Receiver<Msg>, desk: &Desk, shared: &Shared) {
    let end = turn_until_end(&mut messages, desk);
    let engine = desk.unseat();
    let close = || engine.map_or(Ok(()), EngineThread::close);
    let (failure, done) = match end {
        End::Closed(done) => (close().err(), Some(done)),
        End::Dropped => (close().err(), None),
        End::Failed(fault) => (Some(fault), None),
    };
    if let Some(fault) = failure {
        tracing::error!(code = %fault.code, "{}", fault.message);
        shared.fatal.send_replace(Some(fault));
    }
    if let Some(done) = done {
        let _gone = done.send(());
    }
}

fn turn_until_end(messages: &mut mpsc::Receiver<Msg>, desk: &Desk) -> End {
    let broken = || {
        End::Failed(Fault::new(
            ErrorCode::Internal,
            "a turn of the engine ended in a panic",
        ))
    };
    let mut has_work = false;
    loop {
        // Waited for without the engine, so that others can have their turns.
        let first = match has_work {
            true => None,
            false => match messages.blocking_recv() {
                Some(message) => Some(message),
                None => return End::Dropped,
            },
        };
        let Some(mut seat) = desk.engine() else {
            return broken();
        };
        let Some(engine) = seat.as_mut() else {
            return broken();
        };
        if let Some(fault) = engine.failed.take() {
            return End::Failed(fault);
        }
        let mut first = first;
        let next = || {
            let message = first.take().or_else(|| messages.try_recv().ok())?;
            desk.taken();
            Some(message)
        };
        match engine.turn(next) {
            Ok(None) => has_work = engine.has_work(),
            Ok(Some(end)) => return end,
            Err(fault) => return End::Failed(fault),
        }
    }
}

impl EngineThread {
    /// Whether something is to be done without another message.
    pub(crate) fn has_work(&self) -> bool {
        self.failed.is_some()
            || !self.engine.is_idle()
            || !self.dispatches.is_empty()
            || self.engine.ahead().has_more()
    }

    /// Whether messages come one by one, turns are short and nothing is to be done.
    pub(crate) fn is_calm(&self, turn_time_max: Duration) -> bool {
        let (messages, took) = self.last;
        messages <= 1 && took <= turn_time_max && !self.has_work()
    }

    /// A turn on the thread of somebody else. What ends the engine is left to its own thread.
    pub(crate) fn turn_or_fail(&mut self, mut message: Option<Msg>) -> Left {
        match self.turn(|| message.take()) {
            Ok(_) if self.has_work() => Left::Work,
            Ok(_) => Left::Nothing,
            Err(fault) => {
                self.failed = Some(fault);
                Left::Failure
            }
        }
    }

    /// One batch: gather, decide, make durable, release.
    fn turn(&mut self, mut next: impl FnMut() -> Option<Msg>) -> Result<Option<End>, Fault> {
        let begun = Instant::now();
        let (mut end, mut messages) = (None, 0);
        if !self.has_work()
            && let Some(message) = next()
        {
            messages += 1;
            end = self.take(message)?;
        }
        let (at, elapsed) = self.now();
        self.tell_of_the_clock(at, elapsed)?;
        for seq in std::mem::take(&mut self.dispatches) {
            self.decide(at, elapsed, Input::Dispatch { seq }, None)?;
        }
        while end.is_none()
            && !self.engine.is_full()
            && let Some(message) = next()
        {
            messages += 1;
            end = self.take(message)?;
        }
        let (at, elapsed) = self.now();
        self.engine.go_on(at, elapsed).map_err(|error| internal(&error))?;
        self.commit()?;
        self.last = (messages, begun.elapsed());
        Ok(end)
    }

    pub(crate) fn now(&mut self) -> (u64, u64) {
        let clocks = self.shared.clocks;
        self.clock.stamp(clocks.wall_ms(), clocks.monotonic_ms())
    }

    /// A jump of the wall clock, and what becomes of it, goes on the record.
    fn tell_of_the_clock(&mut self, at: u64, elapsed: u64) -> Result<(), Fault> {
        match self.clock.news() {
            Some(sample) => self.decide(at, elapsed, sample, None),
            None => Ok(()),
        }
    }

    pub(crate) fn decide(
        &mut self,
        at: u64,
        elapsed: u64,
        input: Input,
        to: Option<To>,
    ) -> Result<(), Fault> {
        self.engine
            .input(&Stamped { at, elapsed, input }, to)
            .map_err(|error| internal(&error))
    }

    fn take(&mut self, message: Msg) -> Result<Option<End>, Fault> {
        let (at, elapsed) = self.now();
        match message {
            Msg::Submit {
                submit,
                originals,
                reply,
            } => {
                let seq = self.engine.ahead().next_seq;
                self.decide(at, elapsed, Input::Submit(*submit), Some(To::Reply(reply)))?;
                // Only an accepted command takes the number, and only it needs its secrets.
                if let Some(originals) = originals.filter(|_| self.engine.ahead().next_seq > seq) {
                    self.effects.remember(seq, *originals);
                }
            }
            Msg::Read(request) => self.engine.read(To::Read(request)),
            Msg::Settled { seq, settlement } => {
                let settlement = Box::new(settlement);
                self.decide(at, elapsed, Input::Outcome { seq, settlement }, None)?;
            }
            Msg::Output {
                seq,
                stream,
                offset,
                data,
            } => {
                let stream = stream.to_owned();
                self.decide(
                    at,
                    elapsed,
                    Input::Output {
                        seq,
                        stream,
                        offset,
                        data,
                    },
                    None,
                )?;
            }
            Msg::Worker(news) => self.decide(at, elapsed, Input::Worker(news), None)?,
            Msg::Tick => self.decide(at, elapsed, Input::Tick, None)?,
            Msg::Sync => {
                let _committed = self.writer.sync_pending().map_err(|error| poisoned(&error))?;
            }
            Msg::SnapshotTaken(taken) => self.decide(at, elapsed, Input::SnapshotTaken(taken), None)?,
            Msg::Close(done) => return Ok(Some(End::Closed(done))),
        }
        Ok(None)
    }

    /// Makes the open batch durable and releases it. Gives its records.
    pub(crate) fn commit(&mut self) -> Result<Records, Fault> {
        if self.engine.is_idle() {
            return Ok(Records::new());
        }
        let (batch, pending) = self.engine.seal();
        crash::point("decided");
        let committed = flush(&mut self.writer, batch, &pending)?;
        if !committed.durable() {
            // One that is told already will make this durable too.
            let _told = self.relaxed.try_send(());
        }
        let released = pending.release(&committed);
        self.erase(&released, &committed)?;
        let (published, records) = self.release(released, &committed);
        // Nobody waits for leaves but a snapshot, which takes its root from them and rests on durable records.
        if self.snapshots.is_due(&published) {
            let _synced = self.writer.sync_pending().map_err(|error| poisoned(&error))?;
        } else if self.writer.leaves_waiting() >= LEAVES_WAITING_MAX {
            self.writer.write_leaves().map_err(|error| poisoned(&error))?;
        }
        self.snapshots.consider(&published, committed.head_hash());
        Ok(records)
    }

    /// Destroys the keys of subjects whose erasure is durable, before anybody is told that it is done.
    fn erase(&mut self, released: &Released<To>, committed: &Committed) -> Result<(), Fault> {
        let events = released.records.iter().flat_map(|(_, events)| events);
        for data in events.filter_map(erased) {
            if !committed.durable() {
                let _synced = self.writer.sync_pending().map_err(|error| poisoned(&error))?;
            }
            crash::point("subject_erase_recorded");
            self.shared.personal.erase(data).map_err(|error| {
                let message = format!("the key of an erased subject cannot be destroyed ({error})");
                Fault::new(ErrorCode::JournalPoisoned, message).with_hint(
                    "mend the disk and start again: the erasure is on record and is finished at the start",
                )
            })?;
        }
        Ok(())
    }

    fn release(&mut self, mut released: Released<To>, committed: &Committed) -> (Arc<Published>, Records) {
        Counters::add(&self.shared.counters.batches, 1);
        let head = released.publish.state.next_idx;
        let published = Arc::new(Published {
            state: released.publish.state.clone(),
            head,
        });
        self.shared.published.store(Arc::clone(&published));
        let mut answers = Vec::with_capacity(released.replies.len());
        for (to, mut response) in std::mem::take(&mut released.replies) {
            self.count(&response);
            response.relaxed = !committed.durable();
            if let To::Reply(reply) = to {
                answers.push((reply, response));
            }
        }
        if !answers.is_empty() {
            self.mail.send(answers);
        }
        for to in std::mem::take(&mut released.reads) {
            if let To::Read(request) = to {
                reads::spawn(&self.runtime, &self.shared, Arc::clone(&published), *request);
            }
        }
        self.shared.head.send_replace(head);
        self.tell(&released);
        let records = std::mem::take(&mut released.records);
        self.carry_out(released, &records);
        self.ticker.set(Due::of(&published.state));
        crash::point("released");
        (published, records)
    }

    fn count(&self, response: &Response) {
        let counters = &self.shared.counters;
        if response.replayed {
            Counters::add(&counters.replayed, 1);
            self.charge_replay(response);
        } else if matches!(response.body, Body::Refused(_)) {
            Counters::add(&counters.refused, 1);
        }
    }

    /// A repetition is paid for as one, and not as a submission.
    fn charge_replay(&self, response: &Response) {
        let Some(identity) = &response.identity else {
            return;
        };
        let (tenant, principal) = (identity.tenant.clone(), identity.principal.clone());
        let caller = Caller {
            tenant,
            principal,
            exec: None,
        };
        let _empty_next_time = self
            .shared
            .replay_rates
            .take(&caller, self.shared.clocks.monotonic_ms());
        self.shared.rates.give_back(&caller);
    }

    fn tell(&self, released: &Released<To>) {
        if self.shared.live.receiver_count() == 0 {
            return;
        }
        for record in live::of_batch(released) {
            let _nobody = self.shared.live.send(record);
        }
    }

    fn carry_out(&mut self, released: Released<To>, records: &Records) {
        for (_, events) in records {
            for event in events {
                match event {
                    Event::Finished(finished) => self.effects.forget(finished.seq),
                    Event::Executed(executed) => self.effects.forget(executed.identity.seq),
                    Event::SnapshotTaken(_) => crash::point("snapshot_recorded"),
                    _ => {}
                }
            }
        }
        for start in released.starts {
            self.effects.start(start);
        }
        for seq in released.stops {
            self.effects.stop(seq);
        }
        for seq in released.interrupts {
            self.effects.interrupt(seq);
        }
        for key in released.ended {
            self.effects.end_session(&key);
        }
        self.effects.go_on();
        for (seq, doubt) in released.doubts {
            let id = released
                .publish
                .state
                .command(seq)
                .map(|row| row.identity.public_id().to_string());
            tracing::error!(
                command = id.as_deref().unwrap_or("?"),
                reason = doubt.as_str(),
                "a command is in doubt: nobody knows what came of its effect, and its lane waits"
            );
        }
        self.dispatches.extend(released.dispatches);
    }

    fn close(mut self) -> Result<(), Fault> {
        self.commit()?;
        let _committed = self.writer.sync_pending().map_err(|error| poisoned(&error))?;
        if let Some(taken) = self.snapshots.before_close(self.engine.ahead(), &self.writer) {
            let (at, elapsed) = self.now();
            self.decide(at, elapsed, Input::SnapshotTaken(taken), None)?;
        }
        crash::point("closing");
        let (at, elapsed) = self.now();
        self.decide(at, elapsed, Input::Close, None)?;
        self.commit()?;
        for (_, to) in self.engine.abandon() {
            if let To::Reply(reply) = to {
                let fault = Fault::new(ErrorCode::ShuttingDown, "the daemon ended before the command did")
                    .with_hint("ask for it by its id when the daemon is back; it is not lost");
                reply.send(Response::refused("", None, fault));
            }
        }
        self.mail.close(&self.runtime);
        self.writer.close().map_err(|error| poisoned(&error))
    }
}

/// The result of an erasure, if this event is one.
pub(crate) fn erased(event: &Event) -> Option<&Json> {
    match event {
        Event::Executed(done) if done.identity.kind.as_str() == "subject.erase" => done.data.as_ref(),
        _ => None,
    }
}

fn flush(writer: &mut Writer, batch: Batch, pending: &Pending<To>) -> Result<Committed, Fault> {
    let committed = match writer.flush_records(batch) {
        // The fate of the write is not known: read what is there, and commit it or stop.
        Err(AppendError::Unknown(_)) => writer.resolve(),
        other => other,
    };
    let committed = committed.map_err(|error| poisoned(&error))?;
    if pending.needs_sync() && !committed.durable() {
        return writer.sync_records().map_err(|error| poisoned(&error));
    }
    Ok(committed)
}

fn poisoned(error: &AppendError) -> Fault {
    Fault::new(
        ErrorCode::JournalPoisoned,
        format!("{error}; nothing unacknowledged was released"),
    )
}

fn internal(error: &dyn std::error::Error) -> Fault {
    Fault::new(ErrorCode::Internal, error.to_string())
}

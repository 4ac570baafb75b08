//! The task of one session: it moves frames, keeps the deadlines, and sees to it that whatever was asked gets an
//! answer, however the worker ends.

use super::Options;
use super::book::{Book, Reply, Step};
use super::desk::Desk;
use super::event::{Booked, Cost, Event, Events, Taken};
use super::hello;
use super::outcome::{EndReason, Ending, Outcome, SessionError};
use super::remains::Remains;
use super::wire::{self, Wire};
use crate::limits::LAST_WORDS;
use crate::process::{Boxed, End, Process, Running};
use crate::protocol::{FrameBuffer, ProtocolError, Stream, ToWorker, WorkerHello, decode, encode};
use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

/// What a handle asks of the task.
#[derive(Debug)]
pub(super) enum Command {
    /// Queue a checkpoint or a restore.
    Request {
        id: String,
        frame: Vec<u8>,
        restore: bool,
        reply: oneshot::Sender<Result<Reply, SessionError>>,
    },
    /// Answer a question for input.
    Input {
        id: String,
        frame: Vec<u8>,
        reply: oneshot::Sender<bool>,
    },
    /// Answer a capability request.
    Answer {
        id: String,
        frame: Vec<u8>,
        reply: oneshot::Sender<bool>,
    },
    /// Cancel (with a grace time) or interrupt.
    Cancel {
        id: String,
        grace: Option<Duration>,
        reply: oneshot::Sender<bool>,
    },
    /// Send a frame that needs no book.
    Send {
        frame: Vec<u8>,
        reply: oneshot::Sender<()>,
    },
    /// Close the session.
    Shutdown { reply: Option<oneshot::Sender<()>> },
}

/// Everything one session holds.
pub(super) struct Driver {
    desk: Arc<Desk>,
    wire: Arc<Wire>,
    remains: Remains,
    buffer: FrameBuffer,
    process: Box<dyn Process>,
    ended: Boxed<End>,
    outbox: mpsc::UnboundedSender<(Event, Cost)>,
    taken: Arc<Taken>,
    answers: BTreeMap<String, oneshot::Sender<Result<Reply, SessionError>>>,
    cancels: BTreeMap<String, (Instant, Duration)>,
    leave_until: Option<Instant>,
    options: Options,
}

impl Driver {
    /// Introduces both sides; the worker is killed if that fails.
    pub(super) async fn introduce(
        running: Running,
        options: Options,
    ) -> Result<(Driver, WorkerHello, Events), EndReason> {
        let Running { socket, mut process } = running;
        let ended = process.ended();
        let mut buffer = FrameBuffer::default();
        let mut remains = Remains::default();
        let wire = match Wire::new(socket) {
            Ok(wire) => wire,
            Err(error) => {
                let reason = EndReason::Socket(error.to_string());
                return Err(give_up(process, ended, reason).await);
            }
        };
        let introduced = hello::introduce(&wire, &mut buffer, &mut remains, &options).await;
        let worker = match introduced {
            Ok(worker) => worker,
            Err(reason) => {
                // Its last words are in its end; a socket that is held open would keep it from leaving.
                drop(wire);
                return Err(give_up(process, ended, reason).await);
            }
        };
        let wire = Arc::new(wire);
        let (outbox, inbox) = mpsc::unbounded_channel();
        let taken = Arc::new(Taken::default());
        let events = Events {
            inbox,
            taken: Arc::clone(&taken),
        };
        let driver = Driver {
            desk: Arc::new(Desk::new(Arc::clone(&wire), Book::new(&options.windows))),
            wire,
            remains,
            buffer,
            process,
            ended,
            outbox,
            taken,
            answers: BTreeMap::new(),
            cancels: BTreeMap::new(),
            leave_until: None,
            options,
        };
        Ok((driver, worker, events))
    }

    /// What handles share with this task.
    pub(super) fn desk(&self) -> Arc<Desk> {
        Arc::clone(&self.desk)
    }

    /// Drives the session to its end.
    pub(super) async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Command>) {
        let reason = match self.take_frames() {
            Ok(()) => self.drive(&mut inbox).await,
            Err(reason) => reason,
        };
        // Closed first: whoever waits for the inbox to close must find everything told.
        self.finish(reason).await;
        inbox.close();
    }

    async fn drive(&mut self, inbox: &mut mpsc::UnboundedReceiver<Command>) -> EndReason {
        loop {
            let deadline = self.deadline();
            let (taken, desk, wire) = (
                Arc::clone(&self.taken),
                Arc::clone(&self.desk),
                Arc::clone(&self.wire),
            );
            let step = tokio::select! {
                command = inbox.recv() => self.obey(command.unwrap_or(Command::Shutdown { reply: None })),
                ready = wire.readable() => match ready.and_then(|ready| wire::read(ready, &mut self.buffer)) {
                    Ok(Some(0)) => return self.closed_by_worker().await,
                    Ok(Some(_)) => self.take_frames(),
                    Ok(None) => Ok(()),
                    Err(error) => Err(EndReason::Socket(error.to_string())),
                },
                end = &mut self.ended => {
                    self.ended = Box::pin(pending());
                    return self.worker_ended(end).await;
                }
                writable = wire.writable(), if desk.has_unsent() => match writable {
                    Ok(()) => desk.flush(),
                    Err(error) => Err(EndReason::Socket(error.to_string())),
                },
                () = desk.changed.notified() => desk.flush(),
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => self.overdue(),
                () = taken.notify.notified() => self.give_credit(),
            };
            if let Err(reason) = step {
                return reason;
            }
        }
    }

    // -- towards the worker

    fn obey(&mut self, command: Command) -> Result<(), EndReason> {
        match command {
            Command::Request {
                id,
                frame,
                restore,
                reply,
            } => {
                // The answer is read by this task, so it finds who asked.
                match self.desk.add(&frame, |book| book.add_request(&id, restore)) {
                    Ok(()) => drop(self.answers.insert(id, reply)),
                    Err(error) => drop(reply.send(Err(error))),
                }
                Ok(())
            }
            Command::Input { id, frame, reply } => {
                let waits = self.desk.book(|book| book.answer_input(&id));
                self.answer(waits, &frame, reply)
            }
            Command::Answer { id, frame, reply } => {
                let waits = self.desk.book(|book| book.answer_capability(&id));
                self.answer(waits, &frame, reply)
            }
            Command::Cancel { id, grace, reply } => self.cancel(id, grace, reply),
            Command::Send { frame, reply } => {
                let _ = reply.send(());
                self.desk.send(&frame)
            }
            Command::Shutdown { reply } => self.leave(reply),
        }
    }

    fn answer(&mut self, waits: bool, frame: &[u8], reply: oneshot::Sender<bool>) -> Result<(), EndReason> {
        let _ = reply.send(waits);
        if waits { self.desk.send(frame) } else { Ok(()) }
    }

    fn cancel(
        &mut self,
        id: String,
        grace: Option<Duration>,
        reply: oneshot::Sender<bool>,
    ) -> Result<(), EndReason> {
        let open = match grace {
            Some(_) => self.desk.book(|book| book.cancel(&id)),
            None => self.desk.book(|book| book.is_open(&id)),
        };
        let _ = reply.send(open);
        if !open {
            return Ok(());
        }
        let message = match grace {
            Some(grace) => {
                // A second cancel may shorten the time, never lengthen it.
                let until = Instant::now() + grace;
                let slot = self.cancels.entry(id.clone()).or_insert((until, grace));
                if until < slot.0 {
                    *slot = (until, grace);
                }
                ToWorker::Cancel {
                    id,
                    grace_ms: u64::try_from(grace.as_millis()).unwrap_or(u64::MAX),
                }
            }
            None => ToWorker::Interrupt { id },
        };
        self.send_message(&message)
    }

    fn leave(&mut self, reply: Option<oneshot::Sender<()>>) -> Result<(), EndReason> {
        if let Some(reply) = reply {
            let _ = reply.send(());
        }
        if self.leave_until.is_none() {
            self.desk.close();
            self.leave_until = Some(Instant::now() + self.options.shutdown);
            return self.send_message(&ToWorker::Shutdown {});
        }
        Ok(())
    }

    fn send_message(&mut self, message: &ToWorker) -> Result<(), EndReason> {
        let frame = encode(message).map_err(EndReason::Protocol)?;
        self.desk.send(&frame)
    }

    fn give_credit(&mut self) -> Result<(), EndReason> {
        if self.taken.gone.load(Ordering::Acquire) {
            return Err(EndReason::Closed);
        }
        for (stream, name) in [
            (Stream::Stdout, "stdout"),
            (Stream::Stderr, "stderr"),
            (Stream::Display, "display"),
        ] {
            let window = self.options.windows.get(&stream).copied().unwrap_or(0);
            if let Some(bytes) = self.taken.credit(stream, window / 4) {
                self.desk.book(|book| book.grant(stream, bytes));
                self.send_message(&ToWorker::Credit {
                    stream: name.to_owned(),
                    bytes,
                })?;
            }
        }
        Ok(())
    }

    // -- from the worker

    fn take_frames(&mut self) -> Result<(), EndReason> {
        while let Some(frame) = self.buffer.next_frame().map_err(EndReason::Protocol)? {
            let message = decode(&frame).map_err(EndReason::Protocol)?;
            let step = self.desk.book(|book| book.take(message, frame.len() as u64));
            match step.map_err(EndReason::Protocol)? {
                Step::Tell(event, cost) => self.tell(event, cost)?,
                Step::Answer(id, reply) => {
                    if let Some(asker) = self.answers.remove(&id) {
                        let _ = asker.send(Ok(reply));
                    }
                }
                Step::Nothing => {}
                Step::Fault { code, message } => return Err(EndReason::Fault { code, message }),
            }
        }
        Ok(())
    }

    fn tell(&mut self, event: Event, cost: Cost) -> Result<(), EndReason> {
        match &event {
            Event::Finished(outcome) => drop(self.cancels.remove(&outcome.execution)),
            Event::Heartbeat(beat) => self.taken.rss.store(beat.rss_bytes, Ordering::Relaxed),
            _ => {}
        }
        match self.taken.book(cost) {
            Booked::Dropped => Ok(()),
            Booked::Yes => {
                let _ = self.outbox.send((event, cost));
                Ok(())
            }
            Booked::Flood => {
                let flood = "more messages than are kept for a consumer that does not read".to_owned();
                Err(EndReason::Protocol(ProtocolError::OutOfPlace(flood)))
            }
        }
    }

    // -- deadlines

    fn deadline(&self) -> Option<Instant> {
        let cancel = self.cancels.values().map(|(until, _)| *until).min();
        [cancel, self.leave_until].into_iter().flatten().min()
    }

    fn overdue(&mut self) -> Result<(), EndReason> {
        let now = Instant::now();
        if self.leave_until.is_some_and(|until| until <= now) {
            return Err(EndReason::Closed);
        }
        let late: Vec<String> = self
            .cancels
            .iter()
            .filter(|(_, (until, _))| *until <= now)
            .map(|(id, _)| id.clone())
            .collect();
        for id in late {
            if self.desk.book(|book| book.is_served(&id)) {
                return Err(EndReason::CancelOverdue { execution: id });
            }
            // It waits behind another one, which must not be killed for it: its time begins when its turn comes.
            match self.cancels.get_mut(&id) {
                Some((until, grace)) if self.desk.book(|book| book.is_open(&id)) => {
                    *until = now + (*grace).max(Duration::from_millis(100));
                }
                _ => {
                    self.cancels.remove(&id);
                }
            }
        }
        Ok(())
    }

    // -- the end

    async fn closed_by_worker(&mut self) -> EndReason {
        if self.buffer.is_cut_short() && self.leave_until.is_none() {
            // Told only if the process lives on; a process that died in the middle of a frame just died.
            if let Ok(end) = timeout(LAST_WORDS, &mut self.ended).await {
                self.ended = Box::pin(pending());
                return EndReason::Died(end);
            }
            return EndReason::Protocol(ProtocolError::CutShort);
        }
        match timeout(LAST_WORDS, &mut self.ended).await {
            Ok(end) => {
                self.ended = Box::pin(pending());
                if self.leave_until.is_some() {
                    EndReason::Closed
                } else {
                    EndReason::Died(end)
                }
            }
            Err(_) if self.leave_until.is_some() => EndReason::Closed,
            Err(_) => EndReason::Socket("the worker closed it and lives on".to_owned()),
        }
    }

    async fn worker_ended(&mut self, end: End) -> EndReason {
        match self.last_words().await {
            Err(reason) => reason,
            Ok(()) if self.leave_until.is_some() => EndReason::Closed,
            Ok(()) => EndReason::Died(end),
        }
    }

    /// Reads what a dead worker had still said.
    async fn last_words(&mut self) -> Result<(), EndReason> {
        let (until, wire) = (Instant::now() + LAST_WORDS, Arc::clone(&self.wire));
        while let Ok(Ok(ready)) = timeout_at(until, wire.readable()).await {
            match wire::read(ready, &mut self.buffer) {
                Ok(Some(0)) | Err(_) => break,
                Ok(Some(_)) => self.take_frames()?,
                Ok(None) => {}
            }
        }
        Ok(())
    }

    /// What the worker had no time to send belongs to the execution it was at.
    fn tell_remains(&mut self) {
        for (stream, data) in self.remains.read() {
            if let Some((execution, seq)) = self.desk.book(|book| book.remains(stream)) {
                let event = Event::Output {
                    execution,
                    stream,
                    seq,
                    data,
                };
                let _ = self.outbox.send((event, Cost::Free));
            }
        }
    }

    /// Kills what is left, and gives everything that is open its end.
    async fn finish(&mut self, reason: EndReason) {
        if let Err(error) = self.process.kill() {
            tracing::warn!(pid = self.process.pid(), %error, "a worker cannot be killed");
        }
        let broken = matches!(reason, EndReason::Protocol(_) | EndReason::Fault { .. });
        if !matches!(reason, EndReason::Died(_)) {
            let _ = timeout(Duration::from_secs(1), &mut self.ended).await;
            if !broken {
                let _ = self.last_words().await;
            }
        }
        if !broken {
            self.tell_remains();
        }
        // Closed first: what comes after is refused, what came before gets its end here.
        self.desk.close();
        self.desk.hang_up();
        for execution in self.desk.book(Book::open_executions) {
            let outcome = Outcome {
                execution,
                ending: Ending::Lost(reason.clone()),
                session_kept: false,
            };
            let _ = self.outbox.send((Event::Finished(outcome), Cost::Free));
        }
        for (_, asker) in std::mem::take(&mut self.answers) {
            let _ = asker.send(Err(SessionError::Ended(reason.clone())));
        }
        let _ = self.outbox.send((Event::Ended { reason }, Cost::Free));
    }
}

/// Ends a worker that did not introduce itself; its own end may say more than the silence did.
async fn give_up(mut process: Box<dyn Process>, ended: Boxed<End>, reason: EndReason) -> EndReason {
    let mut ended = ended;
    let silent = matches!(reason, EndReason::Socket(_));
    if silent && let Ok(end) = timeout(LAST_WORDS, &mut ended).await {
        return EndReason::Died(end);
    }
    if let Err(error) = process.kill() {
        tracing::warn!(pid = process.pid(), %error, "a worker cannot be killed");
    }
    let _ = timeout(Duration::from_secs(1), &mut ended).await;
    reason
}

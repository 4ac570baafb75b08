//! A session: one worker, driven over a connected socket.
//!
//! [`start`] introduces both sides and gives a handle to ask with and a stream of events to read. It starts no process
//! and answers none of the questions that code asks.

mod book;
mod desk;
mod driver;
mod event;
mod hello;
mod outcome;
mod remains;
mod wire;

pub use event::{Event, Events, Heartbeat};
pub use outcome::{EndReason, Ending, Outcome, SessionError};

use crate::limits::WINDOW_BYTES_DEFAULT;
use crate::process::Running;
use crate::protocol::{
    Backpressure, CapabilityError, Checkpoint, Restored, Stream, ToWorker, Transaction, WorkerHello, encode,
};
use desk::Desk;
use driver::{Command, Driver};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Settings of a session. The times go to the worker in `hello`.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long a worker may take to introduce itself.
    pub hello_timeout: Duration,
    /// How long output may take to be sent once the code has ended.
    pub drain: Duration,
    /// Between two heartbeats.
    pub heartbeat: Duration,
    /// How long `input()` waits where code names no time of its own.
    pub input_timeout: Duration,
    /// How long a worker may take to leave when asked to; then it is killed.
    pub shutdown: Duration,
    /// Bytes of each stream that may be under way or untaken.
    pub windows: BTreeMap<Stream, u64>,
    /// What happens to output beyond that; `block` where absent.
    pub backpressure: BTreeMap<Stream, Backpressure>,
}

impl Default for Options {
    fn default() -> Options {
        let streams = [Stream::Stdout, Stream::Stderr, Stream::Display];
        Options {
            hello_timeout: Duration::from_secs(10),
            drain: Duration::from_secs(5),
            heartbeat: Duration::from_secs(5),
            input_timeout: Duration::from_secs(300),
            shutdown: Duration::from_secs(1),
            windows: streams.map(|stream| (stream, WINDOW_BYTES_DEFAULT)).into(),
            backpressure: BTreeMap::new(),
        }
    }
}

/// One piece of code to run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Execute {
    /// Its id, unique among those that are queued.
    pub id: String,
    /// The code.
    pub code: String,
    /// `auto` (a trailing expression is the value) or `exec` (there is no value); `auto` if absent.
    pub mode: Option<String>,
    /// The name that tracebacks show for it.
    pub source: Option<String>,
    /// What it leaves in the namespace.
    pub transaction: Transaction,
}

impl Execute {
    /// Code under an id, all else as usual.
    #[must_use]
    pub fn new(id: impl Into<String>, code: impl Into<String>) -> Execute {
        Execute {
            id: id.into(),
            code: code.into(),
            ..Execute::default()
        }
    }
}

/// The handle of a session. Clones ask the same one; when the last is dropped, the session is closed.
#[derive(Debug, Clone)]
pub struct Session {
    commands: mpsc::UnboundedSender<Command>,
    desk: Arc<Desk>,
    worker: Arc<WorkerHello>,
    taken: Arc<event::Taken>,
    pid: u32,
}

/// Introduces both sides and drives the session from then on, in a task of the current Tokio runtime.
///
/// # Errors
/// Why the worker is of no use. It has been killed then.
pub async fn start(running: Running, options: Options) -> Result<(Session, Events), EndReason> {
    let pid = running.process.pid();
    let (driver, worker, events) = Driver::introduce(running, options).await?;
    let (commands, inbox) = mpsc::unbounded_channel();
    let desk = driver.desk();
    tokio::spawn(driver.run(inbox));
    let taken = Arc::clone(&events.taken);
    let session = Session {
        commands,
        desk,
        worker: Arc::new(worker),
        taken,
        pid,
    };
    Ok((session, events))
}

impl Session {
    /// What the worker said of itself.
    #[must_use]
    pub fn worker(&self) -> &WorkerHello {
        &self.worker
    }

    /// Number of the worker's process, where it is known.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether the session goes on.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !self.commands.is_closed()
    }

    /// Resident memory of the worker by its last heartbeat, in bytes; 0 before the first.
    #[must_use]
    pub fn rss_bytes(&self) -> u64 {
        self.taken.rss.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Whether the worker offers a capability.
    #[must_use]
    pub fn offers(&self, capability: &str) -> bool {
        self.worker
            .capabilities
            .iter()
            .any(|offered| offered == capability)
    }

    /// Queues an execution behind those before it, without waiting. Its outcome comes as [`Event::Finished`], exactly
    /// once.
    ///
    /// # Errors
    /// It was not taken, and nothing of it will be told.
    pub fn execute(&self, execute: Execute) -> Result<(), SessionError> {
        if execute.transaction != Transaction::CommitAlways {
            self.require("transactions")?;
        }
        let id = execute.id.clone();
        let message = ToWorker::Execute {
            id: execute.id,
            code: execute.code,
            mode: execute.mode,
            source: execute.source,
            transaction: execute.transaction,
        };
        let frame = encode(&message).map_err(SessionError::Refused)?;
        self.desk.add(&frame, |book| book.add_execution(&id))
    }

    /// Answers an [`Event::InputRequest`]; `None` says that there is no more input. `false` if it no longer waits.
    ///
    /// # Errors
    /// The session is over, or the line is too long.
    pub async fn input(&self, id: &str, line: Option<String>) -> Result<bool, SessionError> {
        let message = ToWorker::InputResponse {
            id: id.to_owned(),
            eof: line.is_none(),
            data: line,
        };
        let frame = encode(&message).map_err(SessionError::Refused)?;
        let id = id.to_owned();
        self.ask(|reply| Command::Input { id, frame, reply }).await
    }

    /// Answers an [`Event::CapabilityRequest`]. `false` if it no longer waits.
    ///
    /// # Errors
    /// The session is over, or the answer is too large or too deep; the request waits on then, for another answer.
    pub async fn answer(
        &self,
        id: &str,
        answer: Result<Json, CapabilityError>,
    ) -> Result<bool, SessionError> {
        let (value, error) = match answer {
            Ok(value) => (Some(value), None),
            Err(error) => (None, Some(error)),
        };
        let message = ToWorker::CapabilityResponse {
            id: id.to_owned(),
            value,
            error,
        };
        let frame = encode(&message).map_err(SessionError::Refused)?;
        let id = id.to_owned();
        self.ask(|reply| Command::Answer { id, frame, reply }).await
    }

    /// Stops an execution: it is asked, then pressed at half of `grace`, then killed with its worker. `false` if it
    /// has no more to be stopped. The outcome says whether the session was kept.
    ///
    /// # Errors
    /// The session is over.
    pub async fn cancel(&self, id: &str, grace: Duration) -> Result<bool, SessionError> {
        let id = id.to_owned();
        self.ask(|reply| Command::Cancel {
            id,
            grace: Some(grace),
            reply,
        })
        .await
    }

    /// Raises an interrupt in an execution, once, as Ctrl-C would. `false` if it has ended.
    ///
    /// # Errors
    /// The session is over.
    pub async fn interrupt(&self, id: &str) -> Result<bool, SessionError> {
        let id = id.to_owned();
        self.ask(|reply| Command::Cancel {
            id,
            grace: None,
            reply,
        })
        .await
    }

    /// Sends data on a channel that the worker opened.
    ///
    /// # Errors
    /// The session is over, or the data is larger than a frame.
    pub async fn stream_data(&self, id: &str, seq: u64, data: Vec<u8>) -> Result<(), SessionError> {
        self.send(&ToWorker::StreamData {
            id: id.to_owned(),
            seq,
            data,
        })
        .await
    }

    /// Closes a channel from this side.
    ///
    /// # Errors
    /// The session is over.
    pub async fn stream_close(&self, id: &str, reason: &str) -> Result<(), SessionError> {
        self.send(&ToWorker::StreamClose {
            id: id.to_owned(),
            reason: reason.to_owned(),
        })
        .await
    }

    /// Lets the worker send so many more bytes on a channel.
    ///
    /// # Errors
    /// The session is over.
    pub async fn stream_credit(&self, id: &str, bytes: u64) -> Result<(), SessionError> {
        self.send(&ToWorker::Credit {
            stream: id.to_owned(),
            bytes,
        })
        .await
    }

    /// Saves the namespace, name by name, behind what is queued.
    ///
    /// # Errors
    /// The worker cannot, or the session is over.
    pub async fn checkpoint(&self, id: &str) -> Result<Checkpoint, SessionError> {
        self.require("checkpoint")?;
        match self
            .request(id, &ToWorker::Checkpoint { id: id.to_owned() }, false)
            .await?
        {
            book::Reply::Checkpoint(checkpoint) => Ok(checkpoint),
            book::Reply::Failed(failure) => Err(SessionError::Failed(Box::new(failure))),
            book::Reply::Restored(_) => Err(SessionError::Id(id.to_owned())),
        }
    }

    /// Loads a checkpoint, inside the worker, behind what is queued; `clear` removes what is there first.
    ///
    /// # Errors
    /// The worker cannot, or the session is over.
    pub async fn restore(&self, id: &str, data: &[u8], clear: bool) -> Result<Restored, SessionError> {
        self.require("restore")?;
        let message = ToWorker::Restore {
            id: id.to_owned(),
            data: data.to_vec(),
            clear,
        };
        match self.request(id, &message, true).await? {
            book::Reply::Restored(restored) => Ok(restored),
            book::Reply::Failed(failure) => Err(SessionError::Failed(Box::new(failure))),
            book::Reply::Checkpoint(_) => Err(SessionError::Id(id.to_owned())),
        }
    }

    /// Ends the session: the worker is asked to leave and killed if it does not. Waits for its end; again is no error.
    pub async fn shutdown(&self) {
        let _ = self.ask(|reply| Command::Shutdown { reply: Some(reply) }).await;
        self.commands.closed().await;
    }

    async fn request(
        &self,
        id: &str,
        message: &ToWorker,
        restore: bool,
    ) -> Result<book::Reply, SessionError> {
        let frame = encode(message).map_err(SessionError::Refused)?;
        let id = id.to_owned();
        self.ask(|reply| Command::Request {
            id,
            frame,
            restore,
            reply,
        })
        .await?
    }

    async fn send(&self, message: &ToWorker) -> Result<(), SessionError> {
        let frame = encode(message).map_err(SessionError::Refused)?;
        self.ask(|reply| Command::Send { frame, reply }).await
    }

    fn require(&self, capability: &'static str) -> Result<(), SessionError> {
        if self.offers(capability) {
            return Ok(());
        }
        Err(SessionError::NotOffered {
            worker: self.worker.worker.clone(),
            capability,
        })
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, SessionError> {
        let (reply, answer) = oneshot::channel();
        let over = || SessionError::Ended(EndReason::Closed);
        self.commands.send(command(reply)).map_err(|_| over())?;
        answer.await.map_err(|_| over())
    }
}

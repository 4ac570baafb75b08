//! How executions and sessions end, and what is said of it.

use crate::process::End;
use crate::protocol::{Ended, Failure, ProtocolError, Success};
use std::fmt;

/// What an execution came to. Every execution that was taken has exactly one.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The execution.
    pub execution: String,
    /// What it came to.
    pub ending: Ending,
    /// Whether the session goes on with what it had.
    pub session_kept: bool,
}

/// The three ways.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// It ran to its end.
    Succeeded(Success),
    /// It failed, or was stopped and the worker said so.
    Failed(Failure),
    /// The session ended under it.
    Lost(EndReason),
}

impl Ending {
    /// `None` for a success, else a stable code.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Ending::Succeeded(_) => None,
            Ending::Failed(failure) => Some(&failure.code),
            Ending::Lost(EndReason::CancelOverdue { .. }) => Some("CANCELLED"),
            Ending::Lost(reason) => Some(reason.code()),
        }
    }

    /// What the worker said beyond value or exception, if it said anything.
    #[must_use]
    pub fn ended(&self) -> Option<&Ended> {
        match self {
            Ending::Succeeded(success) => Some(&success.ended),
            Ending::Failed(failure) => Some(&failure.ended),
            Ending::Lost(_) => None,
        }
    }
}

/// Why a session is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndReason {
    /// It was shut down, or nobody held it any more.
    Closed,
    /// A cancelled execution did not end in its grace time, so the worker was killed with everything below it.
    CancelOverdue {
        /// The execution.
        execution: String,
    },
    /// The worker ended by itself.
    Died(End),
    /// The worker broke the protocol and was killed.
    Protocol(ProtocolError),
    /// The worker named a fault of its own and ended.
    Fault {
        /// Its code.
        code: String,
        /// Its words.
        message: String,
    },
    /// The worker did not introduce itself in time.
    HelloTimeout,
    /// The worker speaks another protocol.
    Mismatch {
        /// The version it speaks.
        theirs: u32,
    },
    /// The worker did not read what was written to it.
    NotReading,
    /// The socket failed.
    Socket(String),
}

impl EndReason {
    /// A stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            EndReason::Closed => "SESSION_CLOSED",
            EndReason::CancelOverdue { .. } => "WORKER_KILLED",
            EndReason::Died(_) => "WORKER_DIED",
            EndReason::Protocol(_) => "WORKER_PROTOCOL",
            EndReason::Fault { .. } => "WORKER_FAULT",
            EndReason::HelloTimeout => "WORKER_HELLO_TIMEOUT",
            EndReason::Mismatch { .. } => "WORKER_MISMATCH",
            EndReason::NotReading => "WORKER_NOT_READING",
            EndReason::Socket(_) => "WORKER_SOCKET",
        }
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EndReason::Closed => formatter.write_str("the session was closed"),
            EndReason::CancelOverdue { execution } => write!(
                formatter,
                "`{execution}` did not stop in its grace time, so the worker was killed and the session is lost"
            ),
            EndReason::Died(end) => write!(formatter, "the worker is gone: {end}"),
            EndReason::Protocol(error) => write!(formatter, "the worker broke the protocol: {error}"),
            EndReason::Fault { code, message } => write!(formatter, "the worker gave up: {message} ({code})"),
            EndReason::HelloTimeout => formatter.write_str("the worker did not introduce itself in time"),
            EndReason::Mismatch { theirs } => write!(
                formatter,
                "expected a worker of protocol {}, got one of {theirs}",
                crate::limits::PROTOCOL
            ),
            EndReason::NotReading => formatter.write_str("the worker does not read what is written to it"),
            EndReason::Socket(error) => write!(formatter, "the socket of the worker failed ({error})"),
        }
    }
}

/// Why a request to a session was not taken, or gave nothing.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SessionError {
    /// The session is over.
    #[error("the session has ended: {0}")]
    Ended(EndReason),
    /// The request cannot be sent.
    #[error("{0}")]
    Refused(ProtocolError),
    /// An id is used already, empty, or too long.
    #[error("expected a new id of 1 to 512 bytes, got `{0}`")]
    Id(String),
    /// Too many requests wait.
    #[error("expected at most {} queued requests", crate::limits::QUEUE_MAX)]
    QueueFull,
    /// The worker said it cannot do this.
    #[error("the worker `{worker}` does not offer `{capability}`")]
    NotOffered {
        /// The worker.
        worker: String,
        /// What it lacks.
        capability: &'static str,
    },
    /// The worker could not do it.
    #[error("{} ({})", .0.message, .0.code)]
    Failed(Box<Failure>),
}

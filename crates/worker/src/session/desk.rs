//! What the handle of a session and its task share: what is open, and what is on its way to the worker.
//!
//! Whoever has something to say writes it at once, as far as the socket takes it; the task writes the rest. It reads
//! nothing and keeps no deadline.

use super::book::Book;
use super::outcome::{EndReason, SessionError};
use super::wire::Wire;
use crate::limits::UNSENT_BYTES_MAX;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Shared by handle and task.
#[derive(Debug)]
pub(super) struct Desk {
    state: Mutex<State>,
    /// The task has something to look at: a rest to write, or a failure.
    pub(super) changed: Notify,
}

#[derive(Debug)]
struct State {
    /// Gone with the session: it must not stay open for a handle that is kept.
    wire: Option<Arc<Wire>>,
    book: Book,
    unsent: Vec<u8>,
    /// No new work is taken.
    closed: bool,
    /// Why the session must end.
    failed: Option<EndReason>,
}

impl Desk {
    pub(super) fn new(wire: Arc<Wire>, book: Book) -> Desk {
        let state = State {
            wire: Some(wire),
            book,
            unsent: Vec::new(),
            closed: false,
            failed: None,
        };
        Desk {
            state: Mutex::new(state),
            changed: Notify::new(),
        }
    }

    /// Looks something up in the book, or writes into it.
    pub(super) fn book<T>(&self, look: impl FnOnce(&mut Book) -> T) -> T {
        look(&mut self.state().book)
    }

    /// Notes new work and sends it, in one step: nothing comes between.
    ///
    /// # Errors
    /// It was not taken, and nothing of it was sent.
    pub(super) fn add(
        &self,
        frame: &[u8],
        note: impl FnOnce(&mut Book) -> Result<(), SessionError>,
    ) -> Result<(), SessionError> {
        let mut state = self.state();
        if state.closed {
            return Err(SessionError::Ended(EndReason::Closed));
        }
        note(&mut state.book)?;
        if let Err(reason) = state.send(frame) {
            // It is in the book, so it gets its end with all others.
            state.failed = Some(reason);
        }
        if state.failed.is_some() || !state.unsent.is_empty() {
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Sends a frame that needs no book.
    ///
    /// # Errors
    /// Why the session must end.
    pub(super) fn send(&self, frame: &[u8]) -> Result<(), EndReason> {
        self.state().send(frame)
    }

    /// Writes of the rest what can be written now.
    ///
    /// # Errors
    /// Why the session must end.
    pub(super) fn flush(&self) -> Result<(), EndReason> {
        let mut state = self.state();
        match state.failed.take() {
            Some(reason) => Err(reason),
            None => state.flush(),
        }
    }

    /// Whether a rest waits for room in the socket.
    pub(super) fn has_unsent(&self) -> bool {
        !self.state().unsent.is_empty()
    }

    /// From now on no new work is taken.
    pub(super) fn close(&self) {
        self.state().closed = true;
    }

    /// Gives up the socket: nothing more is written.
    pub(super) fn hang_up(&self) {
        self.state().wire = None;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Book and rest are changed in steps that are whole by themselves.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn send(&mut self, frame: &[u8]) -> Result<(), EndReason> {
        if self.unsent.len() + frame.len() > UNSENT_BYTES_MAX {
            return Err(EndReason::NotReading);
        }
        self.unsent.extend_from_slice(frame);
        self.flush()
    }

    fn flush(&mut self) -> Result<(), EndReason> {
        let Some(wire) = &self.wire else { return Ok(()) };
        let mut written = 0;
        while let Some(rest) = self.unsent.get(written..).filter(|rest| !rest.is_empty()) {
            match wire.write(rest) {
                Ok(Some(count)) => written += count,
                Ok(None) => break,
                // The worker is gone or going: its end says more than this error.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => written = self.unsent.len(),
                Err(error) => return Err(EndReason::Socket(error.to_string())),
            }
        }
        self.unsent.drain(..written);
        Ok(())
    }
}

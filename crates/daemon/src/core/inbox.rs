//! The way to the engine. Usually its thread takes what has come and decides it in batches. While there is little to do,
//! whoever brings a message carries its turn out at once, on their own thread: waking another one and being woken
//! again takes longer than the turn.
//!
//! Messages of one sender keep their order: a turn is carried out at once only where nothing waits.

use super::thread::{EngineThread, Left, Msg};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::time::Duration;
use tokio::sync::mpsc;

/// Turns in a row that are carried out at once for one message: one for itself, others for what follows from it.
const TURNS_MAX: usize = 3;
/// Where the last turn took longer, the disk is slow, and nobody but the engine's own thread waits for it.
const TURN_TIME_MAX: Duration = Duration::from_millis(2);

/// The engine and how many messages wait for it.
#[derive(Default)]
pub(crate) struct Desk {
    /// Messages that were sent and are not yet taken into a turn.
    waiting: AtomicUsize,
    /// Not there before the boot and after the end.
    engine: Mutex<Option<EngineThread>>,
}

impl Desk {
    /// The engine, for its thread. Nothing if a turn of somebody else ended in a panic: its state is not to be trusted.
    pub(crate) fn engine(&self) -> Option<MutexGuard<'_, Option<EngineThread>>> {
        self.engine.lock().ok()
    }

    /// Seats the engine.
    pub(crate) fn seat(&self, engine: EngineThread) {
        *self.engine.lock().unwrap_or_else(PoisonError::into_inner) = Some(engine);
    }

    /// Takes it away for good.
    pub(crate) fn unseat(&self) -> Option<EngineThread> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// A message that waited was taken into a turn. Under the lock of the engine.
    pub(crate) fn taken(&self) {
        self.waiting.fetch_sub(1, Ordering::AcqRel);
    }

    /// Carries the turn of a message out, if nothing else is to be done, and says whether the engine's thread is needed
    /// for what is left; otherwise gives the message back.
    fn at_once(&self, message: Msg) -> Result<bool, Msg> {
        let mut seat = match self.engine.try_lock() {
            Ok(seat) => seat,
            Err(TryLockError::WouldBlock | TryLockError::Poisoned(_)) => return Err(message),
        };
        let Some(engine) = seat.as_mut() else {
            return Err(message);
        };
        // Looked at under the lock: what was sent before by the same sender is taken, or it is seen here.
        if self.waiting.load(Ordering::Acquire) > 0 || !engine.is_calm(TURN_TIME_MAX) {
            return Err(message);
        }
        let mut first = Some(message);
        for _ in 0..TURNS_MAX {
            match engine.turn_or_fail(first.take()) {
                Left::Nothing => return Ok(false),
                Left::Work => {}
                Left::Failure => break,
            }
        }
        Ok(true)
    }
}

/// A message that could not be sent: the engine has ended.
pub(crate) struct Ended(pub(crate) Msg);

/// Where messages are sent to. Clones are the same.
#[derive(Clone)]
pub(crate) struct Inbox {
    messages: mpsc::Sender<Msg>,
    desk: Arc<Desk>,
}

impl Inbox {
    /// An empty one for so many messages, and the end at which the engine's thread takes them.
    pub(crate) fn new(room: usize) -> (Inbox, mpsc::Receiver<Msg>, Arc<Desk>) {
        let (messages, receiver) = mpsc::channel(room);
        let desk = Arc::new(Desk::default());
        let inbox = Inbox {
            messages,
            desk: Arc::clone(&desk),
        };
        (inbox, receiver, desk)
    }

    /// Sends a message, and carries its turn out where there is little to do. Waits while there is no room.
    ///
    /// # Errors
    /// The engine has ended.
    pub(crate) async fn send(&self, message: Msg) -> Result<(), Ended> {
        match self.desk.at_once(message) {
            Ok(false) => Ok(()),
            // A tick too many makes no record, and wakes the thread.
            Ok(true) => self.post(Msg::Tick).await,
            Err(message) => self.post(message).await,
        }
    }

    /// Sends a message to the engine's thread.
    ///
    /// # Errors
    /// The engine has ended.
    pub(crate) async fn post(&self, message: Msg) -> Result<(), Ended> {
        let Ok(room) = self.messages.reserve().await else {
            return Err(Ended(message));
        };
        // Counted only when nothing can come in between any more: who waits for room may be gone before there is any.
        self.desk.waiting.fetch_add(1, Ordering::AcqRel);
        room.send(message);
        Ok(())
    }

    /// The same from a thread that may block.
    pub(crate) fn post_blocking(&self, message: Msg) -> Result<(), Ended> {
        self.desk.waiting.fetch_add(1, Ordering::AcqRel);
        self.messages
            .blocking_send(message)
            .map_err(|error| Ended(error.0))
    }

    /// The same inbox, which does not keep the engine alive.
    pub(crate) fn downgrade(&self) -> WeakInbox {
        WeakInbox {
            messages: self.messages.downgrade(),
            desk: Arc::downgrade(&self.desk),
        }
    }
}

/// An inbox that does not keep the engine alive.
#[derive(Clone)]
pub(crate) struct WeakInbox {
    messages: mpsc::WeakSender<Msg>,
    desk: Weak<Desk>,
}

impl WeakInbox {
    pub(crate) fn upgrade(&self) -> Option<Inbox> {
        Some(Inbox {
            messages: self.messages.upgrade()?,
            desk: self.desk.upgrade()?,
        })
    }
}

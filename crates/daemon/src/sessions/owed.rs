//! The settlement that a command of a session is owed: it is paid exactly once, whatever happens.

use super::{Inner, Stage};
use actum_model::{ErrorCode, Fault, Settlement};
use std::sync::Arc;

/// Held by whoever carries the command out. Dropped unpaid, it settles the command as lost.
pub(super) struct Owed {
    inner: Arc<Inner>,
    seq: u64,
}

impl Owed {
    /// For a command that is among the running ones.
    pub(super) fn new(inner: &Arc<Inner>, seq: u64) -> Owed {
        Owed {
            inner: Arc::clone(inner),
            seq,
        }
    }

    pub(super) fn seq(&self) -> u64 {
        self.seq
    }

    pub(super) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// Settles it.
    pub(super) fn pay(self, settlement: Settlement) {
        self.settle(settlement);
    }

    /// From here on a stop goes to its worker. False if it was asked to stop before.
    pub(super) fn becomes_code(&self) -> bool {
        let mut all = self.inner.running();
        let Some(running) = all.get_mut(&self.seq) else {
            return false;
        };
        if matches!(&running.stage, Stage::Task(stop) if stop.borrow().is_some()) {
            return false;
        }
        running.stage = Stage::Code { stopped: None };
        true
    }

    fn settle(&self, settlement: Settlement) {
        // Its place among the running ones is there once, and so is its settlement.
        if self.inner.running().remove(&self.seq).is_some() {
            self.inner.sink.settle(self.seq, settlement);
        }
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        let fault = if std::thread::panicking() {
            Fault::new(ErrorCode::Internal, "a command of a session was lost")
        } else {
            Fault::new(ErrorCode::SessionLost, "the session ended while it ran")
        };
        self.settle(Settlement::failed(fault));
    }
}

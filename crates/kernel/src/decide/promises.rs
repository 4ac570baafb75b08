//! Promises that nobody settled: time rejects them, and an execution takes its own with it when it ends.

use super::Decider;
use actum_model::event::Event;
use actum_model::limits::{PROMISES_BYTES_MAX, PROMISES_SETTLED_MAX};
use actum_model::promise::{PromiseRow, PromiseSettled, PromiseState};
use actum_model::{ErrorCode, Fault, time};

impl Decider<'_> {
    /// Rejects what is due, the longest due first, as far as the record has room.
    pub(super) fn time_out_promises(&mut self) {
        while self.has_room() {
            let Some((due, key)) = self.state.promises.due.get_min().cloned() else {
                return;
            };
            if due > self.head.at {
                return;
            }
            let message = format!("nobody settled it until {}", time::rfc3339(due));
            self.emit(Event::PromiseSettled(Box::new(PromiseSettled {
                tenant: key.0,
                promise: key.1,
                settled: PromiseState::TimedOut,
                value: None,
                fault: Some(Fault::new(ErrorCode::TimedOut, message)),
                by: None,
            })));
        }
    }

    /// A running command ends: nobody waits any more for what only it could use.
    pub(super) fn cancel_promises_of(&mut self, seq: u64) {
        while let Some(row) = self.state.promises.pending_of_execution(seq) {
            self.cancel_promise(&row);
        }
    }

    fn cancel_promise(&mut self, row: &PromiseRow) {
        let fault = Fault::new(ErrorCode::Cancelled, "the execution it belonged to ended");
        self.emit(Event::PromiseSettled(Box::new(PromiseSettled {
            tenant: row.tenant.clone(),
            promise: row.promise.clone(),
            settled: PromiseState::Cancelled,
            value: None,
            fault: Some(fault),
            by: None,
        })));
    }

    /// Keeps settled promises within their bounds, in steps.
    pub(super) fn retire_promises(&mut self) {
        let promises = &self.state.promises;
        let kept = promises.settled.len() as u64;
        let step = PROMISES_SETTLED_MAX / 64;
        let mut count = if kept > PROMISES_SETTLED_MAX {
            kept - PROMISES_SETTLED_MAX + step
        } else {
            0
        };
        let mut bytes = promises.settled_bytes;
        let mut oldest = promises.settled.iter().filter_map(|key| promises.rows.get(key));
        let mut over = 0;
        while bytes > PROMISES_BYTES_MAX {
            let Some(row) = oldest.next() else { break };
            bytes = bytes.saturating_sub(row.weight_bytes());
            over += 1;
        }
        count = count.max(over).min(kept);
        if count > 0 {
            self.emit(Event::PromisesPruned { count });
        }
    }
}

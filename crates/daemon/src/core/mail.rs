//! Takes the answers of a batch to their connections, off the engine's thread: waking a connection from outside
//! the runtime costs a system call each, and one batch can answer every connection there is.

use super::handle::ReplyTo;
use actum_model::Response;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// The answers of one batch.
type Answers = Vec<(ReplyTo, Response)>;

/// The way to the connections. Batches arrive in the order in which they were sent.
pub(crate) struct Mail {
    batches: mpsc::UnboundedSender<Answers>,
    /// Batches that are on their way.
    under_way: Arc<AtomicUsize>,
    carrier: JoinHandle<()>,
}

impl Mail {
    pub(crate) fn start(runtime: &Handle) -> Mail {
        let (batches, mut waiting) = mpsc::unbounded_channel::<Answers>();
        let under_way = Arc::new(AtomicUsize::new(0));
        let left = Arc::clone(&under_way);
        let carrier = runtime.spawn(async move {
            while let Some(answers) = waiting.recv().await {
                deliver(answers);
                left.fetch_sub(1, Ordering::AcqRel);
            }
        });
        Mail {
            batches,
            under_way,
            carrier,
        }
    }

    pub(crate) fn send(&self, answers: Answers) {
        // One answer wakes one connection, which the carrier would do no cheaper.
        if answers.len() == 1 && self.under_way.load(Ordering::Acquire) == 0 {
            return deliver(answers);
        }
        self.under_way.fetch_add(1, Ordering::AcqRel);
        let _runtime_is_gone = self.batches.send(answers);
    }

    /// Returns when everything is delivered. Blocks; not for a thread of the runtime.
    pub(crate) fn close(self, runtime: &Handle) {
        drop(self.batches);
        let _runtime_is_gone = runtime.block_on(self.carrier);
    }
}

fn deliver(answers: Answers) {
    for (reply, response) in answers {
        reply.send(response);
    }
}

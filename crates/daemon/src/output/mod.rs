//! What running commands write: on its way out it is redacted, told live in chunks, and kept whole to its limit.
//!
//! It serves whoever carries commands out. It starts nothing and decides nothing.

mod capture;
mod shape;
mod spool;
mod text;

pub(crate) use capture::{Capture, Captured};
pub(crate) use shape::shape;

use crate::redact::Rules;
use actum_model::{Hash, Settlement};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Live output that waits to be taken, over all commands. Beyond it whoever writes is left to wait, so that a
/// program that writes faster than the daemon passes on is slowed down instead of filling memory.
const LIVE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Seals a whole output as blob and returns its name. It is called from a thread that may block.
pub type Seal = Arc<dyn Fn(&[u8]) -> Result<Hash, String> + Send + Sync>;

/// One of the two streams a process writes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// The stream as it stands on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        }
    }
}

/// What is told of commands that are carried out.
#[derive(Debug)]
pub enum WorkEvent {
    /// A running command wrote something.
    Output {
        /// The command.
        seq: u64,
        /// The stream.
        stream: Stream,
        /// Where `data` begins, in bytes of all `data` of this stream before it.
        offset: u64,
        /// At most 64 KiB of redacted text, invalid UTF-8 replaced.
        data: String,
        /// Room in the live window; dropping it makes room for more. Do not keep it with the data.
        credit: Credit,
    },
    /// A running command showed something, or told how far it is. Redacted.
    Shown {
        /// The command.
        seq: u64,
        /// What.
        shown: Shown,
    },
    /// A command came to its end. Nothing of it comes after this.
    Settled {
        /// The command.
        seq: u64,
        /// What became of it.
        settlement: Settlement,
    },
}

/// What a running command shows beside its output. It is live only.
#[derive(Clone, Debug, PartialEq)]
pub enum Shown {
    /// A bundle by media type.
    Display(serde_json::Value),
    /// `{step, total, text}`.
    Progress(serde_json::Value),
}

/// Room taken in the window of live output, given back when dropped.
#[derive(Debug)]
pub struct Credit(#[expect(dead_code, reason = "held for its drop")] Option<OwnedSemaphorePermit>);

/// Where what commands write goes. Clones share the window of live output.
#[derive(Clone)]
pub struct Sink {
    events: mpsc::UnboundedSender<WorkEvent>,
    seal: Seal,
    /// One whole output in memory at a time.
    sealing: Arc<Semaphore>,
    live: Arc<Semaphore>,
    spool: PathBuf,
    pub(crate) rules: Arc<Rules>,
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink")
            .field("spool", &self.spool)
            .finish_non_exhaustive()
    }
}

impl Sink {
    /// A sink that tells `events`, seals large output with `seal` and collects in files without a name in the folder
    /// `spool`, which must exist. Only redacted output is written there.
    #[must_use]
    pub fn new(
        events: mpsc::UnboundedSender<WorkEvent>,
        seal: Seal,
        spool: impl Into<PathBuf>,
        rules: Arc<Rules>,
    ) -> Sink {
        Sink {
            events,
            seal,
            sealing: Arc::new(Semaphore::new(1)),
            live: Arc::new(Semaphore::new(LIVE_BYTES_MAX)),
            spool: spool.into(),
            rules,
        }
    }

    /// Tells of something. Nobody listens any more only when the daemon ends.
    pub(crate) fn tell(&self, event: WorkEvent) {
        let _nobody = self.events.send(event);
    }

    /// A command came to its end.
    pub(crate) fn settle(&self, seq: u64, settlement: Settlement) {
        self.tell(WorkEvent::Settled { seq, settlement });
    }

    /// Seals bytes as a blob. Blocks.
    ///
    /// # Errors
    /// When they cannot be kept.
    pub(crate) fn seal_now(&self, bytes: &[u8]) -> Result<Hash, String> {
        (self.seal)(bytes)
    }

    /// Seals bytes as a blob.
    ///
    /// # Errors
    /// When they cannot be kept.
    pub(crate) async fn seal(&self, bytes: Vec<u8>) -> Result<Hash, String> {
        let seal = Arc::clone(&self.seal);
        let sealed = tokio::task::spawn_blocking(move || seal(&bytes)).await;
        sealed.map_err(|error| error.to_string())?
    }
}

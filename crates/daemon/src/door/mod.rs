//! The process door: the one place where Actum starts programs (`shell.run`).
//!
//! It runs argument lists without a shell, streams what they write, redacted, and answers for the whole tree:
//! when a command has settled, nothing it started runs any more, or the settlement says that this could not be
//! confirmed. It decides nothing: which command may run, for how long, and what a settlement means is the
//! kernel's to say. It builds no cage, that is `actum-sandbox`; where a job brings none, its program runs with the daemon's own rights.

mod job;
mod keeper;
mod life;
mod order;
mod payload;
mod procfs;
mod pump;
mod reaper;
mod report;
mod setup;
mod strike;
mod tree;
mod warden;

pub use crate::output::{Credit, Seal, Sink, Stream, WorkEvent};
pub use job::{Job, MARK};
pub use keeper::Swept;
pub(crate) use keeper::exited;

use actum_model::{ErrorCode, Fault, Hash, Settlement};
use order::{Plan, StopOrder};
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;

/// What a door may be told about its surroundings.
#[derive(Debug, Clone, Copy)]
pub struct DoorOptions {
    /// How long output is still read after the process has exited while something holds its pipes open.
    pub drain: Duration,
    /// How long after KILL the end of every process may take before the stop counts as unconfirmed.
    pub confirm: Duration,
}

impl Default for DoorOptions {
    fn default() -> DoorOptions {
        DoorOptions {
            drain: Duration::from_millis(200),
            confirm: Duration::from_secs(2),
        }
    }
}

/// The door. Clones share everything.
#[derive(Clone)]
pub struct Door {
    inner: Arc<Inner>,
}

struct Inner {
    runtime: Handle,
    keeper: keeper::Keeper,
    sink: Sink,
    options: DoorOptions,
    closing: AtomicBool,
    jobs: Mutex<BTreeMap<u64, Arc<StopOrder>>>,
    count: watch::Sender<usize>,
}

impl Door {
    /// A door that tells `sink` of what it starts. The first door of the process makes it the reaper of its orphans
    /// and starts the one thread that forks.
    ///
    /// # Errors
    /// Outside a tokio runtime, or when the thread cannot be started.
    pub fn new(sink: Sink, options: DoorOptions) -> io::Result<Door> {
        let runtime = Handle::try_current().map_err(io::Error::other)?;
        let inner = Inner {
            keeper: keeper::Keeper::of_process()?,
            runtime,
            sink,
            options,
            closing: AtomicBool::new(false),
            jobs: Mutex::new(BTreeMap::new()),
            count: watch::channel(0).0,
        };
        inner.keeper.listen(&inner.runtime);
        Ok(Door {
            inner: Arc::new(inner),
        })
    }

    /// Starts a process and returns at once. Every job settles exactly once through the events, also one that
    /// cannot be started. A job whose number runs already is a bug of the caller and is dropped with a log line.
    pub fn start(&self, job: Job) {
        self.begin(job.seq, Plan::Ready(Box::new(job)));
    }

    /// The same for a job that is still to be made, say of secrets that must be read first. The number counts as
    /// running from now on, so that a stop that comes meanwhile is not lost. `make` may block; when it fails, the
    /// job settles as failed with its fault.
    pub fn start_with(&self, seq: u64, make: impl FnOnce() -> Result<Job, Fault> + Send + 'static) {
        self.begin(seq, Plan::Later(Box::new(make)));
    }

    fn begin(&self, seq: u64, plan: Plan) {
        let inner = Arc::clone(&self.inner);
        let order = Arc::new(StopOrder::new());
        {
            // One lock over the question and the answer, so that `close` sees every job it must wait for.
            let mut jobs = inner.jobs();
            if inner.closing.load(Ordering::SeqCst) {
                return inner.settle(seq, refused());
            }
            if jobs.contains_key(&seq) {
                tracing::error!(seq, "a job with this number runs already");
                return;
            }
            jobs.insert(seq, Arc::clone(&order));
            inner.count.send_modify(|count| *count += 1);
        }
        let runtime = inner.runtime.clone();
        runtime.spawn(async move {
            let life = tokio::spawn(life::live(Arc::clone(&inner), seq, plan, order));
            let settlement = life.await.unwrap_or_else(|error| lost(&error.to_string()));
            inner.jobs().remove(&seq);
            inner.settle(seq, settlement);
            inner.count.send_modify(|count| *count -= 1);
        });
    }

    /// Stops a command: TERM to its whole tree, KILL to what is left after `grace`. It settles as stopped, or as
    /// unconfirmed. A number that does not run is ignored: its settlement is on its way or was told.
    pub fn stop(&self, seq: u64, grace: Duration) {
        if let Some(order) = self.inner.jobs().get(&seq) {
            order.ask(grace);
        }
    }

    /// How many run.
    #[must_use]
    pub fn running(&self) -> usize {
        *self.inner.count.borrow()
    }

    /// Takes no more jobs, stops all that run and returns when each has settled. A job started later settles at
    /// once as failed with `SHUTTING_DOWN`.
    pub async fn close(&self, grace: Duration) {
        {
            let jobs = self.inner.jobs();
            self.inner.closing.store(true, Ordering::SeqCst);
            jobs.values().for_each(|order| order.ask(grace));
        }
        let mut count = self.inner.count.subscribe();
        // The sender lives as long as `self`, so this ends only when the count is zero.
        let _ = count.wait_for(|count| *count == 0).await;
    }

    /// Ends what an earlier daemon left running of these effects, found by their mark: TERM, KILL after `grace`.
    /// To be called at boot for commands in doubt, before a retry of them can start.
    pub async fn sweep(&self, effects: &[Hash], grace: Duration) -> Swept {
        self.inner
            .keeper
            .sweep(effects, grace, self.inner.options.confirm)
            .await
    }
}

impl Inner {
    fn jobs(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<StopOrder>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self, seq: u64, settlement: Settlement) {
        self.sink.settle(seq, settlement);
    }
}

fn refused() -> Settlement {
    Settlement::failed(Fault::new(
        ErrorCode::ShuttingDown,
        "the process was not started: the daemon is draining",
    ))
}

/// The settlement of a job whose task ended by a bug: nobody knows what runs.
fn lost(error: &str) -> Settlement {
    Settlement::unconfirmed(Fault::new(
        ErrorCode::Internal,
        format!("the process door lost a command: {error}"),
    ))
}

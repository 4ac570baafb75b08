//! Warm sessions: processes that were started ahead of need, for sessions that see no folder of the user. A folder is
//! mounted when a process is forked, so a session with one gets its process forked for it.

use super::start::{Order, Starter, Workers};
use actum_model::limits::SESSION_PROCESSES_MAX;
use actum_model::{ErrorCode, Fault};
use actum_worker::pool::{BreakerState, Item, Lease, Pool, PoolError, PoolOptions, Source};
use actum_worker::process::Boxed;
use actum_worker::session::{Events, Session};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Warm ones of each sort that is used.
const MIN_IDLE: usize = 2;
/// How long a warm one beyond these is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Resident memory of all warm ones, with what they share counted for each.
const MEMORY_BUDGET_BYTES: u64 = 256 * 1024 * 1024;

/// What tells warm ones apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Sort {
    /// Shell instead of Python.
    pub(super) shell: bool,
    /// Whether it has a workspace of its own.
    pub(super) workspace: bool,
}

impl Sort {
    /// The kind of session.
    pub(super) fn kind(self) -> &'static str {
        if self.shell { "shell" } else { "python" }
    }
}

/// A process that waits for its session.
pub(super) struct Warm {
    session: Session,
    events: Option<Events>,
    sandbox: Value,
    /// Its own folder, to be moved to where the session has its own.
    folder: Option<PathBuf>,
}

impl Item for Warm {
    fn rss_bytes(&self) -> u64 {
        self.session.rss_bytes()
    }

    fn is_alive(&self) -> bool {
        self.session.is_alive()
    }
}

impl Drop for Warm {
    fn drop(&mut self) {
        if let Some(folder) = self.folder.take() {
            // Nobody was given it, so it is empty.
            let _left = std::fs::remove_dir(folder);
        }
    }
}

/// Where warm ones come from.
pub(super) struct Forks {
    starter: Starter,
    folders: PathBuf,
    next: AtomicU64,
}

impl Source for Forks {
    type Key = Sort;
    type Item = Warm;

    fn start(&self, sort: &Sort) -> Boxed<Result<Warm, String>> {
        let (starter, sort) = (self.starter.clone(), *sort);
        let folder = sort.workspace.then(|| {
            self.folders
                .join(self.next.fetch_add(1, Ordering::Relaxed).to_string())
        });
        Box::pin(async move {
            let order = Order::warm(sort.kind(), folder.as_deref());
            let order = order.map_err(|fault| told(&fault))?;
            let started = starter.start(order).await.map_err(|fault| told(&fault))?;
            Ok(Warm {
                session: started.session,
                events: Some(started.events),
                sandbox: started.sandbox,
                folder,
            })
        })
    }
}

/// A fault on its way through the pool, which knows texts.
fn told(fault: &Fault) -> String {
    serde_json::to_string(fault).unwrap_or_else(|_| fault.to_string())
}

/// The pool. Clones are the same.
#[derive(Clone)]
pub(super) struct Warmed(Pool<Forks>);

/// What keeps a place in the pool while the session lives.
pub(super) type Place = Mutex<Option<Lease<Forks>>>;

impl Warmed {
    /// An empty pool; folders of its own go to `folders`.
    pub(super) fn new(starter: Starter, folders: PathBuf) -> Warmed {
        let forks = Forks {
            starter,
            folders,
            next: AtomicU64::new(0),
        };
        let options = PoolOptions {
            min_idle: MIN_IDLE,
            max: SESSION_PROCESSES_MAX,
            idle_timeout: IDLE_TIMEOUT,
            memory_budget_bytes: MEMORY_BUDGET_BYTES,
            ..PoolOptions::default()
        };
        let random = || crate::core::random_bytes::<8>().map_or(0, u64::from_le_bytes);
        Warmed(Pool::new(forks, options, random))
    }

    /// Makes some ready.
    pub(super) fn expect(&self, sort: Sort) {
        self.0.warm(&sort);
    }

    /// A process, warm if there is one, with its folder moved to `folder`.
    ///
    /// # Errors
    /// `POOL_EXHAUSTED` while starting is not tried, else why it could not be started.
    pub(super) async fn acquire(
        &self,
        sort: Sort,
        folder: Option<PathBuf>,
    ) -> Result<(Workers, Place), Fault> {
        let mut lease = self.0.acquire(&sort).await.map_err(|error| unacquired(&error))?;
        let lost = || Fault::new(ErrorCode::Internal, "a warm session has no events");
        let events = lease.events.take().ok_or_else(lost)?;
        let mut sandbox = lease.sandbox.clone();
        if let (Some(from), Some(to)) = (lease.folder.clone(), folder) {
            if let Some(path) = sandbox.pointer_mut("/folders/0/path") {
                *path = json!(to);
            }
            let moved = tokio::task::spawn_blocking(move || {
                if let Some(parent) = to.parent() {
                    std::fs::create_dir_all(parent)?;
                }
                std::fs::rename(from, to)
            });
            let moved = moved.await.map_err(std::io::Error::other).and_then(|moved| moved);
            moved.map_err(|error| {
                Fault::new(
                    ErrorCode::Internal,
                    format!("the session's folder cannot be made ({error})"),
                )
            })?;
            lease.folder = None;
        }
        let workers = Workers {
            session: lease.session.clone(),
            events,
            sandbox,
        };
        Ok((workers, Mutex::new(Some(lease))))
    }

    /// Lets go of what is warm.
    pub(super) fn close(&self) {
        self.0.close();
    }

    /// What it counted, for people.
    pub(super) fn describe(&self) -> Value {
        let metrics = self.0.metrics();
        let breaker = match metrics.breaker {
            BreakerState::Closed => "closed",
            BreakerState::Open => "open",
            BreakerState::Probing => "probing",
        };
        json!({"hits": metrics.hits, "misses": metrics.misses, "refused": metrics.refused,
            "failures": metrics.failures, "warmed": metrics.warmed, "warmedUsed": metrics.warmed_used,
            "warmUpEfficiency": metrics.warm_up_efficiency(), "evictedIdle": metrics.evicted_idle,
            "evictedMemory": metrics.evicted_memory, "recycled": metrics.recycled, "dead": metrics.dead,
            "idle": metrics.idle, "starting": metrics.starting, "leased": metrics.leased, "breaker": breaker,
            "acquireMicros": latencies(&metrics.acquire_micros)})
    }
}

/// The histogram as upper bounds in microseconds with counts, without empty buckets.
fn latencies(buckets: &[u64]) -> Vec<Value> {
    let counted = buckets.iter().enumerate().filter(|(_, count)| **count > 0);
    counted
        .map(|(power, count)| json!({"below": 1_u64 << power.min(63), "count": count}))
        .collect()
}

fn unacquired(error: &PoolError) -> Fault {
    match error {
        PoolError::Start(text) => match serde_json::from_str(text) {
            Ok(fault) => fault,
            Err(_) => Fault::new(ErrorCode::WorkerFailed, text.clone()),
        },
        PoolError::Open { retry_after } => {
            let wait = u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX);
            Fault::new(ErrorCode::PoolExhausted, error.to_string())
                .with_details(&json!({"retryAfterMs": wait}))
        }
        PoolError::Closed => Fault::new(ErrorCode::ShuttingDown, "the daemon is draining"),
    }
}

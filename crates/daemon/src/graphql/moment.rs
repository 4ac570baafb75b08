//! What one request sees: one published state for all its fields, who asks, until when, and how much it may get.

use super::inputs::ViewRefInput;
use super::pins::Pins;
use crate::core::{Core, Published};
use actum_kernel::state::Version;
use actum_model::ids::Tenant;
use actum_model::limits::GRAPHQL_RESPONSE_BYTES_MAX;
use actum_model::{Caller, ErrorCode, Fault};
use async_graphql::Context;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// See the head of the file.
pub(crate) struct Moment {
    pub(crate) core: Core,
    pub(crate) caller: Caller,
    pub(crate) published: Arc<Published>,
    pub(crate) pins: Arc<Pins>,
    deadline: Option<Deadline>,
    spent_bytes: AtomicUsize,
}

/// When a request has to have its answer, and how long that was from its beginning.
#[derive(Clone, Copy)]
struct Deadline {
    at: Instant,
    after: Duration,
}

/// The moment of the request that a field is resolved for.
pub(crate) fn moment<'a>(ctx: &Context<'a>) -> Result<&'a Arc<Moment>, Fault> {
    ctx.data::<Arc<Moment>>()
        .map_err(|_| Fault::new(ErrorCode::Internal, "the request has no state to read"))
}

impl Moment {
    /// The newest durable state, for a query or mutation: it ends at a time and is given so many bytes.
    pub(crate) fn of_request(core: &Core, caller: &Caller, pins: &Arc<Pins>, most: Duration) -> Moment {
        Moment {
            deadline: Some(Deadline {
                at: Instant::now() + most,
                after: most,
            }),
            ..Moment::of_subscription(core, caller, pins)
        }
    }

    /// The same for a subscription, which ends when its client ends it.
    pub(crate) fn of_subscription(core: &Core, caller: &Caller, pins: &Arc<Pins>) -> Moment {
        Moment {
            published: core.published(),
            core: core.clone(),
            caller: caller.clone(),
            pins: Arc::clone(pins),
            deadline: None,
            spent_bytes: AtomicUsize::new(0),
        }
    }

    pub(crate) fn tenant(&self) -> &Tenant {
        &self.caller.tenant
    }

    /// The version of a view that is asked for: kept by the kernel, or because a reader was given it.
    pub(crate) fn version(&self, view: &ViewRefInput) -> Result<Arc<Version>, Fault> {
        let (name, asked) = view.read()?;
        let state = &self.published.state;
        let kept = state.version(self.tenant(), name, asked).map(Arc::new);
        match (kept, asked) {
            (Err(fault), Some(asked))
                if matches!(fault.code, ErrorCode::SnapshotExpired | ErrorCode::SwsNotActive) =>
            {
                self.pins.get(name, asked).ok_or(fault)
            }
            (Ok(version), Some(asked)) => {
                // Somebody pages through it: from here on it is kept as long as they go on.
                self.pins.keep(asked, &version);
                Ok(version)
            }
            (kept, _) => kept,
        }
    }

    /// Ends a request that takes too long, and lets others have their turn: what reads a page comes by here.
    pub(crate) async fn breathe(&self) -> Result<(), Fault> {
        if let Some(late) = self.deadline.filter(|deadline| deadline.at <= Instant::now()) {
            return Err(too_long(late.after));
        }
        tokio::task::yield_now().await;
        Ok(())
    }

    /// Counts what is given out, so that the answer stays within bounds.
    pub(crate) fn spend(&self, bytes: usize) -> Result<(), Fault> {
        let before = self.spent_bytes.fetch_add(bytes, Ordering::Relaxed);
        if self.deadline.is_none() || before.saturating_add(bytes) <= GRAPHQL_RESPONSE_BYTES_MAX {
            return Ok(());
        }
        let most = GRAPHQL_RESPONSE_BYTES_MAX >> 20;
        let message = format!("the answer holds more than {most} MiB of payloads");
        Err(Fault::new(ErrorCode::InvalidInput, message).with_hint("ask for smaller pages"))
    }

    /// Whether what was done to a shadow working set is the caller's to know.
    pub(crate) fn owns(&self, published: &Published, sws: u64) -> bool {
        published.state.graph.sws(self.tenant(), sws).is_ok()
    }
}

/// The fault of a request that took too long.
pub(crate) fn too_long(most: Duration) -> Fault {
    let message = format!("the query took longer than {} ms", most.as_millis());
    Fault::new(ErrorCode::TimedOut, message).with_hint("ask for less at once: smaller pages, fewer levels")
}

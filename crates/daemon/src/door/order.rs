//! What a caller wants of a job: that it is made and started, and whether it is to be stopped.

use super::job::Job;
use actum_model::{ErrorCode, Fault};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// A job, or how to make it.
pub(super) enum Plan {
    Ready(Box<Job>),
    Later(Box<dyn FnOnce() -> Result<Job, Fault> + Send>),
}

impl Plan {
    pub(super) async fn job(self) -> Result<Box<Job>, Fault> {
        match self {
            Plan::Ready(job) => Ok(job),
            Plan::Later(make) => match tokio::task::spawn_blocking(make).await {
                Ok(made) => made.map(Box::new),
                Err(error) => Err(Fault::new(ErrorCode::Internal, error.to_string())),
            },
        }
    }
}

/// Whether, and by when, a job is to be stopped.
pub(super) struct StopOrder {
    pub(super) deadline: watch::Sender<Option<Instant>>,
}

impl StopOrder {
    pub(super) fn new() -> StopOrder {
        StopOrder {
            deadline: watch::channel(None).0,
        }
    }

    /// Asks for the stop. A second call can shorten the grace, never lengthen it.
    pub(super) fn ask(&self, grace: Duration) {
        let by = Instant::now() + grace;
        self.deadline.send_modify(|deadline| {
            *deadline = Some(deadline.map_or(by, |before| before.min(by)));
        });
    }

    pub(super) fn asked(&self) -> bool {
        self.deadline.borrow().is_some()
    }
}

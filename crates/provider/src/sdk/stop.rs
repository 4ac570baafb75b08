//! When a call gives up: because it was cancelled, or because its time has run out.

use super::Failure;
use actum_model::{ErrorCode, Fault};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Cancels the calls that hold its [`Stop`]. Dropping it cancels nothing.
#[derive(Clone, Debug)]
pub struct Canceller {
    cancelled: watch::Sender<bool>,
}

/// What a call looks at to know when to give up. Clones look at the same.
#[derive(Clone, Debug)]
pub struct Stop {
    cancelled: watch::Receiver<bool>,
    deadline: Option<Instant>,
}

impl Canceller {
    /// A new one, and what its calls look at.
    #[must_use]
    pub fn new() -> (Canceller, Stop) {
        let (cancelled, watched) = watch::channel(false);
        let stop = Stop {
            cancelled: watched,
            deadline: None,
        };
        (Canceller { cancelled }, stop)
    }

    /// Cancels. Doing it twice is doing it once.
    pub fn cancel(&self) {
        self.cancelled.send_replace(true);
    }
}

impl Stop {
    /// One that never comes.
    #[must_use]
    pub fn never() -> Stop {
        Canceller::new().1
    }

    /// The same with a deadline; the earlier one counts where there is one already.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Instant) -> Stop {
        self.deadline = Some(self.deadline.map_or(deadline, |own| own.min(deadline)));
        self
    }

    /// The same with a deadline that far from now. A time beyond what the clock can hold is no deadline.
    #[must_use]
    pub fn within(self, time: Duration) -> Stop {
        match Instant::now().checked_add(time) {
            Some(deadline) => self.with_deadline(deadline),
            None => self,
        }
    }

    /// Why to give up now, if so: `CANCELLED` or `TIMED_OUT`.
    ///
    /// # Errors
    /// That fault.
    pub fn check(&self) -> Result<(), Failure> {
        if *self.cancelled.borrow() {
            return Err(cancelled().into());
        }
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(timed_out().into()),
            _ => Ok(()),
        }
    }

    /// Waits until it is time to give up, and says why.
    pub async fn wait(&self) -> Fault {
        let mut watched = self.cancelled.clone();
        let cancelled_by_caller = async {
            if watched.wait_for(|cancelled| *cancelled).await.is_err() {
                // Nobody is left who could cancel.
                std::future::pending::<()>().await;
            }
        };
        let out_of_time = async {
            match self.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = cancelled_by_caller => cancelled(),
            () = out_of_time => timed_out(),
        }
    }
}

fn cancelled() -> Fault {
    Fault::new(ErrorCode::Cancelled, "it was cancelled")
}

fn timed_out() -> Fault {
    Fault::new(ErrorCode::TimedOut, "its time ran out")
}

//! Wakes the engine when something is due. It decides nothing: a tick too many makes no record.

use super::clock::Clocks;
use super::thread::Msg;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Expiries by history time are looked at no more often than this; nobody waits for them.
const CALENDAR_PAUSE: Duration = Duration::from_secs(1);
/// Between two ticks for the same limit.
const PAUSE: Duration = Duration::from_millis(2);

/// What is due next: run time and history time, milliseconds.
type Due = (Option<u64>, Option<u64>);

/// Tells the ticking task what is due next.
pub(crate) struct Ticker {
    due: watch::Sender<Due>,
}

impl Ticker {
    /// Starts the task. `elapsed_base` is the run time when the clocks started.
    pub(crate) fn start(
        runtime: &tokio::runtime::Handle,
        inbox: mpsc::WeakSender<Msg>,
        clocks: Clocks,
        elapsed_base: u64,
    ) -> Ticker {
        let (due, changes) = watch::channel((None, None));
        runtime.spawn(run(changes, inbox, clocks, elapsed_base));
        Ticker { due }
    }

    pub(crate) fn set(&self, elapsed: Option<u64>, at: Option<u64>) {
        self.due.send_if_modified(|due| {
            let changed = *due != (elapsed, at);
            *due = (elapsed, at);
            changed
        });
    }
}

async fn run(mut due: watch::Receiver<Due>, inbox: mpsc::WeakSender<Msg>, clocks: Clocks, elapsed_base: u64) {
    let mut pause = Duration::ZERO;
    loop {
        let (elapsed, at) = *due.borrow_and_update();
        let now = elapsed_base.saturating_add(clocks.monotonic_ms());
        let by_limit = elapsed.map(|due| Duration::from_millis(due.saturating_sub(now)).max(pause));
        let by_calendar =
            at.map(|due| Duration::from_millis(due.saturating_sub(clocks.wall_ms())).max(CALENDAR_PAUSE));
        let wait = by_limit.into_iter().chain(by_calendar).min();
        tokio::select! {
            () = sleep(wait) => {
                let Some(inbox) = inbox.upgrade() else { return };
                if inbox.send(Msg::Tick).await.is_err() {
                    return;
                }
                pause = PAUSE;
            }
            changed = due.changed() => {
                if changed.is_err() {
                    return;
                }
                pause = Duration::ZERO;
            }
        }
    }
}

async fn sleep(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

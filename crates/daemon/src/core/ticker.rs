//! Wakes the engine when something is due. It decides nothing: a tick too many makes no record.

use super::clock::Clocks;
use super::inbox::WeakInbox;
use super::thread::Msg;
use actum_kernel::State;
use actum_model::limits::CLOCK_JUMP_MS_MAX;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// Expiries by history time are looked at no more often than this; nobody waits for them.
const EXPIRY_PAUSE: Duration = Duration::from_secs(1);
/// Between two looks at the wall clock while a calendar timer may come due by a correction of it; and between two
/// ticks for a timer that the wall clock, but not history, says is due.
const CALENDAR_PAUSE: Duration = Duration::from_millis(500);
/// Between two ticks for the same limit.
const PAUSE: Duration = Duration::from_millis(2);

/// What is due next, milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Due {
    /// Run time of the next limit, timer or tick of the cadence.
    elapsed: Option<u64>,
    /// History time of the next expiry.
    expiry: Option<u64>,
    /// History time of the next calendar timer or the end of the next promise.
    calendar: Option<u64>,
    /// History time of the last record, and its run time.
    last: (u64, u64),
}

impl Due {
    pub(crate) fn of(state: &State) -> Due {
        let calendar = state.calendar_due_at();
        Due {
            elapsed: state.due_elapsed(),
            expiry: state.expiry_due_at(),
            calendar,
            // Only a calendar timer needs it, and it changes with every record.
            last: calendar.map_or((0, 0), |_| (state.at, state.elapsed)),
        }
    }

    /// Whether the task must be woken: it sleeps until the run time `planned` at the latest and looks again then. Every
    /// command brings a limit that nearly always comes too late to matter.
    fn wakes(&self, before: &Due, planned: u64) -> bool {
        let sooner = self.elapsed.is_some_and(|due| due < planned);
        sooner || (self.expiry, self.calendar, self.last) != (before.expiry, before.calendar, before.last)
    }

    /// How long until something wants a tick, and whether the wall clock must be read again before.
    fn wait(&self, wall: u64, elapsed: u64, paused: bool) -> (Option<Duration>, bool) {
        let pause = if paused { PAUSE } else { Duration::ZERO };
        let by_limit = self
            .elapsed
            .map(|due| Duration::from_millis(due.saturating_sub(elapsed)).max(pause));
        let by_expiry = self
            .expiry
            .map(|due| Duration::from_millis(due.saturating_sub(wall)).max(EXPIRY_PAUSE));
        let tick = by_limit.into_iter().chain(by_expiry).min();
        let Some(due) = self.calendar else {
            return (tick, false);
        };
        // History time goes on at least at the pace of run time, and follows the wall clock within the bound.
        let (last_at, last_elapsed) = self.last;
        let paced = last_at.saturating_add(elapsed.saturating_sub(last_elapsed));
        let follows = paced.abs_diff(wall) <= CLOCK_JUMP_MS_MAX;
        let history = if follows { paced.max(wall) } else { paced };
        let left = due.saturating_sub(history);
        let pause = if paused { CALENDAR_PAUSE } else { Duration::ZERO };
        let by_calendar = Duration::from_millis(left).max(pause);
        // A correction of the wall clock within the bound is followed at once, so within it one looks often.
        let look = if left > CLOCK_JUMP_MS_MAX {
            Duration::from_millis(left - CLOCK_JUMP_MS_MAX)
        } else {
            CALENDAR_PAUSE
        };
        let tick = tick.map_or(by_calendar, |tick| tick.min(by_calendar));
        (Some(tick.min(look)), look < tick)
    }
}

/// Tells the ticking task what is due next.
pub(crate) struct Ticker {
    due: watch::Sender<Due>,
    /// Run time of the limit that the task sleeps for.
    planned: Arc<AtomicU64>,
}

impl Ticker {
    /// Starts the task. `elapsed_base` is the run time when the clocks started.
    pub(crate) fn start(
        runtime: &tokio::runtime::Handle,
        inbox: WeakInbox,
        clocks: Clocks,
        elapsed_base: u64,
    ) -> Ticker {
        let (due, changes) = watch::channel(Due::default());
        let planned = Arc::new(AtomicU64::new(u64::MAX));
        runtime.spawn(run(changes, Arc::clone(&planned), inbox, clocks, elapsed_base));
        Ticker { due, planned }
    }

    pub(crate) fn set(&self, next: Due) {
        self.due.send_if_modified(|due| {
            let wakes = next.wakes(due, self.planned.load(Ordering::Acquire));
            *due = next;
            wakes
        });
    }
}

async fn run(
    mut due: watch::Receiver<Due>,
    planned: Arc<AtomicU64>,
    inbox: WeakInbox,
    clocks: Clocks,
    elapsed_base: u64,
) {
    let mut ticked = None;
    loop {
        let next = {
            // Planned while it is held, so that nothing sooner comes in between unseen.
            let next = due.borrow_and_update();
            planned.store(next.elapsed.unwrap_or(u64::MAX), Ordering::Release);
            *next
        };
        let paused = ticked == Some(next);
        let elapsed = elapsed_base.saturating_add(clocks.monotonic_ms());
        let (wait, only_look) = next.wait(clocks.wall_ms(), elapsed, paused);
        tokio::select! {
            () = sleep(wait) => {
                if only_look || *due.borrow() != next {
                    continue;
                }
                let Some(inbox) = inbox.upgrade() else { return };
                if inbox.post(Msg::Tick).await.is_err() {
                    return;
                }
                ticked = Some(next);
            }
            changed = due.changed() => {
                if changed.is_err() {
                    return;
                }
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

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_800_000_000_000;
    const YEAR_MS: u64 = 365 * 86_400_000;

    fn calendar(in_ms: u64) -> Due {
        Due {
            calendar: Some(START + in_ms),
            last: (START, 1000),
            ..Due::default()
        }
    }

    fn millis(ms: u64) -> Option<Duration> {
        Some(Duration::from_millis(ms))
    }

    #[test]
    fn a_calendar_timer_wakes_when_history_comes_to_it_whichever_way_the_wall_clock_jumps() {
        // 200 ms before its time, on time, and with a wall clock a year off.
        assert_eq!(calendar(300).wait(START + 100, 1100, false), (millis(200), false));
        assert_eq!(calendar(300).wait(START + 300, 1300, false), (millis(0), false));
        assert_eq!(
            calendar(300).wait(START - YEAR_MS, 1300, false),
            (millis(0), false)
        );
        assert_eq!(
            calendar(300).wait(START + YEAR_MS, 1100, false),
            (millis(200), false)
        );
        // The wall clock was corrected by a minute.
        assert_eq!(
            calendar(60_000).wait(START + 60_000, 1000, false),
            (millis(0), false)
        );
    }

    #[test]
    fn far_from_its_time_nobody_looks_at_the_clock() {
        let hour = 3_600_000;
        assert_eq!(
            calendar(hour).wait(START, 1000, true),
            (millis(hour - CLOCK_JUMP_MS_MAX), true)
        );
        assert_eq!(calendar(10_000).wait(START, 1000, false), (millis(500), true));
    }

    #[test]
    fn only_what_is_sooner_than_the_plan_wakes() {
        let limit = |elapsed| Due {
            elapsed,
            ..Due::default()
        };
        assert!(limit(Some(1500)).wakes(&limit(None), u64::MAX));
        assert!(limit(Some(1499)).wakes(&limit(Some(9000)), 1500));
        assert!(!limit(Some(1500)).wakes(&limit(None), 1500));
        assert!(!limit(Some(9000)).wakes(&limit(Some(1500)), 1500));
        assert!(!limit(None).wakes(&limit(Some(1500)), 1500));
        assert!(calendar(300).wakes(&limit(None), 1500));
    }

    #[test]
    fn limits_are_kept_to_the_millisecond_and_expiries_are_not() {
        let due = Due {
            elapsed: Some(1500),
            expiry: Some(START),
            ..Due::default()
        };
        assert_eq!(due.wait(START + 5, 1400, true), (millis(100), false));
        assert_eq!(due.wait(START + 5, 1500, true), (millis(2), false));
        let expiry = Due {
            expiry: Some(START),
            ..Due::default()
        };
        assert_eq!(expiry.wait(START + 5, 1400, false), (millis(1000), false));
    }
}

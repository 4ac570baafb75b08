//! The only place that reads the clocks.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Reads the wall clock and a monotonic clock that starts at zero.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clocks {
    started: Instant,
}

impl Clocks {
    pub(crate) fn start() -> Clocks {
        Clocks {
            started: Instant::now(),
        }
    }

    /// Milliseconds since the Unix epoch.
    pub(crate) fn wall_ms(self) -> u64 {
        millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
    }

    /// Milliseconds since the clocks were started.
    pub(crate) fn monotonic_ms(self) -> u64 {
        millis(self.started.elapsed())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

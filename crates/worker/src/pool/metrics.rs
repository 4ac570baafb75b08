//! What a pool counts.

use super::breaker::State;
use std::time::Duration;

/// Buckets of the histogram: bucket `n` counts what took less than 2^n microseconds; the last takes the rest.
pub const BUCKETS: usize = 26;

/// Counters since the pool was made, and how it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Metrics {
    /// Acquired from what was warm.
    pub hits: u64,
    /// Acquired by a start.
    pub misses: u64,
    /// Refused because the breaker was open.
    pub refused: u64,
    /// Starts that failed.
    pub failures: u64,
    /// Sessions started ahead of need.
    pub warmed: u64,
    /// Of those, how many were used.
    pub warmed_used: u64,
    /// Let go because nobody needed them for the idle time.
    pub evicted_idle: u64,
    /// Let go for the memory budget, or to make room for another key.
    pub evicted_memory: u64,
    /// Let go after their number of executions.
    pub recycled: u64,
    /// Found dead.
    pub dead: u64,
    /// Time from asking to having; see [`BUCKETS`].
    pub acquire_micros: [u64; BUCKETS],
    /// Idle now.
    pub idle: usize,
    /// Being started now.
    pub starting: usize,
    /// In use now.
    pub leased: usize,
    /// The breaker.
    pub breaker: State,
}

impl Metrics {
    pub(super) fn new() -> Metrics {
        Metrics {
            hits: 0,
            misses: 0,
            refused: 0,
            failures: 0,
            warmed: 0,
            warmed_used: 0,
            evicted_idle: 0,
            evicted_memory: 0,
            recycled: 0,
            dead: 0,
            acquire_micros: [0; BUCKETS],
            idle: 0,
            starting: 0,
            leased: 0,
            breaker: State::Closed,
        }
    }

    /// Sessions used of those started ahead; `None` before the first.
    #[must_use]
    pub fn warm_up_efficiency(&self) -> Option<f64> {
        (self.warmed > 0).then(|| self.warmed_used as f64 / self.warmed as f64)
    }

    pub(super) fn acquired(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = (u64::BITS - micros.leading_zeros()) as usize;
        if let Some(count) = self.acquire_micros.get_mut(bucket.min(BUCKETS - 1)) {
            *count += 1;
        }
    }
}

//! The spread of a set of durations.

use std::time::Duration;

/// Sorted durations.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spread {
    sorted: Vec<Duration>,
}

impl Spread {
    pub(crate) fn new(mut durations: Vec<Duration>) -> Spread {
        durations.sort_unstable();
        Spread { sorted: durations }
    }

    /// The duration that `share` of all stay at or below, by nearest rank.
    pub(crate) fn at(&self, share: f64) -> Duration {
        let last = self.sorted.len().saturating_sub(1);
        let rank = (share * last as f64).round() as usize;
        self.sorted.get(rank).copied().unwrap_or_default()
    }

    pub(crate) fn p50(&self) -> Duration {
        self.at(0.5)
    }

    pub(crate) fn p99(&self) -> Duration {
        self.at(0.99)
    }
}

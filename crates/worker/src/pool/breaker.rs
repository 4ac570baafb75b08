//! The breaker for starts that fail: opens after some in a row, lets one probe through after a while, and closes when
//! that succeeds. No clock and no randomness of its own.

use std::time::Duration;
use tokio::time::Instant;

/// Failures in a row that open it.
pub const FAILURES_MAX: u32 = 5;
/// First time it stays open; doubles with each failed probe.
pub const OPEN_FIRST: Duration = Duration::from_millis(500);
/// Longest time it stays open.
pub const OPEN_MAX: Duration = Duration::from_secs(30);

/// What it lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Everything.
    Closed,
    /// Nothing.
    Open,
    /// One start, which is under way.
    Probing,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Breaker {
    failures: u32,
    openings: u32,
    until: Option<Instant>,
    probing: bool,
}

impl Breaker {
    pub(super) fn new() -> Breaker {
        Breaker {
            failures: 0,
            openings: 0,
            until: None,
            probing: false,
        }
    }

    pub(super) fn state(&self) -> State {
        match (self.until, self.probing) {
            (None, _) => State::Closed,
            (Some(_), true) => State::Probing,
            (Some(_), false) => State::Open,
        }
    }

    /// Lets a start through, which must be answered by [`Breaker::succeeded`] or [`Breaker::failed`]; else when to ask
    /// again.
    pub(super) fn admit(&mut self, now: Instant) -> Result<(), Instant> {
        match self.until {
            None => Ok(()),
            Some(until) if now >= until && !self.probing => {
                self.probing = true;
                Ok(())
            }
            Some(until) => Err(until.max(now + Duration::from_millis(1))),
        }
    }

    pub(super) fn succeeded(&mut self) {
        *self = Breaker::new();
    }

    /// `random` spreads the probes of many pools that failed together: any number.
    pub(super) fn failed(&mut self, now: Instant, random: u64) {
        self.failures = self.failures.saturating_add(1);
        // Starts that were let through before it opened may fail late: they open nothing anew.
        let opens = if self.until.is_some() {
            self.probing
        } else {
            self.failures >= FAILURES_MAX
        };
        if opens {
            let whole = OPEN_FIRST
                .saturating_mul(1 << self.openings.min(16))
                .min(OPEN_MAX);
            let share = f64::from(u32::try_from(random >> 32).unwrap_or(0)) / f64::from(u32::MAX);
            self.until = Some(now + whole.mul_f64(0.5 + share / 2.0));
            self.openings = self.openings.saturating_add(1);
            self.probing = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_five_probes_once_and_closes_on_success() {
        let mut breaker = Breaker::new();
        let start = Instant::now();
        for failure in 0..FAILURES_MAX {
            assert_eq!(breaker.state(), State::Closed, "after {failure}");
            assert_eq!(breaker.admit(start), Ok(()));
            breaker.failed(start, u64::MAX);
        }
        assert_eq!(breaker.admit(start), Err(start + OPEN_FIRST));
        let later = start + OPEN_FIRST;
        assert_eq!(breaker.admit(later), Ok(()));
        assert_eq!(breaker.state(), State::Probing);
        assert!(breaker.admit(later).is_err(), "one probe at a time");
        breaker.failed(later, u64::MAX);
        assert_eq!(breaker.admit(later), Err(later + OPEN_FIRST * 2));
        assert_eq!(breaker.admit(later + OPEN_MAX), Ok(()));
        breaker.succeeded();
        assert_eq!(breaker.state(), State::Closed);
    }

    #[test]
    fn it_never_stays_open_longer_than_its_limit_and_jitter_shortens_by_half_at_most() {
        for random in [0, 1 << 63, u64::MAX] {
            let mut breaker = Breaker::new();
            let mut now = Instant::now();
            for _ in 0..100 {
                match breaker.admit(now) {
                    Ok(()) => breaker.failed(now, random),
                    Err(until) => {
                        assert!(until - now <= OPEN_MAX && until - now >= OPEN_FIRST / 2);
                        now = until;
                    }
                }
            }
            assert_eq!(breaker.state(), State::Open);
            assert_eq!(breaker.admit(now + OPEN_MAX), Ok(()));
            breaker.succeeded();
            assert_eq!(breaker.state(), State::Closed);
        }
    }

    #[test]
    fn starts_that_fail_late_do_not_open_it_for_longer() {
        let mut breaker = Breaker::new();
        let now = Instant::now();
        for _ in 0..FAILURES_MAX * 3 {
            breaker.failed(now, u64::MAX);
        }
        assert_eq!(breaker.admit(now), Err(now + OPEN_FIRST));
    }
}

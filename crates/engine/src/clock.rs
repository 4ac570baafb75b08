//! History time from a wall clock that may jump and a monotonic clock that does not. Reads no clock itself.

use actum_model::limits::CLOCK_JUMP_MS_MAX;

/// How long a jumped wall clock must stay where it is before history follows it.
const CONFIRM_AFTER_MS: u64 = 3_600_000;

/// Turns clock readings into `(at, elapsed)` of inputs. All times are milliseconds.
#[derive(Clone, Debug)]
pub struct Clock {
    /// `elapsed` of the realm when the monotonic clock read zero.
    elapsed_base: u64,
    /// The last stamp given out.
    at: u64,
    monotonic: u64,
    /// Since when (monotonic) and by how much the wall clock has been away from where it should be.
    away: Option<(u64, i128)>,
}

impl Clock {
    /// Goes on from the last record's times. At boot the wall clock is believed if it is not behind: the
    /// time the daemon was down counts.
    #[must_use]
    pub fn resume(last_at: u64, last_elapsed: u64, wall: u64, monotonic: u64) -> Clock {
        Clock {
            elapsed_base: last_elapsed.saturating_sub(monotonic),
            at: wall.max(last_at),
            monotonic,
            away: None,
        }
    }

    /// Stamps one moment. `at` never goes back, and follows a wall clock that jumped by more than the bound
    /// only after it has stayed there for an hour; until then `at` goes on at the pace of run time.
    pub fn stamp(&mut self, wall: u64, monotonic: u64) -> (u64, u64) {
        let passed = monotonic.saturating_sub(self.monotonic);
        let expected = self.at.saturating_add(passed);
        self.monotonic = self.monotonic.max(monotonic);
        let offset = i128::from(wall) - i128::from(expected);
        if offset.unsigned_abs() <= u128::from(CLOCK_JUMP_MS_MAX) {
            self.away = None;
            self.at = self.at.max(wall);
        } else {
            let bound = i128::from(CLOCK_JUMP_MS_MAX);
            let since = match self.away {
                Some((since, before)) if (before - offset).abs() <= bound => since,
                _ => monotonic,
            };
            self.away = Some((since, offset));
            let confirmed = monotonic.saturating_sub(since) >= CONFIRM_AFTER_MS;
            self.at = if confirmed { self.at.max(wall) } else { expected };
        }
        (self.at, self.elapsed_base.saturating_add(self.monotonic))
    }

    /// How far the wall clock is from history, where it jumped and history has not followed.
    #[must_use]
    pub fn jump_ms(&self) -> Option<i128> {
        self.away.map(|(_, offset)| offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEAR_MS: u64 = 365 * 24 * 3_600_000;
    const START: u64 = 1_800_000_000_000;

    #[test]
    fn a_year_ahead_and_back_moves_history_by_the_time_that_passed() {
        let mut clock = Clock::resume(START, 500, START, 0);
        assert_eq!(clock.stamp(START + 10, 10), (START + 10, 510));
        assert_eq!(clock.stamp(START + YEAR_MS, 1010), (START + 1010, 1510));
        assert_eq!(clock.stamp(START + YEAR_MS + 1000, 2010), (START + 2010, 2510));
        assert_eq!(clock.stamp(START + 3010, 3010), (START + 3010, 3510));
        assert_eq!(clock.stamp(START - YEAR_MS, 4010), (START + 4010, 4510));
        assert_eq!(clock.jump_ms().map(i128::is_negative), Some(true));
    }

    #[test]
    fn a_jump_that_stays_is_followed_after_an_hour() {
        let mut clock = Clock::resume(START, 0, START, 0);
        for minute in 0..=61u64 {
            clock.stamp(START + YEAR_MS + minute * 60_000, minute * 60_000);
        }
        assert!(clock.at >= START + YEAR_MS);
    }

    #[test]
    fn history_never_goes_back() {
        let mut clock = Clock::resume(START, 0, START - 1000, 0);
        let mut last = 0;
        for (wall, monotonic) in [
            (START - 900, 5),
            (START + 50, 40),
            (START + 20, 60),
            (0, 70),
            (START + 90, 90),
        ] {
            let (at, _) = clock.stamp(wall, monotonic);
            assert!(at >= last);
            last = at;
        }
    }
}

//! History time from a wall clock that may jump and a monotonic clock that does not. Reads no clock itself.

use actum_model::Input;
use actum_model::limits::CLOCK_JUMP_MS_MAX;
use actum_model::timer::Standing;

/// How long a jumped wall clock must stay where it is before history follows it.
const CONFIRM_AFTER_MS: u64 = 3_600_000;

/// Turns clock readings into `(at, elapsed)` of inputs. All times are milliseconds.
#[derive(Clone, Debug)]
pub struct Clock {
    /// The last stamp given out, and what the monotonic clock read then.
    at: u64,
    elapsed: u64,
    monotonic: u64,
    /// Since when (monotonic) and by how much the wall clock has been away from where it should be.
    away: Option<(u64, i128)>,
    /// What happened to the wall clock since somebody last asked.
    news: Option<(u64, Standing)>,
}

impl Clock {
    /// Goes on from the last record's times. At boot the wall clock is believed if it is not behind: the
    /// time the daemon was down counts.
    #[must_use]
    pub fn resume(last_at: u64, last_elapsed: u64, wall: u64, monotonic: u64) -> Clock {
        Clock {
            elapsed: last_elapsed,
            at: wall.max(last_at),
            monotonic,
            away: None,
            news: None,
        }
    }

    /// Stamps one moment. `at` never goes back, and follows a wall clock that jumped by more than the bound
    /// only after it has stayed there for an hour; until then `at` goes on at the pace of run time.
    pub fn stamp(&mut self, wall: u64, monotonic: u64) -> (u64, u64) {
        let passed = monotonic.saturating_sub(self.monotonic);
        let expected = self.at.saturating_add(passed);
        self.elapsed = self.elapsed.saturating_add(passed);
        self.monotonic = self.monotonic.max(monotonic);
        let offset = i128::from(wall) - i128::from(expected);
        if offset.unsigned_abs() <= u128::from(CLOCK_JUMP_MS_MAX) {
            if self.away.take().is_some() {
                self.news = Some((wall, Standing::Gone));
            }
            self.at = self.at.max(wall);
        } else {
            let bound = i128::from(CLOCK_JUMP_MS_MAX);
            let since = match self.away {
                Some((since, before)) if (before - offset).abs() <= bound => since,
                _ => {
                    self.news = Some((wall, Standing::Pending));
                    monotonic
                }
            };
            self.away = Some((since, offset));
            self.at = expected;
            // A clock that stays behind cannot be followed: history goes on at the pace of run time.
            if monotonic.saturating_sub(since) >= CONFIRM_AFTER_MS && wall > expected {
                self.at = wall;
                self.away = None;
                self.news = Some((wall, Standing::Confirmed));
            }
        }
        (self.at, self.elapsed)
    }

    /// The input that tells of a jump of the wall clock, of its confirmation or of its end, once for each; the
    /// last one where several happened since somebody asked. Decide it with the stamp it came with.
    pub fn news(&mut self) -> Option<Input> {
        let (wall_ms, standing) = self.news.take()?;
        Some(Input::ClockSample { wall_ms, standing })
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
    fn a_jump_is_told_when_it_comes_and_when_it_is_confirmed_or_gone() {
        let told = |clock: &mut Clock| match clock.news() {
            Some(Input::ClockSample { standing, .. }) => Some(standing),
            _ => None,
        };
        let mut clock = Clock::resume(START, 0, START, 0);
        clock.stamp(START + 10, 10);
        assert_eq!(told(&mut clock), None);
        clock.stamp(START + YEAR_MS, 20);
        assert_eq!(told(&mut clock), Some(Standing::Pending));
        clock.stamp(START + YEAR_MS + 10, 30);
        assert_eq!(told(&mut clock), None, "a jump is told once");
        clock.stamp(START + 40, 40);
        assert_eq!(told(&mut clock), Some(Standing::Gone));
        clock.stamp(START + YEAR_MS, 50);
        assert_eq!(told(&mut clock), Some(Standing::Pending));
        clock.stamp(START + YEAR_MS + CONFIRM_AFTER_MS, 50 + CONFIRM_AFTER_MS);
        assert_eq!(told(&mut clock), Some(Standing::Confirmed));
        assert_eq!(clock.at, START + YEAR_MS + CONFIRM_AFTER_MS);
        clock.stamp(START + YEAR_MS + CONFIRM_AFTER_MS + 1, 51 + CONFIRM_AFTER_MS);
        assert_eq!(
            told(&mut clock),
            None,
            "a confirmed jump is where the clock stands"
        );
        clock.stamp(START, 60 + CONFIRM_AFTER_MS);
        assert_eq!(told(&mut clock), Some(Standing::Pending));
        assert_eq!(clock.jump_ms().map(i128::is_negative), Some(true));
    }

    #[test]
    fn a_clock_that_stays_behind_does_not_stop_history() {
        // The bug: after an hour a jump was taken for confirmed, and history waited for the clock: a year.
        let mut clock = Clock::resume(START, 0, START, 0);
        for minute in 0..=180u64 {
            clock.stamp(START - YEAR_MS + minute * 60_000, minute * 60_000);
        }
        assert_eq!(clock.at, START + 180 * 60_000);
    }

    #[test]
    fn a_monotonic_clock_that_is_old_at_boot_ages_nothing() {
        // The bug: run time went on from the reading itself where it was larger than the realm's run time, so on
        // a machine up for days every limit ran out at the first boot.
        let mut clock = Clock::resume(START, 500, START, 86_400_000);
        assert_eq!(clock.stamp(START + 10, 86_400_010), (START + 10, 510));
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

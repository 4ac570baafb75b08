//! What happens to time: ticks, clock samples, timers that are set, fire, are cancelled.

use crate::state::State;
use actum_model::limits::TICKS_KEPT_MAX;
use actum_model::timer::{
    ClockSample, ClockSource, LastFire, Sampled, Standing, TickRow, Ticked, TimerCancelled, TimerFired,
};
use std::sync::Arc;

impl State {
    pub(super) fn ticked(&mut self, ticked: Ticked) {
        let row = TickRow {
            tick: ticked.tick,
            idx: self.next_idx.saturating_sub(1),
            at: self.at,
            elapsed: self.elapsed,
            fired: 0,
        };
        self.timers.next_tick = ticked.tick + 1;
        self.timers.ticks.push_back(row);
        if self.timers.ticks.len() > TICKS_KEPT_MAX {
            self.timers.ticks.pop_front();
        }
    }

    pub(super) fn clock_sampled(&mut self, sample: ClockSample) {
        let idx = self.next_idx.saturating_sub(1);
        let sampled = Some(Sampled { sample, idx });
        let clock = &mut self.timers.clock;
        clock.samples += 1;
        match (sample.source, sample.standing) {
            (ClockSource::Monotonic, _) => clock.monotonic = sampled,
            (ClockSource::Wall, Standing::Pending) => clock.pending = sampled,
            (ClockSource::Wall, Standing::Confirmed | Standing::Gone) => {
                (clock.wall, clock.pending) = (sampled, None);
            }
            (ClockSource::Wall, Standing::Trusted) => clock.wall = sampled,
        }
    }

    /// A boot takes the wall clock as it is: a jump that was pending is not any more.
    pub(super) fn clocks_start(&mut self) {
        let clock = &mut self.timers.clock;
        clock.pending = None;
        clock.booted_at = self.at;
        clock.booted_elapsed = self.elapsed;
    }

    pub(super) fn timer_fired(&mut self, fired: TimerFired) {
        if let Some(last) = self.timers.ticks.back().copied()
            && last.tick == fired.tick
        {
            self.timers.ticks.pop_back();
            self.timers.ticks.push_back(TickRow {
                fired: last.fired + 1,
                ..last
            });
        }
        let Some(row) = self.timers.remove(&(fired.tenant, fired.timer)) else {
            return;
        };
        let Some(next) = fired.next else { return };
        let mut row = Arc::unwrap_or_clone(row);
        row.due = next;
        row.fires = fired.fire;
        row.missed = row.missed.saturating_add(fired.missed);
        row.last = Some(LastFire {
            tick: fired.tick,
            idx: self.next_idx.saturating_sub(1),
            at: self.at,
            late: fired.late,
            command: fired.command,
            refused: fired.refused.map(|fault| *fault),
        });
        self.timers.insert(row);
    }

    pub(super) fn timer_cancelled(&mut self, cancelled: TimerCancelled) {
        self.timers.remove(&(cancelled.tenant, cancelled.timer));
    }
}

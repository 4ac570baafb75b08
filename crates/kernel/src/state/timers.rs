//! Time in state: live timers with what is due next, the last ticks, the last clock samples.

use super::State;
use actum_model::ids::{CommandId, Tenant};
use actum_model::timer::{ClockRow, Due, TickRow, TicksRow, TimerRow};
use imbl::{OrdMap, OrdSet, Vector};
use std::sync::Arc;

/// A timer's place among all of them.
pub type TimerKey = (Tenant, CommandId);

/// Live timers, ticks and clocks. A copy costs O(1).
#[derive(Clone, Debug, Default)]
pub struct Timers {
    /// Live timers by tenant and id.
    pub(crate) rows: OrdMap<TimerKey, Arc<TimerRow>>,
    /// Sum of [`TimerRow::weight_bytes`].
    pub(crate) bytes: u64,
    /// (run time, id, tenant) of those that count run time.
    pub(crate) by_elapsed: OrdSet<(u64, CommandId, Tenant)>,
    /// (history time, id, tenant) of those that count history time.
    pub(crate) by_at: OrdSet<(u64, CommandId, Tenant)>,
    /// Number of the next tick.
    pub(crate) next_tick: u64,
    /// The last ticks, ascending.
    pub(crate) ticks: Vector<TickRow>,
    /// The last samples.
    pub(crate) clock: ClockRow,
}

impl Timers {
    pub(crate) fn insert(&mut self, row: TimerRow) {
        let key = (row.tenant.clone(), row.timer.clone());
        self.remove(&key);
        let place = |due| (due, row.timer.clone(), row.tenant.clone());
        match row.due {
            Due::Elapsed(due) => self.by_elapsed.insert(place(due)),
            Due::At(due) => self.by_at.insert(place(due)),
        };
        self.bytes += row.weight_bytes();
        self.rows.insert(key, Arc::new(row));
    }

    pub(crate) fn remove(&mut self, key: &TimerKey) -> Option<Arc<TimerRow>> {
        let row = self.rows.remove(key)?;
        let place = |due| (due, row.timer.clone(), row.tenant.clone());
        match row.due {
            Due::Elapsed(due) => self.by_elapsed.remove(&place(due)),
            Due::At(due) => self.by_at.remove(&place(due)),
        };
        self.bytes = self.bytes.saturating_sub(row.weight_bytes());
        Some(row)
    }

    pub(crate) fn clock_row(&self) -> Option<ClockRow> {
        (self.clock != ClockRow::default()).then_some(self.clock)
    }

    pub(crate) fn ticks_row(&self) -> Option<TicksRow> {
        (self.next_tick > 0).then(|| TicksRow {
            next: self.next_tick,
            kept: self.ticks.iter().copied().collect(),
        })
    }
}

impl State {
    /// A live timer.
    #[must_use]
    pub fn timer(&self, tenant: &Tenant, id: &CommandId) -> Option<&Arc<TimerRow>> {
        self.timers.rows.get(&(tenant.clone(), id.clone()))
    }

    /// Live timers of all tenants, ascending by tenant and id.
    pub fn timers(&self) -> impl Iterator<Item = &Arc<TimerRow>> {
        self.timers.rows.values()
    }

    /// Live timers of all tenants.
    #[must_use]
    pub fn timers_live(&self) -> usize {
        self.timers.rows.len()
    }

    /// The last ticks, ascending.
    pub fn ticks(&self) -> impl DoubleEndedIterator<Item = &TickRow> {
        self.timers.ticks.iter()
    }

    /// Number of the next tick.
    #[must_use]
    pub fn next_tick(&self) -> u64 {
        self.timers.next_tick
    }

    /// The last clock samples.
    #[must_use]
    pub fn clock(&self) -> &ClockRow {
        &self.timers.clock
    }

    /// Run time at which the cadence asks for the next tick. The grid stands at multiples of the cadence, so a
    /// tick for another reason moves nothing.
    #[must_use]
    pub fn cadence_due(&self) -> Option<u64> {
        let cadence = self.config.tick_cadence_ms;
        if cadence == 0 {
            return None;
        }
        let last = self.timers.ticks.back().map_or(0, |tick| tick.elapsed);
        let from = last.max(self.timers.clock.booted_elapsed);
        Some((from / cadence + 1).saturating_mul(cadence))
    }

    /// Run time at which the next timer that counts run time is due.
    pub(super) fn timer_due_elapsed(&self) -> Option<u64> {
        self.timers.by_elapsed.get_min().map(|(due, _, _)| *due)
    }

    /// History time at which the next timer that counts history time is due.
    #[must_use]
    pub fn timer_due_at(&self) -> Option<u64> {
        self.timers.by_at.get_min().map(|(due, _, _)| *due)
    }
}

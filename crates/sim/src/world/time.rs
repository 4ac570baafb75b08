//! The tick stream of a history, as it was recorded and as it is decided again.

use super::World;
use crate::broken::{Broken, hold};
use actum_kernel::read::{Now, now};
use actum_kernel::{RecordHead, State, advance};
use actum_model::ids::CommandId;
use actum_model::{Event, Input, Stamped};

/// A tick: its number, its record, its history time and run time in milliseconds, the timers that fired in it.
pub type Tick = (u64, u64, u64, u64, Vec<CommandId>);

impl World {
    /// The ticks of every durable record, as they stand in the journal.
    ///
    /// # Errors
    /// When no node is up, or its journal cannot be read from its beginning.
    pub fn ticks_recorded(&mut self) -> Result<Vec<Tick>, Broken> {
        let records = self.node()?.records()?;
        Ok(records
            .iter()
            .filter_map(|(head, _, events)| tick(*head, events))
            .collect())
    }

    /// The ticks that deciding the same inputs again comes to, and the time after each record.
    ///
    /// # Errors
    /// As [`World::ticks_recorded`], or when an input cannot be read.
    pub fn ticks_decided_again(&mut self) -> Result<(Vec<Tick>, Vec<Now>), Broken> {
        let mut state = State::default();
        let (mut ticks, mut times) = (Vec::new(), Vec::new());
        for (head, input, _) in self.node()?.records()? {
            let input: Input =
                serde_ipld_dagcbor::from_slice(&input).map_err(|error| Broken(error.to_string()))?;
            let (at, elapsed) = (head.at, head.elapsed);
            let decision = advance(&mut state, &Stamped { at, elapsed, input });
            hold!(decision.head == head, "record {} is decided elsewhere", head.idx);
            ticks.extend(tick(head, &decision.events));
            times.push(now(&state));
        }
        Ok((ticks, times))
    }

    /// The time after each durable record, from its events alone.
    ///
    /// # Errors
    /// As [`World::ticks_recorded`].
    pub fn times_recorded(&mut self) -> Result<Vec<Now>, Broken> {
        let mut state = State::default();
        let records = self.node()?.records()?;
        Ok(records
            .into_iter()
            .map(|(head, _, events)| {
                actum_kernel::apply_record(&mut state, head, events);
                now(&state)
            })
            .collect())
    }

    /// Timers that fired so far, durable or not.
    #[must_use]
    pub fn fired(&self) -> u64 {
        self.model.fired
    }
}

fn tick(head: RecordHead, events: &[Event]) -> Option<Tick> {
    let number = events.iter().find_map(|event| match event {
        Event::Ticked(ticked) => Some(ticked.tick),
        _ => None,
    })?;
    let fired = events.iter().filter_map(|event| match event {
        Event::TimerFired(fired) => Some(fired.timer.clone()),
        _ => None,
    });
    Some((number, head.idx, head.at, head.elapsed, fired.collect()))
}

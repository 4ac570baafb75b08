//! A state while a history is read into it. What can be put in many at a time waits meanwhile, so nobody reads
//! the state before it is settled.

use crate::apply::{RecordHead, apply_event, apply_record};
use crate::state::State;
use actum_model::Event;

/// A state that records and pieces of a snapshot are applied to.
#[derive(Debug)]
pub struct Loading(State);

impl Default for Loading {
    fn default() -> Loading {
        let mut state = State::default();
        state.load();
        Loading(state)
    }
}

impl Loading {
    /// The idx of the next record.
    #[must_use]
    pub fn next_idx(&self) -> u64 {
        self.0.next_idx
    }

    /// Applies a piece of a snapshot.
    pub fn event(&mut self, event: Event) {
        apply_event(&mut self.0, event);
    }

    /// Applies one record.
    pub fn record(&mut self, head: RecordHead, events: Vec<Event>) {
        apply_record(&mut self.0, head, events);
    }

    /// The state so far. What is applied afterwards is put in one by one.
    pub fn settle(&mut self) -> &State {
        self.0.loaded();
        &self.0
    }

    /// The state.
    #[must_use]
    pub fn finish(mut self) -> State {
        self.0.loaded();
        self.0
    }
}

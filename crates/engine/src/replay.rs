//! Replay: the state from events, and every input decided again and compared. Never executes anything.

use actum_kernel::{RecordHead, State, apply_record, decide, state_digest};
use actum_model::{Event, Hash, Input, Stamped};

/// Where deciding again came to something else than history holds.
#[derive(Clone, Debug)]
pub struct Drift {
    /// The record.
    pub idx: u64,
    /// The program version that decided it.
    pub decided_by: String,
    /// True where that is another version than this one: a change of program explains it.
    pub other_version: bool,
    /// The recorded events.
    pub recorded: Vec<Event>,
    /// What this program decides.
    pub decided: Vec<Event>,
}

/// A replay in progress.
pub struct Replay {
    state: State,
    build: String,
    own_build: String,
    verify: bool,
    records: u64,
}

/// How one record replayed.
#[derive(Debug)]
pub enum ReplayOutcome {
    /// As recorded.
    Same,
    /// The input cannot be read by this version.
    Unreadable(String),
    /// Otherwise than recorded.
    Drift(Box<Drift>),
}

impl Replay {
    /// A replay from the first record, by the program version `own_build`. With `verify`, every input is
    /// decided again.
    #[must_use]
    pub fn new(own_build: &str, verify: bool) -> Replay {
        Replay {
            state: State::default(),
            build: String::new(),
            own_build: own_build.to_owned(),
            verify,
            records: 0,
        }
    }

    /// A replay that goes on from a snapshot's state.
    #[must_use]
    pub fn from_state(state: State, own_build: &str, verify: bool) -> Replay {
        Replay {
            state,
            ..Replay::new(own_build, verify)
        }
    }

    /// The state so far.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Records replayed.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }

    /// The digest of the state so far.
    #[must_use]
    pub fn digest(&self) -> Hash {
        state_digest(&self.state).0
    }

    /// Replays one record.
    pub fn record(&mut self, head: RecordHead, input: &[u8], events: Vec<Event>) -> ReplayOutcome {
        if let Some(Event::Booted(booted)) = events.first() {
            self.build.clone_from(&booted.build);
        }
        self.records += 1;
        let outcome = if self.verify {
            self.compare(head, input, &events)
        } else {
            ReplayOutcome::Same
        };
        apply_record(&mut self.state, head, events);
        outcome
    }

    fn compare(&self, head: RecordHead, input: &[u8], events: &[Event]) -> ReplayOutcome {
        let input: Input = match serde_ipld_dagcbor::from_slice(input) {
            Ok(input) => input,
            Err(error) => return ReplayOutcome::Unreadable(error.to_string()),
        };
        let decided = decide(
            &self.state,
            &Stamped {
                at: head.at,
                elapsed: head.elapsed,
                input,
            },
        );
        if decided.events == events && decided.head == head {
            return ReplayOutcome::Same;
        }
        ReplayOutcome::Drift(Box::new(Drift {
            idx: head.idx,
            decided_by: self.build.clone(),
            other_version: self.build != self.own_build,
            recorded: events.to_vec(),
            decided: decided.events,
        }))
    }
}

//! Walks a history record by record, rebuilding the state and, where asked, deciding everything again.
//! It executes nothing.

use super::Reading;
use crate::failure::Failure;
use actum_engine::{Replay, ReplayOutcome};
use actum_journal::{LookOptions, Looked, OpenError, RecordRef, Recover, SnapshotMeta, look};
use actum_kernel::{RecordHead, State, apply_event, state_digest};
use actum_model::{ErrorCode, Event, Hash};

/// The version of the program, as it is journaled at each boot.
pub(crate) const BUILD: &str = env!("CARGO_PKG_VERSION");

/// How to walk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Begin with the newest snapshot.
    pub(crate) from_snapshot: bool,
    /// Decide every input again and compare.
    pub(crate) verify: bool,
}

/// A record on its way past.
pub(crate) struct Passing<'a> {
    pub(crate) head: RecordHead,
    pub(crate) hash: Hash,
    pub(crate) input: &'a [u8],
    pub(crate) events: &'a [Event],
    /// How it compares with what is decided now; `Same` where nothing was compared.
    pub(crate) outcome: ReplayOutcome,
    /// The state before it.
    pub(crate) before: &'a State,
    /// The state after it.
    pub(crate) after: &'a State,
}

/// What a visitor says.
pub(crate) enum Next {
    Go,
    Stop,
}

/// Looks at every record.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(&Passing<'_>) -> Result<Next, Failure>;

/// Where a walk came to.
pub(crate) struct Walked {
    /// The realm and what was read; absent where the visitor stopped.
    pub(crate) looked: Option<Looked>,
    /// The state after the last record passed.
    pub(crate) state: State,
    /// Records passed.
    pub(crate) records: u64,
    /// The digest of the state.
    pub(crate) digest: Hash,
}

struct Walker<'a> {
    replay: Replay,
    restored: State,
    plan: Plan,
    visit: Visit<'a>,
    ended: Option<Result<(), Failure>>,
}

/// Walks through everything.
pub(crate) fn walk(reading: &Reading, plan: Plan, visit: Visit<'_>) -> Result<Walked, Failure> {
    let mut walker = Walker {
        replay: Replay::new(BUILD, plan.verify),
        restored: State::default(),
        plan,
        visit,
        ended: None,
    };
    let options = LookOptions {
        from_snapshot: plan.from_snapshot,
        growing: reading.growing,
        decode_threads: 1,
    };
    let looked = match (look(&reading.storage, options, &mut walker), walker.ended.take()) {
        (_, Some(Err(failure))) => return Err(failure),
        (_, Some(Ok(()))) => None,
        (Ok(looked), None) => Some(looked),
        (Err(error), None) => return Err(explain(error, plan)),
    };
    let state = walker.replay.state().clone();
    let records = walker.replay.records();
    let digest = state_digest(&state).0;
    Ok(Walked {
        looked,
        state,
        records,
        digest,
    })
}

fn explain(error: OpenError, plan: Plan) -> Failure {
    match error {
        OpenError::Missing { idx: 0 } if !plan.from_snapshot => {
            Failure::new(ErrorCode::RecordGone, "the first records were compacted away")
                .hint("begin with a snapshot: add --from-snapshot")
        }
        OpenError::NoRealm => Failure::new(ErrorCode::DataMissing, "the journal has no segment yet"),
        other => other.into(),
    }
}

impl Recover for Walker<'_> {
    fn reset(&mut self) {
        self.restored = State::default();
    }

    fn restore(&mut self, events: Vec<Event>) -> Result<(), String> {
        for event in events {
            apply_event(&mut self.restored, event);
        }
        Ok(())
    }

    fn restored(&mut self, meta: &SnapshotMeta) -> Result<(), String> {
        let (digest, _) = state_digest(&self.restored);
        if digest != meta.state_digest {
            return Err(format!(
                "its state has digest {digest}, recorded is {}",
                meta.state_digest
            ));
        }
        let state = std::mem::take(&mut self.restored);
        self.replay = Replay::from_state(state, BUILD, self.plan.verify);
        Ok(())
    }

    fn record(&mut self, record: RecordRef<'_>) -> Result<(), String> {
        let before = self.replay.state().clone();
        let head = RecordHead {
            idx: record.idx,
            at: record.at_ms,
            elapsed: record.elapsed_ms,
        };
        if head.idx != before.next_idx {
            return Err(format!("record {} follows {} records", head.idx, before.next_idx));
        }
        let events = record.events.clone();
        let outcome = self.replay.record(head, record.input, record.events);
        let passing = Passing {
            head,
            hash: record.hash,
            input: record.input,
            events: &events,
            outcome,
            before: &before,
            after: self.replay.state(),
        };
        match (self.visit)(&passing) {
            Ok(Next::Go) => return Ok(()),
            Ok(Next::Stop) => self.ended = Some(Ok(())),
            Err(failure) => self.ended = Some(Err(failure)),
        }
        Err("the reader has seen enough".to_owned())
    }
}

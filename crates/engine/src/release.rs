//! What a batch releases once it is committed. Only the journal can build the [`Committed`] that opens it.

use actum_journal::Committed;
use actum_kernel::{RecordHead, Session, State};
use actum_model::effect::Doubt;
use actum_model::envelope::Caller;
use actum_model::ids::{SessionId, Tenant};
use actum_model::outcome::Identity;
use actum_model::restore::Phase;
use actum_model::{EffectId, Event, Json, OutcomeRow, Response, contract};
use std::sync::Arc;

/// An effect that may leave now.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    /// The command it belongs to.
    pub seq: u64,
    /// Its stable id.
    pub effect: EffectId,
    /// Who asked for what.
    pub identity: Arc<Identity>,
    /// The session it runs in, as it is when it leaves.
    pub session: Option<Session>,
    /// The arguments, redacted.
    pub payload: Json,
    /// True where only the shell's memory has all of them.
    pub redacted: bool,
    /// As whom its program may call back while it runs.
    pub caller: Caller,
    /// History time at which it may leave, milliseconds.
    pub at: u64,
    /// Run time at which it may leave, milliseconds.
    pub elapsed: u64,
    /// True where not the effect itself leaves but the probe that asks what came of it.
    pub probe: bool,
}

/// A state to publish to readers.
#[derive(Clone, Debug)]
pub struct Publish {
    /// The state after the batch.
    pub state: State,
}

/// What follows from the inputs of the open batch.
pub(crate) struct OpenBatch<R> {
    pub(crate) replies: Vec<(R, Response)>,
    pub(crate) reads: Vec<R>,
    pub(crate) records: Vec<(RecordHead, Vec<Event>)>,
    pub(crate) starts: Vec<Start>,
    pub(crate) dispatches: Vec<u64>,
    pub(crate) stops: Vec<u64>,
    pub(crate) interrupts: Vec<u64>,
    pub(crate) ended: Vec<(Tenant, SessionId)>,
    pub(crate) doubts: Vec<(u64, Doubt)>,
    /// Whether an outcome of an effect, or an erasure, is answered.
    pub(crate) effect_answered: bool,
}

impl<R> Default for OpenBatch<R> {
    fn default() -> Self {
        OpenBatch {
            replies: Vec::new(),
            reads: Vec::new(),
            records: Vec::new(),
            starts: Vec::new(),
            dispatches: Vec::new(),
            stops: Vec::new(),
            interrupts: Vec::new(),
            ended: Vec::new(),
            doubts: Vec::new(),
            effect_answered: false,
        }
    }
}

impl<R> OpenBatch<R> {
    pub(crate) fn len(&self) -> usize {
        self.replies.len() + self.reads.len() + self.records.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An effect is requested: what may be repeated leaves as soon as that is durable, anything else needs its
    /// durable mark. What is contained has it already; the rest asks for it.
    pub(crate) fn effect(&mut self, state: &State, seq: u64) {
        let Some(row) = state.command(seq) else { return };
        let Phase::Running(running) = &row.phase else {
            return;
        };
        let payload = row.payload.clone().unwrap_or_default();
        let repeatable =
            contract::find(row.identity.kind.as_str()).is_some_and(|c| c.repeatable_with(&payload));
        if repeatable {
            self.start(state, seq);
        } else if !running.dispatching {
            self.dispatches.push(seq);
        }
    }

    /// Answers with an outcome.
    pub(crate) fn finished(&mut self, to: R, row: &OutcomeRow, replayed: bool) {
        let kind = row.identity.kind.as_str();
        // A key must not be destroyed on the word of a record that can still be lost.
        self.effect_answered |=
            kind == "subject.erase" || contract::find(kind).is_some_and(|c| c.has_effect() && !c.read_only());
        self.replies.push((to, Response::finished(row, replayed)));
    }

    /// The effect itself may leave.
    pub(crate) fn start(&mut self, state: &State, seq: u64) {
        self.leave(state, seq, false);
    }

    /// The probe of an effect that may have left in an earlier run may leave.
    pub(crate) fn probe(&mut self, state: &State, seq: u64) {
        self.leave(state, seq, true);
    }

    fn leave(&mut self, state: &State, seq: u64, probe: bool) {
        let Some(row) = state.command(seq) else { return };
        let Phase::Running(running) = &row.phase else {
            return;
        };
        self.starts.push(Start {
            seq,
            effect: running.effect,
            identity: row.identity.clone(),
            session: row
                .identity
                .session
                .as_ref()
                .and_then(|session| state.session(&row.identity.tenant, session).cloned()),
            payload: row.payload.clone().unwrap_or_default(),
            redacted: row.redacted,
            caller: Caller {
                tenant: row.identity.tenant.clone(),
                principal: row.identity.principal.clone(),
                exec: Some(seq),
            },
            at: state.at,
            elapsed: state.elapsed,
            probe,
        });
    }
}

/// Answers and effects that wait for their batch. Its fields are private: only a commit opens it.
///
/// ```
/// use actum_engine::{Pending, Released};
/// fn open<R>(pending: Pending<R>, committed: &actum_journal::Committed) -> Released<R> {
///     pending.release(committed)
/// }
/// ```
///
/// Without one it does not compile:
///
/// ```compile_fail,E0061
/// use actum_engine::{Pending, Released};
/// fn open<R>(pending: Pending<R>) -> Released<R> {
///     pending.release()
/// }
/// ```
///
/// Nor past its door:
///
/// ```compile_fail,E0616
/// use actum_engine::Pending;
/// fn open<R>(pending: Pending<R>) -> usize {
///     pending.open.replies.len()
/// }
/// ```
///
/// And nobody makes a commit of their own:
///
/// ```compile_fail,E0451
/// let forged = actum_journal::Committed { first_idx: 0, count: 1, head_hash: Default::default(), durable: 1 };
/// ```
pub struct Pending<R> {
    open: OpenBatch<R>,
    publish: Publish,
    end_idx: u64,
}

/// What a committed batch releases.
pub struct Released<R> {
    /// Responses and where they go.
    pub replies: Vec<(R, Response)>,
    /// Reads, to be answered from `publish`.
    pub reads: Vec<R>,
    /// The records, for subscribers.
    pub records: Vec<(RecordHead, Vec<Event>)>,
    /// Effects that may leave.
    pub starts: Vec<Start>,
    /// Commands whose effect asks for its durable mark: feed each back as `Input::Dispatch`.
    pub dispatches: Vec<u64>,
    /// Running commands to stop.
    pub stops: Vec<u64>,
    /// Running code to interrupt.
    pub interrupts: Vec<u64>,
    /// Sessions that are gone: what runs for them ends.
    pub ended: Vec<(Tenant, SessionId)>,
    /// Commands that nobody knows the end of: an alert goes out for each.
    pub doubts: Vec<(u64, Doubt)>,
    /// The state to publish.
    pub publish: Publish,
}

impl<R> Pending<R> {
    pub(crate) fn new(open: OpenBatch<R>, publish: Publish, end_idx: u64) -> Pending<R> {
        Pending {
            open,
            publish,
            end_idx,
        }
    }

    /// Whether something in it must not leave under relaxed durability (invariant 1).
    #[must_use]
    pub fn needs_sync(&self) -> bool {
        let OpenBatch {
            starts,
            dispatches,
            stops,
            interrupts,
            doubts,
            effect_answered,
            ..
        } = &self.open;
        // What an effect came to is not decided again after a crash, so its answer is never relaxed.
        *effect_answered
            || !(starts.is_empty()
                && dispatches.is_empty()
                && stops.is_empty()
                && interrupts.is_empty()
                && doubts.is_empty())
    }

    /// Opens it with the proof that its batch is committed.
    ///
    /// # Panics
    /// When `committed` does not reach to the end of its batch: only a bug in the driver can do that.
    #[must_use]
    pub fn release(self, committed: &Committed) -> Released<R> {
        // INVARIANT 1: a reply or an effect exists only after every record it rests on is durable.
        assert!(
            committed.end_idx() >= self.end_idx,
            "released before its batch was committed"
        );
        assert!(
            committed.durable() || !self.needs_sync(),
            "an effect was released before it was durable"
        );
        let OpenBatch {
            replies,
            reads,
            records,
            starts,
            dispatches,
            stops,
            interrupts,
            ended,
            doubts,
            effect_answered: _,
        } = self.open;
        Released {
            replies,
            reads,
            records,
            starts,
            dispatches,
            stops,
            interrupts,
            ended,
            doubts,
            publish: self.publish,
        }
    }
}

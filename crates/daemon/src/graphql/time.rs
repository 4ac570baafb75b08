//! Time: what the history says it is, ticks, timers. Nothing here reads a clock.

use super::inputs::{self, PageInput, cost};
use super::moment::{Moment, moment};
use super::mutation::{Done, Names, submit};
use super::scalars::{AnyJson, HexHash, Timestamp, U32, U64};
use super::types::Submitted;
use crate::core::Published;
use actum_kernel::{State, read};
use actum_model::ids::CommandId;
use actum_model::timer::TickRow;
use actum_model::{ErrorCode, Fault};
use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject, Subscription};
use futures_util::Stream;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::watch;

/// The time of the history: a function of its records, which stands still between them.
#[derive(SimpleObject)]
pub(crate) struct Now {
    /// The time, nanoseconds.
    ns: U64,
    /// How far it may be from the truth, nanoseconds.
    uncertainty_ns: U64,
    /// `monotonic` (run time), `unix` (since the epoch) or `unknown` (no sample yet).
    domain: String,
    /// Journal positions of the clock samples it rests on.
    provenance: Vec<U64>,
    /// The clock policy in force.
    policy: String,
    /// The record it is the time after.
    at_idx: U64,
}

/// A tick: a record that was made because time had come.
#[derive(SimpleObject)]
pub(crate) struct TickEvent {
    /// `tick:` and its number.
    id: ID,
    /// Its number, gap-free from 0 over the life of the realm.
    tick_id: U64,
    /// Journal position.
    idx: U64,
    /// History time.
    at: Timestamp,
    /// Run time of the realm, milliseconds.
    elapsed_ms: U64,
    /// Timers that fired in it.
    fired: U64,
    /// Number of the policy it was decided under; null once that is no longer known.
    policy_id: Option<U32>,
    /// Hash over all that decided what an operation meant then; null with `policyId`.
    rule_pack_id: Option<HexHash>,
}

impl TickEvent {
    fn new(state: &State, row: &TickRow) -> TickEvent {
        let rules = state.rules_at(row.idx);
        TickEvent {
            id: ID(format!("tick:{}", row.tick)),
            tick_id: U64(row.tick),
            idx: U64(row.idx),
            at: Timestamp(row.at),
            elapsed_ms: U64(row.elapsed),
            fired: U64(row.fired),
            policy_id: rules.map(|rules| U32(rules.policy)),
            rule_pack_id: rules.map(|rules| HexHash(rules.pack)),
        }
    }
}

/// A timer: it fires once or periodically, and may submit a command each time.
pub(crate) struct Timer(Value);

impl Timer {
    fn text(&self, name: &str) -> String {
        let text = self.0.get(name).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    }

    fn number(&self, name: &str) -> Option<U64> {
        self.0.get(name).and_then(Value::as_u64).map(U64)
    }

    fn json(&self, name: &str) -> Option<AnyJson> {
        self.0.get(name).cloned().map(AnyJson)
    }
}

/// A timer: it fires once or periodically, and may submit a command each time.
#[Object]
impl Timer {
    /// Its id, unique among live timers.
    async fn id(&self) -> ID {
        ID(self.text("timerId"))
    }

    /// Which clock it counts: `history` (calendar time) or `run` (time the daemon ran).
    async fn clock(&self) -> String {
        self.text("clock")
    }

    /// When it is due next, where it counts history time. RFC 3339.
    async fn due_at(&self) -> Option<String> {
        Some(self.text("dueAt")).filter(|at| !at.is_empty())
    }

    /// When it is due next, where it counts run time, milliseconds.
    async fn due_elapsed_ms(&self) -> Option<U64> {
        self.number("dueElapsedMs")
    }

    /// How far off that is, milliseconds, as the history stands.
    async fn in_ms(&self) -> Option<U64> {
        self.number("inMs")
    }

    /// Its period, milliseconds; null where it fires once.
    async fn every_ms(&self) -> Option<U64> {
        self.number("everyMs")
    }

    /// The command it submits each time.
    async fn command(&self) -> Option<AnyJson> {
        self.json("command")
    }

    /// What it is for.
    async fn note(&self) -> Option<String> {
        Some(self.text("note")).filter(|note| !note.is_empty())
    }

    /// How often it has fired.
    async fn fires(&self) -> Option<U64> {
        self.number("fires")
    }

    /// Periods that went by without it.
    async fn missed(&self) -> Option<U64> {
        self.number("missed")
    }

    /// Who set it, under whose authority its command is submitted.
    async fn principal(&self) -> String {
        self.text("principal")
    }

    /// The command that set it.
    async fn set_by(&self) -> ID {
        ID(self.text("setBy"))
    }

    /// Journal position at which it was set.
    async fn set_idx(&self) -> Option<U64> {
        self.number("setIdx")
    }

    /// Its last firing: tick, idx, time, whether it was late, the command it submitted or why it could not.
    async fn last(&self) -> Option<AnyJson> {
        self.json("last")
    }
}

/// A timer that was set.
#[derive(SimpleObject)]
pub(crate) struct SetTimerPayload {
    /// The timer.
    timer: Timer,
    /// Whether this was answered from the record, because it had been done before.
    replayed: bool,
    /// The command that did it.
    command: Submitted,
}

/// A timer that was cancelled.
#[derive(SimpleObject)]
pub(crate) struct CancelTimerPayload {
    /// Its id, free again.
    timer_id: ID,
    /// How often it had fired.
    fires: U64,
    /// Whether this was answered from the record, because it had been done before.
    replayed: bool,
    /// The command that did it.
    command: Submitted,
}

/// When a timer fires and what it does. Either `dueAt` or `afterMs`, or a period alone.
#[derive(InputObject, Clone, Debug)]
pub(crate) struct SetTimerInput {
    /// Its id, unique among live timers; one is made if it is not given.
    timer_id: Option<ID>,
    /// When it fires first, RFC 3339; all its times count history time then.
    due_at: Option<String>,
    /// After how much run time it fires first, milliseconds.
    after_ms: Option<U64>,
    /// Its period, milliseconds.
    every_ms: Option<U64>,
    /// The command it submits each time, an envelope without an id.
    command: Option<AnyJson>,
    /// What it is for.
    note: Option<String>,
}

/// What can be read of time.
#[derive(Default)]
pub(crate) struct TimeQuery;

/// What can be read of time.
#[Object]
impl TimeQuery {
    /// The time of the history, from its clock samples under its clock policy.
    async fn now(&self, ctx: &Context<'_>) -> Result<Now> {
        let state = &moment(ctx)?.published.state;
        let now = read::now(state);
        Ok(Now {
            ns: U64(now.ns),
            uncertainty_ns: U64(now.uncertainty_ns),
            domain: now.domain.to_owned(),
            provenance: now.provenance.into_iter().map(U64).collect(),
            policy: now.policy.as_str().to_owned(),
            at_idx: U64(state.next_idx.saturating_sub(1)),
        })
    }

    /// The last ticks, ascending; older ones are in the journal. Go on behind the last `tickId`.
    #[graphql(complexity = "cost(&page, child_complexity)")]
    async fn ticks(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which part of them; `after` is a `tickId`.")] page: Option<PageInput>,
    ) -> Result<Vec<TickEvent>> {
        let page = inputs::page(page.as_ref(), inputs::place_cursor)?;
        let state = &moment(ctx)?.published.state;
        let (rows, _) = read::ticks(state, page.after, page.first);
        Ok(rows.iter().map(|row| TickEvent::new(state, row)).collect())
    }

    /// Live timers by id. Go on behind the last id.
    #[graphql(complexity = "cost(&page, child_complexity)")]
    async fn timers(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which part of them; `after` is the id of a timer.")] page: Option<PageInput>,
    ) -> Result<Vec<Timer>> {
        let moment = moment(ctx)?;
        let page = inputs::page(page.as_ref(), |text| CommandId::parse_any(text).ok())?;
        let after = page.after.as_ref().map(CommandId::as_str);
        let found = read::timers(&moment.published.state, moment.tenant(), after, page.first);
        let timers = found.get("timers").and_then(Value::as_array);
        Ok(timers.into_iter().flatten().cloned().map(Timer).collect())
    }
}

/// What can be changed of time.
#[derive(Default)]
pub(crate) struct TimeMutation;

/// What can be changed of time.
#[Object]
impl TimeMutation {
    /// Sets a timer. `TIMER_EXISTS` where a live one has its id.
    async fn set_timer(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "When it fires and what it does.")] input: SetTimerInput,
        #[graphql(desc = "Id of the command, so that sending it again is answered and not done again.")]
        id: Option<ID>,
        #[graphql(desc = "The same without taking an id.")] idempotency_key: Option<String>,
        #[graphql(desc = "The chain of commands it belongs to.")] correlation_id: Option<ID>,
    ) -> Result<SetTimerPayload> {
        let members = [
            ("timerId", input.timer_id.map(|id| id.0.into())),
            ("dueAt", input.due_at.map(Value::from)),
            ("afterMs", input.after_ms.map(|ms| ms.0.into())),
            ("everyMs", input.every_ms.map(|ms| ms.0.into())),
            ("command", input.command.map(|command| command.0)),
            ("note", input.note.map(Value::from)),
        ];
        let members = members.into_iter();
        let payload = members
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect();
        let names = Names {
            id,
            key: idempotency_key,
            correlation: correlation_id,
        };
        let done = submit(moment(ctx)?, "timer.set", Value::Object(payload), names).await?;
        Ok(SetTimerPayload {
            replayed: done.response.replayed,
            command: done.command(),
            timer: Timer(done.receipt),
        })
    }

    /// Cancels a live timer; what it submitted already goes on. `TIMER_NOT_FOUND` where none has the id.
    async fn cancel_timer(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The timer.")] timer_id: ID,
        #[graphql(desc = "Id of the command, so that sending it again is answered and not done again.")]
        id: Option<ID>,
        #[graphql(desc = "The same without taking an id.")] idempotency_key: Option<String>,
        #[graphql(desc = "The chain of commands it belongs to.")] correlation_id: Option<ID>,
    ) -> Result<CancelTimerPayload> {
        let names = Names {
            id,
            key: idempotency_key,
            correlation: correlation_id,
        };
        let payload = json!({"timerId": timer_id.0});
        let done: Done = submit(moment(ctx)?, "timer.cancel", payload, names).await?;
        let fires = done.receipt.get("fires").and_then(Value::as_u64);
        Ok(CancelTimerPayload {
            timer_id,
            fires: U64(fires.unwrap_or(0)),
            replayed: done.response.replayed,
            command: done.command(),
        })
    }
}

/// What can be followed of time.
#[derive(Default)]
pub(crate) struct TimeSubscription;

/// What can be followed of time.
#[Subscription]
impl TimeSubscription {
    /// The ticks: what is kept from a `tickId` on, then each as it becomes durable, without a gap or a repetition.
    /// It ends with `RECORD_GONE` where ticks that come next are no longer kept.
    async fn ticks(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first `tickId` wanted; only what is new if it is not given.")]
        from_tick: Option<U64>,
    ) -> Result<impl Stream<Item = Result<TickEvent>> + use<>> {
        let follower = Follower::new(Arc::clone(moment(ctx)?), from_tick.map(|tick| tick.0))?;
        Ok(futures_util::stream::unfold(Some(follower), |follower| async {
            let mut follower = follower?;
            match follower.next().await {
                Ok(Some(tick)) => Some((Ok(tick), Some(follower))),
                Ok(None) => None,
                Err(fault) => Some((Err(fault.into()), None)),
            }
        }))
    }
}

/// Pulls ticks out of the published states, so that nothing waits in memory for a slow subscriber.
struct Follower {
    moment: Arc<Moment>,
    heads: watch::Receiver<u64>,
    /// Ticks from here on are wanted.
    next: u64,
    taken: VecDeque<TickEvent>,
}

impl Follower {
    fn new(moment: Arc<Moment>, from: Option<u64>) -> Result<Follower, Fault> {
        // Before the state is looked at, so that no change in between is missed.
        let heads = moment.core.heads();
        let published = moment.core.published();
        let mut follower = Follower {
            next: from.unwrap_or(published.state.next_tick()),
            heads,
            taken: VecDeque::new(),
            moment,
        };
        // A gap at the beginning is told at once.
        follower.take(&published)?;
        Ok(follower)
    }

    /// The next tick; nothing once the daemon ends.
    async fn next(&mut self) -> Result<Option<TickEvent>, Fault> {
        loop {
            if let Some(tick) = self.taken.pop_front() {
                return Ok(Some(tick));
            }
            self.heads.mark_unchanged();
            let published = self.moment.core.published();
            self.take(&published)?;
            if self.taken.is_empty() && self.heads.changed().await.is_err() {
                return Ok(None);
            }
        }
    }

    fn take(&mut self, published: &Published) -> Result<(), Fault> {
        let state = &published.state;
        if self.next >= state.next_tick() {
            return Ok(());
        }
        let oldest = state.ticks().next().map_or(state.next_tick(), |row| row.tick);
        if self.next < oldest {
            let message = format!("ticks from {} on are no longer kept", self.next);
            let details = json!({"firstTick": oldest});
            return Err(Fault::new(ErrorCode::RecordGone, message).with_details(&details));
        }
        let (rows, _) = read::ticks(state, self.next.checked_sub(1), usize::MAX);
        self.next = state.next_tick();
        self.taken
            .extend(rows.iter().map(|row| TickEvent::new(state, row)));
        Ok(())
    }
}

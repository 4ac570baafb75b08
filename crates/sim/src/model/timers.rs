//! Ticks, clock samples and timers against the books: a timer fires when it is due and not before, in order, once
//! for each time it is due, and submits what it carries as whoever set it.

use super::accept::command_of;
use super::{Command, Model, Reading};
use crate::broken::{Broken, hold};
use actum_model::event::Accepted;
use actum_model::ids::{CommandId, Principal};
use actum_model::limits::TIMER_LATE_MS;
use actum_model::timer::{
    ClockSample, ClockSource, Due, Standing, Ticked, TimerCancelled, TimerFired, TimerRow, made_id,
};
use actum_model::{ErrorCode, Hash, Input, Json, Lane, Outcome, time};
use serde_json::Value;

/// A live timer.
#[derive(Clone, Debug, PartialEq)]
pub struct Timer {
    /// When it is due.
    pub due: Due,
    /// Its period.
    pub every_ms: Option<u64>,
    /// What it submits.
    pub command: Option<Json>,
    /// Who set it.
    pub principal: Principal,
    /// The command that set it.
    pub set_seq: u64,
    /// How often it fired.
    pub fires: u64,
}

/// What a firing in the record being read is to submit.
#[derive(Clone, Debug)]
pub(super) struct Carried {
    seq: u64,
    id: CommandId,
    principal: Principal,
    command: Json,
    set_seq: u64,
}

impl Model {
    pub(super) fn ticked(&mut self, reading: &mut Reading<'_>, ticked: Ticked) -> Result<(), Broken> {
        hold!(matches!(reading.input, Input::Tick), "a tick without an input");
        hold!(reading.events == 0, "a tick in the middle of a record");
        hold!(
            ticked.tick == self.next_tick,
            "tick {} where {} should be",
            ticked.tick,
            self.next_tick
        );
        self.next_tick += 1;
        self.last_tick = self.elapsed;
        Ok(())
    }

    pub(super) fn sampled(&mut self, reading: &Reading<'_>, sample: &ClockSample) -> Result<(), Broken> {
        if let Input::ClockSample { wall_ms, standing } = reading.input {
            hold!(
                sample.source == ClockSource::Wall
                    && sample.standing == *standing
                    && sample.value_ns == wall_ms.saturating_mul(1_000_000),
                "another sample than the shell gave"
            );
            return Ok(());
        }
        hold!(
            matches!(reading.input, Input::Boot(_) | Input::Tick),
            "nobody read a clock"
        );
        let expected = match sample.source {
            ClockSource::Monotonic => self.elapsed,
            ClockSource::Wall => self.at,
        };
        hold!(
            sample.standing == Standing::Trusted && sample.value_ns == expected * 1_000_000,
            "a sample beside its record's times"
        );
        if sample.source == ClockSource::Monotonic {
            self.now = (sample.value_ns, reading.idx);
        }
        Ok(())
    }

    /// Where the cadence wants the next tick.
    pub(super) fn cadence_due(&self) -> Option<u64> {
        let every = self.config.tick_cadence_ms;
        let from = self.last_tick.max(self.booted.1);
        (every > 0).then(|| from - from % every.max(1) + every)
    }

    /// How long ago a timer was due.
    fn overdue(&self, due: Due, at: u64, elapsed: u64) -> Option<u64> {
        match due {
            Due::Elapsed(due) => elapsed.checked_sub(due),
            Due::At(due) => at.checked_sub(due),
        }
    }

    /// The timer that must fire next at this time.
    pub(super) fn timer_due(&self, at: u64, elapsed: u64) -> Option<&CommandId> {
        let overdue = |(id, timer): (&'_ CommandId, &Timer)| {
            Some((
                std::cmp::Reverse(self.overdue(timer.due, at, elapsed)?),
                id.clone(),
            ))
        };
        let (_, first) = self.timers.iter().filter_map(overdue).min()?;
        self.timers.get_key_value(&first).map(|(id, _)| id)
    }

    /// The kind, arguments and principal of the command that a record is carrying out.
    fn carrying_out(&self, reading: &Reading<'_>, seq: u64) -> Result<(String, Value, Principal), Broken> {
        if let (Some(now), Input::Submit(submit)) = (&reading.immediate, reading.input)
            && now.seq == seq
        {
            let (envelope, caller) = (&submit.envelope, &submit.caller);
            let kind = envelope.kind.to_string();
            return Ok((kind, envelope.payload.to_value(), caller.principal.clone()));
        }
        hold!(self.running(seq).is_some(), "command {seq} does not run");
        let command = self.command(seq)?;
        Ok((
            command.kind.clone(),
            command.payload.to_value(),
            command.principal.clone(),
        ))
    }

    pub(super) fn timer_set(&mut self, reading: &mut Reading<'_>, row: &TimerRow) -> Result<(), Broken> {
        let (kind, arguments, principal) = self.carrying_out(reading, row.set_seq)?;
        hold!(kind == "timer.set", "set by a `{kind}`");
        let id = timer_id(&arguments, row.set_seq);
        hold!(id.as_ref() == Some(&row.timer), "another id than asked for");
        let number = |name: &str| arguments.get(name).and_then(Value::as_u64);
        let due = match arguments.get("dueAt").and_then(Value::as_str) {
            Some(text) => time::parse(text).map(Due::At),
            None => number("afterMs")
                .or(number("everyMs"))
                .map(|wait| Due::Elapsed(self.elapsed + wait)),
        };
        let timer = Timer {
            due: row.due,
            every_ms: number("everyMs"),
            command: arguments.get("command").and_then(|c| Json::from_value(c).ok()),
            principal,
            set_seq: row.set_seq,
            fires: 0,
        };
        hold!(due == Some(row.due), "due at {due:?}");
        hold!(
            (&row.command, &row.principal, row.every_ms)
                == (&timer.command, &timer.principal, timer.every_ms),
            "another timer than asked for"
        );
        hold!(
            self.timers.insert(row.timer.clone(), timer).is_none(),
            "it lives already"
        );
        reading.timer_done = Some(row.set_seq);
        Ok(())
    }

    pub(super) fn timer_cancelled(
        &mut self,
        reading: &mut Reading<'_>,
        row: &TimerCancelled,
    ) -> Result<(), Broken> {
        let (kind, arguments, _) = self.carrying_out(reading, row.command)?;
        hold!(kind == "timer.cancel", "cancelled by a `{kind}`");
        let id = timer_id(&arguments, row.command);
        hold!(id.as_ref() == Some(&row.timer), "another timer than asked for");
        hold!(self.timers.remove(&row.timer).is_some(), "no such timer lives");
        reading.timer_done = Some(row.command);
        Ok(())
    }

    pub(super) fn timer_fired(&mut self, reading: &mut Reading<'_>, row: &TimerFired) -> Result<(), Broken> {
        hold!(matches!(reading.input, Input::Tick), "it fires without a tick");
        hold!(
            reading.carried.is_none(),
            "what the one before carries was not submitted"
        );
        hold!(
            Some(row.tick + 1) == Some(self.next_tick),
            "it fires in another tick"
        );
        let first = self.timer_due(self.at, self.elapsed);
        hold!(first == Some(&row.timer), "expected {first:?} to fire");
        let room = (self.unfinished().count() as u64) < self.config.in_flight_max;
        let overdue = self.timers.get(&row.timer).and_then(|timer| {
            let overdue = self.overdue(timer.due, self.at, self.elapsed)?;
            Some((timer.clone(), overdue))
        });
        let Some((mut timer, overdue)) = overdue else {
            return Err(Broken("it is not due".to_owned()));
        };
        timer.fires += 1;
        self.fired += 1;
        hold!((row.due, row.fire) == (timer.due, timer.fires), "another firing");
        let before_boot = match timer.due {
            Due::Elapsed(due) => due < self.booted.1,
            Due::At(due) => due < self.booted.0,
        };
        hold!(
            row.late == (before_boot || overdue > TIMER_LATE_MS),
            "late by {overdue} ms"
        );
        hold!(
            row.missed == timer.every_ms.map_or(0, |every| overdue / every),
            "missed by {overdue} ms"
        );
        let next = timer
            .every_ms
            .map(|every| timer.due.plus((row.missed + 1) * every));
        hold!(row.next == next, "expected {next:?} next");
        let submits = timer.command.is_some() && room;
        hold!(
            row.command == submits.then_some(self.next_seq),
            "it submits {:?}",
            row.command
        );
        let refused = row.refused.as_ref().map(|fault| fault.code);
        let expected = (timer.command.is_some() && !room).then_some(ErrorCode::Busy);
        hold!(refused == expected, "refused as {refused:?}");
        let id = CommandId::parse_any(&format!("timer:{}:{}.{}", row.timer, timer.set_seq, row.fire));
        if let (Some(command), Ok(id), true) = (timer.command.clone(), id, submits) {
            reading.carried = Some(Carried {
                seq: self.next_seq,
                id,
                principal: timer.principal.clone(),
                command,
                set_seq: timer.set_seq,
            });
        }
        self.timers.remove(&row.timer);
        if let Some(next) = next {
            timer.due = next;
            self.timers.insert(row.timer.clone(), timer);
        }
        Ok(())
    }

    /// A command that a timer submits: in the record of the firing, right behind it.
    pub(super) fn submitted(&mut self, reading: &mut Reading<'_>, accepted: &Accepted) -> Result<(), Broken> {
        let Some(carried) = reading.carried.take() else {
            return Err(Broken("nobody submitted it".to_owned()));
        };
        let identity = &accepted.identity;
        let asked = carried.command.to_value();
        let text = |name: &str| asked.get(name).and_then(Value::as_str);
        let session = text("sessionId");
        let made = format!("s-{}", carried.seq);
        let made = (text("type") == Some("session.create")).then_some(made.as_str());
        let setter = self.command(carried.set_seq)?;
        let cause = super::events::public_id(setter);
        hold!(
            identity.seq == carried.seq
                && identity.id.as_ref() == Some(&carried.id)
                && Some(identity.kind.as_str()) == text("type")
                && identity.principal == carried.principal
                && identity.causation == Some(cause)
                && identity.session.as_ref().map(|id| id.as_str()) == session.or(made),
            "another command than the timer carries"
        );
        let lane = identity.lane.as_ref().map(|place| &place.lane);
        let fits = match (lane, session) {
            (Some(Lane::Session(id)), Some(session)) => id.as_str() == session,
            (Some(Lane::Server), None) => true,
            _ => false,
        };
        hold!(fits, "in another lane");
        let payload = asked
            .get("payload")
            .cloned()
            .unwrap_or_else(|| serde_json::json!({}));
        hold!(
            accepted.payload.as_ref().map(Json::to_value) == Some(payload),
            "with other arguments"
        );
        hold!(
            identity.fingerprint == Hash::ZERO.fingerprint(),
            "somebody signed for it"
        );
        let command = Command {
            timeout_ms: accepted.timeout_ms,
            queue_due: self.elapsed + accepted.queue_timeout_ms,
            payload: accepted.payload.clone().unwrap_or_default(),
            ..command_of(identity, Vec::new())
        };
        self.enter(reading, identity, command)
    }

    /// How setting or cancelling a timer must end, where nothing of it has happened yet.
    pub(super) fn timer_end(&self, kind: &str, arguments: &Value, seq: u64) -> (Outcome, Option<ErrorCode>) {
        let lives = timer_id(arguments, seq).is_some_and(|id| self.timers.contains_key(&id));
        let has = |name: &str| arguments.get(name).is_some();
        let wrong = match kind {
            "timer.set" if lives => Some(ErrorCode::TimerExists),
            "timer.set" if has("dueAt") && has("afterMs") => Some(ErrorCode::InvalidInput),
            "timer.set" if !has("dueAt") && !has("afterMs") && !has("everyMs") => {
                Some(ErrorCode::InvalidInput)
            }
            "timer.cancel" if !lives => Some(ErrorCode::TimerNotFound),
            _ => None,
        };
        let outcome = if wrong.is_some() {
            Outcome::Failed
        } else {
            Outcome::Succeeded
        };
        (outcome, wrong)
    }
}

fn timer_id(arguments: &Value, seq: u64) -> Option<CommandId> {
    match arguments.get("timerId").and_then(Value::as_str) {
        Some(text) => CommandId::parse_any(text).ok(),
        None => made_id(seq),
    }
}

//! `timer.set`: a timer is set, to fire once or periodically.

use crate::decide::Decider;
use actum_model::event::Event;
use actum_model::ids::CommandId;
use actum_model::limits::{TIMER_MS_MAX, TIMERS_BYTES_MAX, TIMERS_MAX};
use actum_model::outcome::Identity;
use actum_model::timer::{Due, TimerRow, made_id};
use actum_model::{ErrorCode, Fault, Json, Outcome, time};
use serde_json::Value;

pub(super) fn run(decider: &mut Decider<'_>, seq: u64, arguments: &Value) {
    let Some(own) = decider.identity(seq) else { return };
    let row = match row(decider, &own, arguments) {
        Ok(row) => row,
        Err(fault) => return decider.fail(seq, fault),
    };
    let (tenant, timer) = (row.tenant.clone(), row.timer.clone());
    decider.emit(Event::TimerSet(Box::new(row)));
    let data = crate::read::timer(decider.state, &tenant, &timer).ok();
    let data = data.and_then(|data| Json::from_value(&data).ok());
    decider.finish(seq, Outcome::Succeeded, data, None);
}

fn row(decider: &Decider<'_>, own: &Identity, arguments: &Value) -> Result<TimerRow, Fault> {
    let number = |name: &str| arguments.get(name).and_then(Value::as_u64);
    let timer = match arguments.get("timerId").and_then(Value::as_str) {
        Some(text) => CommandId::parse(text).ok(),
        None => made_id(own.seq),
    };
    let Some(timer) = timer else {
        return Err(Fault::new(
            ErrorCode::InvalidInput,
            "/payload/timerId: expected a timer id",
        ));
    };
    if decider.state.timer(&own.tenant, &timer).is_some() {
        let message = format!("a live timer `{timer}` exists already");
        return Err(Fault::new(ErrorCode::TimerExists, message));
    }
    let row = TimerRow {
        tenant: own.tenant.clone(),
        timer,
        principal: own.principal.clone(),
        set_seq: own.seq,
        set_by: own.public_id(),
        correlation: own.correlation_id(),
        set_idx: decider.head.idx,
        set_at: decider.head.at,
        due: first_due(decider, arguments)?,
        every_ms: number("everyMs"),
        command: arguments
            .get("command")
            .and_then(|command| Json::from_value(command).ok()),
        note: arguments.get("note").and_then(Value::as_str).map(str::to_owned),
        fires: 0,
        missed: 0,
        last: None,
    };
    if decider.state.timers_live() >= TIMERS_MAX {
        let message = format!("there are {TIMERS_MAX} live timers already");
        return Err(Fault::new(ErrorCode::LimitExceeded, message));
    }
    if decider.state.timers.bytes + row.weight_bytes() > TIMERS_BYTES_MAX {
        let message = format!("the live timers would have more than {TIMERS_BYTES_MAX} bytes");
        return Err(Fault::new(ErrorCode::LimitExceeded, message));
    }
    Ok(row)
}

/// When it fires first. A calendar time counts history time, a duration counts run time.
fn first_due(decider: &Decider<'_>, arguments: &Value) -> Result<Due, Fault> {
    let number = |name: &str| arguments.get(name).and_then(Value::as_u64);
    let due_at = arguments.get("dueAt").and_then(Value::as_str);
    match (due_at, number("afterMs"), number("everyMs")) {
        (Some(_), Some(_), _) => Err(Fault::new(
            ErrorCode::InvalidInput,
            "/payload/afterMs: expected `dueAt` or `afterMs`, got both",
        )),
        (Some(text), None, _) => {
            let due = time::parse(text).ok_or_else(|| {
                Fault::new(
                    ErrorCode::InvalidInput,
                    format!("/payload/dueAt: expected a time in RFC 3339, got `{text}`"),
                )
            })?;
            if due > decider.head.at.saturating_add(TIMER_MS_MAX) {
                let message = format!("/payload/dueAt: expected at most {TIMER_MS_MAX} ms ahead");
                return Err(Fault::new(ErrorCode::LimitExceeded, message));
            }
            Ok(Due::At(due))
        }
        (None, Some(wait), _) | (None, None, Some(wait)) => {
            Ok(Due::Elapsed(decider.head.elapsed.saturating_add(wait)))
        }
        (None, None, None) => Err(Fault::new(
            ErrorCode::InvalidInput,
            "/payload: expected one of `dueAt`, `afterMs`, `everyMs`",
        )),
    }
}

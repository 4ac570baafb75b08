//! `timer.cancel`: a live timer is gone. What it submitted already goes on.

use crate::decide::Decider;
use actum_model::event::Event;
use actum_model::ids::CommandId;
use actum_model::timer::TimerCancelled;
use actum_model::{ErrorCode, Fault, Json, Outcome};
use serde_json::{Value, json};

pub(super) fn run(decider: &mut Decider<'_>, seq: u64, arguments: &Value) {
    let Some(own) = decider.identity(seq) else { return };
    let named = arguments.get("timerId").and_then(Value::as_str);
    let Some(timer) = named.and_then(|text| CommandId::parse_any(text).ok()) else {
        let message = "/payload/timerId: expected a timer id";
        return decider.fail(seq, Fault::new(ErrorCode::InvalidInput, message));
    };
    let Some(row) = decider.state.timer(&own.tenant, &timer).cloned() else {
        return decider.fail(seq, super::no_timer(&timer));
    };
    decider.emit(Event::TimerCancelled(TimerCancelled {
        tenant: own.tenant.clone(),
        timer: timer.clone(),
        command: seq,
    }));
    let data = json!({"timerId": timer.as_str(), "fires": row.fires});
    decider.finish(seq, Outcome::Succeeded, Json::from_value(&data).ok(), None);
}

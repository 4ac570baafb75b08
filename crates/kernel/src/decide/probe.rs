//! Probes: after a crash, and where an answer was lost on the way back, the world is asked what came of an effect that
//! may have left, by what the command brought for this and that only looks. A probe never runs for an effect that was never dispatched.

use super::Decider;
use actum_model::effect::{Doubt, ProbeAnswer, SettledAs, Settlement};
use actum_model::event::{Event, StopReason};
use actum_model::limits::{PROBE_REASON_CHARS_MAX, PROBE_TIMEOUT_MS};
use actum_model::restore::{CommandRow, Running};
use actum_model::{Contract, ErrorCode, Fault, Json, Outcome, contract};
use serde_json::{Value, json};

/// The exit code by which a probe says that the effect did not happen.
const DID_NOT_HAPPEN: u64 = 1;

impl Decider<'_> {
    /// Asks for the probe to run. It may run again after another crash: it changes nothing. `lost`: not for a crash,
    /// but because the answer was lost.
    pub(super) fn ask_probe(&mut self, seq: u64, lost: bool) {
        self.emit(Event::ProbeRequested {
            seq,
            timeout_ms: PROBE_TIMEOUT_MS,
            lost,
        });
    }

    /// Whoever carried the effect out lost sight of it: its probe is asked where it brought one.
    pub(super) fn answer_lost(&mut self, seq: u64, running: &Running, data: Option<Json>) {
        let brought = self.row(seq).is_some_and(|row| {
            let contract = contract::find(row.identity.kind.as_str());
            contract.is_some_and(|contract| has_probe(&row, contract))
        });
        match brought && running.dispatching && !running.contained {
            true => self.ask_probe(seq, true),
            false => self.doubt(seq, Doubt::AnswerLost, data),
        }
    }

    /// The probe ended: its command has its outcome, or is in doubt.
    pub(super) fn probe_answered(&mut self, seq: u64, running: &Running, settlement: &Settlement) {
        let answer = answer(running, settlement);
        self.emit(Event::ProbeAnswered {
            seq,
            answer: answer.clone(),
            settlement: Box::new(settlement.clone()),
        });
        let said = settlement.data.as_ref().map_or(Value::Null, Json::to_value);
        let data = Json::from_value(&json!({"probe": said})).ok();
        match answer {
            ProbeAnswer::Landed => self.finish(seq, Outcome::Succeeded, data, None),
            ProbeAnswer::DidNotHappen => {
                let message = match running.lost {
                    true => "its answer was lost; its probe looked, and it did not happen",
                    false => "the daemon died while it ran; its probe looked, and it did not happen",
                };
                let fault = Fault::new(ErrorCode::DidNotHappen, message);
                self.finish(seq, Outcome::Failed, data, Some(fault));
            }
            ProbeAnswer::Unknown(_) if running.lost => self.doubt(seq, Doubt::AnswerLost, data),
            ProbeAnswer::Unknown(_) => self.doubt(seq, Doubt::CrashAfterDispatch, data),
        }
    }
}

/// Whether a command brought a probe. Arguments that stand in a sealed blob say so beside its name.
pub(super) fn has_probe(row: &CommandRow, contract: &Contract) -> bool {
    let brought = |payload: &Json| payload.to_value().get("probe").is_some();
    contract.probe && row.payload.as_ref().is_some_and(brought)
}

fn answer(running: &Running, settlement: &Settlement) -> ProbeAnswer {
    let data = settlement.data.as_ref().map(Json::to_value);
    let code = data
        .as_ref()
        .and_then(|data| data.get("exitCode"))
        .and_then(Value::as_u64);
    match (settlement.settled, code) {
        (SettledAs::Succeeded, _) => ProbeAnswer::Landed,
        (SettledAs::Failed, Some(DID_NOT_HAPPEN)) => ProbeAnswer::DidNotHappen,
        _ => ProbeAnswer::Unknown(reason(running, settlement)),
    }
}

/// Why a probe could not tell.
fn reason(running: &Running, settlement: &Settlement) -> String {
    let by_stop = match &running.stopping {
        Some(StopReason::Timeout) => "its time ran out".to_owned(),
        Some(StopReason::Cancel { by, .. }) => format!("`{by}` cancelled it"),
        None => "it was stopped".to_owned(),
    };
    let fault = settlement.fault.as_ref().map(|fault| fault.message.as_str());
    let reason = match settlement.settled {
        SettledAs::Succeeded | SettledAs::Failed => fault.unwrap_or("it failed"),
        SettledAs::Stopped | SettledAs::Unconfirmed => fault.unwrap_or(&by_stop),
    };
    reason.chars().take(PROBE_REASON_CHARS_MAX).collect()
}

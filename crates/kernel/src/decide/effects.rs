//! Effects: when one may leave, what its answer means, and when nobody can know.

use super::Decider;
use actum_model::config::OnInDoubt;
use actum_model::contract::Carrier;
use actum_model::effect::{Doubt, SettledAs, Settlement, effect_id};
use actum_model::event::{Event, StopReason};
use actum_model::restore::{CommandRow, Phase, Running};
use actum_model::worker::Sandbox;
use actum_model::{Contract, ErrorCode, Fault, Json, Outcome, contract};

impl Decider<'_> {
    /// Asks for its effect. What is contained is marked as dispatched in the same record: whether it left does not
    /// matter after a crash, because nothing outside has changed either way.
    pub(super) fn request_effect(&mut self, seq: u64, row: &CommandRow, contract: &Contract) {
        let effect = effect_id(
            &self.state.realm,
            &self.state.incarnation,
            self.head.idx,
            self.effects,
        );
        self.effects += 1;
        let contained = contract.contained && self.is_caged(contract);
        self.emit(Event::EffectRequested {
            effect,
            seq,
            contained,
        });
        let payload = row.payload.clone().unwrap_or_default();
        if contained && !contract.repeatable_with(&payload) {
            self.emit(Event::EffectDispatching { seq });
        }
    }

    /// Whether what carries it out is kept from the outside: programs are only in a cage.
    fn is_caged(&self, contract: &Contract) -> bool {
        match contract.carrier {
            Carrier::Process | Carrier::Session => self.state.config.sandbox != Sandbox::None,
            Carrier::Kernel | Carrier::Provider => true,
        }
    }

    /// A started command, and whether it may leave more than once.
    fn running(&self, seq: u64) -> Option<(Running, bool)> {
        let row = self.state.command(seq)?;
        let Phase::Running(running) = &row.phase else {
            return None;
        };
        let contract = contract::find(row.identity.kind.as_str())?;
        let payload = row.payload.clone().unwrap_or_default();
        Some((running.clone(), contract.repeatable_with(&payload)))
    }

    /// The request is durable. What cannot be repeated gets a durable mark before it leaves.
    pub(super) fn dispatch(&mut self, seq: u64) {
        let Some((running, _)) = self.running(seq) else {
            return;
        };
        if running.dispatching || running.stopping.is_some() || running.doubt.is_some() {
            return;
        }
        self.emit(Event::EffectDispatching { seq });
    }

    /// The world answered.
    pub(super) fn settle(&mut self, seq: u64, settlement: &Settlement) {
        let Some((running, repeatable)) = self.running(seq).filter(|(running, _)| running.doubt.is_none())
        else {
            if seq < self.state.next_seq {
                self.emit(Event::EffectLate {
                    seq,
                    settlement: Box::new(settlement.clone()),
                });
            }
            return;
        };
        if running.is_probed() {
            return self.probe_answered(seq, &running, settlement);
        }
        self.emit(Event::EffectSettled {
            seq,
            settlement: Box::new(settlement.clone()),
        });
        let Settlement { settled, data, fault } = settlement.clone();
        match (settled, running.stopping.clone()) {
            (SettledAs::Succeeded, _) => {
                if let Some(identity) = self.identity(seq) {
                    self.after_success(&identity);
                }
                self.finish(seq, Outcome::Succeeded, data, None);
            }
            (SettledAs::Failed, _) => {
                let fault = fault.unwrap_or_else(|| Fault::new(ErrorCode::CommandFailed, "it failed"));
                self.finish(seq, Outcome::Failed, data, Some(fault));
            }
            (SettledAs::Stopped, Some(StopReason::Cancel { by, .. })) => {
                let fault = Fault::new(ErrorCode::Cancelled, format!("cancelled by `{by}` while it ran"));
                self.finish(seq, Outcome::Cancelled, data, Some(fault));
            }
            (SettledAs::Stopped, Some(StopReason::Timeout)) if running.contained || repeatable => {
                let fault = Fault::new(ErrorCode::TimedOut, "its time ran out, and it was stopped");
                self.finish(seq, Outcome::TimedOut, data, Some(fault));
            }
            (_, Some(StopReason::Timeout)) => self.doubt(seq, Doubt::TimeoutAfterDispatch, data),
            (_, Some(StopReason::Cancel { .. })) => self.doubt(seq, Doubt::CancelAfterDispatch, data),
            // Nobody stopped it: whoever carried it out lost sight of it.
            (_, None) => self.answer_lost(seq, &running, data),
        }
    }

    /// Nobody knows what came of it: the lane holds, or the command fails, as the realm is configured.
    pub(super) fn doubt(&mut self, seq: u64, reason: Doubt, data: Option<Json>) {
        self.emit(Event::InDoubt { seq, reason });
        if self.state.config.on_in_doubt == OnInDoubt::Fail {
            let message = format!("nobody knows what came of it ({})", reason.as_str());
            self.finish(
                seq,
                Outcome::Failed,
                data,
                Some(Fault::new(ErrorCode::InDoubt, message)),
            );
        }
    }

    /// Asks for a running command to be stopped. What has not left is over at once.
    pub(crate) fn stop(&mut self, seq: u64, why: StopReason) {
        let Some((running, repeatable)) = self.running(seq) else {
            return;
        };
        if running.stopping.is_some() || running.doubt.is_some() {
            // The first reason counts; a doubt leaves nothing to stop.
            return;
        }
        let left = running.dispatching || repeatable;
        if left {
            self.emit(Event::Stopping { seq, why });
            return;
        }
        match why {
            StopReason::Timeout => {
                self.time_out(seq, ErrorCode::TimedOut, "its time ran out before it left".into());
            }
            StopReason::Cancel { by, .. } => {
                let fault = Fault::new(
                    ErrorCode::Cancelled,
                    format!("cancelled by `{by}` before it left"),
                );
                self.finish(seq, Outcome::Cancelled, None, Some(fault));
            }
        }
    }

    pub(super) fn output(&mut self, seq: u64, stream: &str, offset: u64, data: &str) {
        if self.running(seq).is_some() {
            let (stream, data) = (stream.to_owned(), data.to_owned());
            self.emit(Event::OutputKept {
                seq,
                stream,
                offset,
                data,
            });
        }
    }
}

//! Boot: the history is taken up, and every command that was started is classified, with a reason.

use super::Decider;
use super::probe::has_probe;
use crate::state::COLLAPSE_POLICY;
use actum_model::effect::{Doubt, RecoveryClass};
use actum_model::event::{Booted, Event, StopReason};
use actum_model::input::Boot;
use actum_model::restore::{CommandRow, Phase, Running};
use actum_model::{Contract, ErrorCode, Fault, Outcome, contract};

impl Decider<'_> {
    pub(super) fn boot(&mut self, boot: &Boot) {
        let first = self.state.term == 0;
        self.emit(Event::Booted(Booted {
            realm: if first {
                boot.realm.clone()
            } else {
                self.state.realm.to_vec()
            },
            incarnation: boot.incarnation.clone(),
            term: self.state.term + 1,
            node: boot.node.clone(),
            build: boot.build.clone(),
            contracts: boot.contracts,
            policy: COLLAPSE_POLICY,
            rule_pack: self.state.rule_pack_with(&boot.contracts),
            classes: boot.classes,
            clean: self.state.closed,
        }));
        for sample in self.samples() {
            self.emit(sample);
        }
        if *self.state.config != boot.config || first {
            self.emit(Event::ConfigActivated {
                config: Box::new(boot.config.clone()),
            });
        }
    }

    /// Classifies started commands that this boot has not classified yet, ascending.
    pub(super) fn classify_running(&mut self) {
        while self.has_room() {
            let Some(seq) = self.state.unclassified.get_min().copied() else {
                return;
            };
            let Some(row) = self.row(seq) else { return };
            let Phase::Running(running) = &row.phase else {
                return;
            };
            let class = match contract::find(row.identity.kind.as_str()) {
                Some(contract) => classify(&row, running, contract),
                // An effect of a kind this program no longer has: nobody here can say anything about it.
                None => RecoveryClass::InDoubt,
            };
            self.emit(Event::Recovered { seq, class });
            match class {
                RecoveryClass::Recoverable if running.stopping.is_some() => self.stopped(seq, running),
                RecoveryClass::Interrupted => {
                    let message = "the daemon died while it ran in its cage";
                    self.finish(
                        seq,
                        Outcome::Failed,
                        None,
                        Some(Fault::new(ErrorCode::Interrupted, message)),
                    );
                }
                RecoveryClass::Probe => self.ask_probe(seq, running.lost),
                RecoveryClass::InDoubt if running.doubt.is_none() => {
                    self.doubt(seq, Doubt::CrashAfterDispatch, None);
                }
                RecoveryClass::InDoubt | RecoveryClass::Recoverable | RecoveryClass::Queued => {}
            }
        }
    }

    /// It was being stopped, and what carried it out died with the daemon: the stop is over.
    fn stopped(&mut self, seq: u64, running: &Running) {
        match &running.stopping {
            Some(StopReason::Cancel { by, .. }) => {
                let fault = Fault::new(ErrorCode::Cancelled, format!("cancelled by `{by}` while it ran"));
                self.finish(seq, Outcome::Cancelled, None, Some(fault));
            }
            Some(StopReason::Timeout) => {
                let message = "its time ran out, and it ended with the daemon";
                self.time_out(seq, ErrorCode::TimedOut, message.into());
            }
            None => {}
        }
    }
}

fn classify(row: &CommandRow, running: &Running, contract: &Contract) -> RecoveryClass {
    if running.doubt.is_some() {
        return RecoveryClass::InDoubt;
    }
    let payload = row.payload.clone().unwrap_or_default();
    if !running.dispatching || contract.repeatable_with(&payload) {
        return RecoveryClass::Recoverable;
    }
    if running.contained {
        RecoveryClass::Interrupted
    } else if has_probe(row, contract) {
        RecoveryClass::Probe
    } else {
        RecoveryClass::InDoubt
    }
}

//! Every event against the books: may it come now, and what changes by it.

use super::{Command, Model, Reading, Running, Session, Stand, settles_as};
use crate::broken::{Broken, hold};
use actum_model::effect::{Doubt, ProbeAnswer, RecoveryClass, SettledAs};
use actum_model::event::{Event, StopReason};
use actum_model::ids::SessionId;
use actum_model::worker::Sandbox;
use actum_model::{Input, contract};

impl Model {
    pub(super) fn event(&mut self, reading: &mut Reading<'_>, event: &Event) -> Result<(), Broken> {
        match event {
            Event::Booted(booted) => {
                self.term += 1;
                hold!(
                    booted.term == self.term,
                    "term {} where {} should be",
                    booted.term,
                    self.term
                );
                let running = |command: &&Command| matches!(command.stand, Stand::Running(_));
                self.booted = (self.at, self.elapsed);
                self.unclassified = self.commands.values().filter(running).map(|c| c.seq).collect();
            }
            Event::ConfigActivated { config } => self.config = (**config).clone(),
            Event::Accepted(accepted) => self.accepted(reading, accepted)?,
            Event::Executed(executed) => self.executed(reading, executed)?,
            Event::Waiting { seq, on } => self.waits(*seq, on)?,
            Event::Started { seq } => {
                self.starts(*seq)?;
                let command = self.command(*seq)?;
                reading.graph = self.graph_foreseen(*seq, &command.kind, &command.payload);
            }
            Event::Finished(finished) => self.finished(reading, finished)?,
            Event::EffectRequested { seq, contained, .. } => {
                let contract = self.contract(*seq)?;
                hold!(contract.has_effect(), "no effect belongs to it");
                hold!(self.running(*seq).is_some(), "it was not started");
                let caged = self.config.sandbox != Sandbox::None;
                hold!(
                    *contained == (contract.contained && caged),
                    "it is contained: {contained}"
                );
                self.change(*seq, |running| running.contained = *contained);
                reading.requested = Some(*seq);
            }
            Event::EffectDispatching { seq } => {
                hold!(self.may_dispatch(*seq), "it may not leave");
                let asked = matches!(reading.input, Input::Dispatch { seq: asked } if asked == seq);
                let contained = self.running(*seq).is_some_and(|running| running.contained);
                hold!(
                    if contained {
                        reading.requested == Some(*seq)
                    } else {
                        asked
                    },
                    "nobody asked"
                );
                self.change(*seq, |running| running.dispatched = true);
            }
            Event::EffectSettled { seq, .. } => {
                let open = self
                    .running(*seq)
                    .is_some_and(|running| running.doubt.is_none() && !running.probed);
                hold!(open, "it settled twice");
                reading.settled = Some(*seq);
            }
            Event::ProbeRequested {
                seq,
                timeout_ms,
                lost,
            } => self.probe_asked(reading, *seq, *timeout_ms, *lost)?,
            Event::ProbeAnswered { seq, answer, .. } => self.probe_answered(reading, *seq, answer)?,
            Event::EffectLate { seq, .. } => {
                let open = self.running(*seq).is_some_and(|running| running.doubt.is_none());
                hold!(!open, "it is not late");
            }
            Event::Stopping { seq, why } => self.stops(reading, *seq, why)?,
            Event::InDoubt { seq, reason } => self.doubts(reading, *seq, *reason)?,
            Event::Recovered { seq, class } => self.recovered(reading, *seq, *class)?,
            Event::Resolved(resolved) => {
                let uncertain = self.running(resolved.seq).is_some_and(Running::is_uncertain);
                hold!(uncertain, "it is not in doubt");
                hold!(
                    reading.resolves == Some((resolved.seq, resolved.resolution)),
                    "nobody resolved it so"
                );
            }
            Event::OutputKept { seq, .. } => {
                hold!(self.running(*seq).is_some(), "output of what does not run");
            }
            Event::SessionCreated { session, .. } => self.session_created(reading, session)?,
            Event::WorkerChanged(changed) => {
                hold!(self.sessions.contains_key(&changed.session), "no such session");
            }
            Event::Interrupted { seq, .. } => {
                hold!(self.running(*seq).is_some(), "what does not run is interrupted");
            }
            Event::PromiseCreated(row) => {
                let fresh = self.promises.insert(row.promise.clone(), row.settled.is_some());
                hold!(fresh.is_none(), "the promise exists");
            }
            Event::PromiseSettled(settled) => {
                let before = self.promises.insert(settled.promise.clone(), true);
                hold!(before == Some(false), "it is not pending");
            }
            Event::PromisesPruned { count } => {
                let settled = self.promises.values().filter(|settled| **settled).count() as u64;
                hold!(*count <= settled, "more promises go than are settled");
            }
            Event::SessionAnnotated(row) => {
                let found = self.sessions.get_mut(&row.session);
                let found = found.ok_or_else(|| Broken("no such session".to_owned()))?;
                match &row.value {
                    Some(value) => found.metadata.insert(row.key.clone(), value.clone()),
                    None => found.metadata.remove(&row.key),
                };
            }
            Event::SessionDeleted { session, .. } => {
                hold!(self.sessions.remove(session).is_some(), "no such session");
            }
            Event::Graph(event) => self.graph_event(reading, event)?,
            Event::OutcomesPruned { count } => self.pruned(reading, *count)?,
            Event::TombstonesDropped { count } => self.dropped(*count)?,
            Event::KeysExpired { count } => self.keys_expired(*count)?,
            Event::Ticked(ticked) => self.ticked(reading, *ticked)?,
            Event::ClockSampled(sample) => self.sampled(reading, sample)?,
            Event::TimerSet(row) => self.timer_set(reading, row)?,
            Event::TimerFired(row) => self.timer_fired(reading, row)?,
            Event::TimerCancelled(row) => self.timer_cancelled(reading, row)?,
            Event::SnapshotTaken(_) | Event::Closed {} => {}
            Event::Restore(_) => hold!(false, "a piece of a snapshot in the journal"),
        }
        Ok(())
    }

    fn change(&mut self, seq: u64, change: impl FnOnce(&mut Running)) {
        if let Some(Command {
            stand: Stand::Running(running),
            ..
        }) = self.commands.get_mut(&seq)
        {
            change(running);
        }
    }

    fn pending(&self, seq: u64) -> Result<Vec<u64>, Broken> {
        let deps = self.command(seq)?.deps.iter().copied();
        Ok(deps.filter(|dep| self.done(*dep).is_none()).collect())
    }

    fn waits(&mut self, seq: u64, on: &[u64]) -> Result<(), Broken> {
        hold!(self.is_head(seq), "it is not at the head of its lane");
        hold!(
            matches!(self.command(seq)?.stand, Stand::Queued),
            "it waits already"
        );
        let pending = self.pending(seq)?;
        hold!(
            !pending.is_empty() && pending == on,
            "it waits for {on:?}, expected {pending:?}"
        );
        hold!(
            self.failed_dependency(seq)?.is_none(),
            "it waits though a dependency failed"
        );
        let due = self.wait_due(&pending);
        self.stand(seq, Stand::Waiting(due));
        Ok(())
    }

    /// A wait that begins now ends then; never while a dependency is in doubt or its probe is asked.
    pub(super) fn wait_due(&self, pending: &[u64]) -> u64 {
        let doubtful = |dep: &u64| self.running(*dep).is_some_and(Running::is_uncertain);
        if pending.iter().any(doubtful) {
            return u64::MAX;
        }
        self.elapsed + self.config.dependency_wait_ms
    }

    fn starts(&mut self, seq: u64) -> Result<(), Broken> {
        hold!(self.is_head(seq), "it is not at the head of its lane");
        hold!(
            self.refusal(seq)?.is_none(),
            "it started though {:?}",
            self.refusal(seq)?
        );
        hold!(
            self.pending(seq)?.is_empty(),
            "it started before its dependencies ended"
        );
        self.runs(seq)
    }

    pub(super) fn runs(&mut self, seq: u64) -> Result<(), Broken> {
        let due = self.elapsed + self.command(seq)?.timeout_ms;
        let running = Running {
            due,
            dispatched: false,
            contained: false,
            stopping: None,
            doubt: None,
            probed: false,
            lost: false,
        };
        self.stand(seq, Stand::Running(running));
        Ok(())
    }

    fn stops(&mut self, reading: &Reading<'_>, seq: u64, why: &StopReason) -> Result<(), Broken> {
        let running = self
            .running(seq)
            .ok_or_else(|| Broken("it does not run".to_owned()))?;
        hold!(
            running.stopping.is_none() && running.doubt.is_none(),
            "it is being stopped already"
        );
        hold!(running.dispatched, "it never left");
        let asked = match why {
            StopReason::Timeout => matches!(reading.input, Input::Tick) && running.due <= self.elapsed,
            StopReason::Cancel { .. } if reading.cancels == Some(seq) => true,
            // A person knows before the probe does.
            StopReason::Cancel { .. } => {
                running.probed && reading.resolves.is_some_and(|(target, _)| target == seq)
            }
        };
        hold!(asked, "nobody asked for it");
        self.change(seq, |running| {
            (running.stopping, running.due) = (Some(why.clone()), u64::MAX);
        });
        Ok(())
    }

    fn doubts(&mut self, reading: &mut Reading<'_>, seq: u64, reason: Doubt) -> Result<(), Broken> {
        let unanswered = reading.unanswered == Some(seq);
        let lost = self.running(seq).is_some_and(|running| running.lost);
        let crashed = reading.recovered == Some(seq) || (unanswered && !lost);
        hold!(
            unanswered || reason != Doubt::AnswerLost || !self.could_ask(seq)?,
            "its probe was not asked"
        );
        hold!(
            crashed == (reason == Doubt::CrashAfterDispatch),
            "a doubt for another reason"
        );
        hold!(
            crashed || reading.settled == Some(seq),
            "nothing gave reason to doubt"
        );
        hold!(
            self.running(seq).is_some_and(|running| running.dispatched),
            "it never left"
        );
        self.change(seq, |running| {
            (running.doubt, running.due) = (Some(reason), u64::MAX);
        });
        reading.doubted = Some(seq);
        self.doubts += 1;
        self.hold_waits(seq);
        Ok(())
    }

    /// Nobody's wait for it runs out.
    fn hold_waits(&mut self, seq: u64) {
        for open in &self.open {
            if let Some(command) = self
                .commands
                .get_mut(open)
                .filter(|command| command.deps.contains(&seq))
                && let Stand::Waiting(due) = &mut command.stand
            {
                *due = u64::MAX;
            }
        }
    }

    /// Whether its probe can tell what became of it.
    fn could_ask(&self, seq: u64) -> Result<bool, Broken> {
        let asks = self.command(seq)?.payload.to_value().get("probe").is_some();
        let left = self.running(seq).filter(|running| running.dispatched);
        Ok(asks && left.is_some_and(|running| !running.contained))
    }

    fn probe_asked(
        &mut self,
        reading: &Reading<'_>,
        seq: u64,
        timeout_ms: u64,
        lost: bool,
    ) -> Result<(), Broken> {
        let crashed = reading.recovered == Some(seq) && reading.class == Some(RecoveryClass::Probe);
        let was_lost = match reading.input {
            Input::Outcome { settlement, .. } if reading.settled == Some(seq) => {
                let running = self.running(seq);
                running.is_some_and(|running| {
                    let end = settles_as(settlement.settled, running.stopping.as_ref(), false);
                    end == Err(Doubt::AnswerLost)
                })
            }
            _ => false,
        };
        hold!(
            was_lost || (crashed && lost == self.running(seq).is_some_and(|running| running.lost)),
            "nothing asked for its probe"
        );
        hold!(lost || !was_lost, "its probe is asked for another reason");
        hold!(self.could_ask(seq)?, "it brought no probe");
        hold!(
            self.running(seq).is_some_and(|running| running.dispatched),
            "its probe is asked though it never left"
        );
        let due = self.elapsed + timeout_ms;
        self.change(seq, |running| {
            (running.probed, running.stopping, running.due) = (true, None, due);
            running.lost = lost;
        });
        self.hold_waits(seq);
        Ok(())
    }

    fn probe_answered(
        &mut self,
        reading: &mut Reading<'_>,
        seq: u64,
        answer: &ProbeAnswer,
    ) -> Result<(), Broken> {
        hold!(
            self.running(seq)
                .is_some_and(|running| running.probed && running.doubt.is_none()),
            "its probe was not asked"
        );
        let Input::Outcome { settlement, .. } = reading.input else {
            return Err(Broken("nobody answered".to_owned()));
        };
        let code = settlement
            .data
            .as_ref()
            .and_then(|data| data.to_value().get("exitCode")?.as_u64());
        let fits = match (settlement.settled, answer) {
            (SettledAs::Succeeded, answer) => *answer == ProbeAnswer::Landed,
            (SettledAs::Failed, answer) if code == Some(1) => *answer == ProbeAnswer::DidNotHappen,
            (_, answer) => matches!(answer, ProbeAnswer::Unknown(_)),
        };
        hold!(fits, "{answer:?} from {settlement:?}");
        if matches!(answer, ProbeAnswer::Unknown(_)) {
            self.change(seq, |running| running.probed = false);
            reading.unanswered = Some(seq);
        }
        reading.settled = Some(seq);
        Ok(())
    }

    fn recovered(&mut self, reading: &mut Reading<'_>, seq: u64, class: RecoveryClass) -> Result<(), Broken> {
        hold!(self.unclassified.remove(&seq), "it is classified already");
        let contract = self.contract(seq)?;
        let asks = self.command(seq)?.payload.to_value().get("probe").is_some();
        let running = self
            .running(seq)
            .ok_or_else(|| Broken("it does not run".to_owned()))?;
        let repeatable = contract.repeatable_with(&self.command(seq)?.payload);
        let expected = match class_of(running, repeatable) {
            RecoveryClass::InDoubt if running.doubt.is_none() && asks => RecoveryClass::Probe,
            class => class,
        };
        hold!(class == expected, "{class:?}, expected {expected:?}");
        (reading.recovered, reading.class) = (Some(seq), Some(class));
        Ok(())
    }

    fn session_created(&mut self, reading: &Reading<'_>, session: &SessionId) -> Result<(), Broken> {
        hold!(!self.sessions.contains_key(session), "it exists");
        let fresh = self.generations.insert((session.clone(), reading.idx));
        hold!(fresh, "generation {} a second time", reading.idx);
        let row = Session {
            generation: reading.idx,
            version: 0,
            metadata: std::collections::BTreeMap::new(),
        };
        self.sessions.insert(session.clone(), row);
        Ok(())
    }
}

fn class_of(running: &Running, repeatable: bool) -> RecoveryClass {
    if running.doubt.is_some() {
        RecoveryClass::InDoubt
    } else if !running.dispatched || repeatable {
        RecoveryClass::Recoverable
    } else if running.contained {
        RecoveryClass::Interrupted
    } else {
        RecoveryClass::InDoubt
    }
}

pub(super) fn public_id(command: &Command) -> actum_model::CommandId {
    let made = actum_model::CommandId::anonymous(command.seq);
    command.id.clone().unwrap_or(made)
}

/// Whether a kind is carried out in the kernel.
pub(super) fn in_kernel(kind: &str) -> bool {
    contract::find(kind).is_some_and(|contract| !contract.has_effect())
}

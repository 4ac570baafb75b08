//! How a command must end, and what else a record must hold.

use super::events::in_kernel;
use super::{Done, Model, Reading, Running, Stand, settles_as};
use crate::broken::{Broken, hold};
use actum_model::config::OnInDoubt;
use actum_model::effect::SettledAs;
use actum_model::event::{Finished, Resolution};
use actum_model::{ErrorCode, Input, Json, Outcome};

/// An outcome and the code of its error.
pub(crate) type End = (Outcome, Option<ErrorCode>);

impl Model {
    pub(super) fn finished(&mut self, reading: &mut Reading<'_>, finished: &Finished) -> Result<(), Broken> {
        let seq = finished.seq;
        let end: End = (finished.outcome, finished.fault.as_ref().map(|fault| fault.code));
        let expected = self.ends(reading, seq)?;
        hold!(
            expected.contains(&end),
            "it ends as {end:?}, expected one of {expected:?}"
        );
        if let Some(foreseen) = reading.graph.take_if(|foreseen| foreseen.seq == seq) {
            hold!(
                foreseen.fits(finished.data.as_ref()),
                "{foreseen:?} was foreseen, got {:?}",
                finished.data
            );
            for told in foreseen.told(&self.command(seq)?.kind) {
                *self.graph.tally.entry(told).or_default() += 1;
            }
        }
        let version = self.version_after(seq, finished.outcome)?;
        hold!(
            version == finished.session_version,
            "version {:?}, expected {version:?}",
            finished.session_version
        );
        if let (Some(version), Some(session)) = (version, self.command(seq)?.session.clone())
            && let Some(session) = self.sessions.get_mut(&session)
        {
            session.version = version;
        }
        let command = self.command(seq)?;
        let started = matches!(command.stand, Stand::Running(_));
        if let (Outcome::Succeeded, Input::Outcome { settlement, .. }, Some(settled)) =
            (finished.outcome, reading.input, reading.settled)
            && settled == seq
        {
            let probed = self.running(seq).is_some_and(|running| running.probed);
            let given = settlement.data.as_ref().map(|data| match probed {
                true => format!(r#"{{"probe":{}}}"#, data.as_str()),
                false => data.as_str().to_owned(),
            });
            hold!(
                finished.data.as_ref().map(Json::as_str) == given.as_deref(),
                "another result than the world gave"
            );
        }
        if let Some(key) = command.key.clone() {
            self.key_ends.push_back((self.at, command.lane.clone(), key, seq));
        }
        let done = Done {
            outcome: finished.outcome,
            code: end.1,
            data: finished.data.clone(),
            version: finished.session_version,
            idx: reading.idx,
            at: self.at,
            started,
            retired: false,
        };
        self.leaves_lane(seq);
        self.stand(seq, Stand::Done(done));
        self.open.remove(&seq);
        self.unclassified.remove(&seq);
        self.kept.push_back(seq);
        self.bound_waits(seq);
        Ok(())
    }

    /// Those that still wait for something else have their time again, once nothing they wait for is in doubt.
    fn bound_waits(&mut self, ended: u64) {
        let held = |stand: &Stand| matches!(stand, Stand::Waiting(u64::MAX));
        let waiting: Vec<u64> = self
            .unfinished()
            .filter(|c| held(&c.stand))
            .map(|c| c.seq)
            .collect();
        for seq in waiting {
            let Some(command) = self.commands.get(&seq) else {
                continue;
            };
            if !command.deps.contains(&ended) {
                continue;
            }
            let pending: Vec<u64> = command
                .deps
                .iter()
                .copied()
                .filter(|dep| self.done(*dep).is_none())
                .collect();
            let failed = self.failed_dependency(seq).is_ok_and(|failed| failed.is_some());
            if !pending.is_empty() && !failed {
                let due = self.wait_due(&pending);
                self.stand(seq, Stand::Waiting(due));
            }
        }
    }

    fn version_after(&self, seq: u64, outcome: Outcome) -> Result<Option<u64>, Broken> {
        let contract = self.contract(seq)?;
        let counts = contract.mutates_session && contract.kind != "session.create";
        let session = self
            .command(seq)?
            .session
            .as_ref()
            .and_then(|id| self.sessions.get(id));
        let more = u64::from(counts && outcome == Outcome::Succeeded);
        Ok(session.map(|session| session.version + more))
    }

    /// Every way in which this command may end now.
    fn ends(&self, reading: &Reading<'_>, seq: u64) -> Result<Vec<End>, Broken> {
        let command = self.command(seq)?;
        if let Some(foreseen) = reading.immediate.as_ref().filter(|foreseen| foreseen.seq == seq) {
            return Ok(vec![foreseen.end]);
        }
        let is_tick = matches!(reading.input, Input::Tick);
        let mut ends = Vec::new();
        match &command.stand {
            Stand::Done(done) => return Err(Broken(format!("it has its outcome: {done:?}"))),
            Stand::Queued | Stand::Waiting(_) => {
                if reading.cancels == Some(seq) {
                    ends.push((Outcome::Cancelled, Some(ErrorCode::Cancelled)));
                }
                if is_tick && matches!(command.stand, Stand::Queued) && command.queue_due <= self.elapsed {
                    ends.push((Outcome::TimedOut, Some(ErrorCode::QueueTimeout)));
                }
                if is_tick && matches!(command.stand, Stand::Waiting(due) if due <= self.elapsed) {
                    ends.push((Outcome::TimedOut, Some(ErrorCode::DependencyTimeout)));
                }
                let waits = command.deps.iter().any(|dep| self.done(*dep).is_none());
                let refusal = self.refusal(seq)?.filter(|_| self.is_head(seq));
                let dependency = refusal == Some(ErrorCode::DependencyFailed);
                ends.extend(
                    refusal
                        .filter(|_| dependency || !waits)
                        .map(|code| (Outcome::Rejected, Some(code))),
                );
            }
            Stand::Running(_) if in_kernel(&command.kind) => ends.push(self.kernel_end(reading, seq)),
            Stand::Running(running) => self.effect_ends(reading, seq, running, &mut ends)?,
        }
        Ok(ends)
    }

    fn kernel_end(&self, reading: &Reading<'_>, seq: u64) -> End {
        if let Some(foreseen) = reading.graph.as_ref().filter(|foreseen| foreseen.seq == seq) {
            return foreseen.end;
        }
        let command = self.commands.get(&seq);
        let session = command.and_then(|command| command.session.as_ref());
        let row = session.and_then(|id| self.sessions.get(id));
        if let Some(command) = command.filter(|command| command.kind.starts_with("timer.")) {
            if reading.timer_done == Some(seq) {
                return (Outcome::Succeeded, None);
            }
            return match self.timer_end(&command.kind, &command.payload.to_value(), seq) {
                (Outcome::Succeeded, _) => (Outcome::Failed, Some(ErrorCode::Internal)),
                wrong => wrong,
            };
        }
        let creates = command.is_some_and(|command| command.kind == "session.create");
        // A creation has made its session by now, in this record; one that was there is older.
        if creates && row.is_some_and(|row| row.generation != reading.idx || row.version != 0) {
            return (Outcome::Failed, Some(ErrorCode::SessionExists));
        }
        (Outcome::Succeeded, None)
    }

    fn effect_ends(
        &self,
        reading: &Reading<'_>,
        seq: u64,
        running: &Running,
        ends: &mut Vec<End>,
    ) -> Result<(), Broken> {
        if let Some(resolution) = reading
            .resolves
            .filter(|(target, _)| *target == seq)
            .map(|(_, r)| r)
        {
            ends.push(match resolution {
                Resolution::Landed => (Outcome::Succeeded, None),
                Resolution::DidNotHappen => (Outcome::Failed, Some(ErrorCode::DidNotHappen)),
                Resolution::Retry => (Outcome::Failed, Some(ErrorCode::Retried)),
            });
        } else if running.doubt.is_some() {
            if reading.doubted == Some(seq) && self.config.on_in_doubt == OnInDoubt::Fail {
                ends.push((Outcome::Failed, Some(ErrorCode::InDoubt)));
            }
        } else if running.probed {
            let answered = reading.settled == Some(seq);
            if let (true, Input::Outcome { settlement, .. }) = (answered, reading.input) {
                ends.push(match settlement.settled {
                    SettledAs::Succeeded => (Outcome::Succeeded, None),
                    _ => (Outcome::Failed, Some(ErrorCode::DidNotHappen)),
                });
            }
        } else if let (Some(settled), Input::Outcome { settlement, .. }) = (reading.settled, reading.input) {
            let contract = self.contract(seq)?;
            let harmless = running.contained || contract.repeatable_with(&self.command(seq)?.payload);
            let end = settles_as(settlement.settled, running.stopping.as_ref(), harmless);
            let code = |outcome| match outcome {
                Outcome::Succeeded => None,
                Outcome::Cancelled => Some(ErrorCode::Cancelled),
                Outcome::TimedOut => Some(ErrorCode::TimedOut),
                _ => Some(
                    settlement
                        .fault
                        .as_ref()
                        .map_or(ErrorCode::CommandFailed, |fault| fault.code),
                ),
            };
            ends.extend(
                end.ok()
                    .filter(|_| settled == seq)
                    .map(|outcome| (outcome, code(outcome))),
            );
        } else if !running.dispatched {
            if reading.cancels == Some(seq) {
                ends.push((Outcome::Cancelled, Some(ErrorCode::Cancelled)));
            }
            if matches!(reading.input, Input::Tick) && running.due <= self.elapsed {
                ends.push((Outcome::TimedOut, Some(ErrorCode::TimedOut)));
            }
        }
        Ok(())
    }

    /// What the input of a record must have led to by its end.
    pub(super) fn record_ends(&mut self, reading: &Reading<'_>) -> Result<(), Broken> {
        let idx = reading.idx;
        if let Some(foreseen) = &reading.graph {
            return Err(Broken(format!("record {idx}: {foreseen:?} was foreseen")));
        }
        if let Some(seq) = reading.settled {
            let open = self.running(seq).is_some_and(|running| !running.is_uncertain());
            hold!(!open, "record {idx}: command {seq} settled and goes on");
        }
        if let Some(foreseen) = &reading.immediate {
            hold!(
                self.done(foreseen.seq).is_some(),
                "record {idx}: {foreseen:?} was foreseen"
            );
        }
        if let Some(seq) = reading.cancels {
            let stopping = self
                .running(seq)
                .is_some_and(|running| running.stopping.is_some());
            hold!(
                stopping || self.done(seq).is_some(),
                "record {idx}: command {seq} was cancelled and goes on"
            );
        }
        if let Some((seq, resolution)) = reading.resolves {
            hold!(
                self.done(seq).is_some(),
                "record {idx}: command {seq} was resolved and goes on"
            );
            let accepted = 1 + usize::from(resolution == Resolution::Retry);
            hold!(
                reading.accepted.len() == accepted,
                "record {idx}: a retry is missing"
            );
        } else {
            let accepts = usize::from(matches!(reading.input, Input::Submit(_))) + reading.submitted;
            hold!(
                reading.accepted.len() == accepts && reading.carried.is_none(),
                "record {idx}: {:?}",
                reading.accepted
            );
        }
        Ok(())
    }
}

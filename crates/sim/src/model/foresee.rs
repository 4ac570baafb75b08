//! What must come of a command that nothing stands before: why it may not start, what a control command comes to.

use super::admit::lane_of;
use super::{Immediate, Model, Reading, Running};
use crate::broken::Broken;
use actum_model::contract::Admission;
use actum_model::event::Resolution;
use actum_model::ids::{CommandId, SessionId};
use actum_model::input::Submit;
use actum_model::{ErrorCode, Outcome};

impl Model {
    /// Why the command at the head of a lane must not start.
    pub(super) fn refusal(&self, seq: u64) -> Result<Option<ErrorCode>, Broken> {
        if self.failed_dependency(seq)?.is_some() {
            return Ok(Some(ErrorCode::DependencyFailed));
        }
        let command = self.command(seq)?;
        let asked = (command.if_version, command.if_generation);
        Ok(self.unmet(&command.kind, command.session.as_ref(), asked))
    }

    /// The condition on its session that does not hold.
    fn unmet(
        &self,
        kind: &str,
        session: Option<&SessionId>,
        (version, generation): (Option<u64>, Option<u64>),
    ) -> Option<ErrorCode> {
        let id = session?;
        if kind == "session.create" && version.is_none() {
            return None;
        }
        let Some(session) = self.sessions.get(id) else {
            return Some(ErrorCode::SessionNotFound);
        };
        let version = version.is_none_or(|version| version == session.version);
        let generation = generation.is_none_or(|generation| generation == session.generation);
        (!(version && generation)).then_some(ErrorCode::VersionMismatch)
    }

    /// Notes what a submission must come to at once, if the kernel carries it out and nothing stands before it.
    pub(super) fn foresee(&self, reading: &mut Reading<'_>, submit: &Submit) {
        let (envelope, seq) = (&submit.envelope, self.next_seq);
        let Some(contract) = envelope.contract() else {
            return;
        };
        if contract.admission == Admission::Control {
            return self.control(reading, submit);
        }
        let lane = lane_of(submit);
        let behind = lane
            .and_then(|lane| self.lanes.get(&lane))
            .is_some_and(|queue| !queue.is_empty());
        let deps: Vec<_> = envelope
            .depends_on
            .iter()
            .filter_map(|id| self.known(id))
            .collect();
        let waits = deps.iter().any(|dep| self.done(*dep).is_none());
        if contract.has_effect() || behind || waits {
            return;
        }
        let made = SessionId::parse(&format!("s-{seq}"))
            .ok()
            .filter(|_| contract.kind == "session.create");
        let session = envelope.session.clone().or(made);
        let failed = |dep: &u64| {
            self.done(*dep)
                .is_some_and(|done| done.outcome != Outcome::Succeeded)
        };
        let refusal = if deps.iter().any(failed) {
            Some(ErrorCode::DependencyFailed)
        } else {
            let asked = envelope.if_version;
            let asked = (
                asked.map(|asked| asked.version),
                asked.and_then(|asked| asked.generation),
            );
            self.unmet(contract.kind, session.as_ref(), asked)
        };
        let exists = session.as_ref().is_some_and(|id| self.sessions.contains_key(id));
        let end = match refusal {
            Some(code) => (Outcome::Rejected, Some(code)),
            None if contract.kind == "session.create" && exists => {
                (Outcome::Failed, Some(ErrorCode::SessionExists))
            }
            None if contract.kind.starts_with("timer.") => {
                self.timer_end(contract.kind, &envelope.payload.to_value(), seq)
            }
            None => {
                reading.graph = self.graph_foreseen(seq, contract.kind, &envelope.payload);
                let graph = reading.graph.as_ref().map(|foreseen| foreseen.end);
                graph.unwrap_or((Outcome::Succeeded, None))
            }
        };
        let started = refusal.is_none();
        reading.immediate = Some(Immediate { seq, started, end });
    }

    /// What a control command must come to.
    fn control(&self, reading: &mut Reading<'_>, submit: &Submit) {
        let seq = self.next_seq;
        let payload = submit.envelope.payload.to_value();
        let named = payload
            .get("id")
            .and_then(|id| id.as_str())
            .and_then(|id| CommandId::parse_any(id).ok());
        let own = submit
            .envelope
            .id
            .clone()
            .unwrap_or_else(|| CommandId::anonymous(seq));
        let itself = named.as_ref() == Some(&own);
        let target = named.and_then(|id| self.named(&id));
        let done = target.is_some_and(|target| self.done(target).is_some());
        let doubt = target
            .and_then(|target| self.running(target))
            .is_some_and(|running| running.doubt.is_some());
        let uncertain = target
            .and_then(|target| self.running(target))
            .is_some_and(Running::is_uncertain);
        let cancels = submit.envelope.kind.as_str() == "command.cancel";
        let refused = match target {
            _ if cancels && itself => Some(ErrorCode::InvalidInput),
            None => Some(ErrorCode::CommandNotFound),
            Some(_) if done => Some(ErrorCode::AlreadyFinished),
            Some(_) if cancels && doubt => Some(ErrorCode::InDoubt),
            Some(_) if !cancels && !uncertain => Some(ErrorCode::NotInDoubt),
            Some(_) => None,
        };
        let outcome = if refused.is_some() {
            Outcome::Failed
        } else {
            Outcome::Succeeded
        };
        let end = (outcome, refused);
        reading.immediate = Some(Immediate {
            seq,
            started: true,
            end,
        });
        if refused.is_none() && cancels {
            reading.cancels = target;
        } else if refused.is_none() {
            let resolution = payload
                .get("as")
                .and_then(|text| text.as_str())
                .and_then(Resolution::parse);
            reading.resolves = target.zip(resolution);
        }
    }

    /// The first dependency that did not succeed.
    pub(super) fn failed_dependency(&self, seq: u64) -> Result<Option<u64>, Broken> {
        let failed = |dep: &&u64| {
            self.done(**dep)
                .is_some_and(|done| done.outcome != Outcome::Succeeded)
        };
        Ok(self.command(seq)?.deps.iter().find(failed).copied())
    }
}

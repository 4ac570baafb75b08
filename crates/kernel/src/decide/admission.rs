//! Admission: who has asked this before, is there room, what does it wait for; then it is accepted.

use super::lane::failed_dependency;
use super::{Current, Decider, Reply};
use crate::commands;
use crate::read::check_wait;
use crate::state::{IdEntry, Known, id_key, idempotency_key};
use actum_model::contract::{Admission, Contract, SessionUse};
use actum_model::event::{Accepted, Event};
use actum_model::hash::Fingerprint;
use actum_model::ids::{CommandId, SessionId};
use actum_model::input::Submit;
use actum_model::limits::PAYLOAD_BYTES_MAX;
use actum_model::outcome::{Identity, LanePlace};
use actum_model::restore::{LaneKey, Phase};
use actum_model::{Envelope, ErrorCode, Fault, Json, Lane, contract};
use serde_json::json;
use std::sync::Arc;

/// A command that is about to be accepted.
pub(crate) struct Candidate<'a> {
    pub(crate) submit: &'a Submit,
    pub(crate) contract: &'static Contract,
    pub(crate) lane: Option<Lane>,
    pub(crate) deps: Vec<u64>,
}

impl Decider<'_> {
    pub(super) fn submit(&mut self, submit: &Submit) -> Reply {
        let envelope = &submit.envelope;
        let Some(contract) = contract::find(envelope.kind.as_str()) else {
            let message = format!("no command kind is named `{}`", envelope.kind);
            return Reply::Refused(Fault::new(ErrorCode::UnknownCommand, message));
        };
        let shape =
            small_enough(&envelope.payload).and_then(|()| commands::check(contract, &envelope.payload));
        if let Err(fault) = shape {
            return Reply::Refused(fault);
        }
        let lane = lane_of(contract, submit);
        match self.repetition(submit, lane.as_ref()) {
            Ok(None) => {}
            Ok(Some(reply)) => return self.repeated(submit, reply),
            Err(fault) => return Reply::Refused(fault),
        }
        let checked = self
            .caller_runs(submit)
            .and_then(|()| self.room(submit, contract))
            .and_then(|()| self.dependencies(submit));
        let deps = match checked {
            Ok(deps) => deps,
            Err(fault) => return Reply::Refused(fault),
        };
        let candidate = Candidate {
            submit,
            contract,
            lane,
            deps,
        };
        if self.is_immediate(&candidate) {
            return Reply::Accepted(self.execute(&candidate));
        }
        Reply::Accepted(self.accept(&candidate))
    }

    /// Whether the command is over when this record ends: the kernel carries it out itself, and nothing
    /// stands before it.
    fn is_immediate(&self, candidate: &Candidate<'_>) -> bool {
        let Candidate {
            submit,
            contract,
            lane,
            deps,
        } = candidate;
        if contract.has_effect() || deps.iter().any(|dep| self.state.command(*dep).is_some()) {
            return false;
        }
        let Some(lane) = lane else { return true };
        let key = LaneKey {
            tenant: submit.caller.tenant.clone(),
            lane: lane.clone(),
        };
        self.state
            .lanes
            .get(&key)
            .is_none_or(|lane| lane.queue.is_empty())
    }

    /// Accepts and carries out a command in this record.
    fn execute(&mut self, candidate: &Candidate<'_>) -> u64 {
        let Candidate {
            submit,
            contract,
            deps,
            ..
        } = candidate;
        let identity = Arc::new(self.identify(candidate));
        let seq = identity.seq;
        let if_generation = submit.envelope.if_version.and_then(|asked| asked.generation);
        let failed = failed_dependency(&identity, deps, self.state.failed_of(deps, &[]));
        let exec = submit.caller.exec;
        self.current = Some(Current {
            identity: identity.clone(),
            unstarted: true,
            exec,
        });
        match failed.or_else(|| self.unmet(&identity, if_generation, contract)) {
            Some(fault) => self.reject(seq, fault),
            None => {
                self.current = Some(Current {
                    identity,
                    unstarted: false,
                    exec,
                });
                commands::run(self, seq, contract, &submit.envelope.payload);
            }
        }
        seq
    }

    /// The same id or a live key: a repetition, or a conflict.
    fn repetition(&self, submit: &Submit, lane: Option<&Lane>) -> Result<Option<Reply>, Fault> {
        let envelope = &submit.envelope;
        let tenant = &submit.caller.tenant;
        let by_id = envelope
            .id
            .as_ref()
            .and_then(|id| self.state.ids.get(&id_key(tenant, id)));
        let by_key = envelope.key.as_ref().and_then(|key| {
            let entry = self.state.keys.get(&idempotency_key(tenant, lane, key))?;
            let expires = entry.finished_at.saturating_add(self.state.config.key_ttl_ms);
            let live = entry.finished_at == 0 || self.head.at < expires;
            live.then_some(IdEntry {
                seq: entry.seq,
                fingerprint: entry.fingerprint,
            })
        });
        let (field, entry) = match (by_id, by_key) {
            (None, None) => return Ok(None),
            (Some(id), Some(key)) if id.seq != key.seq => return Err(conflict("id")),
            (Some(entry), _) => ("id", entry),
            (None, Some(entry)) => ("idempotencyKey", entry),
        };
        let fingerprint: Fingerprint = submit.fingerprint.fingerprint();
        if entry.fingerprint != fingerprint {
            return Err(conflict(field));
        }
        let known = self.state.known(entry.seq);
        let asked_by = match &known {
            Some(Known::InFlight(row)) => Some(&row.identity.principal),
            Some(Known::Finished(row)) => Some(&row.identity.principal),
            // Of a retired command only the fingerprint is left, which covers who asked.
            Some(Known::Retired(_)) | None => None,
        };
        if asked_by.is_some_and(|principal| *principal != submit.caller.principal) {
            return Err(conflict(field));
        }
        if let Some(retry_after_ms) = submit.limited.replay {
            return Err(over_rate("repetitions", retry_after_ms));
        }
        match known {
            Some(Known::InFlight(_)) => Ok(Some(Reply::Joined(entry.seq))),
            Some(Known::Finished(_)) => Ok(Some(Reply::Recorded(entry.seq))),
            Some(Known::Retired(_)) | None => {
                let message = "this command finished, and its outcome is no longer kept";
                Err(Fault::new(ErrorCode::OutcomeExpired, message))
            }
        }
    }

    /// Where the answer would be an outcome to wait for, it must not be that of the caller itself.
    fn repeated(&self, submit: &Submit, reply: Reply) -> Reply {
        let Reply::Joined(seq) = reply else {
            return reply;
        };
        let row = self.state.command(seq).filter(|_| !submit.envelope.detach);
        match row.map(|row| check_wait(self.state, &submit.caller, &row.identity)) {
            Some(Err(fault)) => Reply::Refused(fault),
            Some(Ok(())) | None => reply,
        }
    }

    /// A call from inside a command is one only while that command runs.
    fn caller_runs(&self, submit: &Submit) -> Result<(), Fault> {
        let Some(parent) = submit.caller.exec else {
            return Ok(());
        };
        let runs = self.state.command(parent).is_some_and(|row| {
            matches!(&row.phase, Phase::Running(running)
                if running.stopping.is_none() && running.doubt.is_none() && running.probe.is_none())
        });
        if runs {
            return Ok(());
        }
        let message = "the command this call comes from runs no more, or is being stopped";
        Err(Fault::new(ErrorCode::CallerEnded, message))
    }

    pub(super) fn room(&self, submit: &Submit, contract: &Contract) -> Result<(), Fault> {
        if let Some(retry_after_ms) = submit.limited.submission {
            return Err(over_rate("submissions", retry_after_ms));
        }
        let config = &self.state.config;
        // A control command is over when its record ends, and may be the only way to make room.
        let stays = contract.admission != Admission::Control;
        if stays && self.state.in_flight() as u64 >= config.in_flight_max {
            let message = format!(
                "{} commands are unfinished, the bound is reached",
                config.in_flight_max
            );
            return Err(Fault::new(ErrorCode::Busy, message));
        }
        if submit.envelope.key.is_some() && self.state.keys_live() as u64 >= config.keys_max {
            let message = format!(
                "{} idempotency keys are live, the bound is reached",
                config.keys_max
            );
            return Err(Fault::new(ErrorCode::Busy, message));
        }
        Ok(())
    }

    fn dependencies(&self, submit: &Submit) -> Result<Vec<u64>, Fault> {
        let mut deps = Vec::with_capacity(submit.envelope.depends_on.len());
        for id in &submit.envelope.depends_on {
            match self.state.find(&submit.caller.tenant, id) {
                Some(Known::InFlight(row)) => {
                    check_wait(self.state, &submit.caller, &row.identity)?;
                    deps.push(row.identity.seq);
                }
                Some(Known::Finished(row)) => deps.push(row.identity.seq),
                Some(Known::Retired(_)) | None => {
                    let message = format!("`{id}` is neither in flight nor among the kept outcomes");
                    return Err(Fault::new(ErrorCode::DependencyUnknown, message)
                        .with_details(&json!({"dependency": id.as_str()})));
                }
            }
        }
        Ok(deps)
    }

    /// Makes the command a fact and gives its number.
    pub(crate) fn accept(&mut self, candidate: &Candidate<'_>) -> u64 {
        let identity = self.identify(candidate);
        let seq = identity.seq;
        let envelope = &candidate.submit.envelope;
        let queue_timeout_ms = envelope
            .queue_timeout_ms
            .unwrap_or(self.state.config.queue_timeout_ms);
        self.emit(Event::Accepted(Accepted {
            identity: Arc::new(identity),
            payload: Some(envelope.payload.clone()),
            deps: candidate.deps.clone(),
            if_generation: envelope.if_version.and_then(|asked| asked.generation),
            timeout_ms: envelope.timeout_ms.unwrap_or(candidate.contract.timeout_ms),
            queue_timeout_ms,
            redacted: candidate.submit.redacted,
        }));
        seq
    }

    /// Who asks for what, as the next command.
    fn identify(&self, candidate: &Candidate<'_>) -> Identity {
        let Candidate {
            submit,
            contract,
            lane,
            ..
        } = candidate;
        let envelope = &submit.envelope;
        let seq = self.state.next_seq;
        let caused_by = submit.caller.exec.map(|parent| self.public_id(parent));
        Identity {
            seq,
            id: envelope.id.clone(),
            kind: envelope.kind.clone(),
            tenant: submit.caller.tenant.clone(),
            principal: submit.caller.principal.clone(),
            lane: lane.clone().map(|lane| self.place(submit, lane)),
            session: self.session_of(contract, envelope, seq),
            fingerprint: submit.fingerprint.fingerprint(),
            key: envelope.key.clone(),
            depends_on: envelope.depends_on.clone(),
            if_version: envelope.if_version.map(|asked| asked.version),
            correlation: envelope.correlation.clone(),
            causation: envelope.causation.clone().or(caused_by),
            retry_of: envelope.retry_of.clone(),
        }
    }

    fn public_id(&self, seq: u64) -> CommandId {
        match self.state.command(seq) {
            Some(row) => row.identity.public_id(),
            None => CommandId::anonymous(seq),
        }
    }

    fn place(&self, submit: &Submit, lane: Lane) -> LanePlace {
        let key = LaneKey {
            tenant: submit.caller.tenant.clone(),
            lane,
        };
        let (generation, seq) = match self.state.lanes.get(&key) {
            Some(lane) => (lane.generation, lane.last_seq + 1),
            None => (self.head.idx, 1),
        };
        LanePlace {
            lane: key.lane,
            generation,
            seq,
        }
    }

    fn session_of(&self, contract: &Contract, envelope: &Envelope, seq: u64) -> Option<SessionId> {
        let made = contract.kind == "session.create" && envelope.session.is_none();
        if made && contract.session == SessionUse::Optional {
            return SessionId::parse(&format!("s-{seq}")).ok();
        }
        envelope.session.clone()
    }
}

/// A record holds the arguments twice: in its input and in the acceptance.
fn small_enough(payload: &Json) -> Result<(), Fault> {
    let bytes = payload.as_str().len();
    if bytes <= PAYLOAD_BYTES_MAX {
        return Ok(());
    }
    let message = format!("the arguments have {bytes} bytes, expected at most {PAYLOAD_BYTES_MAX}");
    Err(Fault::new(ErrorCode::LimitExceeded, message).with_hint("put large bodies into files and name them"))
}

pub(super) fn lane_of(contract: &Contract, submit: &Submit) -> Option<Lane> {
    if contract.admission != Admission::Queued {
        return None;
    }
    if let Some(parent) = submit.caller.exec {
        return Some(Lane::Exec(parent));
    }
    Some(
        submit
            .envelope
            .session
            .clone()
            .map_or(Lane::Server, Lane::Session),
    )
}

fn over_rate(what: &str, retry_after_ms: u64) -> Fault {
    let message = format!("too many {what}, wait {retry_after_ms} ms");
    Fault::new(ErrorCode::RateLimited, message).with_details(&json!({"retryAfterMs": retry_after_ms}))
}

fn conflict(field: &str) -> Fault {
    let message = format!("this `{field}` is already used for another command");
    Fault::new(ErrorCode::IdentityConflict, message)
}

//! A command enters the books and its lane, and leaves the lane again.

use super::admit::lane_of;
use super::events::public_id;
use super::{Command, Model, Reading, Stand};
use crate::broken::{Broken, hold};
use actum_model::event::{Accepted, Executed, Finished};
use actum_model::ids::Tenant;
use actum_model::outcome::{Identity, LanePlace};
use actum_model::{Input, Json, Lane};

impl Model {
    pub(super) fn accepted(&mut self, reading: &mut Reading<'_>, accepted: &Accepted) -> Result<(), Broken> {
        if matches!(reading.input, Input::Tick) {
            reading.submitted += 1;
            return self.submitted(reading, accepted);
        }
        let Input::Submit(submit) = reading.input else {
            return Err(Broken("nobody submitted it".to_owned()));
        };
        let identity = &accepted.identity;
        let (mut lane, mut deps) = (lane_of(submit), self.dependencies(submit)?);
        if let Some((old, _)) = reading.resolves {
            let old = self.command(old)?;
            hold!(
                accepted.payload.as_ref() == Some(&old.payload),
                "a retry of something else"
            );
            hold!(
                identity.retry_of == Some(public_id(old)),
                "a retry that names another"
            );
            (lane, deps) = (old.lane.clone(), Vec::new());
        } else {
            hold!(
                reading.immediate.is_none(),
                "it could have been done in this record"
            );
            hold!(
                accepted.payload.as_ref() == Some(&submit.envelope.payload),
                "it asks for something else"
            );
        }
        hold!(
            identity.lane.as_ref().map(|place| &place.lane) == lane.as_ref(),
            "another lane than asked"
        );
        hold!(
            deps == accepted.deps,
            "it depends on {:?}, expected {deps:?}",
            accepted.deps
        );
        let command = Command {
            if_generation: accepted.if_generation,
            timeout_ms: accepted.timeout_ms,
            queue_due: self.elapsed + accepted.queue_timeout_ms,
            payload: accepted.payload.clone().unwrap_or_default(),
            ..command_of(identity, deps)
        };
        self.enter(reading, identity, command)
    }

    /// A command that is accepted and over in this record: it must be the one foreseen.
    pub(super) fn executed(&mut self, reading: &mut Reading<'_>, executed: &Executed) -> Result<(), Broken> {
        let identity = &executed.identity;
        let seq = identity.seq;
        let Some(foreseen) = reading.immediate.clone() else {
            return Err(Broken("it should have waited".to_owned()));
        };
        let Input::Submit(submit) = reading.input else {
            return Err(Broken("nobody submitted it".to_owned()));
        };
        let deps = submit
            .envelope
            .depends_on
            .iter()
            .filter_map(|id| self.known(id))
            .collect();
        let command = Command {
            payload: submit.envelope.payload.clone(),
            ..command_of(identity, deps)
        };
        self.enter(reading, identity, command)?;
        if foreseen.started {
            self.runs(seq)?;
        }
        hold!(
            foreseen.seq == seq && foreseen.started != executed.unstarted,
            "foreseen was {foreseen:?}"
        );
        let finished = Finished {
            seq,
            outcome: executed.outcome,
            data: executed.data.clone(),
            fault: executed.fault.clone(),
            session_version: executed.session_version,
        };
        self.finished(reading, &finished)
    }

    /// Takes a command into the books.
    pub(super) fn enter(
        &mut self,
        reading: &mut Reading<'_>,
        identity: &Identity,
        command: Command,
    ) -> Result<(), Broken> {
        let seq = identity.seq;
        hold!(
            seq == self.next_seq,
            "number {seq} where {} should be",
            self.next_seq
        );
        hold!(identity.tenant == Tenant::main(), "another tenant");
        if let Some(place) = &identity.lane {
            self.takes_place(reading.idx, place, seq)?;
        }
        let lane = command.lane.clone();
        self.commands.insert(seq, command);
        self.open.insert(seq);
        if let Some(id) = &identity.id {
            self.ids.insert(id.clone(), seq);
        }
        if let Some(key) = &identity.key {
            self.keys.insert((lane, key.clone()), seq);
        }
        self.next_seq += 1;
        reading.accepted.push(seq);
        Ok(())
    }

    pub(super) fn dependencies(&self, submit: &actum_model::input::Submit) -> Result<Vec<u64>, Broken> {
        let named = submit.envelope.depends_on.iter().map(|id| self.known(id));
        named
            .collect::<Option<_>>()
            .ok_or_else(|| Broken("it depends on nobody knows what".to_owned()))
    }

    /// Places of a lane are gap-free within a generation, and never go back.
    fn takes_place(&mut self, idx: u64, place: &LanePlace, seq: u64) -> Result<(), Broken> {
        let new = (place.generation, place.seq);
        let is_open = self.lanes.contains_key(&place.lane);
        self.lanes.entry(place.lane.clone()).or_default().push_back(seq);
        let fits = match self.places.insert(place.lane.clone(), new) {
            Some((generation, seq)) if is_open => new == (generation, seq + 1),
            Some(last) => new == (idx, 1) && new > last,
            None => new == (idx, 1),
        };
        hold!(fits, "place {new:?} in {}", place.lane);
        Ok(())
    }

    /// A lane that is empty is dropped, unless its session exists.
    pub(super) fn leaves_lane(&mut self, seq: u64) {
        let Some(lane) = self.commands.get(&seq).and_then(|command| command.lane.clone()) else {
            return;
        };
        if let Some(queue) = self.lanes.get_mut(&lane) {
            queue.retain(|queued| *queued != seq);
            let stays = match &lane {
                Lane::Session(session) => self.sessions.contains_key(session),
                Lane::Server => true,
                Lane::Exec(_) => false,
            };
            if queue.is_empty() && !stays {
                self.lanes.remove(&lane);
            }
        }
    }

    pub(super) fn is_head(&self, seq: u64) -> bool {
        let lane = self.commands.get(&seq).and_then(|command| command.lane.as_ref());
        lane.and_then(|lane| self.lanes.get(lane))
            .and_then(|queue| queue.front())
            == Some(&seq)
    }
}

/// A command as its identity tells, about to wait.
pub(super) fn command_of(identity: &Identity, deps: Vec<u64>) -> Command {
    Command {
        seq: identity.seq,
        id: identity.id.clone(),
        kind: identity.kind.to_string(),
        principal: identity.principal.clone(),
        lane: identity.lane.as_ref().map(|place| place.lane.clone()),
        session: identity.session.clone(),
        payload: Json::default(),
        fingerprint: identity.fingerprint,
        key: identity.key.clone(),
        deps,
        if_version: identity.if_version,
        if_generation: None,
        timeout_ms: 0,
        queue_due: u64::MAX,
        stand: Stand::Queued,
    }
}

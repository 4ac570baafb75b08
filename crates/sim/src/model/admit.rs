//! What the model answers to a submission, in the order the documents give.

use super::{Model, Predicted, Stand};
use actum_model::contract::{self, Admission};
use actum_model::ids::CommandId;
use actum_model::input::Submit;
use actum_model::limits::PAYLOAD_BYTES_MAX;
use actum_model::{ErrorCode, Lane};

impl Model {
    /// The answer to a submission at this history time.
    #[must_use]
    pub fn predict(&self, submit: &Submit, at: u64) -> Predicted {
        let envelope = &submit.envelope;
        let Some(contract) = contract::find(envelope.kind.as_str()) else {
            return Predicted::Refused(ErrorCode::UnknownCommand);
        };
        if envelope.payload.as_str().len() > PAYLOAD_BYTES_MAX {
            return Predicted::Refused(ErrorCode::LimitExceeded);
        }
        let misshapen = (contract.kind == "graph.rewrite")
            .then(|| Model::misshapen(&envelope.payload.to_value()))
            .flatten();
        if let Some(code) = misshapen {
            return Predicted::Refused(code);
        }
        if let Some(answer) = self.repetition(submit, at) {
            return answer;
        }
        if submit.limited.submission.is_some() {
            return Predicted::Refused(ErrorCode::RateLimited);
        }
        let in_flight = self.unfinished().count() as u64;
        if contract.admission == Admission::Queued && in_flight >= self.config.in_flight_max {
            return Predicted::Refused(ErrorCode::Busy);
        }
        if envelope.key.is_some() && self.keys.len() as u64 >= self.config.keys_max {
            return Predicted::Refused(ErrorCode::Busy);
        }
        if envelope.depends_on.iter().any(|id| self.known(id).is_none()) {
            return Predicted::Refused(ErrorCode::DependencyUnknown);
        }
        Predicted::Accepted(self.next_seq)
    }

    fn repetition(&self, submit: &Submit, at: u64) -> Option<Predicted> {
        let envelope = &submit.envelope;
        let by_id = envelope.id.as_ref().and_then(|id| self.ids.get(id)).copied();
        let by_key = envelope.key.as_ref().and_then(|key| {
            let seq = *self.keys.get(&(lane_of(submit), key.clone()))?;
            let live = self
                .done(seq)
                .is_none_or(|done| at < done.at + self.config.key_ttl_ms);
            live.then_some(seq)
        });
        let conflict = Some(Predicted::Refused(ErrorCode::IdentityConflict));
        let seq = match (by_id, by_key) {
            (None, None) => return None,
            (Some(one), Some(other)) if one != other => return conflict,
            (Some(seq), _) | (None, Some(seq)) => seq,
        };
        let command = self.commands.get(&seq)?;
        let same = command.fingerprint == submit.fingerprint.fingerprint();
        if !same || command.principal != submit.caller.principal {
            return conflict;
        }
        Some(match &command.stand {
            Stand::Done(done) if done.retired => Predicted::Refused(ErrorCode::OutcomeExpired),
            Stand::Done(_) => Predicted::Recorded(seq),
            _ => Predicted::Joined(seq),
        })
    }

    /// The command of an id, while its outcome is kept.
    pub(crate) fn known(&self, id: &CommandId) -> Option<u64> {
        let seq = self.named(id)?;
        self.done(seq).is_none_or(|done| !done.retired).then_some(seq)
    }

    /// The command of an id, retired ones too.
    pub(crate) fn named(&self, id: &CommandId) -> Option<u64> {
        match id.anonymous_seq() {
            None => self.ids.get(id).copied(),
            Some(seq) => {
                let command = self.commands.get(&seq)?;
                let retired = self.done(seq).is_some_and(|done| done.retired);
                (command.id.is_none() || retired).then_some(seq)
            }
        }
    }
}

/// The lane a submission takes.
pub(crate) fn lane_of(submit: &Submit) -> Option<Lane> {
    let contract = submit.envelope.contract()?;
    if contract.admission != Admission::Queued {
        return None;
    }
    Some(
        submit
            .envelope
            .session
            .clone()
            .map_or(Lane::Server, Lane::Session),
    )
}

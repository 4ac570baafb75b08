//! What a committed batch releases, against what was predicted, decided and promised.

use super::{Job, World};
use crate::broken::{Broken, hold};
use crate::model::Predicted;
use actum_engine::{Released, Start};
use actum_model::effect::SettledAs;
use actum_model::{Body, Response, contract};

impl World {
    pub(super) fn take(&mut self, released: Released<u64>, durable: bool) -> Result<(), Broken> {
        for (head, events) in &released.records {
            let entry = self.history.get(usize::try_from(head.idx).unwrap_or(usize::MAX));
            let same =
                entry.is_some_and(|entry| entry.decision.head == *head && entry.decision.events == *events);
            hold!(
                same,
                "record {} is released otherwise than it was decided",
                head.idx
            );
            hold!(
                head.idx == self.released,
                "record {} is released after {}",
                head.idx,
                self.released
            );
            self.released += 1;
        }
        for (to, response) in released.replies {
            self.answered(usize::try_from(to).unwrap_or(usize::MAX), response, durable)?;
        }
        for start in released.starts {
            hold!(durable, "invariant 1: an effect leaves before it is durable");
            self.start(&start)?;
        }
        for seq in released.stops {
            self.stop(seq);
        }
        let node = self.node()?;
        node.dispatches.extend(released.dispatches);
        let next = node.published.next_idx;
        hold!(
            next == self.released,
            "published at {next}, released {}",
            self.released
        );
        Ok(())
    }

    fn answered(&mut self, number: usize, response: Response, durable: bool) -> Result<(), Broken> {
        let (idx, answer) = (self.committed, self.answers.get_mut(number));
        let answer = answer.ok_or_else(|| Broken("an answer to nobody".to_owned()))?;
        hold!(
            answer.response.is_none(),
            "a second answer to submission {number}: {}",
            response.to_json()
        );
        let predicted = answer.predicted.clone();
        let seq = response.identity.as_ref().map(|identity| identity.seq);
        let fits = match (&predicted, &response.body) {
            (Some(Predicted::Refused(code)), Body::Refused(fault)) => fault.code == *code,
            (Some(Predicted::Accepted(expected)), Body::Accepted { .. } | Body::Finished { .. }) => {
                seq == Some(*expected) && !response.replayed
            }
            (Some(Predicted::Joined(expected)), Body::Accepted { .. } | Body::Finished { .. })
            | (Some(Predicted::Recorded(expected)), Body::Finished { .. }) => {
                seq == Some(*expected) && response.replayed
            }
            _ => false,
        };
        hold!(fits, "expected {predicted:?}, answered {}", response.to_json());
        if let (Body::Finished { outcome, .. }, Some(done)) =
            (&response.body, seq.and_then(|s| self.model.done(s)))
        {
            hold!(
                *outcome == done.outcome,
                "the books say {done:?}, answered {}",
                response.to_json()
            );
            hold!(
                !durable || done.idx < idx,
                "invariant 1: answered from record {} of {idx}",
                done.idx
            );
        }
        let kind = response.identity.as_ref().map(|identity| identity.kind.as_str());
        let effect = kind
            .and_then(contract::find)
            .is_some_and(|contract| contract.has_effect() && !contract.read_only());
        let finished = matches!(response.body, Body::Finished { .. });
        hold!(
            durable || !(effect && finished),
            "invariant 1: a relaxed answer to an effect"
        );
        if durable {
            self.promises.answered(&response)?;
        }
        answer.response = Some(response);
        Ok(())
    }

    fn start(&mut self, start: &Start) -> Result<(), Broken> {
        if start.probe {
            // It only looks, and may do so again after another crash; but there must be something to look for.
            let left = self
                .model
                .running(start.seq)
                .is_none_or(|running| running.dispatched);
            hold!(
                left,
                "the probe of command {} leaves, which never left",
                start.seq
            );
        } else {
            self.promises.left(start.effect, start.seq)?;
        }
        let (due, settled, stopped) = if self.options.hold_effects {
            (u64::MAX, SettledAs::Succeeded, SettledAs::Stopped)
        } else {
            let delay = *self.rng.pick(&[0, 5, 1000, 100_000, u64::MAX / 2]).unwrap_or(&0);
            let settled = match self.rng.chance(800) {
                true if start.probe && self.rng.chance(300) => SettledAs::Unconfirmed,
                // The answer is lost on the way back.
                true if !start.probe && self.rng.chance(50) => SettledAs::Unconfirmed,
                true => SettledAs::Succeeded,
                false => SettledAs::Failed,
            };
            let stopped = [
                SettledAs::Stopped,
                SettledAs::Stopped,
                SettledAs::Unconfirmed,
                SettledAs::Succeeded,
            ];
            let stopped = *self.rng.pick(&stopped).unwrap_or(&SettledAs::Stopped);
            (self.monotonic.saturating_add(delay), settled, stopped)
        };
        self.jobs.insert(
            start.seq,
            Job {
                due,
                settled,
                stopped,
            },
        );
        Ok(())
    }

    fn stop(&mut self, seq: u64) {
        let (now, grace) = (self.monotonic, self.rng.below(600));
        let held = self.options.hold_effects;
        if let Some(job) = self.jobs.get_mut(&seq).filter(|_| !held) {
            job.settled = job.stopped;
            job.due = now + grace;
        }
    }
}

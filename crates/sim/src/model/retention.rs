//! What may be forgotten, and what must rest or be gone once nothing goes on by itself.

use super::events::public_id;
use super::{Model, Reading, Stand};
use crate::broken::{Broken, hold};

impl Model {
    pub(super) fn pruned(&mut self, reading: &Reading<'_>, count: u64) -> Result<(), Broken> {
        for _ in 0..count {
            let seq = self
                .kept
                .pop_front()
                .ok_or_else(|| Broken("nothing to retire".to_owned()))?;
            let Some(command) = self.commands.get_mut(&seq) else {
                continue;
            };
            let Stand::Done(done) = &mut command.stand else {
                continue;
            };
            hold!(
                done.idx != reading.idx,
                "an outcome of this very record is retired"
            );
            done.retired = true;
            self.tombstones.extend(command.id.clone());
        }
        Ok(())
    }

    pub(super) fn dropped(&mut self, count: u64) -> Result<(), Broken> {
        for _ in 0..count {
            let id = self
                .tombstones
                .pop_front()
                .ok_or_else(|| Broken("no tombstone".to_owned()))?;
            self.ids.remove(&id);
        }
        Ok(())
    }

    pub(super) fn keys_expired(&mut self, count: u64) -> Result<(), Broken> {
        for _ in 0..count {
            let (at, lane, key, seq) = self
                .key_ends
                .pop_front()
                .ok_or_else(|| Broken("no key ended".to_owned()))?;
            hold!(
                at + self.config.key_ttl_ms <= self.at,
                "the key `{key}` went too early"
            );
            let key = (lane, key);
            if self.keys.get(&key) == Some(&seq) {
                self.keys.remove(&key);
            }
        }
        Ok(())
    }

    /// Nothing is left that could go on by itself.
    ///
    /// # Errors
    /// With the lane that stands still.
    pub fn quiet(&self) -> Result<(), Broken> {
        hold!(
            self.unclassified.is_empty(),
            "commands that boot did not classify: {:?}",
            self.unclassified
        );
        for (lane, queue) in &self.lanes {
            let Some(head) = queue.front() else { continue };
            let command = self.command(*head)?;
            let pending = command.deps.iter().any(|dep| self.done(*dep).is_none());
            let rests = match &command.stand {
                Stand::Running(_) => true,
                Stand::Waiting(_) => pending && self.failed_dependency(*head)?.is_none(),
                Stand::Queued | Stand::Done(_) => false,
            };
            let id = public_id(command);
            hold!(rests, "lane {lane} stands still at `{id}`: {:?}", command.stand);
        }
        Ok(())
    }

    /// Retention is done: what time and bounds ask for is retired.
    ///
    /// # Errors
    /// With what is still there.
    pub fn tidy(&self) -> Result<(), Broken> {
        let oldest = self.kept.front().and_then(|seq| self.done(*seq));
        let old = oldest.is_some_and(|done| done.at + self.config.outcome_age_ms_max <= self.at);
        hold!(!old, "an outcome is older than its bound");
        let key = self.key_ends.front();
        hold!(
            key.is_none_or(|(at, ..)| at + self.config.key_ttl_ms > self.at),
            "a key outlived its time"
        );
        let tombstones = self.tombstones.len() as u64;
        hold!(
            tombstones <= self.config.tombstones_max,
            "{tombstones} tombstones"
        );
        Ok(())
    }
}

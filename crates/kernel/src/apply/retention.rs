//! What is kept of finished commands, and what is let go.

use crate::state::{State, id_key};
use actum_model::Outcome;
use actum_model::outcome::OutcomeRow;
use std::sync::Arc;

impl State {
    pub(super) fn keep_outcome(&mut self, row: Arc<OutcomeRow>) {
        for (outcome, count) in Outcome::ALL.iter().zip(self.finished.iter_mut()) {
            *count += u64::from(*outcome == row.outcome);
        }
        self.outcome_bytes += row.weight_bytes();
        self.finish_order.push_back(row.identity.seq);
        self.outcomes.insert(row.identity.seq, row);
    }

    pub(super) fn prune_outcomes(&mut self, count: u64) {
        for _ in 0..count {
            let Some(seq) = self.finish_order.pop_front() else {
                return;
            };
            let Some(row) = self.outcomes.remove(&seq) else {
                continue;
            };
            self.outcome_bytes = self.outcome_bytes.saturating_sub(row.weight_bytes());
            if let Some(id) = &row.identity.id {
                self.tombstones.push_back(id_key(&row.identity.tenant, id));
            }
        }
    }

    pub(super) fn drop_tombstones(&mut self, count: u64) {
        for _ in 0..count {
            let Some(key) = self.tombstones.pop_front() else {
                return;
            };
            self.ids.remove(&key);
        }
    }

    pub(super) fn expire_keys(&mut self, count: u64) {
        for _ in 0..count {
            let Some((finished_at, key)) = self.key_expiry.pop_front() else {
                return;
            };
            // A key used again after it had expired has a later end, and stays.
            let entry = self.keys.get_loading(&key);
            if entry.is_some_and(|entry| entry.finished_at == finished_at) {
                self.keys.remove(&key);
            }
        }
    }
}

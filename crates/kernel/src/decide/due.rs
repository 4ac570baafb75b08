//! What time brings: limits that run out, keys and outcomes that expire, and retention.

use super::Decider;
use actum_model::ErrorCode;
use actum_model::event::{Event, StopReason};
use actum_model::restore::Phase;

impl Decider<'_> {
    /// Does what is due, as far as the record has room; the rest is still due afterwards.
    pub(super) fn tick(&mut self) {
        while self.has_room() {
            let Some((due, seq)) = self.state.due.get_min().copied() else {
                break;
            };
            if due > self.head.elapsed {
                break;
            }
            let before = self.events.len();
            self.run_out(seq);
            if self.events.len() == before {
                break;
            }
        }
        self.fire_timers();
        self.time_out_promises();
        self.expire_keys();
        self.expire_outcomes();
        self.keep_cadence();
    }

    fn run_out(&mut self, seq: u64) {
        let Some(row) = self.row(seq) else { return };
        match &row.phase {
            Phase::Queued => {
                let message = "it waited for its lane longer than allowed and never started";
                self.time_out(seq, ErrorCode::QueueTimeout, message.into());
            }
            Phase::Waiting { .. } => {
                let waited = row.deps.iter().zip(&row.identity.depends_on);
                let names: Vec<&str> = waited
                    .filter(|(dep, _)| row.pending.contains(dep))
                    .map(|(_, id)| id.as_str())
                    .collect();
                let message = format!("`{}` did not finish in time", names.join("`, `"));
                self.time_out(seq, ErrorCode::DependencyTimeout, message);
            }
            Phase::Running(_) => self.stop(seq, StopReason::Timeout),
        }
    }

    fn expire_keys(&mut self) {
        let ttl = self.state.config.key_ttl_ms;
        let expired = self
            .state
            .key_expiry
            .iter()
            .take_while(|(at, _)| at.saturating_add(ttl) <= self.head.at);
        // Bounded, so that a record is not slow to apply; the next tick goes on.
        let count = expired.take(10_000).count() as u64;
        if count > 0 {
            self.emit(Event::KeysExpired { count });
        }
    }

    fn expire_outcomes(&mut self) {
        let age = self.state.config.outcome_age_ms_max;
        let rows = self
            .state
            .finish_order
            .iter()
            .filter_map(|seq| self.state.outcomes.get(seq));
        // What this record finished is still to be answered, so it stays.
        let idx = self.head.idx;
        let expired = rows
            .take_while(|row| row.finished_at.saturating_add(age) <= self.head.at && row.finished_idx != idx);
        let count = expired.take(10_000).count() as u64;
        if count > 0 {
            self.emit(Event::OutcomesPruned { count });
        }
    }

    /// Keeps outcomes and tombstones within their bounds. Works in steps, so that it is not in every record.
    pub(super) fn retire(&mut self) {
        if self.events.is_empty() || !self.has_room() {
            return;
        }
        let config = self.state.config.clone();
        let step = (config.outcomes_max / 64).clamp(1, 1024);
        let newest = self
            .state
            .finish_order
            .iter()
            .rev()
            .filter_map(|seq| self.state.outcomes.get(seq));
        let of_this_record = newest.take_while(|row| row.finished_idx == self.head.idx).count() as u64;
        let kept = self.state.outcomes.len() as u64;
        // What this record finished is still to be answered, so it stays.
        let may_go = kept - of_this_record;
        let by_bytes = self.over_bytes(config.outcome_bytes_max).min(may_go);
        if kept > config.outcomes_max {
            let count = (kept - config.outcomes_max + step - 1).max(by_bytes).min(may_go);
            if count > 0 {
                self.emit(Event::OutcomesPruned { count });
            }
        } else if by_bytes > 0 {
            self.emit(Event::OutcomesPruned { count: by_bytes });
        }
        self.retire_promises();
        let tombstones = self.state.tombstones() as u64;
        if tombstones > config.tombstones_max {
            self.emit(Event::TombstonesDropped {
                count: tombstones - config.tombstones_max,
            });
        }
    }

    /// How many of the oldest outcomes must go for the rest to keep within `bytes_max`.
    fn over_bytes(&self, bytes_max: u64) -> u64 {
        let mut bytes = self.state.outcome_bytes;
        let mut count = 0;
        for row in self
            .state
            .finish_order
            .iter()
            .filter_map(|seq| self.state.outcomes.get(seq))
        {
            if bytes <= bytes_max {
                break;
            }
            bytes = bytes.saturating_sub(row.weight_bytes());
            count += 1;
        }
        count
    }
}

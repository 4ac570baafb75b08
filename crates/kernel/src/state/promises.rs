//! Promises in state: rows by id, those that time will reject, those of each session, settled ones in order.

use super::State;
use actum_model::ids::{CommandId, SessionId, Tenant};
use actum_model::promise::{PromiseRow, Settled};
use imbl::{OrdMap, OrdSet, Vector};
use std::sync::Arc;

/// A promise's place among all of them.
pub type PromiseKey = (Tenant, CommandId);

/// All promises that are kept. A copy costs O(1).
#[derive(Clone, Debug, Default)]
pub struct Promises {
    /// By tenant and id.
    pub(crate) rows: OrdMap<PromiseKey, Arc<PromiseRow>>,
    /// (history time, key) of pending ones that time will reject.
    pub(crate) due: OrdSet<(u64, PromiseKey)>,
    /// (session, id) of pending ones that belong to a session.
    pub(crate) of_session: OrdSet<(Tenant, SessionId, CommandId)>,
    /// (command, id) of pending ones that belong to a running command.
    pub(crate) of_execution: OrdSet<(u64, PromiseKey)>,
    /// Settled ones in the order they were settled.
    pub(crate) settled: Vector<PromiseKey>,
    /// Sum of [`PromiseRow::weight_bytes`] of settled ones.
    pub(crate) settled_bytes: u64,
}

impl Promises {
    /// Not settled yet.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.rows.len() - self.settled.len()
    }

    /// Enters a row, pending or settled.
    pub(crate) fn insert(&mut self, row: PromiseRow) {
        let key = (row.tenant.clone(), row.promise.clone());
        if row.settled.is_some() {
            self.settled_bytes += row.weight_bytes();
            self.settled.push_back(key.clone());
        } else {
            if let Some(due) = row.timeout_at {
                self.due.insert((due, key.clone()));
            }
            if let Some(session) = &row.session {
                self.of_session
                    .insert((row.tenant.clone(), session.clone(), row.promise.clone()));
            }
            if let Some(execution) = row.execution {
                self.of_execution.insert((execution, key.clone()));
            }
        }
        self.rows.insert(key, Arc::new(row));
    }

    /// Settles a pending promise; says which it was.
    pub(crate) fn settle(&mut self, key: &PromiseKey, settled: Settled) -> Option<Arc<PromiseRow>> {
        let row = self.rows.get(key).filter(|row| row.settled.is_none())?.clone();
        if let Some(due) = row.timeout_at {
            self.due.remove(&(due, key.clone()));
        }
        if let Some(session) = &row.session {
            self.of_session
                .remove(&(row.tenant.clone(), session.clone(), row.promise.clone()));
        }
        if let Some(execution) = row.execution {
            self.of_execution.remove(&(execution, key.clone()));
        }
        self.insert(PromiseRow {
            settled: Some(settled),
            ..(*row).clone()
        });
        Some(row)
    }

    /// Drops the `count` promises that were settled first.
    pub(crate) fn prune(&mut self, count: u64) {
        for _ in 0..count {
            let Some(key) = self.settled.pop_front() else {
                return;
            };
            if let Some(row) = self.rows.remove(&key) {
                self.settled_bytes = self.settled_bytes.saturating_sub(row.weight_bytes());
            }
        }
    }

    /// Rows as they are written: settled ones in their order, then pending ones.
    pub(crate) fn rows_in_order(&self) -> impl Iterator<Item = PromiseRow> + '_ {
        let settled = self.settled.iter().filter_map(|key| self.rows.get(key));
        let pending = self.rows.values().filter(|row| row.settled.is_none());
        settled.chain(pending).map(|row| (**row).clone())
    }

    /// Ids of the pending promises of a session.
    pub(crate) fn pending_of_session(&self, tenant: &Tenant, session: &SessionId) -> Vec<PromiseKey> {
        let Ok(first) = CommandId::parse_any("-") else {
            return Vec::new();
        };
        self.of_session
            .range((tenant.clone(), session.clone(), first)..)
            .take_while(|(owner, of, _)| owner == tenant && of == session)
            .map(|(owner, _, id)| (owner.clone(), id.clone()))
            .collect()
    }

    /// The first pending promise of a running command.
    pub(crate) fn pending_of_execution(&self, seq: u64) -> Option<Arc<PromiseRow>> {
        let first = self.of_execution.iter().find(|(execution, _)| *execution >= seq);
        let (_, key) = first.filter(|(execution, _)| *execution == seq)?;
        self.rows.get(key).cloned()
    }
}

impl State {
    /// A promise that is kept.
    #[must_use]
    pub fn promise(&self, tenant: &Tenant, id: &CommandId) -> Option<&Arc<PromiseRow>> {
        self.promises.rows.get(&(tenant.clone(), id.clone()))
    }

    /// History time at which the next promise is rejected.
    #[must_use]
    pub fn promise_due_at(&self) -> Option<u64> {
        self.promises.due.get_min().map(|(due, _)| *due)
    }
}

//! What happens to promises and to the processes of sessions.

use crate::state::{PromiseKey, State};
use actum_model::ids::{SessionId, Tenant};
use actum_model::promise::{PromiseRow, PromiseSettled, PromiseState, Settled};
use actum_model::worker::{Worker, WorkerChanged};
use actum_model::{ErrorCode, Fault};

impl State {
    pub(super) fn promise_created(&mut self, row: PromiseRow) {
        if let Some(session) = &row.session
            && let Some(session) = self.sessions.get_mut(&(row.tenant.clone(), session.clone()))
        {
            session.promises.created();
        }
        self.promises.insert(row);
    }

    pub(super) fn promise_settled(&mut self, settled: PromiseSettled) {
        let key = (settled.tenant, settled.promise);
        let how = Settled {
            settled: settled.settled,
            value: settled.value,
            fault: settled.fault,
            by: settled.by,
            idx: self.next_idx.saturating_sub(1),
            at: self.at,
        };
        self.settle(&key, how);
    }

    fn settle(&mut self, key: &PromiseKey, how: Settled) {
        let state = how.settled;
        let Some(row) = self.promises.settle(key, how) else {
            return;
        };
        if let Some(session) = &row.session
            && let Some(session) = self.sessions.get_mut(&(row.tenant.clone(), session.clone()))
        {
            session.promises.settled(state);
        }
    }

    /// A session ends: what is pending of it is cancelled with it, in one event however many they are.
    pub(super) fn session_deleted(&mut self, tenant: Tenant, session: SessionId) {
        for key in self.promises.pending_of_session(&tenant, &session) {
            let message = format!("session `{session}`, which it belonged to, was deleted");
            let how = Settled {
                settled: PromiseState::Cancelled,
                value: None,
                fault: Some(Fault::new(ErrorCode::Cancelled, message)),
                by: None,
                idx: self.next_idx.saturating_sub(1),
                at: self.at,
            };
            self.settle(&key, how);
        }
        let key = (tenant, session);
        self.live_workers.remove(&key);
        self.stale_workers.remove(&key);
        self.sessions.remove(&key);
    }

    pub(super) fn worker_changed(&mut self, changed: WorkerChanged) {
        let key = (changed.tenant, changed.session);
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        session.worker = changed.worker;
        self.stale_workers.remove(&key);
        if matches!(session.worker, Some(Worker::Live(_))) {
            self.live_workers.insert(key);
        } else {
            self.live_workers.remove(&key);
        }
    }
}

//! The processes of sessions: news of them, and what a boot makes of those of the boot before.

use super::Decider;
use actum_model::contract::Carrier;
use actum_model::event::Event;
use actum_model::ids::{SessionId, Tenant};
use actum_model::outcome::Identity;
use actum_model::worker::{Live, Worker, WorkerChange, WorkerChanged, WorkerNews};
use actum_model::{Contract, ErrorCode, Fault, Json};
use serde_json::Value;

/// Kinds of sessions whose process keeps a namespace.
const WITH_WORKER: [&str; 2] = ["python", "shell"];

impl Decider<'_> {
    /// The shell tells what happened to a process. News of a process that the session no longer has are none.
    pub(super) fn worker(&mut self, news: &WorkerNews) {
        let Some(session) = self.state.session(&news.tenant, &news.session) else {
            return;
        };
        if session.generation != news.generation {
            return;
        }
        let live = match &session.worker {
            Some(Worker::Live(live)) => Some(live.incarnation),
            Some(Worker::Lost { .. }) | None => None,
        };
        let worker = match &news.change {
            WorkerChange::Started { sandbox } => Worker::Live(Live {
                incarnation: news.incarnation,
                term: self.state.term,
                sandbox: sandbox.clone(),
            }),
            WorkerChange::Ended { reason } if live == Some(news.incarnation) => Worker::Lost {
                reason: reason.clone(),
                at: self.head.at,
            },
            WorkerChange::Ended { .. } => return,
        };
        self.change_worker(&news.tenant, &news.session, Some(worker));
    }

    pub(super) fn change_worker(&mut self, tenant: &Tenant, session: &SessionId, worker: Option<Worker>) {
        self.emit(Event::WorkerChanged(Box::new(WorkerChanged {
            tenant: tenant.clone(),
            session: session.clone(),
            worker,
        })));
    }

    /// No process outlives its daemon: those of earlier boots are lost, and the sessions say so.
    pub(super) fn lose_workers(&mut self) {
        while self.has_room() {
            let Some((tenant, session)) = self.state.stale_workers.get_min().cloned() else {
                return;
            };
            let worker = Worker::Lost {
                reason: "the daemon that started it ended".into(),
                at: self.head.at,
            };
            self.change_worker(&tenant, &session, Some(worker));
        }
    }

    /// Why the process of its session cannot carry out this command, if so. What starts a process afresh can always.
    pub(super) fn unfit_session(&self, identity: &Identity, contract: &Contract) -> Option<Fault> {
        if contract.carrier != Carrier::Session {
            return None;
        }
        let id = identity.session.as_ref()?;
        let session = self.state.session(&identity.tenant, id)?;
        let kind = kind_of(session.spec.as_ref());
        if !WITH_WORKER.contains(&kind.as_str()) {
            let message = format!("session `{id}` is for {kind}, it keeps no process that could run code");
            return Some(Fault::new(ErrorCode::SessionKind, message));
        }
        if contract.kind == "session.reset" {
            return None;
        }
        match &session.worker {
            Some(Worker::Lost { reason, .. }) => {
                let message =
                    format!("the process of session `{id}` is gone, and its names with it: {reason}");
                Some(Fault::new(ErrorCode::SessionLost, message))
            }
            Some(Worker::Live(_)) | None => None,
        }
    }

    /// A reset succeeded: the next execution starts a process.
    pub(super) fn after_success(&mut self, identity: &Identity) {
        if identity.kind.as_str() == "session.reset"
            && let Some(session) = &identity.session
            && self
                .state
                .session(&identity.tenant, session)
                .is_some_and(|session| session.worker.is_some())
        {
            self.change_worker(&identity.tenant, session, None);
        }
    }
}

/// What a session is for, as its specification says.
pub(crate) fn kind_of(spec: Option<&Json>) -> String {
    let spec = spec.map(Json::to_value);
    let kind = spec
        .as_ref()
        .and_then(|spec| spec.get("kind"))
        .and_then(Value::as_str);
    kind.unwrap_or("commands").to_owned()
}

//! Sessions that keep a process: code runs in them one piece after the other, and the names it sets stay.
//!
//! It starts workers, hands code to them and tells what came of it. It decides nothing: when code may run, what an
//! outcome means and whether a session is lost is the kernel's to say. The protocol with a worker is in `actum-worker`,
//! the cage in `actum-sandbox`.

mod calls;
mod carry;
mod gone;
mod live;
mod outcome;
mod owed;
mod place;
mod pool;
mod start;

pub(crate) use place::{Place, Places};
pub(crate) use start::Starter;

use crate::core::WeakCore;
use crate::output::Sink;
use crate::redact::Secret;
use actum_engine::Start;
use actum_model::ids::{SessionId, Tenant};
use actum_model::{ErrorCode, Fault, Settlement, limits};
use live::Live;
use owed::Owed;
use pool::{Sort, Warmed};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;

/// How long sessions may take to leave by themselves when the daemon ends.
const LEAVE: Duration = Duration::from_millis(500);

/// A session among all of them.
pub(crate) type Key = (Tenant, SessionId);

/// The sessions whose process lives. Clones share everything.
#[derive(Clone)]
pub(crate) struct Sessions {
    inner: Arc<Inner>,
}

struct Inner {
    runtime: Handle,
    sink: Sink,
    core: WeakCore,
    starter: Starter,
    warmed: Warmed,
    live: Mutex<BTreeMap<Key, Arc<Live>>>,
    /// Commands that are carried out, each with where to ask for its stop.
    running: Mutex<BTreeMap<u64, Running>>,
}

/// A command that is carried out.
struct Running {
    key: Key,
    /// The id its worker knows it by.
    id: String,
    stage: Stage,
}

/// Who is told when a command is to stop.
enum Stage {
    /// Its task, which waits for a process or asks one for something.
    Task(watch::Sender<Option<Duration>>),
    /// Its worker, which has its code.
    Code {
        /// With which grace time it was told.
        stopped: Option<Duration>,
    },
}

impl Sessions {
    /// No session lives yet.
    pub(crate) fn new(runtime: Handle, sink: Sink, core: WeakCore, starter: Starter) -> Sessions {
        let warmed = Warmed::new(starter.clone(), starter.places().pool());
        Sessions {
            inner: Arc::new(Inner {
                runtime,
                sink,
                core,
                starter,
                warmed,
                live: Mutex::default(),
                running: Mutex::default(),
            }),
        }
    }

    /// How many commands are carried out.
    pub(crate) fn running(&self) -> usize {
        self.inner.running().len()
    }

    /// Carries a command out. `make` gives its arguments with the secrets in them, and may block. It settles exactly
    /// once, whatever happens.
    pub(crate) fn start(
        &self,
        start: Start,
        make: impl FnOnce() -> Result<(Value, Vec<Secret>), Fault> + Send + 'static,
    ) {
        let Some(session) = start.identity.session.clone() else {
            let fault = Fault::new(ErrorCode::Internal, "code was started outside a session");
            return self.inner.sink.settle(start.seq, Settlement::failed(fault));
        };
        let key = (start.identity.tenant.clone(), session);
        let (stop, stopped) = watch::channel(None);
        let running = Running {
            key: key.clone(),
            id: start.identity.public_id().to_string(),
            stage: Stage::Task(stop),
        };
        let (inner, seq) = (&self.inner, start.seq);
        inner.running().insert(seq, running);
        let owed = Owed::new(inner, seq);
        // Code for a process that is there needs no task: each hand-over between threads takes as long as short code.
        match carry::ready(inner, &key, &start) {
            Some(live) => match make() {
                Ok((arguments, secrets)) => {
                    carry::hand_over(&live, &start, &arguments, &secrets, None, owed);
                }
                Err(fault) => owed.pay(Settlement::failed(fault)),
            },
            None => {
                let carried = carry::carry(Arc::clone(inner), key, start, make, stopped, owed);
                inner.runtime.spawn(carried);
            }
        }
    }

    /// A session of this kind was asked for: a process for it is made ready.
    pub(crate) fn expect(&self, spec: &Value) {
        let text = |name: &str| spec.get(name).and_then(Value::as_str);
        let shell = match text("kind") {
            Some("python") => false,
            Some("shell") => true,
            _ => return,
        };
        let workspace = match text("profile") {
            Some("pure") => false,
            Some("workspace") | None if text("workspace").is_none() && spec.get("folders").is_none() => true,
            _ => return,
        };
        self.inner.warmed.expect(Sort { shell, workspace });
    }

    /// Stops a command. A number that is not carried out is ignored: its settlement is on its way.
    pub(crate) fn stop(&self, seq: u64, grace: Duration) {
        let told = self
            .inner
            .running()
            .get_mut(&seq)
            .and_then(|running| running.stop(grace));
        let Some((key, id)) = told else { return };
        if let Some(live) = self.inner.live().get(&key).cloned() {
            self.inner.cancel(live, id, grace);
        }
    }

    /// Interrupts the code of a command, as Ctrl-C does.
    pub(crate) fn interrupt(&self, seq: u64) {
        let found = {
            let running = self.inner.running();
            running
                .get(&seq)
                .map(|running| (running.key.clone(), running.id.clone()))
        };
        let Some((key, id)) = found else { return };
        let Some(live) = self.inner.live().get(&key).cloned() else {
            return;
        };
        self.inner.runtime.spawn(async move {
            let _ended = live.session.interrupt(&id).await;
        });
    }

    /// A session is gone: its process ends, and its own folder with it.
    pub(crate) fn end(&self, key: &Key) {
        let inner = Arc::clone(&self.inner);
        let (live, key) = (inner.live().remove(key), key.clone());
        let runtime = inner.runtime.clone();
        runtime.spawn(async move {
            if let Some(live) = live {
                live.session.shutdown().await;
            }
            let Ok(core) = inner.core.upgrade() else { return };
            let alive = core
                .published()
                .state
                .session(&key.0, &key.1)
                .map(|row| row.generation);
            inner.starter.places().forget(&key, alive).await;
        });
    }

    /// Ends every process and returns when they have ended.
    pub(crate) async fn close(&self) {
        for running in self.inner.running().values_mut() {
            // Code ends with its process, a moment later.
            let _worker = running.stop(Duration::from_millis(limits::STOP_GRACE_MS));
        }
        let all: Vec<Arc<Live>> = std::mem::take(&mut *self.inner.live()).into_values().collect();
        let leaving = all.iter().map(|live| live.session.shutdown());
        // Together, and not for long: with the zygote whatever is left of them ends.
        let _left = tokio::time::timeout(LEAVE, futures_util::future::join_all(leaving)).await;
        self.inner.warmed.close();
        self.inner.starter.close().await;
    }

    /// What the sessions of a tenant use, for `server.pool`.
    pub(crate) fn describe(&self, tenant: &Tenant) -> Value {
        let live: Vec<Value> = {
            let live = self.inner.live();
            let own = live.iter().filter(|((of, _), _)| of == tenant);
            own.map(|((_, session), live)| live.describe(session)).collect()
        };
        let mut pool = self.inner.warmed.describe();
        if let (Value::Object(members), Value::Object(more)) = (&mut pool, self.inner.starter.describe()) {
            members.extend(more);
        }
        serde_json::json!({"sessions": live, "pool": pool})
    }
}

impl Running {
    /// Notes the stop. With code at a worker, it gives the session and the id that the worker is to be told.
    fn stop(&mut self, grace: Duration) -> Option<(Key, String)> {
        match &mut self.stage {
            Stage::Task(stop) => {
                stop.send_replace(Some(grace));
                None
            }
            Stage::Code { stopped } => {
                *stopped = Some(grace);
                Some((self.key.clone(), self.id.clone()))
            }
        }
    }
}

impl Inner {
    /// Asks the worker of a session to stop an execution.
    fn cancel(&self, live: Arc<Live>, id: String, grace: Duration) {
        self.runtime.spawn(async move {
            let _ended = live.session.cancel(&id, grace).await;
        });
    }

    /// The grace time, if the worker of a command was asked to stop it.
    fn stopped(&self, seq: u64) -> Option<Duration> {
        match self.running().get(&seq)?.stage {
            Stage::Code { stopped } => stopped,
            Stage::Task(_) => None,
        }
    }

    fn live(&self) -> MutexGuard<'_, BTreeMap<Key, Arc<Live>>> {
        // Every change is one insertion or removal, so the map is whole even after a panic.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<u64, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

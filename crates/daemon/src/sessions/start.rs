//! How the process of a session comes to be: forked from a warm interpreter in a cage, or, where the operator allowed
//! it by name, as a plain child.
//!
//! One zygote serves all sessions. It is started with the first of them, in a thread that lives as long as it: the
//! kernel ends a cage with the thread that made it.

use super::Key;
use super::place::{FOLDERS, Place, Places, WORK};
use crate::cage::{Cages, memory_bytes, refused};
use crate::door::exited;
use actum_kernel::Session as Row;
use actum_model::limits::SESSION_FOLDERS_MAX;
use actum_model::worker::Sandbox;
use actum_model::{ErrorCode, Fault};
use actum_sandbox::{ForkError, Forked, Interpreter, Refusal, SessionSpec, Zygote, ZygoteSpec, environment};
use actum_worker::process::{Boxed, End, Process, Running, direct};
use actum_worker::session::{self, Events, Options, Session};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;
use tokio::sync::oneshot;

/// How long a zygote's sessions may take to be gone when the daemon ends.
const END: Duration = Duration::from_secs(2);

/// Address space that a process of a session has on the smallest machine: threads and mapped files take much of it
/// without taking memory.
const ADDRESS_SPACE_BYTES_MIN: u64 = 4 * 1024 * 1024 * 1024;

/// What a process is started for.
pub(crate) struct Order {
    kind: String,
    session: String,
    place: Place,
}

impl Order {
    /// For no session yet, with a folder of its own, which is made.
    ///
    /// # Errors
    /// `INTERNAL` where the folder cannot be made.
    pub(super) fn warm(kind: &str, folder: Option<&Path>) -> Result<Order, Fault> {
        let failed = |error: io::Error| {
            Fault::new(
                ErrorCode::Internal,
                format!("a warm folder cannot be made ({error})"),
            )
        };
        if let Some(folder) = folder {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .map_err(failed)?;
        }
        Ok(Order {
            kind: kind.to_owned(),
            session: "warm".to_owned(),
            place: Place::private(folder),
        })
    }

    /// For a session as state has it.
    pub(crate) fn of_session(key: &Key, row: &Row, place: Place) -> Order {
        let spec = row.spec_value();
        let kind = spec.get("kind").and_then(Value::as_str);
        Order {
            kind: kind.unwrap_or("python").to_owned(),
            session: key.1.to_string(),
            place,
        }
    }
}

/// A worker that was started and has introduced itself.
pub(crate) struct Workers {
    pub(crate) session: Session,
    pub(crate) events: Events,
    /// The cage in force, with its folders.
    pub(crate) sandbox: Value,
}

/// Starts workers. Clones share the zygote.
#[derive(Clone)]
pub(crate) struct Starter {
    inner: Arc<Inner>,
}

struct Inner {
    cages: Cages,
    /// Where the worker's file is kept for processes without a cage.
    folder: PathBuf,
    zygote: Mutex<Option<Arc<Zygote>>>,
    keeper: mpsc::Sender<Task>,
    started: std::sync::atomic::AtomicU64,
}

/// What the keeper's thread is asked.
enum Task {
    Zygote(Box<ZygoteSpec>, oneshot::Sender<Result<Zygote, Refusal>>),
}

impl Starter {
    /// Starts workers in such cages. `folder` is one of the daemon's own.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(crate) fn new(cages: Cages, folder: PathBuf) -> io::Result<Starter> {
        let (keeper, tasks) = mpsc::channel();
        let of_thread = cages.launcher.clone();
        std::thread::Builder::new()
            .name("actum-zygotes".into())
            .spawn(move || {
                for task in tasks {
                    let Task::Zygote(spec, reply) = task;
                    let _gone = reply.send(Zygote::start(&of_thread, &spec));
                }
            })?;
        Ok(Starter {
            inner: Arc::new(Inner {
                cages,
                folder,
                zygote: Mutex::default(),
                keeper,
                started: std::sync::atomic::AtomicU64::new(0),
            }),
        })
    }

    /// Starts a worker and waits until it has introduced itself.
    ///
    /// # Errors
    /// `SANDBOX_UNAVAILABLE`, `WORKER_FAILED`.
    pub(crate) async fn start(&self, order: Order) -> Result<Workers, Fault> {
        let config = json!({"kind": order.kind, "session": order.session});
        let (running, level) = match self.inner.cages.sandbox {
            Sandbox::None => (self.plain(&order, &config)?, json!({"level": "none"})),
            Sandbox::Full | Sandbox::Partial => self.caged(&order, config).await?,
        };
        let started = session::start(running, Options::default()).await;
        let (session, events) = started.map_err(|reason| {
            Fault::new(
                ErrorCode::WorkerFailed,
                format!("the process of the session did not start: {reason}"),
            )
        })?;
        self.inner
            .started
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut sandbox = level;
        if let (Value::Object(members), Value::Object(place)) = (&mut sandbox, order.place.describe()) {
            members.extend(place);
        }
        Ok(Workers {
            session,
            events,
            sandbox,
        })
    }

    fn plain(&self, order: &Order, config: &Value) -> Result<Running, Fault> {
        let failed = |error: io::Error| {
            Fault::new(
                ErrorCode::WorkerFailed,
                format!("the process of the session did not start ({error})"),
            )
        };
        let file = self.inner.folder.join("worker.py");
        if std::fs::read(&file).ok().as_deref() != Some(actum_worker::PYTHON_WORKER.as_bytes()) {
            std::fs::write(&file, actum_worker::PYTHON_WORKER).map_err(failed)?;
        }
        let file = file.to_string_lossy();
        let arguments = ["-I", &file, direct::SOCKET, &config.to_string()];
        direct::start("python3", &arguments, order.place.workspace.as_deref()).map_err(failed)
    }

    async fn caged(&self, order: &Order, config: Value) -> Result<(Running, Value), Fault> {
        let zygote = self.zygote().await?;
        let mut spec = SessionSpec::pure(config);
        spec.mounts.clone_from(&order.place.mounts);
        spec.mounts.extend(self.cover(&order.place)?);
        spec.hostname = "actum".to_owned();
        // Of each process; what all sessions take together is bounded by the group of the zygote, where there is one.
        spec.limits.address_space_bytes = memory_bytes().map(|all| all.max(ADDRESS_SPACE_BYTES_MIN));
        if order.place.workspace.is_some() {
            spec.cwd = WORK.into();
        }
        let (ours, theirs) = UnixStream::pair()
            .map_err(|error| Fault::new(ErrorCode::WorkerFailed, format!("no socket ({error})")))?;
        let forking = Arc::clone(&zygote);
        let forked = tokio::task::spawn_blocking(move || forking.fork(&spec, OwnedFd::from(theirs))).await;
        let forked = forked.map_err(|error| Fault::new(ErrorCode::Internal, error.to_string()))?;
        let forked = match forked {
            Ok(forked) => forked,
            Err(error) => {
                if matches!(error, ForkError::Gone { .. }) {
                    self.drop_zygote(&zygote);
                }
                return Err(unforked(&error));
            }
        };
        let level = serde_json::to_value(forked.enforced()).unwrap_or_default();
        let running = Running {
            socket: ours.into(),
            process: Box::new(Caged {
                forked: Arc::new(Mutex::new(forked)),
            }),
        };
        Ok((running, level))
    }

    /// What covers the data directory. A zygote has places for it only directly beneath a folder that is shown.
    fn cover(&self, place: &Place) -> Result<Vec<actum_sandbox::Mount>, Fault> {
        let cover = self.inner.cages.places.cover(&place.mounts)?;
        let known = self.places_of_zygote();
        match cover.iter().find(|mount| !known.contains(&mount.at)) {
            None => Ok(cover),
            Some(_) => {
                let message = "a folder of the session holds the daemon's own data deep inside";
                Err(Fault::new(ErrorCode::NotGranted, message)
                    .with_hint("keep the data elsewhere with --data, or name a smaller folder"))
            }
        }
    }

    /// Where sessions can show folders.
    fn places_of_zygote(&self) -> Vec<PathBuf> {
        let folders = (1..=SESSION_FOLDERS_MAX).map(|number| PathBuf::from(format!("{FOLDERS}/{number}")));
        let mut places: Vec<PathBuf> = std::iter::once(PathBuf::from(WORK)).chain(folders).collect();
        if let Some(name) = self.inner.cages.places.data_name() {
            let covered: Vec<PathBuf> = places.iter().map(|place| place.join(&name)).collect();
            places.extend(covered);
        }
        places
    }

    /// The zygote, started if there is none or it is gone.
    async fn zygote(&self) -> Result<Arc<Zygote>, Fault> {
        if let Some(zygote) = self.held() {
            return Ok(zygote);
        }
        let of = self.clone();
        let spec = tokio::task::spawn_blocking(move || of.spec()).await;
        let spec = spec.map_err(|error| Fault::new(ErrorCode::Internal, error.to_string()))??;
        let (reply, answer) = oneshot::channel();
        let gone = || Fault::new(ErrorCode::Internal, "the thread that starts cages is gone");
        let task = Task::Zygote(Box::new(spec), reply);
        self.inner.keeper.send(task).map_err(|_| gone())?;
        let zygote = answer
            .await
            .map_err(|_| gone())?
            .map_err(|refusal| refused(&refusal))?;
        let zygote = Arc::new(zygote);
        let mut slot = self.inner.zygote.lock().unwrap_or_else(PoisonError::into_inner);
        // Two may have been asked for at once; the first stays.
        Ok(Arc::clone(slot.get_or_insert(zygote)))
    }

    fn held(&self) -> Option<Arc<Zygote>> {
        self.inner
            .zygote
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn drop_zygote(&self, gone: &Arc<Zygote>) {
        let mut slot = self.inner.zygote.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.as_ref().is_some_and(|zygote| Arc::ptr_eq(zygote, gone)) {
            *slot = None;
        }
    }

    fn spec(&self) -> Result<ZygoteSpec, Fault> {
        let interpreter = Interpreter::find().ok_or_else(|| {
            Fault::new(ErrorCode::WorkerFailed, "expected `python3` in PATH, found none")
                .with_hint("install Python 3.9 or newer on the machine of the daemon")
        })?;
        let mut spec = interpreter.zygote(actum_worker::PYTHON_WORKER);
        spec.places = self.places_of_zygote();
        spec.env = environment(&BTreeMap::new());
        spec.require = self.inner.cages.required();
        spec.limits.memory_bytes = memory_bytes().map(|all| all / 4 * 3);
        Ok(spec)
    }

    /// Where sessions have their folders.
    pub(crate) fn places(&self) -> &Places {
        &self.inner.cages.places
    }

    /// Ends everything that was started.
    pub(crate) async fn close(&self) {
        let zygote = self
            .inner
            .zygote
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(zygote) = zygote {
            let _ended = tokio::task::spawn_blocking(move || zygote.end(END)).await;
        }
    }

    /// What there is, for people.
    pub(crate) fn describe(&self) -> Value {
        let zygote = self.held().map(|zygote| {
            json!({"interpreter": zygote.version(), "pid": zygote.pid().map(|pid| pid.as_raw_nonzero().get())})
        });
        json!({"zygote": zygote, "started": self.inner.started.load(std::sync::atomic::Ordering::Relaxed)})
    }
}

fn unforked(error: &ForkError) -> Fault {
    match error {
        ForkError::Refused(refusal) => refused(refusal),
        ForkError::Step { .. } => Fault::new(ErrorCode::SandboxUnavailable, error.to_string()),
        ForkError::Gone { .. } => Fault::new(ErrorCode::WorkerFailed, error.to_string()),
    }
}

/// A session in its cage, as its driver needs it.
struct Caged {
    forked: Arc<Mutex<Forked>>,
}

impl Process for Caged {
    fn pid(&self) -> u32 {
        let forked = self.forked.lock().unwrap_or_else(PoisonError::into_inner);
        forked
            .pid()
            .map_or(0, |pid| pid.as_raw_nonzero().get().unsigned_abs())
    }

    fn kill(&mut self) -> io::Result<()> {
        self.forked.lock().unwrap_or_else(PoisonError::into_inner).kill()
    }

    fn ended(&mut self) -> Boxed<End> {
        let forked = Arc::clone(&self.forked);
        let init = {
            let forked = forked.lock().unwrap_or_else(PoisonError::into_inner);
            forked.pidfd().try_clone_to_owned()
        };
        Box::pin(async move {
            if let Ok(init) = init {
                exited(init).await;
            }
            // Everything in the session is gone, so its status is there and the wait is short.
            let waited = tokio::task::spawn_blocking(move || {
                let mut forked = forked.lock().unwrap_or_else(PoisonError::into_inner);
                forked.wait()
            });
            match waited.await {
                Ok(Ok(actum_sandbox::Exit::Code(code))) => End {
                    code: Some(code),
                    signal: None,
                },
                Ok(Ok(actum_sandbox::Exit::Signal(signal))) => End {
                    code: None,
                    signal: Some(signal),
                },
                _ => End::default(),
            }
        })
    }
}

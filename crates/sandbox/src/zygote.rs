//! A cage with a warm Python interpreter that forks sessions: the caller's side.
//!
//! Forks share nothing but memory that nobody writes. What a session is built of is decided here and carried out by
//! `python/zygote.py`. The protocol of sessions is none of this module's business: a session gets a socket.

use crate::fence::Fence;
use crate::helper::{Asked, Opened};
use crate::launch::{Caged, Launcher, is_ready};
use crate::layer::{Enforced, Layer, LayerState, Level};
use crate::plan::{Exit, Plan, ZygotePlan};
use crate::refusal::{Refusal, Step};
use crate::seccomp;
use crate::spec::{Access, HOME, Limits, Mount, Profile, Spec, check_mounts, environment};
use crate::wire;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, Signal, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, PipeReader, Read as _, Write as _};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The zygote itself.
const SOURCE: &str = include_str!("../python/zygote.py");
/// Longest time for imports, and so for a start.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// Longest time for one fork. A zygote that takes longer is broken.
const FORK_TIMEOUT: Duration = Duration::from_secs(30);
/// Processes of a zygote's cage with all its sessions. The kernel counts them by user, so by cage.
const PROCESSES_MAX: u64 = 4096;
/// Files a zygote may have open: three for each session. Sessions have bounds of their own.
const OPEN_FILES_MAX: u64 = 4096;
/// Longest report of a session: what a pipe takes and gives in one piece.
const REPORT_BYTES_MAX: usize = 4096;
/// Layers that each session has of its own; the others are the cage's.
const OWN: [Layer; 10] = [
    Layer::MountNamespace,
    Layer::PidNamespace,
    Layer::IpcNamespace,
    Layer::UtsNamespace,
    Layer::Proc,
    Layer::Seccomp,
    Layer::Landlock,
    Layer::NoNewPrivs,
    Layer::Capabilities,
    Layer::Rlimits,
];

/// What is the same for all sessions of one zygote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZygoteSpec {
    /// The Python interpreter, seen in the cage where it is on the host. 3.9 or later.
    pub interpreter: PathBuf,
    /// Folders it needs besides the system's own: its prefix, if that is not `/usr`; packages.
    pub runtime: Vec<PathBuf>,
    /// Source of the worker: one file that defines `main(fd: int, config: dict) -> None`.
    pub worker: String,
    /// Modules imported before the first fork.
    pub imports: Vec<String>,
    /// Empty folders in the cage onto which sessions mount theirs.
    pub places: Vec<PathBuf>,
    /// Environment of the zygote while it imports. Sessions get their own.
    pub env: BTreeMap<String, String>,
    /// Bounds of the cage with all its sessions: `memory_bytes` and `processes`.
    pub limits: Limits,
    /// The weakest level that sessions may have.
    pub require: Level,
}

impl ZygoteSpec {
    /// A zygote with this interpreter and worker, with one place, `/work`.
    #[must_use]
    pub fn new(interpreter: &Path, worker: &str) -> ZygoteSpec {
        ZygoteSpec {
            interpreter: interpreter.to_owned(),
            runtime: Vec::new(),
            worker: worker.to_owned(),
            imports: Vec::new(),
            places: vec!["/work".into()],
            env: environment(&BTreeMap::new()),
            limits: Limits {
                processes: Some(PROCESSES_MAX),
                open_files: Some(OPEN_FILES_MAX),
                ..Limits::default()
            },
            require: Level::Full,
        }
    }

    fn plan(&self, launcher: &Launcher) -> Plan {
        let optional = Layer::ALL
            .into_iter()
            .filter(|layer| layer.is_optional())
            .collect();
        let spec = Spec {
            runtime: self.runtime.clone(),
            env: self.env.clone(),
            limits: self.limits.clone(),
            cwd: "/".into(),
            // Sessions are what is judged; without `/proc` or Landlock the zygote itself is started all the same.
            require: Level::Partial(optional),
            ..Spec::pure(vec![self.interpreter.display().to_string()])
        };
        Plan {
            spec,
            zygote: Some(ZygotePlan {
                places: self.places.clone(),
                source: SOURCE.to_owned(),
            }),
            sabotage: launcher.sabotage().to_vec(),
        }
    }
}

/// What is one session's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionSpec {
    /// Folders of the host, each at one of the zygote's places.
    pub mounts: Vec<Mount>,
    /// Bounds of its processes. `processes` counts all of the cage; `memory_bytes` is not used.
    pub limits: Limits,
    /// The whole environment.
    pub env: BTreeMap<String, String>,
    /// Working directory.
    pub cwd: PathBuf,
    /// Name of the machine as seen inside.
    pub hostname: String,
    /// Given to the worker's `main`.
    pub config: serde_json::Value,
    /// As in [`Spec::connect_unix`].
    pub connect_unix: bool,
}

impl SessionSpec {
    /// A session that sees no folder.
    #[must_use]
    pub fn pure(config: serde_json::Value) -> SessionSpec {
        SessionSpec {
            mounts: Vec::new(),
            limits: Limits {
                processes: None,
                ..Limits::default()
            },
            env: environment(&BTreeMap::new()),
            cwd: HOME.into(),
            hostname: "actum".to_owned(),
            config,
            connect_unix: false,
        }
    }

    /// A session that writes a folder at `/work`, and starts there.
    #[must_use]
    pub fn workspace(folder: &Path, config: serde_json::Value) -> SessionSpec {
        SessionSpec {
            mounts: vec![Mount::write(folder, "/work")],
            cwd: "/work".into(),
            ..SessionSpec::pure(config)
        }
    }
}

/// Why there is no session. No code of the worker has run for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForkError {
    /// The order is wrong, a folder cannot be shown, or a layer is missing.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A step of building failed.
    #[error("the session could not be built at `{step}`: {reason}")]
    Step {
        /// Which.
        step: String,
        /// Why.
        reason: String,
    },
    /// The zygote is gone, or does not answer and was killed.
    #[error("the zygote is gone: {reason}")]
    Gone {
        /// How that was seen.
        reason: String,
    },
}

/// A warm interpreter in its cage. Dropping it kills all its sessions.
#[derive(Debug)]
pub struct Zygote {
    caged: Mutex<Caged>,
    pidfd: OwnedFd,
    control: Mutex<OwnedFd>,
    broker: Mutex<OwnedFd>,
    spec: ZygoteSpec,
    enforced: Enforced,
    /// The program of each kind of session, in hexadecimal: may connect or not.
    filters: [String; 2],
    version: String,
}

/// First message: what the zygote prepares.
#[derive(Serialize)]
struct Preparation<'a> {
    worker: &'a str,
    imports: &'a [String],
    numbers: BTreeMap<&'static str, i64>,
    /// Options of the file systems in memory that most sessions have.
    memory: String,
    /// Whether sessions get a `/proc` of their own.
    proc: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Ready(String),
    Forked,
    Failed(String),
}

/// What a fork is made of.
#[derive(Serialize)]
struct Order<'a> {
    mounts: Vec<&'a Path>,
    memory: String,
    hostname: &'a str,
    limits: Vec<(u32, u64)>,
    env: &'a BTreeMap<String, String>,
    cwd: &'a Path,
    fence: Fence,
    seccomp: &'a str,
    missing: Vec<&'static str>,
    config: &'a serde_json::Value,
}

/// What a session says before it runs code of the worker.
#[derive(Deserialize)]
#[serde(untagged)]
enum Built {
    Layers { layers: BTreeMap<String, bool> },
    Failed { step: String, reason: String },
}

impl Zygote {
    /// Starts a zygote and waits until it has imported everything.
    ///
    /// Like every cage it dies with the calling *thread*.
    ///
    /// # Errors
    /// [`Refusal`]: no cage, no interpreter, an import or the worker's source that fails.
    pub fn start(launcher: &Launcher, spec: &ZygoteSpec) -> Result<Zygote, Refusal> {
        let plan = spec.plan(launcher);
        plan.spec.check()?;
        let (control, theirs) = wire::pair().step("socket")?;
        let (broker, listen) = wire::pair().step("socket")?;
        let nothing = std::fs::File::options()
            .read(true)
            .write(true)
            .open("/dev/null")
            .step("/dev/null")?;
        let standard = nothing.as_fd();
        let given = [standard, standard, standard, theirs.as_fd(), listen.as_fd()];
        let caged = launcher.start(&plan, &given)?;
        drop((theirs, listen));
        let zygote = Zygote {
            pidfd: caged.pidfd().try_clone_to_owned().step("pidfd")?,
            enforced: caged.enforced().clone(),
            caged: Mutex::new(caged),
            control: Mutex::new(control),
            broker: Mutex::new(broker),
            spec: spec.clone(),
            filters: [filter(false), filter(true)],
            version: String::new(),
        };
        zygote.prepare()
    }

    fn prepare(mut self) -> Result<Zygote, Refusal> {
        let preparation = Preparation {
            worker: &self.spec.worker,
            imports: &self.spec.imports,
            numbers: numbers(),
            memory: crate::helper::memory_options(&Limits::default()),
            proc: self
                .enforced
                .state(Layer::Proc)
                .is_some_and(|state| state.in_force),
        };
        match self.ask(&preparation, None, &[], START_TIMEOUT) {
            Ok((Answer::Ready(version), _)) => self.version = version,
            Ok((Answer::Failed(reason), _)) => {
                let reason = format!("the zygote cannot prepare the worker: {reason}");
                return Err(Refusal::Spec { reason });
            }
            Ok(_) => return Err(Refusal::helper("zygote", "unexpected answer")),
            Err(error) => return Err(Refusal::helper("zygote", error)),
        }
        Ok(self)
    }

    /// Forks a session into a cage of its own and runs `main` of the worker in it, with `socket` as its `fd`.
    /// Returns when everything was seen to hold, just before `main` is called.
    ///
    /// # Errors
    /// [`ForkError`]; then no code of the worker has run.
    pub fn fork(&self, spec: &SessionSpec, socket: OwnedFd) -> Result<Forked, ForkError> {
        let mounts = self.open(spec)?;
        let [refuses, connects] = &self.filters;
        let filter = if spec.connect_unix || spec.mounts.is_empty() {
            connects
        } else {
            refuses
        };
        let folders = mounts.iter().map(|(_, is_folder)| *is_folder);
        let places = spec.mounts.iter().zip(folders);
        let places =
            places.map(|(mount, is_folder)| (mount.at.display().to_string(), mount.access, is_folder));
        let runtime = self
            .spec
            .runtime
            .iter()
            .map(|path| (path.display().to_string(), Access::Read, true));
        let order = Order {
            mounts: spec.mounts.iter().map(|mount| mount.at.as_path()).collect(),
            memory: crate::helper::memory_options(&spec.limits),
            hostname: &spec.hostname,
            limits: limits(&spec.limits),
            env: &spec.env,
            cwd: &spec.cwd,
            fence: Fence::new(&runtime.chain(places).collect::<Vec<_>>()),
            seccomp: filter,
            missing: self.spec.require.missing().into_iter().map(Layer::name).collect(),
            config: &spec.config,
        };
        let mounts: Vec<OwnedFd> = mounts.into_iter().map(|(mount, _)| mount).collect();
        self.order(&order, true, socket, &mounts)
    }

    /// Forks without building anything: what a fork alone costs, for measuring. Such a session holds the rights of
    /// the zygote.
    ///
    /// # Errors
    /// [`ForkError`], also if the zygote is required to be any cage at all.
    #[doc(hidden)]
    pub fn fork_bare(&self, config: &serde_json::Value, socket: OwnedFd) -> Result<Forked, ForkError> {
        if self.spec.require != Level::None {
            return Err(Refusal::missing(Layer::Seccomp, "a bare fork has none").into());
        }
        let order = Order {
            mounts: Vec::new(),
            memory: String::new(),
            hostname: "",
            limits: Vec::new(),
            env: &BTreeMap::new(),
            cwd: Path::new("/"),
            fence: Fence::new(&[]),
            seccomp: "",
            missing: Vec::new(),
            config,
        };
        self.order(&order, false, socket, &[])
    }

    /// Readable when the zygote, and with it every session, has ended.
    #[must_use]
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Number of the cage's init, a child of this process.
    #[must_use]
    pub fn pid(&self) -> Option<Pid> {
        lock(&self.caged).pid()
    }

    /// What was seen to hold of the cage around all sessions.
    #[must_use]
    pub fn enforced(&self) -> &Enforced {
        &self.enforced
    }

    /// What the interpreter says of its version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Kills the zygote with all sessions and waits at most this long until all are gone. `false` if some are left.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn end(&self, within: Duration) -> io::Result<bool> {
        lock(&self.caged).end(within)
    }

    /// The folders, from the broker: it sees the host.
    fn open(&self, spec: &SessionSpec) -> Result<Vec<(OwnedFd, bool)>, ForkError> {
        check_mounts(Profile::Custom, &spec.mounts)?;
        if let Some(mount) = spec
            .mounts
            .iter()
            .find(|mount| !self.spec.places.contains(&mount.at))
        {
            let reason = format!(
                "expected one of the zygote's places, got `{}`",
                mount.at.display()
            );
            return Err(Refusal::Spec { reason }.into());
        }
        let broker = lock(&self.broker);
        let mut opened = Vec::new();
        for mount in &spec.mounts {
            let asked = Asked {
                host: mount.host.clone(),
                access: mount.access,
            };
            wire::send(&*broker, &asked, &[]).map_err(gone)?;
            let refused = |reason| Refusal::Folder {
                path: mount.host.display().to_string(),
                reason,
            };
            match wire::receive::<Opened>(&*broker).map_err(gone)? {
                Some((Opened::Folder, mut fds)) if fds.len() == 1 => opened.push((fds.remove(0), true)),
                Some((Opened::Refused(reason), _)) => return Err(refused(reason).into()),
                Some((Opened::File, _)) => {
                    return Err(refused("expected a folder, got a file".to_owned()).into());
                }
                _ => return Err(gone("the broker does not answer")),
            }
        }
        Ok(opened)
    }

    fn order(
        &self,
        order: &Order<'_>,
        cage: bool,
        socket: OwnedFd,
        mounts: &[OwnedFd],
    ) -> Result<Forked, ForkError> {
        let (status, told) = io::pipe().map_err(gone)?;
        let (mut report, built) = io::pipe().map_err(gone)?;
        let mut fds = vec![socket.as_fd(), told.as_fd(), built.as_fd()];
        fds.extend(mounts.iter().map(AsFd::as_fd));
        let (answer, fds) = self.ask(order, Some(cage), &fds, FORK_TIMEOUT)?;
        drop((told, built, socket));
        let [init, main] = match (answer, <[OwnedFd; 2]>::try_from(fds)) {
            (Answer::Forked, Ok(both)) => both,
            (Answer::Failed(reason), _) => {
                let step = "fork".to_owned();
                return Err(ForkError::Step { step, reason });
            }
            _ => return Err(gone("an answer that makes no sense")),
        };
        let mut forked = Forked {
            pid: number(&main).map_err(gone)?,
            init,
            status,
            exit: None,
            enforced: Enforced::none(),
        };
        if !is_ready(&report, FORK_TIMEOUT).map_err(gone)? {
            return Err(gone("a session that is not built in time"));
        }
        // Written at once and shorter than what a pipe takes in one piece. Nothing means that it has died.
        let mut text = vec![0; REPORT_BYTES_MAX];
        let length = report.read(&mut text).map_err(gone)?;
        match serde_json::from_slice(text.get(..length).unwrap_or_default()) {
            Ok(Built::Layers { layers }) => {
                if cage {
                    forked.enforced = self.merge(&layers);
                }
                Ok(forked)
            }
            Ok(Built::Failed { step, reason }) => Err(ForkError::Step { step, reason }),
            Err(_) => Err(ForkError::Step {
                step: "start".to_owned(),
                reason: "the session died while being built".to_owned(),
            }),
        }
    }

    /// What was seen in the session, beside what is the cage's.
    fn merge(&self, layers: &BTreeMap<String, bool>) -> Enforced {
        let state = |layer: Layer| {
            let cage = self.enforced.state(layer);
            let detail = match layer {
                Layer::Landlock => format!("version {}", crate::sys::landlock_version().unwrap_or(0)),
                _ => cage.map_or_else(String::new, |state| state.detail.clone()),
            };
            let in_force = if OWN.contains(&layer) {
                layers.get(layer.name()).copied().unwrap_or(false)
            } else {
                cage.is_some_and(|state| state.in_force)
            };
            LayerState {
                layer,
                in_force,
                detail,
            }
        };
        Enforced::of(Layer::ALL.into_iter().map(state).collect())
    }

    /// Sends one order, which is for a session in a cage or without one, or for neither, and waits for its answer. A
    /// zygote that does not answer is killed: its next answer could be taken for that of another order.
    fn ask(
        &self,
        order: &impl Serialize,
        cage: Option<bool>,
        given: &[BorrowedFd<'_>],
        within: Duration,
    ) -> Result<(Answer, Vec<OwnedFd>), ForkError> {
        let mut file = std::fs::File::from(memfd_create("actum-order", MemfdFlags::CLOEXEC).map_err(gone)?);
        serde_json::to_vec(order)
            .map_err(io::Error::from)
            .and_then(|text| file.write_all(&text))
            .map_err(gone)?;
        let mut fds = vec![file.as_fd()];
        fds.extend_from_slice(given);
        let control = lock(&self.control);
        wire::send(&*control, &cage, &fds).map_err(gone)?;
        if !is_ready(&*control, within).map_err(gone)? {
            let _ = lock(&self.caged).kill();
            return Err(gone(format!("no answer within {} s", within.as_secs())));
        }
        wire::receive(&*control)
            .map_err(gone)?
            .ok_or_else(|| gone("it has ended"))
    }
}

/// A session. Dropping it kills everything in it.
#[derive(Debug)]
pub struct Forked {
    pid: i32,
    init: OwnedFd,
    status: PipeReader,
    exit: Option<Exit>,
    enforced: Enforced,
}

impl Forked {
    /// Number of the process that runs the worker, on the host. Not a child of this process.
    #[must_use]
    pub fn pid(&self) -> Option<Pid> {
        Pid::from_raw(self.pid)
    }

    /// Holds the session's init. Readable when everything in the session has ended.
    #[must_use]
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.init.as_fd()
    }

    /// What was seen to hold, from inside, before any code of the worker ran.
    #[must_use]
    pub fn enforced(&self) -> &Enforced {
        &self.enforced
    }

    /// Kills everything in the session. Does not wait.
    ///
    /// # Errors
    /// What the kernel answered; an end that has come already is none.
    pub fn kill(&self) -> io::Result<()> {
        match pidfd_send_signal(&self.init, Signal::KILL) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until everything in the session is gone, and tells how the worker ended.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn wait(&mut self) -> io::Result<Exit> {
        if let Some(exit) = self.exit {
            return Ok(exit);
        }
        let mut text = String::new();
        self.status.read_to_string(&mut text)?;
        // Silence means that the zygote is gone, and so is every session of it.
        let exit = match text.trim().parse::<i32>() {
            Ok(code) if code >= 0 => Exit::Code(code),
            Ok(signal) => Exit::Signal(-signal),
            Err(_) => Exit::Signal(libc::SIGKILL),
        };
        Ok(*self.exit.insert(exit))
    }

    /// Kills everything in the session and waits at most this long until it is gone. `false` if something is left.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn end(&mut self, within: Duration) -> io::Result<bool> {
        self.kill()?;
        if self.exit.is_some() {
            return Ok(true);
        }
        let gone = wait_readable(&self.status, within)?;
        if gone {
            self.wait()?;
        }
        Ok(gone)
    }
}

impl Drop for Forked {
    fn drop(&mut self) {
        if self.exit.is_none() {
            let _ = self.kill();
        }
    }
}

/// Readable, or closed by the other side.
fn wait_readable(status: &PipeReader, within: Duration) -> io::Result<bool> {
    let last = std::time::Instant::now() + within;
    loop {
        let left = last.saturating_duration_since(std::time::Instant::now());
        if is_ready(status, left)? {
            return Ok(true);
        }
        if left.is_zero() {
            return Ok(false);
        }
    }
}

fn filter(may_connect: bool) -> String {
    let bytes = seccomp::bytes(&seccomp::stage(may_connect));
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Numbers of system calls that Python has no name for, on this architecture.
fn numbers() -> BTreeMap<&'static str, i64> {
    [
        ("move_mount", libc::SYS_move_mount),
        ("close_range", libc::SYS_close_range),
        ("capset", libc::SYS_capset),
        ("capget", libc::SYS_capget),
        ("seccomp", libc::SYS_seccomp),
        ("landlock_create_ruleset", libc::SYS_landlock_create_ruleset),
        ("landlock_add_rule", libc::SYS_landlock_add_rule),
        ("landlock_restrict_self", libc::SYS_landlock_restrict_self),
    ]
    .into()
}

fn limits(limits: &Limits) -> Vec<(u32, u64)> {
    let wanted = [
        (libc::RLIMIT_CORE, Some(0)),
        (libc::RLIMIT_AS, limits.address_space_bytes),
        (libc::RLIMIT_CPU, limits.cpu_seconds),
        (libc::RLIMIT_NPROC, limits.processes),
        (libc::RLIMIT_NOFILE, limits.open_files),
        (libc::RLIMIT_FSIZE, limits.file_bytes),
    ];
    wanted
        .into_iter()
        .filter_map(|(kind, value)| Some((kind, value?)))
        .collect()
}

/// The number of a process, from its pidfd, as this process sees it.
fn number(pidfd: &OwnedFd) -> io::Result<i32> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd()))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pid:"));
    let number = line.and_then(|text| text.trim().parse().ok());
    number.ok_or_else(|| io::Error::other("a pidfd without a number"))
}

#[expect(clippy::needless_pass_by_value, reason = "stands in `map_err`")]
fn gone(reason: impl ToString) -> ForkError {
    ForkError::Gone {
        reason: reason.to_string(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

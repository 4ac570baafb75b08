//! A daemon from start to end: open the core, listen, say so, wait for a reason to stop, end in order.

mod banner;
mod drain;
pub(crate) mod logging;

use crate::context::Context;
use crate::daemon_file::{self, DaemonFile};
use crate::failure::{Done, Exit, Failure};
use actum_daemon::access::{Access, Mode};
use actum_daemon::core::{Core, CoreOptions, OpenFault};
use actum_daemon::transport::{self, Listening, Timings};
use actum_model::{ErrorCode, Fault};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Where a daemon listens if nothing else is said.
const USUAL: &str = "127.0.0.1:4040";

/// How long a lock is waited for whose holder is dead.
const ORPHANED_LOCK: Duration = Duration::from_secs(2);

/// Where to listen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Listen {
    /// Here, or not at all.
    At(SocketAddr),
    /// At the usual address; at a free port if that is taken and `or_free`.
    Usual {
        /// Whether another port will do.
        or_free: bool,
    },
    /// Only standard input.
    Nowhere,
}

/// What to run.
pub(crate) struct Plan {
    /// Who may call without a token.
    pub(crate) mode: Mode,
    /// Where to listen.
    pub(crate) listen: Listen,
    /// Serve standard input too.
    pub(crate) stdio: bool,
    /// Further names it answers to.
    pub(crate) hosts: Vec<String>,
    /// Whether GraphQL clients may ask for the schema.
    pub(crate) introspection: bool,
    /// How long running commands may take to end.
    pub(crate) drain: Duration,
    /// How the core is opened.
    pub(crate) core: CoreOptions,
}

/// Why a daemon ends.
enum Reason {
    /// SIGTERM or SIGINT.
    Signal,
    /// Standard input ended, and there is no other way in.
    InputEnded,
    /// The core cannot go on.
    Fatal(Fault),
}

/// Runs a daemon to its end.
pub(crate) fn run(plan: &Plan, context: &Context) -> Done {
    logging::start(context);
    raise_open_files();
    let access = Arc::new(Access::new(plan.mode, &context.data, &plan.hosts));
    if let Listen::At(address) = plan.listen {
        // Before anything is made or opened.
        access.may_bind(address)?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Failure::new(ErrorCode::Internal, format!("no runtime: {error}")))?;
    let core = {
        let _inside = runtime.enter();
        open(&plan.core, context)?
    };
    let done = runtime.block_on(serve(plan, core, access, context));
    // Standard input may be read by a thread that nothing can wake.
    runtime.shutdown_background();
    done
}

/// Connections, pipes of programs and segments each take a file; the usual soft limit is for programs with few.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: maximum,
        maximum,
    };
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, wanted)
    {
        tracing::warn!(%error, "the limit of open files stays at its soft value");
    }
}

/// Opens the core. A daemon that was killed while it started a program leaves its lock to that program for the moment
/// until it runs; such a lock, whose holder is dead, is waited for a little.
fn open(options: &CoreOptions, context: &Context) -> Result<Core, Failure> {
    let begun = Instant::now();
    loop {
        match actum_daemon::core::open(options) {
            Err(OpenFault(fault))
                if fault.code == ErrorCode::JournalLocked
                    && !daemon_file::named(&context.data).is_some_and(daemon_file::alive)
                    && begun.elapsed() < ORPHANED_LOCK =>
            {
                tracing::info!("the lock is held by what a dead daemon started; waiting");
                std::thread::sleep(ORPHANED_LOCK / 40);
            }
            opened => return Ok(opened?),
        }
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Signals, Failure> {
        let listen = |kind| {
            signal(kind)
                .map_err(|error| Failure::new(ErrorCode::Internal, format!("no signal handler: {error}")))
        };
        Ok(Signals {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

async fn serve(plan: &Plan, core: Core, access: Arc<Access>, context: &Context) -> Done {
    let mut signals = Signals::new()?;
    let timings = Timings {
        drain: plan.drain,
        ..Timings::default()
    };
    let listening = match open_listener(plan, &core, access, &timings).await {
        Ok(listening) => listening,
        Err(failure) => {
            core.close().await;
            return Err(failure);
        }
    };
    let url = listening
        .as_ref()
        .map(|listening| format!("http://{}", listening.address()));
    if let Some(url) = &url {
        announce(url, context);
    }
    banner::show(plan, &core, url.as_deref(), context)?;
    let stdio = plan
        .stdio
        .then(|| tokio::spawn(transport::stdio::serve(core.clone(), timings)));
    let reason = wait(&core, &mut signals, stdio, listening.is_none()).await;
    let done = match reason {
        Reason::Fatal(fault) => Err(Failure::from(fault)),
        Reason::Signal | Reason::InputEnded => {
            drain::end(&core, listening, plan.drain, &mut signals, context).await
        }
    };
    daemon_file::remove(&context.data);
    match done {
        // Whatever the fault, the daemon cannot go on: nothing the caller did wrong.
        Err(Failure::Fault(fault)) => {
            context.out.fault(&fault);
            Ok(Exit::Internal)
        }
        done => done,
    }
}

async fn open_listener(
    plan: &Plan,
    core: &Core,
    access: Arc<Access>,
    timings: &Timings,
) -> Result<Option<Listening>, Failure> {
    let usual = || -> Result<SocketAddr, Failure> {
        USUAL
            .parse()
            .map_err(|_| Failure::new(ErrorCode::Internal, "the usual address is none"))
    };
    let (address, or_free) = match plan.listen {
        Listen::Nowhere => return Ok(None),
        Listen::At(address) => (address, false),
        Listen::Usual { or_free } => (usual()?, or_free),
    };
    let options = |bind| transport::Options {
        bind,
        access: Arc::clone(&access),
        timings: timings.clone(),
        introspection: plan.introspection,
    };
    let found = match transport::listen(core.clone(), options(address)).await {
        Err(_) if or_free => transport::listen(core.clone(), options(SocketAddr::new(address.ip(), 0))).await,
        found => found,
    };
    found.map(Some).map_err(|fault| match fault.hint {
        // The rule on binding has its own hint; a taken address is answered with the flag of this program.
        Some(_) => fault
            .with_hint("choose another address with --listen; port 0 takes a free one")
            .into(),
        None => fault.into(),
    })
}

/// Writes where it answers, so that the command line finds it. Without that it has to be told, and nothing else.
fn announce(url: &str, context: &Context) {
    let file = DaemonFile {
        url: url.to_owned(),
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    if let Err(error) = daemon_file::write(&context.data, &file) {
        tracing::warn!(%error, "daemon.json could not be written: name the daemon with --url");
    }
}

async fn wait(
    core: &Core,
    signals: &mut Signals,
    stdio: Option<tokio::task::JoinHandle<()>>,
    alone: bool,
) -> Reason {
    let mut fatal = core.fatal();
    let input_ended = async {
        match stdio {
            Some(task) if alone => {
                let _ended = task.await;
            }
            _ => std::future::pending().await,
        }
    };
    tokio::select! {
        fault = failed(&mut fatal) => Reason::Fatal(fault),
        () = signals.any() => Reason::Signal,
        () = input_ended => Reason::InputEnded,
    }
}

/// The fault, when the core cannot go on.
async fn failed(fatal: &mut tokio::sync::watch::Receiver<Option<Fault>>) -> Fault {
    match fatal.wait_for(Option::is_some).await {
        Ok(fault) => fault
            .clone()
            .unwrap_or_else(|| Fault::new(ErrorCode::Internal, "the core ended")),
        Err(_) => Fault::new(ErrorCode::Internal, "the core ended without a word"),
    }
}

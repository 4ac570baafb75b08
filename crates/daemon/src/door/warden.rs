//! The thread behind the keeper and everything it holds: main processes, members seen, orphans to reap.
//!
//! It blocks on system calls and never on another task. It decides nothing about commands: it is told whom to
//! start, strike and finish.

use super::job::Job;
use super::order::StopOrder;
use super::procfs;
use super::reaper::STRANGER;
use super::tree::Name;
use crate::cage;
use actum_model::{ErrorCode, Fault};
use actum_sandbox::{Caged, Exit};
use rustix::process::{PidfdFlags, Signal, pidfd_open};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How long the end of a cage may take once its init was killed.
const CAGE_END: Duration = Duration::from_millis(500);

/// What the thread is asked to do.
pub(super) enum Task {
    Spawn {
        job: Box<Job>,
        order: Arc<StopOrder>,
        reply: oneshot::Sender<Result<Option<Started>, Fault>>,
    },
    Strike(Strike),
    Finish {
        main: i32,
        reply: oneshot::Sender<Option<ExitStatus>>,
    },
    Reap,
}

/// A process that runs.
pub(super) struct Started {
    pub(super) main: i32,
    pub(super) at: Instant,
    pub(super) exit: OwnedFd,
    pub(super) stdin: Option<OwnedFd>,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
    /// The cage in force, where it has one.
    pub(super) sandbox: Option<Value>,
}

/// Whose processes are meant.
#[derive(Clone)]
pub(super) enum Target {
    /// The tree of this main process, which is not finished yet.
    Main(i32),
    /// Everything that carries one of these marks.
    Marks(Arc<BTreeSet<String>>),
}

/// One pass over a target.
pub(super) struct Strike {
    pub(super) target: Target,
    pub(super) signal: Option<Signal>,
    /// Look at every process, also where the list of children says that nothing is left.
    pub(super) thorough: bool,
    pub(super) reply: oneshot::Sender<Struck>,
}

/// What a pass found.
pub(super) struct Struck {
    /// Members that had not ended.
    pub(super) alive: usize,
    /// Of these, seen for the first time.
    pub(super) fresh: usize,
    /// Pidfds of some of them.
    pub(super) ends: Vec<OwnedFd>,
}

impl Struck {
    /// Nothing can be said: one process counts as alive.
    pub(super) fn blind() -> Struck {
        Struck {
            alive: 1,
            fresh: 0,
            ends: Vec::new(),
        }
    }
}

/// The main process of a command.
pub(super) struct Main {
    pub(super) name: Name,
    pub(super) mark: String,
    /// Members of its tree seen so far.
    pub(super) known: BTreeSet<Name>,
    /// The cage around it. Dropping it ends everything in it.
    pub(super) caged: Option<Caged>,
}

/// The state of the thread.
pub(super) struct Warden {
    pub(super) own: i32,
    pub(super) own_session: i32,
    /// Orphans come to this process, so that its children are all that can be left of a dead command.
    pub(super) subreaper: bool,
    pub(super) mains: BTreeMap<i32, Main>,
    /// Main processes that could not be confirmed dead, to be reaped whenever they end.
    pub(super) abandoned: BTreeSet<i32>,
    /// Who was signalled lately, so that their bodies are reaped at once.
    pub(super) struck: BTreeMap<Name, Instant>,
    /// Bodies that may be somebody else's children, and since when they lie there.
    pub(super) strangers: BTreeMap<Name, Instant>,
}

impl Warden {
    pub(super) fn new() -> io::Result<Warden> {
        let own = rustix::process::getpid();
        let subreaper = rustix::process::set_child_subreaper(Some(own)).is_ok();
        if !subreaper {
            tracing::warn!(
                "cannot become the reaper of orphans; every process is looked at when a command ends"
            );
        }
        let stat = procfs::read(own.as_raw_pid())
            .ok_or_else(|| io::Error::other("cannot read /proc/self/stat: the process door needs /proc"))?;
        Ok(Warden {
            own: stat.pid,
            own_session: stat.session,
            subreaper,
            mains: BTreeMap::new(),
            abandoned: BTreeSet::new(),
            struck: BTreeMap::new(),
            strangers: BTreeMap::new(),
        })
    }

    /// Works until every handle is gone. Tasks that wait together share one picture of all processes.
    pub(super) fn run(mut self, inbox: &mpsc::Receiver<Task>) {
        loop {
            let first = if self.strangers.is_empty() {
                inbox.recv().map_err(|_| mpsc::RecvTimeoutError::Disconnected)
            } else {
                inbox.recv_timeout(STRANGER)
            };
            let first = match first {
                Ok(task) => task,
                Err(mpsc::RecvTimeoutError::Timeout) => Task::Reap,
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            };
            let mut batch = vec![first];
            batch.extend(inbox.try_iter());
            self.serve(batch);
        }
    }

    fn serve(&mut self, batch: Vec<Task>) {
        let (mut procs, mut reap) = (None, false);
        for task in batch {
            match task {
                Task::Spawn { job, order, reply } => {
                    if let Err(Ok(Some(started))) = reply.send(self.spawn(&job, &order)) {
                        self.forsake(started.main);
                    }
                }
                Task::Strike(strike) => {
                    // Whoever asked may be gone; the signals are sent all the same.
                    let struck = self.strike(&strike, &mut procs);
                    let _ = strike.reply.send(struck);
                }
                Task::Finish { main, reply } => {
                    let _ = reply.send(self.finish(main));
                }
                Task::Reap => reap = true,
            }
        }
        if reap {
            self.reap();
        }
    }

    fn spawn(&mut self, job: &Job, order: &StopOrder) -> Result<Option<Started>, Fault> {
        if order.asked() {
            return Ok(None);
        }
        let at = Instant::now();
        let process = job.spawn()?;
        let main = process.pid;
        let sandbox = process
            .caged
            .as_ref()
            .map(|caged| cage::in_force(caged.enforced()));
        // Nobody has reaped it yet, so its number means it even if it has ended already.
        let name = (main, procfs::read(main).map_or(0, |proc| proc.start));
        let entry = Main {
            name,
            mark: job.effect.to_string(),
            known: BTreeSet::new(),
            caged: process.caged,
        };
        self.mains.insert(main, entry);
        let opened = procfs::pid(main).map(|pid| pidfd_open(pid, PidfdFlags::NONBLOCK));
        let Some(Ok(exit)) = opened else {
            self.forsake(main);
            let message = format!("cannot watch processes on this kernel (pidfd_open: {opened:?})");
            return Err(Fault::new(ErrorCode::SpawnFailed, message));
        };
        Ok(Some(Started {
            main,
            at,
            exit,
            stdin: process.stdin,
            stdout: process.stdout,
            stderr: process.stderr,
            sandbox,
        }))
    }

    /// Ends a process whose command is gone together with its runtime.
    fn forsake(&mut self, main: i32) {
        if let Some(pid) = procfs::pid(main) {
            let _ = rustix::process::kill_process_group(pid, Signal::KILL);
        }
        self.finish(main);
    }

    /// How a program ended, told by the init of its cage. A cage that still stands is ended first.
    fn finish_caged(&mut self, main: i32, mut caged: Caged) -> Option<ExitStatus> {
        match caged.end(CAGE_END) {
            Ok(true) => {}
            Ok(false) | Err(_) => {
                self.abandoned.insert(main);
                // Waiting for what does not end would stop every other command.
                std::mem::forget(caged);
                return None;
            }
        }
        match caged.wait() {
            Ok(Exit::Code(code)) => Some(ExitStatus::from_raw((code & 0xff) << 8)),
            Ok(Exit::Signal(signal)) => Some(ExitStatus::from_raw(signal & 0x7f)),
            Err(error) => {
                tracing::error!(%error, main, "the end of a cage cannot be read");
                None
            }
        }
    }

    fn finish(&mut self, main: i32) -> Option<ExitStatus> {
        let entry = self.mains.remove(&main)?;
        if let Some(caged) = entry.caged {
            return self.finish_caged(main, caged);
        }
        match procfs::reap(main) {
            Ok(Some(status)) => Some(ExitStatus::from_raw(status.as_raw())),
            Ok(None) => {
                self.abandoned.insert(main);
                None
            }
            Err(error) => {
                tracing::error!(%error, main, "somebody else reaped the main process of a command");
                None
            }
        }
    }
}

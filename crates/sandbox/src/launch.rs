//! The caller's side: starts the helper, hears what became of it, and holds the cage. Blocking; no thread of its own.

use crate::cgroup;
use crate::helper::MARK;
use crate::layer::{Enforced, Layer};
use crate::plan::{Exit, Plan, Report};
use crate::refusal::{Refusal, Step};
use crate::spec::Spec;
use crate::wire;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};
use std::io::{self, Seek as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Starts cages.
#[derive(Debug, Clone)]
pub struct Launcher {
    helper: PathBuf,
    sabotage: Vec<Layer>,
}

impl Default for Launcher {
    fn default() -> Launcher {
        Launcher::of_this_program()
    }
}

impl Launcher {
    /// With this very program as the helper: its `main` calls [`crate::helper_entry`] first. Holds even if its
    /// file has been replaced meanwhile.
    #[must_use]
    pub fn of_this_program() -> Launcher {
        Launcher::with_helper("/proc/self/exe")
    }

    /// With another program as the helper, built from the same version of this crate.
    pub fn with_helper(helper: impl Into<PathBuf>) -> Launcher {
        Launcher {
            helper: helper.into(),
            sabotage: Vec::new(),
        }
    }

    /// Leaves layers out in silence, so that a test can see that they are missed.
    #[doc(hidden)]
    #[must_use]
    pub fn sabotaged(mut self, layers: &[Layer]) -> Launcher {
        self.sabotage = layers.to_vec();
        self
    }

    pub(crate) fn sabotage(&self) -> &[Layer] {
        &self.sabotage
    }

    /// Starts one program in a cage of its own, with these descriptors as its standard input, output and error.
    /// Returns when the program has been executed.
    ///
    /// The cage dies with the calling *thread*: call this from one that lives as long as the cage may.
    ///
    /// # Errors
    /// [`Refusal`]; then nothing runs, and no code of the program has run.
    pub fn launch(&self, spec: &Spec, stdio: [BorrowedFd<'_>; 3]) -> Result<Caged, Refusal> {
        spec.check()?;
        let plan = Plan {
            spec: spec.clone(),
            zygote: None,
            sabotage: self.sabotage.clone(),
        };
        self.start(&plan, &stdio)
    }

    /// Starts what a plan says, with further descriptors behind the three standard ones.
    pub(crate) fn start(&self, plan: &Plan, given: &[BorrowedFd<'_>]) -> Result<Caged, Refusal> {
        let (socket, theirs) = wire::pair().step("socket")?;
        let mut helper = Command::new(&self.helper)
            .arg0("actum-cage")
            .arg(MARK)
            .env_clear()
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .step("starting")?;
        let born = send_plan(&socket, plan, given)
            .step("sending the plan")
            .and_then(|()| Cage::hear(socket));
        if born.is_err() {
            // It may hang before it has read anything; what it made dies with it or by the closed socket.
            let _ = helper.kill();
        }
        // It ends by itself as soon as the cage's init has been born.
        let _ = helper.wait();
        let cage = born?;
        match cage.report()? {
            Report::Running { enforced } => Ok(Caged {
                cage,
                enforced,
                exit: None,
            }),
            Report::Refused { refusal } => Err(refusal),
            other => Err(Refusal::helper("start", format!("unexpected answer {other:?}"))),
        }
    }
}

fn send_plan(socket: &OwnedFd, plan: &Plan, given: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut file = std::fs::File::from(memfd_create("actum-plan", MemfdFlags::CLOEXEC)?);
    file.write_all(&serde_json::to_vec(plan)?)?;
    file.rewind()?;
    let mut fds = vec![file.as_fd()];
    fds.extend_from_slice(given);
    wire::send(socket, &(), &fds)
}

/// The init of a cage, held by its pidfd. Kills it when dropped.
#[derive(Debug)]
pub(crate) struct Cage {
    socket: OwnedFd,
    pid: i32,
    pidfd: OwnedFd,
    groups: Vec<PathBuf>,
    pub(crate) user: (u32, u32),
    reaped: bool,
}

impl Cage {
    /// Waits for the first report.
    fn hear(socket: OwnedFd) -> Result<Cage, Refusal> {
        let got = wire::receive::<Report>(&socket).step("report")?;
        match got {
            Some((
                Report::Born {
                    pid,
                    groups,
                    uid,
                    gid,
                },
                mut fds,
            )) if fds.len() == 1 => Ok(Cage {
                pidfd: fds.remove(0),
                socket,
                pid,
                groups,
                user: (uid, gid),
                reaped: false,
            }),
            Some((Report::Refused { refusal }, _)) => Err(refusal),
            Some((other, _)) => Err(Refusal::helper("report", format!("unexpected answer {other:?}"))),
            None => Err(Refusal::helper(
                "report",
                "it died without a word; does `main` call `helper_entry`?",
            )),
        }
    }

    fn report(&self) -> Result<Report, Refusal> {
        let got = wire::receive::<Report>(&self.socket).step("report")?;
        got.map(|(report, _)| report)
            .ok_or_else(|| Refusal::helper("report", "the cage died while being built"))
    }

    fn kill(&self) -> io::Result<()> {
        match pidfd_send_signal(&self.pidfd, Signal::KILL) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until the init, and with it everything in the cage, is gone; reaps it.
    fn gone(&mut self) -> io::Result<()> {
        while !self.reaped {
            match waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED) {
                // Somebody else in this process may have reaped it: it is gone all the same.
                Ok(_) | Err(rustix::io::Errno::CHILD) => self.reaped = true,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        cgroup::remove(&self.groups);
        Ok(())
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        if !self.reaped && self.kill().is_ok() {
            let _ = self.gone();
        }
    }
}

/// A program in its cage. Dropping it kills everything in the cage and waits for the end.
#[derive(Debug)]
pub struct Caged {
    pub(crate) cage: Cage,
    enforced: Enforced,
    exit: Option<Exit>,
}

impl Caged {
    /// Number of the cage's init, a child of this process. Its end is the end of everything in the cage.
    #[must_use]
    pub fn pid(&self) -> Option<Pid> {
        Pid::from_raw(self.cage.pid)
    }

    /// Holds the init. Readable when the cage has ended.
    #[must_use]
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.cage.pidfd.as_fd()
    }

    /// What was seen to hold, from inside, before the program ran.
    #[must_use]
    pub fn enforced(&self) -> &Enforced {
        &self.enforced
    }

    /// User and group of the cage on the host: who writes its files, where owners are not translated.
    #[must_use]
    pub fn user(&self) -> (u32, u32) {
        self.cage.user
    }

    /// Kills everything in the cage. Does not wait.
    ///
    /// # Errors
    /// What the kernel answered; an end that has come already is none.
    pub fn kill(&self) -> io::Result<()> {
        self.cage.kill()
    }

    /// Waits until everything in the cage is gone, and tells how the program ended: [`Exit::Signal`] 9 if the cage
    /// was killed around it.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn wait(&mut self) -> io::Result<Exit> {
        let exit = match self.exit {
            Some(exit) => exit,
            None => match wire::receive::<Report>(&self.cage.socket)? {
                Some((Report::Ended { exit }, _)) => exit,
                _ => Exit::Signal(libc::SIGKILL),
            },
        };
        self.exit = Some(exit);
        self.cage.gone()?;
        Ok(exit)
    }

    /// Kills everything in the cage and waits at most this long until it is gone. `false` if something is left:
    /// a process that the kernel cannot end now, such as one waiting for a broken disk.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn end(&mut self, within: Duration) -> io::Result<bool> {
        self.cage.kill()?;
        let last = Instant::now() + within;
        while !is_ready(&self.cage.pidfd, last.saturating_duration_since(Instant::now()))? {
            if Instant::now() >= last {
                return Ok(false);
            }
        }
        self.cage.gone().map(|()| true)
    }
}

/// Whether something is to be read within this time. A signal to this thread, such as the end of a child, is no answer.
pub(crate) fn is_ready(fd: impl AsFd, within: Duration) -> io::Result<bool> {
    let last = Instant::now().checked_add(within);
    loop {
        let left = last.map(|last| last.saturating_duration_since(Instant::now()));
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut [PollFd::new(&fd, PollFlags::IN)], timeout.as_ref()) {
            Ok(ready) => return Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

//! The handle of the keeper: the one thread of the process that forks, looks at `/proc`, signals and reaps.
//!
//! One thread, because the kernel ties a child's death signal to the thread that forked it, and because spawning
//! and reaping in one thread cannot race. The async side asks it and waits for ends on pidfds, without polling.

use super::job::Job;
use super::order::StopOrder;
use super::warden::{Started, Strike, Struck, Target, Task, Warden};
use actum_model::{ErrorCode, Fault, Hash};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::timeout_at;

/// Longest wait for the processes of one pass before the next look, in case one of them hides others.
const PASS: Duration = Duration::from_millis(100);

/// What a sweep found and left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Processes that were found.
    pub found: usize,
    /// Those that could not be ended.
    pub left: usize,
}

/// Asks the thread. Clones ask the same one.
#[derive(Clone)]
pub(super) struct Keeper {
    tasks: mpsc::Sender<Task>,
}

impl Keeper {
    /// The keeper of this process, started by the first call; it lives as long as the process.
    pub(super) fn of_process() -> io::Result<Keeper> {
        static KEEPER: Mutex<Option<Keeper>> = Mutex::new(None);
        let mut keeper = KEEPER.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(keeper) = &*keeper {
            return Ok(keeper.clone());
        }
        let (tasks, inbox) = mpsc::channel();
        let warden = Warden::new()?;
        std::thread::Builder::new()
            .name("actum-door".into())
            .spawn(move || warden.run(&inbox))?;
        Ok(keeper.insert(Keeper { tasks }).clone())
    }

    /// Wakes the reaper whenever a child or an adopted orphan has ended, for as long as the runtime runs.
    pub(super) fn listen(&self, runtime: &Handle) {
        let tasks = self.tasks.clone();
        runtime.spawn(async move {
            let Ok(mut ended) = signal(SignalKind::child()) else {
                tracing::warn!("cannot listen for ended processes; orphans are reaped when a command ends");
                return;
            };
            while ended.recv().await.is_some() && tasks.send(Task::Reap).is_ok() {}
        });
    }

    /// Starts the job; `None` when its stop was asked for before.
    pub(super) async fn spawn(&self, job: Box<Job>, order: Arc<StopOrder>) -> Result<Option<Started>, Fault> {
        let (reply, answer) = oneshot::channel();
        let sent = self.tasks.send(Task::Spawn { job, order, reply });
        match answer.await {
            Ok(result) if sent.is_ok() => result,
            _ => Err(Fault::new(
                ErrorCode::Internal,
                "the thread that starts processes is gone",
            )),
        }
    }

    /// One pass over the members of a target, each signalled if a signal is given.
    async fn strike(&self, target: &Target, signal: Option<Signal>, thorough: bool) -> Struck {
        let (reply, answer) = oneshot::channel();
        let strike = Strike {
            target: target.clone(),
            signal,
            thorough,
            reply,
        };
        let sent = self.tasks.send(Task::Strike(strike));
        match answer.await {
            Ok(struck) if sent.is_ok() => struck,
            _ => Struck::blind(),
        }
    }

    /// TERM to every member, then waits for the end of all until the deadline, which may come nearer meanwhile.
    /// Returns how many were told at first.
    pub(super) async fn ask_to_end(&self, target: &Target, order: &StopOrder) -> usize {
        let mut struck = self.strike(target, Some(Signal::TERM), true).await;
        let told = struck.alive;
        let mut deadline = order.deadline.subscribe();
        while struck.alive > 0 {
            let Some(until) = *deadline.borrow_and_update() else {
                break;
            };
            tokio::select! {
                () = ended(struck.ends, until) => {}
                _ = deadline.changed() => {}
            }
            if Instant::now() >= until {
                break;
            }
            struck = self.strike(target, None, true).await;
        }
        told
    }

    /// KILL to every member, again and again until a look finds none or `confirm` has passed.
    pub(super) async fn clear(&self, target: &Target, thorough: bool, confirm: Duration) -> Swept {
        let last = Instant::now() + confirm;
        let mut swept = Swept::default();
        loop {
            let struck = self.strike(target, Some(Signal::KILL), thorough).await;
            swept.left = struck.alive;
            swept.found += struck.fresh;
            if struck.alive == 0 || Instant::now() >= last {
                return swept;
            }
            ended(struck.ends, last.min(Instant::now() + PASS)).await;
        }
    }

    /// Ends every process that carries the mark of one of these effects.
    pub(super) async fn sweep(&self, effects: &[Hash], grace: Duration, confirm: Duration) -> Swept {
        let target = Target::Marks(Arc::new(effects.iter().map(Hash::to_string).collect()));
        let order = StopOrder::new();
        order.ask(grace);
        let told = self.ask_to_end(&target, &order).await;
        let cleared = self.clear(&target, true, confirm).await;
        Swept {
            found: told + cleared.found,
            left: cleared.left,
        }
    }

    /// Reaps the main process of a command that is done; `None` if it still runs.
    pub(super) async fn finish(&self, main: i32) -> Option<ExitStatus> {
        let (reply, answer) = oneshot::channel();
        self.tasks.send(Task::Finish { main, reply }).ok()?;
        answer.await.ok()?
    }
}

/// Waits until every process has ended or `until` has come.
async fn ended(ends: Vec<OwnedFd>, until: Instant) {
    for end in ends {
        if timeout_at(until.into(), exited(end)).await.is_err() {
            return;
        }
    }
    // A pass that could hold no process by its pidfd must not spin.
    tokio::task::yield_now().await;
}

/// Waits until the process behind a pidfd has exited; it stays a zombie until somebody reaps it.
pub(crate) async fn exited(end: OwnedFd) {
    #[expect(
        deprecated,
        reason = "safe for a descriptor held meanwhile; its successor asks for unsafe to say so"
    )]
    match AsyncFd::with_interest(end.as_fd(), Interest::READABLE) {
        Ok(end) => drop(end.readable().await),
        // Out of watches: look now and then. A wrong answer here would end a command that runs.
        Err(_) => {
            while !has_ended(&end) {
                tokio::time::sleep(PASS).await;
            }
        }
    }
}

fn has_ended(end: &OwnedFd) -> bool {
    let mut watched = [PollFd::new(end, PollFlags::IN)];
    poll(&mut watched, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

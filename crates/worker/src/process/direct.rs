//! A worker started as a plain child, without any cage: for tests, measurements, and hosts where the operator
//! allowed that by name.

use super::tree::kill_tree;
use super::{Boxed, End, Process, Running};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Pid, Signal, kill_process_group};
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::process::Command;
use tokio::sync::oneshot;

/// What replaces the number of the socket in a list of arguments.
pub const SOCKET: &str = "{socket}";

/// Starts `program` with `arguments`, in which [`SOCKET`] stands for the number of its socket, in a process group
/// of its own. To be called inside a Tokio runtime.
///
/// # Errors
/// What keeps the program from being started.
pub fn start(program: impl AsRef<OsStr>, arguments: &[&str], folder: Option<&Path>) -> io::Result<Running> {
    let (ours, theirs) = UnixStream::pair()?;
    let theirs: OwnedFd = theirs.into();
    let mut command = Command::new(program);
    for argument in arguments {
        command.arg(argument.replace(SOCKET, &theirs.as_raw_fd().to_string()));
    }
    if let Some(folder) = folder {
        command.current_dir(folder);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0);
    let child = {
        // Between the two calls every child of this process would inherit the socket; one start at a time is not
        // enough against others, but a socket held too long only delays the news of an end, and the pidfd tells it.
        static STARTING: Mutex<()> = Mutex::new(());
        let _one = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        fcntl_setfd(&theirs, FdFlags::empty())?;
        command.spawn()?
    };
    drop(theirs);
    Ok(Running {
        socket: ours.into(),
        process: Box::new(Direct::watch(child)?),
    })
}

/// Starts the Python worker kept in `file` with the interpreter `python`.
///
/// # Errors
/// What keeps the interpreter from being started.
pub fn start_python(python: &str, file: &Path, config: &serde_json::Value) -> io::Result<Running> {
    let file = file.to_string_lossy();
    start(python, &["-I", &file, SOCKET, &config.to_string()], None)
}

/// A child of this process.
struct Direct {
    pid: Pid,
    /// Held while signalling and while reaping, so that a number is never signalled after it was given away.
    alive: Arc<Mutex<bool>>,
    ended: Option<oneshot::Receiver<End>>,
}

impl Direct {
    fn watch(mut child: tokio::process::Child) -> io::Result<Direct> {
        let raw = child.id().and_then(|id| i32::try_from(id).ok());
        let pid = raw
            .and_then(Pid::from_raw)
            .ok_or_else(|| io::Error::other("the child has no number"))?;
        let alive = Arc::new(Mutex::new(true));
        let (sender, ended) = oneshot::channel();
        let flag = Arc::clone(&alive);
        let handle = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::NONBLOCK)?;
        #[expect(
            deprecated,
            reason = "safe for a descriptor held meanwhile; its successor asks for unsafe to say so"
        )]
        let handle = tokio::io::unix::AsyncFd::with_interest(handle, tokio::io::Interest::READABLE)?;
        tokio::spawn(async move {
            let _ = handle.readable().await;
            // What it left behind in its group ends with it. It is dead and not yet reaped, so the number is its own.
            let end = {
                let mut alive = flag.lock().unwrap_or_else(PoisonError::into_inner);
                let _ = kill_process_group(pid, Signal::KILL);
                *alive = false;
                child.try_wait().ok().flatten()
            };
            let end = match end {
                Some(status) => Some(status),
                None => child.wait().await.ok(),
            };
            let _ = sender.send(end.map_or_else(End::default, |status| End {
                code: status.code(),
                signal: status.signal(),
            }));
        });
        Ok(Direct {
            pid,
            alive,
            ended: Some(ended),
        })
    }
}

impl Process for Direct {
    fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    fn kill(&mut self) -> io::Result<()> {
        let alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        if *alive {
            kill_tree(self.pid);
            let _ = kill_process_group(self.pid, Signal::KILL);
        }
        Ok(())
    }

    fn ended(&mut self) -> Boxed<End> {
        let ended = self.ended.take();
        Box::pin(async move {
            match ended {
                Some(ended) => ended.await.unwrap_or_default(),
                None => std::future::pending().await,
            }
        })
    }
}

impl Drop for Direct {
    fn drop(&mut self) {
        // A session that is let go of leaves nothing behind.
        let _ = self.kill();
    }
}

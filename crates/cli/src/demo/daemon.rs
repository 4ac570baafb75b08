//! The daemon of the demo: a process of its own, which can be killed for good.

use super::{Places, log_file, this_program};
use crate::failure::Failure;
use crate::shape::{number, text};
use actum_model::ErrorCode;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// A daemon that has not said it is ready by then will not.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// A daemon that has not ended in order by then will not.
const END_LIMIT: Duration = Duration::from_secs(60);
/// Between two looks whether it has ended.
const LOOK: Duration = Duration::from_millis(10);

/// A running daemon. Dropping it kills it.
pub(super) struct Daemon {
    child: Child,
    /// What it said when it was ready.
    pub(super) ready: Value,
    _said: mpsc::Receiver<String>,
}

impl Daemon {
    /// Starts this very program as a daemon that may reach the project and one address, and nothing else.
    pub(super) fn start(places: &Places, payments: &str) -> Result<Daemon, Failure> {
        let program = this_program()?;
        let mut files = places.project.clone().into_os_string();
        files.push(":rw");
        let mut command = Command::new(&program);
        command
            .args(["dev", "--listen", "127.0.0.1:0", "--segment-mib", "4", "--json"])
            .args(["--grant-http", payments, "--grant-file"])
            .arg(files)
            .arg("--data")
            .arg(&places.data)
            .current_dir(&places.project)
            .env_remove("ACTUM_DATA")
            .env_remove("ACTUM_URL")
            .env_remove("ACTUM_TOKEN")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log_file(&places.log)?);
        let mut child = command
            .spawn()
            .map_err(|error| Failure::io("start", &program, &error))?;
        let (lines_in, lines) = mpsc::channel();
        if let Some(output) = child.stdout.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    let _nobody = lines_in.send(line);
                }
            });
        }
        let ready = lines
            .recv_timeout(READY_LIMIT)
            .ok()
            .and_then(|line| serde_json::from_str(&line).ok());
        let Some(ready) = ready else {
            let _gone = child.kill();
            let _reaped = child.wait();
            return Err(not_ready(&places.log));
        };
        Ok(Daemon {
            child,
            ready,
            _said: lines,
        })
    }

    pub(super) fn url(&self) -> &str {
        text(&self.ready, "url")
    }

    pub(super) fn pid(&self) -> u64 {
        number(&self.ready, "pid").unwrap_or(0)
    }

    /// What it found when it started.
    pub(super) fn recovery(&self) -> Value {
        self.ready.get("recovery").cloned().unwrap_or_default()
    }

    /// Kills it with SIGKILL: no handler runs, nothing is flushed.
    pub(super) fn kill(mut self) -> Result<ExitStatus, Failure> {
        let killed = self.child.kill().and_then(|()| self.child.wait());
        killed.map_err(|error| {
            Failure::new(
                ErrorCode::Internal,
                format!("the daemon could not be killed: {error}"),
            )
        })
    }

    /// Ends it in order with SIGTERM.
    pub(super) fn end(mut self) -> Result<ExitStatus, Failure> {
        let failed = |error: std::io::Error| {
            Failure::new(
                ErrorCode::Internal,
                format!("the daemon could not be ended: {error}"),
            )
        };
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM).map_err(|error| failed(error.into()))?;
        }
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().map_err(failed)? {
                return Ok(status);
            }
            if begun.elapsed() > END_LIMIT {
                return Err(Failure::new(
                    ErrorCode::Internal,
                    "the daemon did not end in order",
                ));
            }
            std::thread::sleep(LOOK);
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn not_ready(log: &Path) -> Failure {
    let said = std::fs::read_to_string(log).unwrap_or_default();
    let last = said
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("it said nothing");
    Failure::new(ErrorCode::Internal, format!("the daemon did not start: {last}"))
        .hint("`actum doctor` checks what it needs")
}

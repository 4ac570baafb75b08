//! A job: one program to run, and how it becomes a process.
//!
//! What cannot be started is told with a sentence that names what is missing.

use super::setup::{self, Launch, LaunchError};
use crate::cage::{self, Caging};
use crate::redact::{OutputRedactor, Secret};
use actum_model::{ErrorCode, Fault, Hash};
use actum_sandbox::Caged;
use rustix::fs::{Access, access};
use std::collections::BTreeMap;
use std::ffi::{CString, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// Environment variable that carries the effect id in every process of a command's tree.
pub const MARK: &str = "ACTUM_EFFECT";

/// Where programs are looked up when the daemon itself has no `PATH`.
const PATH_DEFAULT: &str = "/usr/local/bin:/usr/bin:/bin";

/// One program to run.
#[derive(Debug, Clone)]
pub struct Job {
    /// Number of the command.
    pub seq: u64,
    /// Id of the effect, the mark of its processes. Unique: two jobs must not share it.
    pub effect: Hash,
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Working directory; the daemon's own if absent.
    pub cwd: Option<String>,
    /// Environment besides `PATH`, `HOME`, `LANG`, `LC_*` and `TZ`, over which it wins.
    pub env: BTreeMap<String, String>,
    /// What it reads on standard input; nothing if absent.
    pub stdin: Option<String>,
    /// What must not be seen in its output.
    pub secrets: Vec<Secret>,
    /// The cage it runs in; without one it has the daemon's own rights.
    pub cage: Option<Box<Caging>>,
}

/// A new process and this side of its pipes.
pub(super) struct Process {
    pub(super) pid: i32,
    pub(super) stdin: Option<OwnedFd>,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
    /// The cage around it, of which `pid` is the init.
    pub(super) caged: Option<Caged>,
}

impl Job {
    /// Starts the program. To be called by the keeper's thread alone.
    ///
    /// # Errors
    /// `SPAWN_FAILED` with what is missing. The message is redacted: a program name may hold a secret like any
    /// other argument.
    pub(super) fn spawn(&self) -> Result<Process, Fault> {
        let spawned = match &self.cage {
            Some(cage) => self.spawn_caged(cage),
            None => self
                .try_spawn()
                .map_err(|message| Fault::new(ErrorCode::SpawnFailed, message)),
        };
        spawned.map_err(|fault| Fault {
            message: OutputRedactor::new(&self.secrets).text(&fault.message),
            ..fault
        })
    }

    fn spawn_caged(&self, cage: &Caging) -> Result<Process, Fault> {
        let plain = |error: io::Error| {
            Fault::new(
                ErrorCode::SpawnFailed,
                format!("the program has no pipes ({error})"),
            )
        };
        let stdin = if self.stdin.is_some() { pipe() } else { nothing() };
        let ((stdin, ours), (stdout_ours, stdout), (stderr_ours, stderr)) = (
            stdin.map_err(plain)?,
            out().map_err(plain)?,
            out().map_err(plain)?,
        );
        let stdio = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
        let caged = cage.launcher.launch(&cage.spec, stdio);
        let caged = caged.map_err(|refusal| cage::refused(&refusal))?;
        let pid = caged.pid().map_or(0, |pid| pid.as_raw_nonzero().get());
        Ok(Process {
            pid,
            stdin: ours,
            stdout: stdout_ours,
            stderr: stderr_ours,
            caged: Some(caged),
        })
    }

    fn try_spawn(&self) -> Result<Process, String> {
        let name = match self.argv.first() {
            Some(name) if !name.is_empty() => name,
            _ => return Err("expected the name of a program, got nothing".to_owned()),
        };
        let env = self.environment();
        let program = self.find(name, &env)?;
        let plain = |error: io::Error| format!("cannot start `{name}` ({error})");
        let argv = self
            .argv
            .iter()
            .map(|text| text_of(text.clone()))
            .collect::<io::Result<Vec<_>>>()
            .map_err(plain)?;
        let env = env
            .into_iter()
            .map(assignment)
            .collect::<io::Result<Vec<_>>>()
            .map_err(plain)?;
        let cwd = self.cwd.clone().map(text_of).transpose().map_err(plain)?;
        let program = text_of(program.into_os_string()).map_err(plain)?;
        let stdin = if self.stdin.is_some() { pipe() } else { nothing() };
        let ((stdin, ours), (stdout_ours, stdout), (stderr_ours, stderr)) = (
            stdin.map_err(plain)?,
            out().map_err(plain)?,
            out().map_err(plain)?,
        );
        let launch = Launch {
            program: &program,
            argv: &argv,
            env: &env,
            cwd: cwd.as_deref(),
            stdio: [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()],
        };
        let pid = setup::launch(&launch).map_err(|error| self.refusal(name, &error))?;
        Ok(Process {
            pid,
            stdin: ours,
            stdout: stdout_ours,
            stderr: stderr_ours,
            caged: None,
        })
    }

    /// What the process gets: little of the daemon's own environment, which may hold credentials, then what the
    /// command brings, then the mark.
    fn environment(&self) -> BTreeMap<OsString, OsString> {
        let allowed = |name: &OsString| {
            let name = name.to_str().unwrap_or("");
            matches!(name, "PATH" | "HOME" | "LANG" | "TZ") || name.starts_with("LC_")
        };
        let mut env: BTreeMap<OsString, OsString> =
            std::env::vars_os().filter(|(name, _)| allowed(name)).collect();
        env.entry("PATH".into()).or_insert_with(|| PATH_DEFAULT.into());
        env.extend(self.env.iter().map(|(name, value)| (name.into(), value.into())));
        env.insert(MARK.into(), self.effect.to_string().into());
        env
    }

    /// The file of a program: as it stands if it has a slash, else the first of its name in `PATH`.
    fn find(&self, name: &str, env: &BTreeMap<OsString, OsString>) -> Result<PathBuf, String> {
        if name.contains('/') {
            return Ok(name.into());
        }
        let path = env.get(&OsString::from("PATH")).cloned().unwrap_or_default();
        let mut found = std::env::split_paths(&path).map(|folder| Path::new(".").join(folder).join(name));
        let runs = |file: &PathBuf| {
            let file = self.seen_from_cwd(file);
            file.is_file() && access(&file, Access::EXEC_OK).is_ok()
        };
        found
            .find(runs)
            .ok_or_else(|| format!("cannot start `{name}`: no program of this name in PATH"))
    }

    fn seen_from_cwd(&self, file: &Path) -> PathBuf {
        Path::new(self.cwd.as_deref().unwrap_or("")).join(file)
    }

    fn refusal(&self, name: &str, error: &LaunchError) -> String {
        use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
        match error {
            LaunchError::Directory(error) => {
                let cwd = self.cwd.as_deref().unwrap_or_default();
                let message = match error.kind() {
                    NotFound => "does not exist",
                    NotADirectory => "is not a directory",
                    PermissionDenied => "may not be entered",
                    _ => "cannot be used",
                };
                format!("working directory `{cwd}` {message} ({error})")
            }
            LaunchError::Program(error) => {
                let message = match error.kind() {
                    NotFound if self.seen_from_cwd(Path::new(name)).exists() || !name.contains('/') => {
                        ": it names an interpreter or loader that does not exist"
                    }
                    NotFound => ": there is no such file",
                    PermissionDenied => ": not allowed to execute it",
                    _ => "",
                };
                format!("cannot start `{name}`{message} ({error})")
            }
            LaunchError::Process(error) => format!("cannot start `{name}`: no new process ({error})"),
        }
    }
}

fn text_of(text: impl Into<OsString>) -> io::Result<CString> {
    CString::new(text.into().into_vec()).map_err(|_| io::Error::other("a NUL in an argument or path"))
}

fn assignment((name, value): (OsString, OsString)) -> io::Result<CString> {
    let mut text = name;
    text.push("=");
    text.push(value);
    text_of(text)
}

/// The end of a pipe a process reads, and the one written here.
fn pipe() -> io::Result<(OwnedFd, Option<OwnedFd>)> {
    let (theirs, ours) = io::pipe()?;
    Ok((high(theirs.into())?, Some(ours.into())))
}

fn nothing() -> io::Result<(OwnedFd, Option<OwnedFd>)> {
    Ok((high(File::open("/dev/null")?.into())?, None))
}

/// The end of a pipe read here, and the one a process writes.
fn out() -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs) = io::pipe()?;
    Ok((ours.into(), high(theirs.into())?))
}

/// A descriptor above the three standard ones, which a daemon may have been started without.
fn high(descriptor: OwnedFd) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(descriptor, 3)?)
}

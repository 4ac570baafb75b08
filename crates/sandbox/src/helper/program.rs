//! What runs in the cage: from a copy of the init to the caller's program. It says through a pipe what was missing.

use super::outer::Ground;
use super::view::ZYGOTE;
use crate::layer::Layer;
use crate::refusal::{Refusal, Step};
use crate::spec::{Limits, Spec};
use crate::sys;
use rustix::fs::{Access, access};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::ffi::{CString, OsStr};
use std::io::{self, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Lowest number for what must not be in the way of descriptors that are given to the program.
const HIGH: i32 = 100;

/// Starts the program; returns its number when it has been executed.
pub(super) fn start(ground: &mut Ground) -> Result<i32, Refusal> {
    let (mut failure, told) = io::pipe().step("pipe")?;
    let Some(pid) = sys::fork().step("new process")? else {
        drop(failure);
        become_program(ground, told.into())
    };
    drop(told);
    // Its ends of pipes belong to the program alone, or their readers would never see them close.
    ground.given.clear();
    let mut text = Vec::new();
    failure.read_to_end(&mut text).step("start of the program")?;
    if text.is_empty() {
        return Ok(pid);
    }
    let refusal = serde_json::from_slice(&text).step("start of the program")?;
    Err(refusal)
}

fn become_program(ground: &mut Ground, told: OwnedFd) -> ! {
    let told = rustix::io::fcntl_dupfd_cloexec(&told, HIGH).unwrap_or(told);
    let Err(refusal) = execute(ground);
    let text = serde_json::to_vec(&refusal).unwrap_or_else(|_| b"null".to_vec());
    let _ = rustix::io::write(&told, &text);
    sys::exit_now(127)
}

fn execute(ground: &mut Ground) -> Result<std::convert::Infallible, Refusal> {
    let spec = &ground.plan.spec;
    rustix::process::setsid().step("new session")?;
    let given: Result<Vec<OwnedFd>, _> = ground
        .given
        .iter()
        .map(|fd| rustix::io::fcntl_dupfd_cloexec(fd, HIGH))
        .collect();
    let given = given.step("descriptors")?;
    for (fd, to) in given.iter().zip(0..) {
        sys::duplicate(fd.as_fd(), to).step("descriptors")?;
    }
    sys::close_on_exec_from(given.len() as u32).step("descriptors")?;
    restrict(&spec.limits, ground.plan.sabotage.contains(&Layer::Rlimits))?;
    enter(&spec.cwd)?;
    let program = find(spec)?;
    let mut argv = spec.argv.clone();
    if ground.plan.zygote.is_some() {
        argv.extend(["-I", "-B", ZYGOTE].map(str::to_owned));
    }
    let argv = argv.iter().map(text_of).collect::<Result<Vec<_>, _>>()?;
    let env = spec
        .env
        .iter()
        .map(|(name, value)| text_of(format!("{name}={value}")));
    let env = env.collect::<Result<Vec<_>, _>>()?;
    let path = text_of(program.as_os_str())?;
    sys::reset_signals();
    let error = sys::execute(&path, &argv, &env);
    Err(refused(spec, &program, &error))
}

/// Sets the limits of a process, and looks at them again.
fn restrict(limits: &Limits, left_out: bool) -> Result<(), Refusal> {
    let wanted = [
        (Resource::Core, Some(0)),
        (Resource::As, limits.address_space_bytes),
        (Resource::Cpu, limits.cpu_seconds),
        (Resource::Nproc, limits.processes),
        (Resource::Nofile, limits.open_files),
        (Resource::Fsize, limits.file_bytes),
    ];
    for (resource, value) in wanted {
        let Some(value) = value else { continue };
        // An ordinary user cannot raise what it was given: the lower one holds.
        let most = getrlimit(resource).maximum.map_or(value, |most| most.min(value));
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        if !left_out {
            setrlimit(resource, limit).layer(Layer::Rlimits, "setting a limit")?;
        }
        if getrlimit(resource).current.is_none_or(|held| held > value) {
            return Err(Refusal::missing(
                Layer::Rlimits,
                format!("{resource:?} is not limited to {value}"),
            ));
        }
    }
    Ok(())
}

fn enter(cwd: &Path) -> Result<(), Refusal> {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    std::env::set_current_dir(cwd).map_err(|error| {
        let what = match error.kind() {
            NotFound => "does not exist",
            NotADirectory => "is not a directory",
            PermissionDenied => "may not be entered",
            _ => "cannot be used",
        };
        Refusal::Directory {
            path: cwd.display().to_string(),
            reason: format!("{what} ({error})"),
        }
    })
}

/// The file of a program: as it stands if it has a slash, else the first of its name in the program's own `PATH`.
fn find(spec: &Spec) -> Result<PathBuf, Refusal> {
    let name = spec.argv.first().map_or("", String::as_str);
    if name.contains('/') {
        return Ok(name.into());
    }
    let path = spec.env.get("PATH").map_or(OsStr::new(""), OsStr::new);
    let runs = |file: &PathBuf| file.is_file() && access(file, Access::EXEC_OK).is_ok();
    let mut found = std::env::split_paths(path).map(|folder| folder.join(name));
    found.find(runs).ok_or_else(|| Refusal::Program {
        program: name.to_owned(),
        reason: "no program of this name in PATH".to_owned(),
    })
}

fn refused(spec: &Spec, program: &Path, error: &io::Error) -> Refusal {
    use io::ErrorKind::{NotFound, PermissionDenied};
    let what = match error.kind() {
        NotFound if program.exists() => "it names an interpreter or loader that does not exist ",
        NotFound => "there is no such file ",
        PermissionDenied => "not allowed to execute it ",
        _ => "",
    };
    Refusal::Program {
        program: spec.argv.first().cloned().unwrap_or_default(),
        reason: format!("{what}({error})"),
    }
}

fn text_of(text: impl AsRef<OsStr>) -> Result<CString, Refusal> {
    CString::new(text.as_ref().as_encoded_bytes()).step("text with a NUL")
}

//! `<data>/daemon.json`: where the running daemon of a data directory answers. Written when it listens, removed
//! when it ends; a killed daemon leaves it behind, so it is a hint and no proof.

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What the file says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct DaemonFile {
    /// Where it answers, `http://HOST:PORT`.
    pub(crate) url: String,
    /// Its process.
    pub(crate) pid: u32,
    /// Its version.
    pub(crate) version: String,
}

fn path(data: &Path) -> PathBuf {
    data.join("daemon.json")
}

/// Reads the file of a data directory.
pub(crate) fn read(data: &Path) -> Option<DaemonFile> {
    serde_json::from_slice(&std::fs::read(path(data)).ok()?).ok()
}

/// Writes it aside and renames, so that a reader sees the old one or the new one.
pub(crate) fn write(data: &Path, file: &DaemonFile) -> io::Result<()> {
    let aside = data.join("daemon.json.new");
    let mut out = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&aside)?;
    serde_json::to_writer(&mut out, file)?;
    out.write_all(b"\n")?;
    std::fs::rename(&aside, path(data))
}

/// Removes it, unless another daemon has put its own there.
pub(crate) fn remove(data: &Path) {
    if read(data).is_some_and(|file| file.pid == std::process::id()) {
        let _gone = std::fs::remove_file(path(data));
    }
}

/// The process that holds the data directory. A copy of a directory in use names its holder too and is held by nobody,
/// so the lock is asked; it is let go at once.
pub(crate) fn holder(data: &Path) -> Option<u32> {
    let pid = named(data)?;
    let Ok(lock) = std::fs::File::open(data.join("lock")) else {
        return alive(pid).then_some(pid);
    };
    match flock(&lock, FlockOperation::NonBlockingLockShared) {
        Ok(()) => None,
        Err(_) => Some(pid),
    }
}

/// The process that last took the lock, as its file says.
pub(crate) fn named(data: &Path) -> Option<u32> {
    std::fs::read_to_string(data.join("lock"))
        .ok()?
        .trim()
        .parse()
        .ok()
}

/// Whether a process with this number runs.
pub(crate) fn alive(pid: u32) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) else {
        return false;
    };
    !matches!(
        rustix::process::test_kill_process(pid),
        Err(rustix::io::Errno::SRCH)
    )
}

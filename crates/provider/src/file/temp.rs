//! Files on their way: content is written beside its place and then renamed into it, so that a crash leaves the old
//! file or the new one and at most a file of a name that tells what it is. Such a file is locked by who writes it, so
//! one that can be locked is left over, and is removed.

use super::ground::Ground;
use super::open::{io_refusal, refusal};
use crate::grants::{Grants, Reach};
use crate::sdk::Failure;
use actum_model::{EffectId, ErrorCode, limits};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

const PREFIX: &str = ".actum-tmp-";
const ID_CHARS: usize = 64;

/// A file on its way. Dropped before it is in its place, it is gone.
pub(super) struct Temp<'a> {
    pub(super) file: File,
    folder: &'a OwnedFd,
    pub(super) name: String,
    placed: bool,
}

impl Drop for Temp<'_> {
    fn drop(&mut self) {
        if !self.placed {
            // What cannot be removed now is removed by the next sweep.
            let _ = rustix::fs::unlinkat(self.folder, self.name.as_str(), AtFlags::empty());
        }
    }
}

impl<'a> Temp<'a> {
    /// Makes one for an effect in a folder. What an earlier try of the same effect left is removed.
    pub(super) fn new(ground: &Ground, folder: &'a OwnedFd, effect: &EffectId) -> Result<Temp<'a>, Failure> {
        let name = format!("{PREFIX}{effect}");
        remove_if_stale(folder, OsStr::new(&name));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o666);
        let file = match rustix::fs::openat(folder, name.as_str(), flags, mode) {
            Ok(file) => file,
            Err(Errno::EXIST) => {
                let message = format!("`{}` is being written by the same effect already", ground.shown());
                return Err(Failure::new(ErrorCode::FileFailed, message));
            }
            Err(error) => return Err(refusal(error, ground)),
        };
        let placed = false;
        let temp = Temp {
            file: File::from(file),
            folder,
            name,
            placed,
        };
        rustix::fs::flock(&temp.file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|error| refusal(error, ground))?;
        Ok(temp)
    }

    /// Writes the content and makes it durable. The file may not be found under its name yet after a crash.
    pub(super) fn fill(&mut self, ground: &Ground, content: &[u8]) -> Result<(), Failure> {
        self.file
            .write_all(content)
            .and_then(|()| self.file.sync_all())
            .map_err(|error| io_refusal(&error, ground))
    }

    /// It stands in its place now, or its name is gone.
    pub(super) fn placed(mut self) {
        self.placed = true;
    }
}

/// Whether this is the name of a file on its way.
pub(super) fn is_temp(name: &OsStr) -> bool {
    name.as_bytes().strip_prefix(PREFIX.as_bytes()).is_some_and(|id| {
        id.len() == ID_CHARS
            && id
                .iter()
                .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte))
    })
}

/// Removes a file on its way that nobody holds. Whether it did.
fn remove_if_stale(folder: &OwnedFd, name: &OsStr) -> bool {
    // A folder or a device under such a name is somebody's joke and stays.
    let plain = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    if !plain {
        return false;
    }
    let Ok(file) = rustix::fs::openat(folder, name, flags, Mode::empty()) else {
        return false;
    };
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
        && rustix::fs::unlinkat(folder, name, AtFlags::empty()).is_ok()
}

/// What a sweep did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Swept {
    /// Files removed.
    pub removed: Vec<PathBuf>,
    /// Whether it looked everywhere; it stops at a bound on entries and on folders within each other.
    pub complete: bool,
}

/// Removes what writes that were cut off have left beneath the folders granted for writing. Links are not followed.
/// It blocks; it is meant for the start of a daemon, and does no harm while writes run.
#[must_use]
pub fn sweep(grants: &Grants) -> Swept {
    let mut swept = Swept {
        removed: Vec::new(),
        complete: true,
    };
    let mut left = limits::FILE_LIST_SCANNED_MAX;
    for grant in grants
        .files
        .iter()
        .filter(|grant| grant.reach == Reach::ReadWrite)
    {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        if let Ok(folder) = rustix::fs::open(&grant.root, flags, Mode::empty()) {
            sweep_folder(&folder, &grant.root, 0, &mut left, &mut swept);
        }
    }
    swept
}

fn sweep_folder(folder: &OwnedFd, path: &Path, depth: usize, left: &mut usize, swept: &mut Swept) {
    let Ok(entries) = Dir::read_from(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name == "." || name == ".." {
            continue;
        }
        if *left == 0 || depth >= limits::FILE_LIST_DEPTH_MAX {
            swept.complete = false;
            return;
        }
        *left -= 1;
        if is_temp(name) {
            if remove_if_stale(folder, name) {
                swept.removed.push(path.join(name));
            }
        } else if matches!(entry.file_type(), FileType::Directory | FileType::Unknown) {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            if let Ok(inner) = rustix::fs::openat(folder, name, flags, Mode::empty()) {
                sweep_folder(&inner, &path.join(name), depth + 1, left, swept);
            }
        }
    }
}

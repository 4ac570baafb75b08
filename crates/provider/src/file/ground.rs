//! The ground a path stands on: which granted folder it is beneath, and whether what was opened there is really
//! within reach. It opens the granted folders and nothing below them.

use crate::grants::{Grants, Reach};
use crate::sdk::Failure;
use actum_model::{ErrorCode, limits};
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// A path beneath a granted folder, not yet opened.
#[derive(Debug)]
pub(super) struct Ground {
    /// The granted folder, opened.
    pub(super) root: OwnedFd,
    /// The path below it; empty for the folder itself. It may hold `..`, which only the kernel takes apart.
    pub(super) rest: PathBuf,
    /// The path as it was asked for.
    pub(super) asked: PathBuf,
    /// What the call needs.
    need: Reach,
    /// Where the granted folders really are.
    roots: Vec<(PathBuf, Reach)>,
    /// Where the hidden ones really are.
    hidden: Vec<PathBuf>,
}

impl Ground {
    /// Finds the granted folder of a path: the longest that holds it. A relative path is taken from the one granted
    /// folder, where there is only one.
    pub(super) fn find(grants: &Grants, path: &str, need: Reach) -> Result<Ground, Failure> {
        let asked = absolute(grants, path)?;
        let mut found: Option<(usize, OwnedFd, PathBuf)> = None;
        let mut roots = Vec::new();
        for grant in &grants.files {
            let Ok(root) = open_folder(&grant.root) else {
                // A folder that is not there holds nothing.
                continue;
            };
            roots.push((real_path(&root)?, grant.reach));
            let length = grant.root.components().count();
            let longer = found.as_ref().is_none_or(|(best, ..)| length >= *best);
            if let (Ok(rest), true) = (asked.strip_prefix(&grant.root), longer) {
                found = Some((length, root, rest.to_path_buf()));
            }
        }
        let Some((_, root, rest)) = found else {
            let message = format!("`{}` is not beneath a granted folder", asked.display());
            return Err(Failure::new(ErrorCode::NotGranted, message));
        };
        let hidden = grants.hidden.iter().map(|path| real_or_same(path)).collect();
        Ok(Ground {
            root,
            rest,
            asked,
            need,
            roots,
            hidden,
        })
    }

    /// The path as it was asked for, for messages and results.
    pub(super) fn shown(&self) -> String {
        self.asked.to_string_lossy().into_owned()
    }

    /// Where something that was opened really is, after it was found within reach: beneath a granted folder, the
    /// innermost of which allows what is needed, and in no hidden one.
    pub(super) fn locate(&self, opened: impl AsFd) -> Result<PathBuf, Failure> {
        let real = real_path(opened)?;
        self.admit(&real)?;
        Ok(real)
    }

    /// The same for a path that is known to be real.
    pub(super) fn admit(&self, real: &Path) -> Result<(), Failure> {
        let outside = || {
            let message = format!("`{}` leads out of the granted folders", self.shown());
            Failure::new(ErrorCode::PathOutside, message)
        };
        if self.is_hidden(real) {
            return Err(outside());
        }
        // Of two grants of one folder the wider one counts.
        let innermost = self
            .roots
            .iter()
            .filter(|(root, _)| real.starts_with(root))
            .max_by_key(|(root, reach)| (root.components().count(), *reach))
            .ok_or_else(outside)?;
        if innermost.1 < self.need {
            let message = format!("`{}` is granted for reading only", self.shown());
            return Err(Failure::new(ErrorCode::NotGranted, message));
        }
        Ok(())
    }

    pub(super) fn is_hidden(&self, real: &Path) -> bool {
        self.hidden.iter().any(|hidden| real.starts_with(hidden))
    }

    /// Refuses to move or remove what a grant or a hidden folder is, or is within: both are known by their paths.
    pub(super) fn keep_in_place(&self, real: &Path) -> Result<(), Failure> {
        let roots = self.roots.iter().map(|(root, _)| root);
        match roots.chain(&self.hidden).any(|fixed| fixed.starts_with(real)) {
            false => Ok(()),
            true => Err(Failure::new(
                ErrorCode::PathOutside,
                format!("`{}` holds a folder that must stay where it is", self.shown()),
            )),
        }
    }
}

fn absolute(grants: &Grants, path: &str) -> Result<PathBuf, Failure> {
    let invalid = |message: String| Failure::new(ErrorCode::InvalidInput, message);
    if path.is_empty() || path.contains('\0') || path.len() > limits::FILE_PATH_BYTES_MAX {
        let limit = limits::FILE_PATH_BYTES_MAX;
        return Err(invalid(format!(
            "expected a path of 1 to {limit} bytes without NUL"
        )));
    }
    let path = Path::new(path);
    if path.is_absolute() {
        return Ok(path.to_path_buf());
    }
    match grants.files.as_slice() {
        [] => Err(Failure::new(
            ErrorCode::NotGranted,
            "no folder is granted, so no file can be reached",
        )),
        [only] => Ok(only.root.join(path)),
        _ => Err(invalid(format!(
            "expected an absolute path where several folders are granted, got `{}`",
            path.display()
        ))),
    }
}

fn open_folder(path: &Path) -> Result<OwnedFd, rustix::io::Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
}

/// A hidden folder by its real path; one that does not exist yet by the path it is named by.
fn real_or_same(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf())
}

/// Where the kernel says an open file is.
pub(super) fn real_path(opened: impl AsFd) -> Result<PathBuf, Failure> {
    let link = own_link(opened);
    match rustix::fs::readlink(&link, Vec::new()) {
        Ok(path) => Ok(PathBuf::from(OsString::from_vec(path.into_bytes()))),
        Err(error) => Err(Failure::new(
            ErrorCode::FileFailed,
            format!("expected `/proc` to tell where an open file is, got: {error}"),
        )),
    }
}

/// The link under which the process finds its own descriptor.
pub(super) fn own_link(opened: impl AsFd) -> String {
    format!("/proc/self/fd/{}", opened.as_fd().as_raw_fd())
}

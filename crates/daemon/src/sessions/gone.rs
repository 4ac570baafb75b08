//! Folders that go. One is moved aside first, which is done at once and for good, and emptied behind that: whoever looks
//! for it by its name finds nothing, and a new one of that name is another.
//!
//! What lies in them was written by code nobody trusts: it may be nested deeper than any path can say or any stack can
//! follow, be shut by its modes, and hold links. So nothing is followed, and nothing is descended into: a folder within
//! is moved up beside the one that holds it, and its turn comes later.

use rustix::fs::{AtFlags, Mode, OFlags, RawDir, chmod, open, openat, renameat, unlinkat};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of names read at once.
const NAMES_BYTES: usize = 32 * 1024;
/// Names held at once: a folder can have as many as the disk has room for.
const NAMES_MAX: usize = 4096;

/// Where folders go. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Gone {
    folder: PathBuf,
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    next: AtomicU64,
    behind: Mutex<Behind>,
}

/// The thread that empties.
#[derive(Debug, Default)]
struct Behind {
    runs: bool,
    /// Something came that it may have passed already.
    again: bool,
}

impl Gone {
    /// Folders go to `folder`, which must be on their file system, and is made with the first of them.
    pub(super) fn new(folder: PathBuf) -> Gone {
        Gone {
            folder,
            inner: Arc::default(),
        }
    }

    /// Moves a folder aside.
    ///
    /// # Errors
    /// Where it is not there, or cannot be moved.
    pub(super) fn take(&self, path: &Path) -> io::Result<()> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)?;
        loop {
            let to = self.folder.join(self.name().as_os_str());
            match std::fs::rename(path, to) {
                // A daemon before this one was killed while it emptied, and that name is still in use.
                Err(error) if taken(&error) => {}
                done => return done,
            }
        }
    }

    /// Removes all that was moved aside, in a thread that nobody waits for. What cannot be removed stays, is logged, and
    /// is tried again the next time.
    pub(super) fn empty_behind(&self) {
        {
            let mut behind = self.behind();
            behind.again = behind.runs;
            if std::mem::replace(&mut behind.runs, true) {
                return;
            }
        }
        let gone = self.clone();
        let thread = std::thread::Builder::new().name("actum-gone".into());
        let started = thread.spawn(move || {
            loop {
                if let Err(error) = gone.empty() {
                    tracing::warn!(%error, folder = %gone.folder.display(), "folders of deleted sessions are still there");
                }
                let mut behind = gone.behind();
                if !std::mem::take(&mut behind.again) {
                    behind.runs = false;
                    return;
                }
            }
        });
        if let Err(error) = started {
            self.behind().runs = false;
            tracing::warn!(%error, "folders of deleted sessions are removed at the next start");
        }
    }

    fn behind(&self) -> MutexGuard<'_, Behind> {
        self.inner.behind.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes all that was moved aside. One at a time may do so.
    ///
    /// # Errors
    /// The first that hindered it, when it has removed what it could.
    fn empty(&self) -> io::Result<()> {
        let all = match folder_at(rustix::fs::CWD, &c_string(&self.folder)?) {
            Err(Errno::NOENT) => return Ok(()),
            all => all?,
        };
        let mut stuck = BTreeSet::new();
        let mut first = None;
        loop {
            let names = names(&all, &stuck)?;
            if names.is_empty() {
                return first.map_or(Ok(()), |error: Errno| Err(error.into()));
            }
            for name in names {
                if let Err(error) = self.remove(all.as_fd(), &name) {
                    first.get_or_insert(error);
                    stuck.insert(name);
                }
            }
        }
    }

    /// Removes one that lies in `all`, what is in it included; folders in it are moved to `all`.
    fn remove(&self, all: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
        let folder = match folder_at(all, name) {
            Err(Errno::NOTDIR | Errno::LOOP) => return unlinkat(all, name, AtFlags::empty()),
            folder => folder?,
        };
        loop {
            let inner = names(&folder, &BTreeSet::new())?;
            if inner.is_empty() {
                return unlinkat(all, name, AtFlags::REMOVEDIR);
            }
            for name in inner {
                match unlinkat(&folder, &name, AtFlags::empty()) {
                    // Linux says the former of a folder, others the latter.
                    Err(Errno::ISDIR | Errno::PERM) => self.lift(folder.as_fd(), &name, all)?,
                    removed => removed?,
                }
            }
        }
    }

    /// Moves a folder from where it lies to `all`.
    fn lift(&self, from: BorrowedFd<'_>, name: &CStr, all: BorrowedFd<'_>) -> Result<(), Errno> {
        // Opened so that it can be written: its own entry for what is above it changes.
        let _opened = folder_at(from, name)?;
        loop {
            match renameat(from, name, all, self.name()) {
                Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => {}
                moved => return moved,
            }
        }
    }

    fn name(&self) -> PathBuf {
        self.inner.next.fetch_add(1, Ordering::Relaxed).to_string().into()
    }
}

fn taken(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory
    )
}

/// Opens a folder, and never a link to one; makes it accessible to its owner.
fn folder_at(at: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    let found = openat(
        at,
        name,
        OFlags::PATH | OFlags::NOFOLLOW | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    // By what was opened and not by its name, so that no link can take its place in between.
    let itself = format!("/proc/self/fd/{}", found.as_raw_fd());
    let listing = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    chmod(&itself, Mode::RWXU)?;
    open(&itself, listing, Mode::empty())
}

/// The first names in a folder but these, [`NAMES_MAX`] at the most.
fn names(folder: &OwnedFd, but: &BTreeSet<CString>) -> Result<Vec<CString>, Errno> {
    rustix::fs::seek(folder, rustix::fs::SeekFrom::Start(0))?;
    let mut buffer = Vec::with_capacity(NAMES_BYTES);
    let mut listing = RawDir::new(folder, buffer.spare_capacity_mut());
    let mut names = Vec::new();
    while names.len() < NAMES_MAX
        && let Some(entry) = listing.next()
    {
        let entry = entry?;
        let name = entry.file_name();
        if ![c".", c".."].contains(&name) && !but.contains(name) {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

fn c_string(path: &Path) -> io::Result<CString> {
    use std::os::unix::ffi::OsStrExt;
    CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{mkdirat, symlinkat};
    use std::os::unix::fs::PermissionsExt;

    const DEPTH: usize = 2000;
    /// Too little to follow that depth: 48 bytes for each level. Thirty thousand levels ended a whole daemon.
    const STACK_BYTES: usize = 96 * 1024;

    fn ground() -> (tempfile::TempDir, Gone) {
        let root = tempfile::tempdir().unwrap();
        let gone = Gone::new(root.path().join(".gone"));
        (root, gone)
    }

    #[test]
    fn a_folder_deeper_than_the_stack_is_removed() {
        let (root, gone) = ground();
        let deep = root.path().join("deep");
        std::fs::create_dir(&deep).unwrap();
        let mut at = open(&deep, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
        for _ in 0..DEPTH {
            mkdirat(&at, "d", Mode::RWXU).unwrap();
            symlinkat("..", &at, "up").unwrap();
            at = openat(&at, "d", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
        }
        gone.take(&deep).unwrap();
        assert!(!deep.exists());
        let emptying = gone.clone();
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
        let emptied = thread.spawn(move || emptying.empty()).unwrap().join();
        emptied.unwrap().unwrap();
        assert_eq!(std::fs::read_dir(root.path().join(".gone")).unwrap().count(), 0);
    }

    #[test]
    fn links_are_removed_and_not_followed_and_modes_shut_nothing() {
        let (root, gone) = ground();
        let outside = root.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("kept"), "1").unwrap();
        std::fs::set_permissions(&outside, PermissionsExt::from_mode(0o755)).unwrap();
        let folder = root.path().join("s-1");
        std::fs::create_dir_all(folder.join("shut/inner")).unwrap();
        std::fs::write(folder.join("shut/inner/file"), "1").unwrap();
        std::os::unix::fs::symlink(&outside, folder.join("shut/link")).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.join("dangling")).unwrap();
        for shut in ["shut/inner", "shut", ""] {
            std::fs::set_permissions(folder.join(shut), PermissionsExt::from_mode(0o000)).unwrap();
        }
        // The names of a daemon before are in use.
        for (number, content) in [(0, true), (1, false)] {
            std::fs::create_dir_all(root.path().join(format!(".gone/{number}"))).unwrap();
            if content {
                std::fs::write(root.path().join(format!(".gone/{number}/left")), "1").unwrap();
            }
        }
        gone.take(&folder).unwrap();
        gone.empty().unwrap();
        assert_eq!(std::fs::read_dir(root.path().join(".gone")).unwrap().count(), 0);
        assert_eq!(std::fs::read_to_string(outside.join("kept")).unwrap(), "1");
        let mode = std::fs::metadata(&outside).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
    }

    #[test]
    fn what_is_not_there_is_an_error_and_nothing_to_empty_is_none() {
        let (root, gone) = ground();
        gone.empty().unwrap();
        let absent = gone.take(&root.path().join("absent")).unwrap_err();
        assert_eq!(absent.kind(), io::ErrorKind::NotFound);
        gone.empty().unwrap();
    }
}

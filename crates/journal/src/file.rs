//! The file backend: a data directory, held with a lock for as long as the value lives.
//!
//! It knows no frames and no records; what it promises is in the docs of [`Storage`]. Created files have mode
//! 0600 and folders 0700. Segments are zero-filled when they are made, because overwriting halves the cost of
//! a sync; the next one is prepared by a thread of its own, so that rolling does not stall a batch.

use crate::storage::{Area, Parts, Storage, StorageError};
use rustix::fs::{FlockOperation, flock};
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;
/// Journal files held open; readers of old history open more, and then all are closed and opened anew.
const OPEN_FILES_MAX: usize = 32;
/// Zeros are written in pieces of this many bytes, so that a sync of the journal gets in between.
const ZERO_BYTES: usize = 256 * 1024;
/// Smaller segments, which only tests have, are made when needed and not ahead.
const SPARE_BYTES_MIN: u64 = 1024 * 1024;
const SPARE: &str = "spare.tmp";
const ASIDE_END: &str = ".tmp";

/// Why a data directory could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Another process holds the lock.
    #[error("data directory `{}` is in use: lock held by pid {pid}", .path.display())]
    Locked {
        /// The data directory.
        path: PathBuf,
        /// What the lock file says, for people.
        pid: String,
    },
    /// The operating system refused.
    #[error("cannot open data directory `{}`", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// A data directory. Dropping it lets go of the lock.
#[derive(Debug)]
pub struct FileStorage {
    root: PathBuf,
    /// Held for its lock; `None` where the directory was opened to be read.
    _lock: Option<File>,
    /// Files of the journal being read.
    reading: Mutex<BTreeMap<String, Arc<File>>>,
    /// Files written since the last segment was made. They stay open until then, because an error of the
    /// disk is told to the file through which it was written.
    writing: Mutex<BTreeMap<String, Arc<File>>>,
    spare: Mutex<Spare>,
}

/// The segment being made ahead.
#[derive(Debug, Default)]
struct Spare {
    /// Bytes of the segment now being written, and its name, to tell when it is half full.
    current: Option<(String, u64)>,
    worker: Option<JoinHandle<io::Result<()>>>,
    bytes: u64,
}

impl FileStorage {
    /// Opens `root` to write, making it and its folders if need be, and takes the lock.
    ///
    /// # Errors
    /// `Locked` when another process has it, `Io` when the operating system refuses.
    pub fn open(root: &Path) -> Result<FileStorage, FileError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| FileError::Io { path, source }
        };
        make_folder(root).map_err(at(root))?;
        let lock = take_lock(root)?;
        for area in [Area::Journal, Area::Snapshots, Area::Blobs] {
            let folder = root.join(area.folder());
            make_folder(&folder).map_err(at(&folder))?;
        }
        remove_left_aside(&root.join(Area::Journal.folder())).map_err(at(root))?;
        remove_left_aside(&root.join(Area::Snapshots.folder())).map_err(at(root))?;
        sync_folder(root).map_err(at(root))?;
        Ok(FileStorage::at(root, Some(lock)))
    }

    /// Opens `root` to be read only, without a lock: for a copy, or for a look at a running journal.
    ///
    /// # Errors
    /// When there is no journal folder.
    pub fn open_to_read(root: &Path) -> Result<FileStorage, FileError> {
        let folder = root.join(Area::Journal.folder());
        fs::read_dir(&folder).map_err(|source| FileError::Io { path: folder, source })?;
        Ok(FileStorage::at(root, None))
    }

    fn at(root: &Path, lock: Option<File>) -> FileStorage {
        FileStorage {
            root: root.to_owned(),
            _lock: lock,
            reading: Mutex::default(),
            writing: Mutex::default(),
            spare: Mutex::default(),
        }
    }

    /// The data directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn path(&self, area: Area, name: &str) -> PathBuf {
        self.root.join(area.folder()).join(name)
    }

    fn to_read(&self, name: &str) -> Result<Arc<File>, StorageError> {
        let mut files = lock(&self.reading);
        if let Some(file) = files.get(name) {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(File::open(self.path(Area::Journal, name)).map_err(failed("open", name))?);
        if files.len() >= OPEN_FILES_MAX {
            files.clear();
        }
        files.insert(name.to_owned(), Arc::clone(&file));
        Ok(file)
    }

    fn to_write(&self, name: &str) -> Result<Arc<File>, StorageError> {
        let mut files = lock(&self.writing);
        if let Some(file) = files.get(name) {
            return Ok(Arc::clone(file));
        }
        let path = self.path(Area::Journal, name);
        let file = Arc::new(
            OpenOptions::new()
                .write(true)
                .open(path)
                .map_err(failed("open", name))?,
        );
        files.insert(name.to_owned(), Arc::clone(&file));
        Ok(file)
    }

    fn forget(&self, name: &str) {
        lock(&self.reading).remove(name);
        lock(&self.writing).remove(name);
    }

    /// Takes the segment made ahead, if there is one of the right size.
    fn take_spare(&self, bytes: u64) -> Option<PathBuf> {
        let mut spare = lock(&self.spare);
        let worker = spare.worker.take()?;
        let made = matches!(worker.join(), Ok(Ok(())));
        (made && spare.bytes == bytes).then(|| self.path(Area::Journal, SPARE))
    }

    /// Starts making the next segment once the current one is half full.
    fn look_ahead(&self, name: &str, end: u64) {
        let mut spare = lock(&self.spare);
        if spare.current.as_ref().is_none_or(|(current, _)| current != name) {
            let Ok(Some(bytes)) = self.size(Area::Journal, name) else {
                return;
            };
            spare.current = Some((name.to_owned(), bytes));
        }
        let bytes = spare.current.as_ref().map_or(0, |(_, bytes)| *bytes);
        if bytes < SPARE_BYTES_MIN || end < bytes / 2 || spare.worker.is_some() {
            return;
        }
        let path = self.path(Area::Journal, SPARE);
        spare.bytes = bytes;
        // Without a thread the segment is made when it is needed, which is slower and nothing else.
        spare.worker = std::thread::Builder::new()
            .name("journal-spare".to_owned())
            .spawn(move || make_zeros(&path, bytes))
            .ok();
    }
}

impl Drop for FileStorage {
    fn drop(&mut self) {
        if let Some(worker) = lock(&self.spare).worker.take() {
            let _ = worker.join();
            let _ = fs::remove_file(self.path(Area::Journal, SPARE));
        }
    }
}

impl Storage for FileStorage {
    fn list(&self, area: Area) -> Result<Vec<String>, StorageError> {
        let folder = self.root.join(area.folder());
        let mut names = Vec::new();
        for (name, is_folder) in entries(&folder).map_err(failed("list", area.folder()))? {
            if is_folder && area == Area::Blobs {
                let inner = entries(&folder.join(&name)).map_err(failed("list", &name))?;
                names.extend(inner.into_iter().map(|(inner, _)| format!("{name}/{inner}")));
            } else if !is_folder {
                names.push(name);
            }
        }
        names.retain(|name| !name.ends_with(ASIDE_END));
        names.sort();
        Ok(names)
    }

    fn size(&self, area: Area, name: &str) -> Result<Option<u64>, StorageError> {
        match fs::metadata(self.path(area, name)) {
            Ok(meta) => Ok(Some(meta.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("look at", name)(error)),
        }
    }

    fn read(&self, area: Area, name: &str, offset: u64, out: &mut [u8]) -> Result<usize, StorageError> {
        let file = if area == Area::Journal {
            self.to_read(name)?
        } else {
            Arc::new(File::open(self.path(area, name)).map_err(failed("open", name))?)
        };
        let mut count = 0;
        while let Some(rest) = out.get_mut(count..).filter(|rest| !rest.is_empty()) {
            match file.read_at(rest, offset + count as u64) {
                Ok(0) => break,
                Ok(more) => count += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed("read", name)(error)),
            }
        }
        Ok(count)
    }

    fn create(&self, name: &str, head: &[u8], bytes: u64) -> Result<(), StorageError> {
        let path = self.path(Area::Journal, name);
        let made = || -> io::Result<()> {
            let aside = match self.take_spare(bytes) {
                Some(aside) => aside,
                None => {
                    let aside = self.path(Area::Journal, &format!("{name}{ASIDE_END}"));
                    make_zeros(&aside, bytes)?;
                    aside
                }
            };
            let file = OpenOptions::new().write(true).open(&aside)?;
            file.write_all_at(head, 0)?;
            file.sync_all()?;
            fs::rename(&aside, &path)?;
            sync_folder(&self.root.join(Area::Journal.folder()))
        };
        // Whoever makes a segment has synced the one before: only `leaves` may still be unsynced.
        lock(&self.writing).retain(|name, _| name == crate::layout::LEAVES);
        made().map_err(failed("create", name))
    }

    fn write(&self, name: &str, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        self.to_write(name)?
            .write_all_at(bytes, offset)
            .map_err(failed("write", name))?;
        if crate::layout::segment_idx(name).is_some() {
            self.look_ahead(name, offset + bytes.len() as u64);
        }
        Ok(())
    }

    fn sync(&self, name: &str) -> Result<(), StorageError> {
        self.to_write(name)?.sync_data().map_err(failed("sync", name))
    }

    fn put(&self, area: Area, name: &str, parts: Parts<'_>) -> Result<(), StorageError> {
        let path = self.path(area, name);
        let aside = self.path(area, &format!("{name}{ASIDE_END}"));
        let folder = path.parent().unwrap_or(&self.root).to_owned();
        make_folder(&folder).map_err(failed("create", name))?;
        let written = write_parts(&aside, name, parts).and_then(|()| {
            fs::rename(&aside, &path)
                .and_then(|()| sync_folder(&folder))
                .map_err(failed("put", name))
        });
        if written.is_err() {
            let _ = fs::remove_file(&aside);
        }
        self.forget(name);
        written
    }

    fn remove(&self, area: Area, name: &str) -> Result<(), StorageError> {
        self.forget(name);
        let path = self.path(area, name);
        match fs::remove_file(&path) {
            Ok(()) => sync_folder(path.parent().unwrap_or(&self.root)).map_err(failed("remove", name)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(failed("remove", name)(error)),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What these hold is whole after every statement, so a panic elsewhere does not spoil it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failed(operation: &'static str, name: &str) -> impl FnOnce(io::Error) -> StorageError {
    let name = name.to_owned();
    move |source| match source.kind() {
        io::ErrorKind::NotFound => StorageError::NotFound { name },
        _ => StorageError::Io {
            operation,
            name,
            source,
        },
    }
}

fn entries(folder: &Path) -> io::Result<Vec<(String, bool)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // A name that is not UTF-8 is none of ours.
        if let Ok(name) = entry.file_name().into_string() {
            found.push((name, entry.file_type()?.is_dir()));
        }
    }
    Ok(found)
}

fn take_lock(root: &Path) -> Result<File, FileError> {
    let path = root.join("lock");
    let at = |source| FileError::Io {
        path: path.clone(),
        source,
    };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .open(&path)
        .map_err(at)?;
    if let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
        if error != rustix::io::Errno::WOULDBLOCK {
            return Err(at(error.into()));
        }
        let mut pid = String::new();
        let _ = file.read_to_string(&mut pid);
        let pid = if pid.trim().is_empty() {
            "unknown"
        } else {
            pid.trim()
        };
        return Err(FileError::Locked {
            path: root.to_owned(),
            pid: pid.to_owned(),
        });
    }
    file.set_len(0).map_err(at)?;
    writeln!(file, "{}", std::process::id()).map_err(at)?;
    Ok(file)
}

fn make_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    File::open(path)?.sync_all()
}

/// Removes what a crash left aside: files that never got their name.
fn remove_left_aside(folder: &Path) -> io::Result<()> {
    for (name, is_folder) in entries(folder)? {
        if name.ends_with(ASIDE_END) && !is_folder {
            fs::remove_file(folder.join(name))?;
        }
    }
    Ok(())
}

fn create_aside(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(FILE_MODE)
        .open(path)
}

fn make_zeros(path: &Path, bytes: u64) -> io::Result<()> {
    let mut file = create_aside(path)?;
    let zeros = vec![0; ZERO_BYTES];
    let mut left = bytes;
    while left > 0 {
        let piece = zeros
            .get(..usize::try_from(left).unwrap_or(ZERO_BYTES).min(ZERO_BYTES))
            .unwrap_or(&zeros);
        file.write_all(piece)?;
        left -= piece.len() as u64;
    }
    file.sync_all()
}

fn write_parts(aside: &Path, name: &str, parts: Parts<'_>) -> Result<(), StorageError> {
    let mut file = create_aside(aside).map_err(failed("create", name))?;
    for part in parts {
        file.write_all(&part?).map_err(failed("write", name))?;
    }
    file.sync_all().map_err(failed("sync", name))
}

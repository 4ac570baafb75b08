//! Opening beneath a granted folder, and saying why it did not work. It decides what is opened only by its kind.

use super::ground::{Ground, own_link};
use crate::sdk::Failure;
use actum_model::ErrorCode;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};

/// How often a path is taken apart anew because something in it moved meanwhile.
const TRIES_MAX: usize = 64;

/// File systems whose files are views into the kernel and its processes: proc, sysfs, debugfs, tracefs.
const VIEWS: &[i64] = &[0x9fa0, 0x6265_6572, 0x6462_6720, 0x7472_6163];

/// Something beneath a granted folder, held by a descriptor that only names it.
pub(super) struct Found {
    pub(super) named: OwnedFd,
    pub(super) stat: Stat,
    pub(super) kind: FileType,
    pub(super) real: PathBuf,
}

/// A folder that is open, and a name in it that may or may not be there.
pub(super) struct Spot {
    pub(super) folder: OwnedFd,
    pub(super) name: OsString,
    pub(super) real: PathBuf,
}

/// Finds what a path names. A link at its end is followed within the folder, or taken for itself.
pub(super) fn find(ground: &Ground, follow: bool) -> Result<Found, Failure> {
    let link = if follow { OFlags::empty() } else { OFlags::NOFOLLOW };
    let named = beneath(ground, &ground.rest, OFlags::PATH | link).map_err(|error| refusal(error, ground))?;
    let real = ground.locate(&named)?;
    let stat = rustix::fs::fstat(&named).map_err(|error| refusal(error, ground))?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    refuse_views(ground, &named)?;
    Ok(Found {
        named,
        stat,
        kind,
        real,
    })
}

/// Opens the folder a path's last name stands in. The name itself is not looked at.
pub(super) fn spot(ground: &Ground) -> Result<Spot, Failure> {
    let (Some(parent), Some(name)) = (ground.rest.parent(), ground.rest.file_name()) else {
        let message = format!("expected a path below a granted folder, got `{}`", ground.shown());
        return Err(Failure::new(ErrorCode::PathOutside, message));
    };
    let folder = beneath(ground, parent, OFlags::RDONLY | OFlags::DIRECTORY)
        .map_err(|error| refusal(error, ground))?;
    let real = ground.locate(&folder)?.join(name);
    ground.admit(&real)?;
    refuse_views(ground, &folder)?;
    Ok(Spot {
        folder,
        name: name.to_owned(),
        real,
    })
}

/// What stands under the name of a spot, links taken for themselves; `None` where nothing does.
pub(super) fn look(ground: &Ground, spot: &Spot) -> Result<Option<Found>, Failure> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let named = match rustix::fs::openat(&spot.folder, &spot.name, flags, Mode::empty()) {
        Ok(named) => named,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(refusal(error, ground)),
    };
    let stat = rustix::fs::fstat(&named).map_err(|error| refusal(error, ground))?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    let real = spot.real.clone();
    Ok(Some(Found {
        named,
        stat,
        kind,
        real,
    }))
}

/// Opens a plain file for reading. It was named first and looked at, so that no device is opened to find out what
/// it is; what is opened is what was looked at, whatever stands under the name by now.
pub(super) fn open_plain(ground: &Ground, found: &Found) -> Result<File, Failure> {
    if found.kind != FileType::RegularFile {
        return Err(wrong_kind(ground, "a plain file", found.kind));
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open(own_link(&found.named), flags, Mode::empty())
        .map(File::from)
        .map_err(|error| refusal(error, ground))
}

pub(super) fn beneath(ground: &Ground, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..TRIES_MAX {
        match rustix::fs::openat2(
            &ground.root,
            path,
            flags | OFlags::CLOEXEC,
            Mode::empty(),
            resolve,
        ) {
            // Something in the path was moved while it was taken apart.
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
    Err(Errno::AGAIN)
}

fn refuse_views(ground: &Ground, opened: impl AsFd) -> Result<(), Failure> {
    let of = rustix::fs::fstatfs(opened).map_err(|error| refusal(error, ground))?;
    #[expect(clippy::useless_conversion, reason = "the type differs between architectures")]
    let magic = i64::try_from(of.f_type).unwrap_or_default();
    if VIEWS.contains(&magic) {
        let message = format!(
            "`{}` is a view into the running system and no file",
            ground.shown()
        );
        return Err(Failure::new(ErrorCode::FileRefused, message));
    }
    Ok(())
}

pub(super) fn wrong_kind(ground: &Ground, expected: &str, got: FileType) -> Failure {
    let message = format!(
        "`{}`: expected {expected}, got {}",
        ground.shown(),
        kind_name(got)
    );
    Failure::new(ErrorCode::FileRefused, message)
}

pub(super) fn kind_name(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "a plain file",
        FileType::Directory => "a folder",
        FileType::Symlink => "a link",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "something else",
    }
}

/// The kind as it stands in a result.
pub(super) fn kind_word(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "file",
        FileType::Directory => "folder",
        FileType::Symlink => "link",
        _ => "other",
    }
}

/// What the operating system said, as callers see it.
pub(super) fn refusal(error: Errno, ground: &Ground) -> Failure {
    let path = ground.shown();
    let (code, message) = match error {
        Errno::XDEV => (
            ErrorCode::PathOutside,
            format!("`{path}` leads out of the granted folder"),
        ),
        Errno::NOENT => (
            ErrorCode::FileNotFound,
            format!("nothing is there under `{path}`"),
        ),
        Errno::EXIST => (
            ErrorCode::FileExists,
            format!("something is there already under `{path}`"),
        ),
        Errno::LOOP => (
            ErrorCode::FileRefused,
            format!("`{path}` holds a link that is not followed"),
        ),
        Errno::NOTDIR => (
            ErrorCode::FileRefused,
            format!("`{path}` goes on below something that is no folder"),
        ),
        Errno::ISDIR => (
            ErrorCode::FileRefused,
            format!("`{path}`: expected a plain file, got a folder"),
        ),
        Errno::NOTEMPTY => (
            ErrorCode::FileRefused,
            format!("the folder `{path}` is not empty"),
        ),
        Errno::NXIO | Errno::NODEV => (ErrorCode::FileRefused, format!("`{path}` is no plain file")),
        Errno::NAMETOOLONG | Errno::INVAL => (
            ErrorCode::InvalidInput,
            format!("the file system takes no such path: `{path}` ({error})"),
        ),
        other => (ErrorCode::FileFailed, format!("`{path}`: {other}")),
    };
    Failure::new(code, message)
}

/// The same for an error of the standard library.
pub(super) fn io_refusal(error: &std::io::Error, ground: &Ground) -> Failure {
    match Errno::from_io_error(error) {
        Some(error) => refusal(error, ground),
        None => Failure::new(ErrorCode::FileFailed, format!("`{}`: {error}", ground.shown())),
    }
}

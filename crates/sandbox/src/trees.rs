//! Pieces of the host's file tree, held by descriptors until a cage puts them somewhere.
//!
//! Opened where the host is still in view: by real root before it becomes an ordinary user, or inside the cage's
//! user namespace before the root changes. Nothing is attached here.

use crate::spec::Access;
use crate::sys::{self, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY, MountChange};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, fstat, openat2};
use rustix::mount::{OpenTreeFlags, open_tree};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// What a piece is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A folder or file named by the caller: through no symbolic link.
    Named(Access),
    /// A part of the system, to be read.
    System,
    /// A device file.
    Device,
}

/// A detached mount.
pub(crate) struct Tree {
    pub(crate) mount: OwnedFd,
    pub(crate) is_folder: bool,
    /// Owner and group of its top, on the host.
    pub(crate) owner: (u32, u32),
}

/// Who the cage's user is on the host, and whether owners of files are translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Whether this process may make mounts that translate owners.
    pub(crate) translates: bool,
}

/// Opens pieces; keeps the maps of owners it has made.
pub(crate) struct Opener {
    pub(crate) identity: Identity,
    maps: BTreeMap<(u32, u32), OwnedFd>,
}

impl Opener {
    pub(crate) fn new(identity: Identity) -> Opener {
        Opener {
            identity,
            maps: BTreeMap::new(),
        }
    }

    /// Opens one piece. A named one that belongs to somebody else than the cage's user is translated, where that
    /// can be done, so that its owner's rights are the cage's.
    pub(crate) fn open(&mut self, path: &Path, kind: Kind) -> io::Result<Tree> {
        let tree = detached(path, kind)?;
        let (set, below) = match kind {
            Kind::Named(Access::Write) => (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, true),
            Kind::Named(Access::Read) | Kind::System => {
                (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, true)
            }
            Kind::Device => (MOUNT_ATTR_NOSUID, false),
        };
        let change = MountChange {
            set,
            private: true,
            below,
            owners: None,
        };
        sys::change_mount(tree.mount.as_fd(), change)?;
        let Identity { uid, gid, translates } = self.identity;
        if let Kind::Named(access) = kind
            && translates
            && tree.owner != (uid, gid)
        {
            let owners = self.map(tree.owner)?;
            let change = MountChange {
                owners: Some(owners.as_fd()),
                below: true,
                ..MountChange::default()
            };
            match sys::change_mount(tree.mount.as_fd(), change) {
                Ok(()) => {}
                // Readable by others, perhaps; a folder to be written must be.
                Err(_) if access == Access::Read || tree.owner.0 == uid => {}
                Err(error) => return Err(error),
            }
        }
        Ok(tree)
    }

    /// A user namespace that swaps one owner with the cage's user and leaves all others as they are.
    fn map(&mut self, owner: (u32, u32)) -> io::Result<&OwnedFd> {
        if !self.maps.contains_key(&owner) {
            let Identity { uid, gid, .. } = self.identity;
            let made = namespace(&swap(owner.0, uid), &swap(owner.1, gid))?;
            self.maps.insert(owner, made);
        }
        self.maps
            .get(&owner)
            .ok_or_else(|| io::Error::other("no map of owners"))
    }
}

fn detached(path: &Path, kind: Kind) -> io::Result<Tree> {
    let resolve = match kind {
        Kind::Named(_) => ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
        Kind::System | Kind::Device => ResolveFlags::NO_MAGICLINKS,
    };
    let place = openat2(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)?;
    let stat = fstat(&place)?;
    let file_type = rustix::fs::FileType::from_raw_mode(stat.st_mode);
    let is_folder = file_type == rustix::fs::FileType::Directory;
    let fits = match kind {
        Kind::Named(_) | Kind::System => is_folder || file_type == rustix::fs::FileType::RegularFile,
        Kind::Device => file_type == rustix::fs::FileType::CharacterDevice,
    };
    if !fits {
        return Err(io::Error::other(format!(
            "expected a folder or a file, got {file_type:?}"
        )));
    }
    let mut flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    if kind != Kind::Device {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    Ok(Tree {
        mount: open_tree(&place, c"", flags)?,
        is_folder,
        owner: (stat.st_uid, stat.st_gid),
    })
}

/// Lines of a map in which two ids change places.
fn swap(a: u32, b: u32) -> String {
    let (low, high) = (a.min(b), a.max(b));
    if low == high {
        return format!("0 0 {}", u32::MAX);
    }
    let lines = [
        (0, 0, low),
        (low, high, 1),
        (low + 1, low + 1, high - low - 1),
        (high, low, 1),
        (
            high.saturating_add(1),
            high.saturating_add(1),
            u32::MAX - high.saturating_add(1),
        ),
    ];
    let lines = lines.iter().filter(|(_, _, count)| *count > 0);
    lines
        .map(|(from, to, count)| format!("{from} {to} {count}\n"))
        .collect()
}

/// A user namespace with these maps, held by a descriptor alone.
fn namespace(users: &str, groups: &str) -> io::Result<OwnedFd> {
    let (hold, held) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let Some(child) = sys::clone(libc::CLONE_NEWUSER as u64)? else {
        // Lives until it is killed, or until the maker is gone: then the pipe has no writer left.
        drop(held);
        let _ = rustix::io::read(&hold, &mut [0_u8; 1]);
        sys::exit_now(0)
    };
    let folder = format!("/proc/{}", child.pid);
    let made = fs::write(format!("{folder}/uid_map"), users)
        .and_then(|()| fs::write(format!("{folder}/gid_map"), groups))
        .and_then(|()| fs::File::open(format!("{folder}/ns/user")));
    let _ = rustix::process::pidfd_send_signal(&child.pidfd, Signal::KILL);
    drop(held);
    let options = rustix::process::WaitIdOptions::EXITED;
    let _ = rustix::process::waitid(rustix::process::WaitId::PidFd(child.pidfd.as_fd()), options);
    made.map(OwnedFd::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swap_covers_every_id_once() {
        for (a, b) in [
            (0, 61_000),
            (61_000, 0),
            (5, 6),
            (0, 1),
            (7, 7),
            (0, u32::MAX - 1),
        ] {
            let mut next = 0_u64;
            for line in swap(a, b).lines() {
                let numbers: Vec<u64> = line.split(' ').map(|number| number.parse().unwrap()).collect();
                assert_eq!(numbers[0], next, "{a} {b}");
                let to = if next == u64::from(a) {
                    b
                } else if next == u64::from(b) {
                    a
                } else {
                    numbers[1] as u32
                };
                assert_eq!(numbers[1], u64::from(to), "{a} {b}");
                next += numbers[2];
            }
            assert_eq!(next, u64::from(u32::MAX), "{a} {b}");
        }
    }
}

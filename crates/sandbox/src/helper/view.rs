//! The cage's root: an empty file system in memory, pieces of the host, and places of its own.
//!
//! The old root is detached before anything is put into the new one, so no path here can mean a file of the host.

use super::groundwork::{Piece, Pieces};
use crate::fence::CANARY;
use crate::layer::Layer;
use crate::plan::Plan;
use crate::refusal::{Refusal, Step};
use crate::spec::Limits;
use crate::sys::{self, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY, MountChange};
use crate::trees::Identity;
use rustix::fs::{CWD, Mode, OFlags, open};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags,
    UnmountFlags, fsconfig_create, fsmount, fsopen, mount, mount_change, move_mount, unmount,
};
use std::ffi::CString;
use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Component, Path};

/// Where the zygote's own source lies.
pub(super) const ZYGOTE: &str = "/.actum/zygote.py";
/// The program that is pid 1 of each session.
pub(crate) const INIT: &str = "/.actum/init";

/// Builds the view. Returns why there is no `/proc`, if there is none and that is tolerated.
pub(super) fn build(plan: &Plan, pieces: Pieces, identity: Identity) -> Result<Result<(), String>, Refusal> {
    let all = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", all).layer(Layer::MountNamespace, "making mounts private")?;
    // Only while a whole `/proc` is in view may a new one be made.
    let proc = if plan.sabotage.contains(&Layer::Proc) {
        Err("left out".to_owned())
    } else {
        new_proc()
    };
    if let Err(reason) = &proc
        && !plan.spec.require.missing().contains(&Layer::Proc)
    {
        return Err(Refusal::missing(Layer::Proc, reason));
    }
    pivot()?;
    own_places(plan, identity)?;
    let own = Own::now()?;
    for piece in pieces.0 {
        put(piece, &own)?;
    }
    let seen = match proc {
        Ok(proc) => attach(proc.as_fd(), Path::new("/proc"))
            .layer(Layer::Proc, "attaching /proc")
            .map(Ok)?,
        Err(reason) => Err(reason),
    };
    for place in plan.zygote.iter().flat_map(|zygote| &zygote.places) {
        place_for(place, true, &own)?;
    }
    seal()?;
    Ok(seen)
}

fn new_proc() -> Result<OwnedFd, String> {
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let made = fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC).and_then(|proc| {
        fsconfig_create(&proc)?;
        fsmount(&proc, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
    });
    made.map_err(|error| format!("cannot mount /proc ({error})"))
}

/// A new root over a folder that every system has, then in its place.
fn pivot() -> Result<(), Refusal> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    let root = c"mode=755,size=4m,nr_inodes=4k";
    let made = mount("actum", "/usr", "tmpfs", flags, root)
        .and_then(|()| rustix::process::chdir("/usr"))
        .and_then(|()| rustix::process::pivot_root(".", "."))
        .and_then(|()| unmount(".", UnmountFlags::DETACH))
        .and_then(|()| rustix::process::chdir("/"));
    made.layer(Layer::PivotRoot, "changing the root")
}

/// What is made and not taken from the host.
fn own_places(plan: &Plan, Identity { uid, gid, .. }: Identity) -> Result<(), Refusal> {
    let step = "making the cage's own places";
    for folder in [
        "/.actum", "/etc", "/dev", "/dev/shm", "/tmp", "/proc", "/var", "/run", "/mnt",
    ] {
        fs::create_dir(folder).step(step)?;
    }
    symlink("/tmp", "/var/tmp").step(step)?;
    let links = [
        ("fd", "/proc/self/fd"),
        ("stdin", "fd/0"),
        ("stdout", "fd/1"),
        ("stderr", "fd/2"),
    ];
    for (name, to) in links {
        symlink(to, Path::new("/dev").join(name)).step(step)?;
    }
    let host = &plan.spec.hostname;
    let texts = [
        (
            CANARY,
            "this file can be read only where Landlock is not in force\n".to_owned(),
        ),
        (
            "/etc/passwd",
            format!(
                "root:x:0:0:root:/root:/usr/sbin/nologin\nactum:x:{uid}:{gid}:actum:/tmp:/bin/sh\n\
                 nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n"
            ),
        ),
        (
            "/etc/group",
            format!("root:x:0:\nactum:x:{gid}:\nnogroup:x:65534:\n"),
        ),
        (
            "/etc/hosts",
            format!("127.0.0.1 localhost {host}\n::1 localhost\n"),
        ),
        ("/etc/hostname", format!("{host}\n")),
        (
            "/etc/nsswitch.conf",
            "passwd: files\ngroup: files\nhosts: files\n".to_owned(),
        ),
    ];
    for (path, text) in texts {
        fs::write(path, text).step(step)?;
    }
    if let Some(zygote) = &plan.zygote {
        fs::write(ZYGOTE, &zygote.source).step(step)?;
        fs::write(INIT, crate::init::program()).step(step)?;
        fs::set_permissions(INIT, fs::Permissions::from_mode(0o555)).step(step)?;
    }
    memory("/tmp", &plan.spec.limits)?;
    memory("/dev/shm", &plan.spec.limits)
}

fn memory(at: &str, limits: &Limits) -> Result<(), Refusal> {
    let options = CString::new(memory_options(limits)).step("options of a file system in memory")?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount("actum", at, "tmpfs", flags, options.as_c_str()).layer(Layer::MountNamespace, at)
}

/// How a private folder in memory is bounded.
pub(crate) fn memory_options(limits: &Limits) -> String {
    // A file takes memory of its own even if it is empty: one for every 4 KiB that could be written.
    format!(
        "mode=1777,size={},nr_inodes={}",
        limits.tmp_bytes.max(4096),
        (limits.tmp_bytes / 4096).max(64)
    )
}

/// The file systems of the cage's own, where places may be made: its root and what it has in memory. Looked at before
/// any folder of the host is in view, which could take the place of one of them.
struct Own([u64; 3]);

impl Own {
    fn now() -> Result<Own, Refusal> {
        let device = |path: &str| fs::metadata(path).map(|found| found.dev()).step(path);
        Ok(Own([device("/")?, device("/tmp")?, device("/dev/shm")?]))
    }
}

fn put(piece: Piece, own: &Own) -> Result<(), Refusal> {
    match piece {
        Piece::Link { at, to } => {
            if let Some(above) = at.parent() {
                place_for(above, true, own)?;
            }
            symlink(to, &at).map_err(|error| folder(&at, error))
        }
        Piece::Mount { at, tree } => {
            place_for(&at, tree.is_folder, own)?;
            attach(tree.mount.as_fd(), &at).map_err(|error| folder(&at, error))
        }
    }
}

fn attach(mount: BorrowedFd<'_>, at: &Path) -> rustix::io::Result<()> {
    move_mount(mount, "", CWD, at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

/// Makes an empty folder or file to mount on, in what is the cage's own: never inside a folder of the host.
fn place_for(at: &Path, is_folder: bool, own: &Own) -> Result<(), Refusal> {
    let mut path = Path::new("/").to_owned();
    let count = at.components().count();
    for (index, part) in at.components().enumerate() {
        let Component::Normal(name) = part else { continue };
        let above = fs::metadata(&path).map_err(|error| folder(at, error))?;
        path.push(name);
        if path.exists() {
            continue;
        }
        if !own.0.contains(&above.dev()) {
            return Err(folder(at, "there is no such place in the folder above it"));
        }
        let made = if index + 1 == count && !is_folder {
            fs::write(&path, "")
        } else {
            fs::create_dir(&path)
        };
        made.map_err(|error| folder(at, error))?;
    }
    Ok(())
}

/// Nothing of the root itself can be written from here on.
fn seal() -> Result<(), Refusal> {
    let root = open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).step("root")?;
    let change = MountChange {
        set: MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
        ..MountChange::default()
    };
    sys::change_mount(root.as_fd(), change).layer(Layer::PivotRoot, "making the root read-only")
}

fn folder(at: &Path, reason: impl std::fmt::Display) -> Refusal {
    Refusal::Folder {
        path: at.display().to_string(),
        reason: reason.to_string(),
    }
}

//! Who the cage's user is, and the pieces of the host's tree it will see. Opens; attaches nothing.

use crate::layer::Layer;
use crate::plan::Plan;
use crate::refusal::{Refusal, Step};
use crate::spec::{Access, Spec};
use crate::trees::{Identity, Kind, Opener, Tree};
use rustix::thread::CapabilitySet;
use std::fs;
use std::path::{Path, PathBuf};

/// User and group of a cage under a root daemon: numbers that neither Debian nor systemd hand out.
const CAGE_ID: u32 = 61_000;

/// Parts of the system that programs need, where they exist.
const SYSTEM: [&str; 34] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc/alternatives",
    "/etc/bash.bashrc",
    "/etc/ca-certificates",
    "/etc/ca-certificates.conf",
    "/etc/crypto-policies",
    "/etc/debian_version",
    "/etc/fonts",
    "/etc/inputrc",
    "/etc/java-openjdk",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/locale.alias",
    "/etc/localtime",
    "/etc/magic",
    "/etc/mime.types",
    "/etc/os-release",
    "/etc/pki/tls",
    "/etc/perl",
    "/etc/protocols",
    "/etc/python3",
    "/etc/rpc",
    "/etc/services",
    "/etc/ssl",
    "/etc/terminfo",
    "/etc/timezone",
    "/etc/xattr.conf",
];

/// Devices that do nothing but give or take bytes.
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];

/// One thing to be put in the cage's root.
pub(super) enum Piece {
    /// A mount.
    Mount { at: PathBuf, tree: Tree },
    /// A symbolic link of the host, made again.
    Link { at: PathBuf, to: PathBuf },
}

impl Piece {
    pub(super) fn at(&self) -> &Path {
        match self {
            Piece::Mount { at, .. } | Piece::Link { at, .. } => at,
        }
    }
}

/// All of them, outer places first.
pub(super) struct Pieces(pub(super) Vec<Piece>);

/// Whether this is root with the right to mount: not root of a container without it.
pub(super) fn is_real_root() -> bool {
    let needed = CapabilitySet::SYS_ADMIN | CapabilitySet::SETUID | CapabilitySet::SETGID;
    let held = rustix::thread::capabilities(None).map(|sets| sets.effective);
    rustix::process::geteuid().is_root() && held.is_ok_and(|held| held.contains(needed))
}

/// The cage's user. An ordinary user stays who it is. Root becomes nobody in particular, and the owners of folders
/// are translated; where a file system cannot, root becomes the owner of the folder that is written.
pub(super) fn identity(spec: &Spec, is_root: bool) -> Result<Identity, Refusal> {
    if !is_root {
        if rustix::process::geteuid().is_root() {
            return Err(Refusal::missing(
                Layer::UserNamespace,
                "root here may not mount (no CAP_SYS_ADMIN)",
            ));
        }
        return Ok(Identity {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            translates: false,
        });
    }
    let nobody = Identity {
        uid: CAGE_ID,
        gid: CAGE_ID,
        translates: true,
    };
    let mut opener = Opener::new(nobody);
    let written = spec.mounts.iter().filter(|mount| mount.access == Access::Write);
    for mount in written {
        let named = Kind::Named(Access::Write);
        let plain = Opener::new(Identity {
            translates: false,
            ..nobody
        })
        .open(&mount.host, named)
        .map_err(|error| folder(&mount.host, error))?;
        match (opener.open(&mount.host, named), plain.owner) {
            (Ok(_), _) => {}
            (Err(_), (0, _)) => {
                let reason = "it belongs to root, and its file system cannot translate owners";
                return Err(folder(&mount.host, reason));
            }
            (Err(_), (uid, gid)) => return Ok(Identity { uid, gid, ..nobody }),
        }
    }
    Ok(nobody)
}

/// Opens everything the plan shows.
pub(super) fn open(plan: &Plan, opener: &mut Opener) -> Result<Pieces, Refusal> {
    let mut pieces = Vec::new();
    for path in SYSTEM.iter().map(Path::new) {
        pieces.extend(system(path, opener)?);
    }
    for name in DEVICES {
        let at = Path::new("/dev").join(name);
        let tree = opener
            .open(&at, Kind::Device)
            .map_err(|error| folder(&at, error))?;
        pieces.push(Piece::Mount { at, tree });
    }
    for path in &plan.spec.runtime {
        let tree = opener
            .open(path, Kind::Named(Access::Read))
            .map_err(|error| folder(path, error))?;
        let at = path.clone();
        pieces.push(Piece::Mount { at, tree });
    }
    for mount in &plan.spec.mounts {
        let tree = opener.open(&mount.host, Kind::Named(mount.access));
        let tree = tree.map_err(|error| folder(&mount.host, error))?;
        pieces.push(Piece::Mount {
            at: mount.at.clone(),
            tree,
        });
    }
    // Stable: what the caller named comes after the system's own at the same place, and so wins.
    pieces.sort_by_key(|piece| piece.at().components().count());
    Ok(Pieces(pieces))
}

/// A part of the system: as it is, or as the link it is. What is absent or may not be read is left out.
fn system(path: &Path, opener: &mut Opener) -> Result<Option<Piece>, Refusal> {
    let at = path.to_owned();
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => {
            let to = fs::read_link(path).step("link of the system")?;
            Ok(Some(Piece::Link { at, to }))
        }
        Ok(_) => match opener.open(path, Kind::System) {
            Ok(tree) => Ok(Some(Piece::Mount { at, tree })),
            Err(error) if path == Path::new("/usr") => Err(Refusal::missing(Layer::MountNamespace, error)),
            Err(_) => Ok(None),
        },
        Err(_) => Ok(None),
    }
}

fn folder(path: &Path, error: impl std::fmt::Display) -> Refusal {
    let text = error.to_string();
    let reason = if text.contains("os error 40") {
        "its path goes through a symbolic link; give the path it leads to".to_owned()
    } else {
        text
    };
    Refusal::Folder {
        path: path.display().to_string(),
        reason,
    }
}

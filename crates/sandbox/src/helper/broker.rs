//! Opens folders of the host for sessions that come later: the one part of a zygote's cage that keeps the host in
//! view. It talks to the caller alone; nothing in a cage can reach it.

use crate::refusal::{Refusal, Step};
use crate::spec::Access;
use crate::sys;
use crate::trees::{Identity, Kind, Opener};
use crate::wire;
use rustix::process::{Signal, set_parent_process_death_signal};
use serde::{Deserialize, Serialize};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;

/// Which folder, and for what.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Asked {
    pub(crate) host: PathBuf,
    pub(crate) access: Access,
}

/// The answer; its mount comes along if there is one.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Opened {
    Folder,
    File,
    Refused(String),
}

/// Keeps a broker with the rights of this process. It ends when the caller closes its end, or dies. Takes the
/// caller's socket away from the cage.
pub(super) fn fork_outside(listen: &OwnedFd, identity: Identity) -> Result<Option<OwnedFd>, Refusal> {
    match sys::clone(0).step("broker")? {
        Some(_) => Ok(None),
        None => serve(listen, identity),
    }
}

/// The same inside the cage's user namespace: with a view of the host of its own, taken before the cage's changes.
pub(super) fn fork_inside(listen: &OwnedFd, identity: Identity) -> Result<(), Refusal> {
    match sys::clone(libc::CLONE_NEWNS as u64).step("broker")? {
        Some(_) => Ok(()),
        None => {
            // Its parent is the cage's init, whose end takes it along in any case.
            let _ = set_parent_process_death_signal(Some(Signal::KILL));
            serve(listen, identity)
        }
    }
}

fn serve(listen: &OwnedFd, identity: Identity) -> ! {
    // Whatever else it inherited, above all the socket to the caller, must end with its other holders.
    const SOCKET: i32 = 3;
    if listen.as_raw_fd() != SOCKET && sys::duplicate(listen.as_fd(), SOCKET).is_err() {
        sys::exit_now(1)
    }
    if sys::close_from(SOCKET as u32 + 1).is_err() {
        sys::exit_now(1)
    }
    let Ok(socket) = sys::adopt(SOCKET) else {
        sys::exit_now(1)
    };
    let mut opener = Opener::new(identity);
    while let Ok(Some((asked, _))) = wire::receive::<Asked>(&socket) {
        let answered = match opener.open(&asked.host, Kind::Named(asked.access)) {
            Ok(tree) => {
                let kind = if tree.is_folder {
                    Opened::Folder
                } else {
                    Opened::File
                };
                wire::send(&socket, &kind, &[tree.mount.as_fd()])
            }
            Err(error) => wire::send(&socket, &Opened::Refused(error.to_string()), &[]),
        };
        if answered.is_err() {
            break;
        }
    }
    sys::exit_now(0)
}

//! The helper: this program executed anew, with one thread, to build a cage and become its init.
//!
//! It has three parts in time: [`outer`] sees the host and makes the namespaces, [`inner`] is pid 1 in them and
//! builds, [`program`] is what runs. Nothing here runs in the caller's process.

mod broker;
mod groundwork;
mod inner;
mod outer;
mod program;
mod verify;
mod view;

use crate::sys;
use rustix::fs::{CWD, Mode, OFlags, openat};
use std::io;
use std::os::fd::OwnedFd;

/// First argument of the helper.
pub(crate) const MARK: &str = "--actum-cage-helper";
/// Exit status of a helper that could not even report.
const LOST: i32 = 125;

/// To be called first in `main` of a program that starts cages: returns at once, unless this process is the
/// helper of one; then it never returns.
pub fn helper_entry() {
    if std::env::args_os()
        .nth(1)
        .is_some_and(|argument| argument == MARK)
    {
        let socket = take_socket();
        match socket {
            Ok(socket) => outer::run(&socket),
            Err(_) => sys::exit_now(LOST),
        }
    }
}

/// The socket to the caller came as standard input; that becomes nothing again, like the two others.
fn take_socket() -> io::Result<OwnedFd> {
    let socket = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let nothing = openat(CWD, "/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&nothing)?;
    rustix::stdio::dup2_stdout(&nothing)?;
    rustix::stdio::dup2_stderr(&nothing)?;
    Ok(socket)
}

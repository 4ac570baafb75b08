//! The system calls that have no safe form in the libraries used: the only unsafe code of the crate.
//!
//! Each function is one call, or a few that belong together, with its rules kept here. Those that make a process
//! are for a helper with one thread alone; nothing here decides anything.

#![expect(
    unsafe_code,
    reason = "system calls without a safe form; every block says why it holds"
)]

use std::ffi::{CString, c_char, c_long};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Signals of Linux.
const SIGNALS_MAX: i32 = 64;
/// Size of `struct mount_attr`: four words of 64 bits.
const MOUNT_ATTR_BYTES: usize = 32;
/// From `linux/mount.h`.
pub(crate) const MOUNT_ATTR_RDONLY: u64 = 0x1;
/// From `linux/mount.h`.
pub(crate) const MOUNT_ATTR_NOSUID: u64 = 0x2;
/// From `linux/mount.h`.
pub(crate) const MOUNT_ATTR_NODEV: u64 = 0x4;
const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;
/// From `linux/fcntl.h`.
const AT_RECURSIVE: i32 = 0x8000;

/// A child made by [`clone`].
pub(crate) struct Child {
    /// Its number as this process sees it.
    pub(crate) pid: i32,
    /// Holds it, whoever gets its number later.
    pub(crate) pidfd: OwnedFd,
}

/// Copies this process as `fork` does, into new namespaces (`CLONE_NEW…`). `None` in the child.
///
/// To be called by a process with one thread: the child has only the calling one.
pub(crate) fn clone(flags: u64) -> io::Result<Option<Child>> {
    let mut pidfd: i32 = -1;
    let mut arguments = [0_u64; 11];
    let [all, pidfd_at, _, _, exit_signal, ..] = &mut arguments;
    *all = flags | libc::CLONE_PIDFD as u64;
    *pidfd_at = (&raw mut pidfd) as u64;
    // A sibling takes over the signal that this process itself was made with.
    *exit_signal = if flags & libc::CLONE_PARENT as u64 == 0 {
        libc::SIGCHLD as u64
    } else {
        0
    };
    // SAFETY: the arguments are a `struct clone_args` of the size told, with no stack of its own, so the child
    // goes on here on a copy of this one's memory. There is one thread, so no lock is held by another.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, arguments.as_mut_ptr(), size_of_val(&arguments)) };
    match pid {
        0 => Ok(None),
        pid if pid > 0 => {
            // SAFETY: the kernel has just written a new descriptor that nobody else owns.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Some(Child {
                pid: pid as i32,
                pidfd,
            }))
        }
        _ => Err(io::Error::last_os_error()),
    }
}

/// Copies this process. The child's number; `None` in the child. For a process with one thread, as [`clone`] is;
/// the older call, which is left where the filter is in force.
pub(crate) fn fork() -> io::Result<Option<i32>> {
    // SAFETY: there is one thread, so no lock is held by another and the child may go on as if it were this one.
    match unsafe { libc::fork() } {
        0 => Ok(None),
        pid if pid > 0 => Ok(Some(pid)),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Executes a program. Returns only where that failed.
pub(crate) fn execute(program: &CString, argv: &[CString], env: &[CString]) -> io::Error {
    let (argv, env) = (pointers(argv), pointers(env));
    // SAFETY: both lists end with a null pointer and their texts with NUL; all outlive the call.
    unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error()
}

fn pointers(texts: &[CString]) -> Vec<*const c_char> {
    texts
        .iter()
        .map(|text| text.as_ptr())
        .chain([std::ptr::null()])
        .collect()
}

/// Ends this process at once, without running what was registered for its end.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: no memory is involved.
    unsafe { libc::_exit(code) }
}

/// Gives every signal its default action and lets all in: what is ignored or blocked would be inherited.
pub(crate) fn reset_signals() {
    let (default, none) = ([0_u64; 8], 0_u64);
    for signal in 1..=SIGNALS_MAX {
        // SAFETY: all zero is the default action in the kernel's layout, which is no longer than this. The two
        // signals that cannot be set are refused without harm.
        unsafe {
            let old = std::ptr::null_mut::<u64>();
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                old,
                size_of::<u64>(),
            );
        }
    }
    // SAFETY: the set has the size that is told.
    unsafe {
        let old = std::ptr::null_mut::<u64>();
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const none,
            old,
            size_of::<u64>(),
        );
    }
}

/// Marks every descriptor from `first` on to be closed on exec.
pub(crate) fn close_on_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: no memory is involved; descriptors stay open until an exec.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    answer(done)
}

/// What to change of a mount, and of all below it.
#[derive(Clone, Copy, Default)]
pub(crate) struct MountChange<'a> {
    /// `MOUNT_ATTR_…` to set.
    pub(crate) set: u64,
    /// Whether mounts made elsewhere stay elsewhere.
    pub(crate) private: bool,
    /// User namespace whose maps translate the owners of files.
    pub(crate) owners: Option<BorrowedFd<'a>>,
    /// Whether mounts below are changed as well.
    pub(crate) below: bool,
}

/// Changes a mount held by a descriptor.
pub(crate) fn change_mount(mount: BorrowedFd<'_>, change: MountChange<'_>) -> io::Result<()> {
    let idmap = if change.owners.is_some() {
        MOUNT_ATTR_IDMAP
    } else {
        0
    };
    let propagation: u64 = if change.private { libc::MS_PRIVATE } else { 0 };
    let owners = change.owners.map_or(0, |owners| owners.as_raw_fd() as u64);
    let attributes = [change.set | idmap, 0, propagation, owners];
    debug_assert_eq!(size_of_val(&attributes), MOUNT_ATTR_BYTES);
    let below = if change.below { AT_RECURSIVE } else { 0 };
    let flags = (libc::AT_EMPTY_PATH | below) as u32;
    // SAFETY: the path is an empty text and the attributes a `struct mount_attr` of the size told.
    let done = unsafe {
        let path = c"".as_ptr();
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            path,
            flags,
            attributes.as_ptr(),
            MOUNT_ATTR_BYTES,
        )
    };
    answer(done)
}

/// Version of Landlock of this kernel; an error where there is none.
pub(crate) fn landlock_version() -> io::Result<u32> {
    const VERSION: u32 = 1;
    // SAFETY: with this flag the kernel reads no memory.
    let version = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<u8>(),
            0_usize,
            VERSION,
        )
    };
    if version < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(version as u32)
    }
}

/// The identity of this thread for the system: real, effective and saved, without further groups.
pub(crate) fn become_user(uid: u32, gid: u32) -> io::Result<()> {
    // SAFETY: no memory is involved: the list of groups is empty.
    unsafe {
        answer(libc::syscall(
            libc::SYS_setgroups,
            0_usize,
            std::ptr::null::<u32>(),
        ))?;
        answer(libc::syscall(libc::SYS_setresgid, gid, gid, gid))?;
        answer(libc::syscall(libc::SYS_setresuid, uid, uid, uid))
    }
}

/// Asks for a system call that the filter must refuse: a request for a key. Used to see the filter at work.
pub(crate) fn request_key() -> io::Error {
    // SAFETY: the texts end with NUL; nothing is written.
    let done = unsafe {
        let (kind, name) = (c"user".as_ptr(), c"actum:none".as_ptr());
        libc::syscall(libc::SYS_request_key, kind, name, std::ptr::null::<u8>(), 0)
    };
    answer(done)
        .err()
        .unwrap_or_else(|| io::Error::other("a key was given"))
}

fn answer(result: c_long) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Takes every capability but these out of the bounding set.
pub(crate) fn keep_bounding(keep: &[u32]) -> io::Result<()> {
    for capability in (0..64).filter(|capability| !keep.contains(capability)) {
        if is_bounding(capability) {
            // SAFETY: no memory is involved.
            answer(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) }.into())?;
        }
    }
    Ok(())
}

/// Whether a capability could be gained by executing something.
pub(crate) fn is_bounding(capability: u32) -> bool {
    // SAFETY: no memory is involved. A number beyond the kernel's last is an error, and so not in the set.
    unsafe { libc::prctl(libc::PR_CAPBSET_READ, capability, 0, 0, 0) == 1 }
}

/// Makes `to` another name of `from`, kept over an exec.
pub(crate) fn duplicate(from: BorrowedFd<'_>, to: i32) -> io::Result<()> {
    // SAFETY: for a process about to execute something, which owns no object behind `to` that it will use again.
    answer(unsafe { libc::dup2(from.as_raw_fd(), to) }.into())
}

/// Closes every descriptor from `first` on. For a process that will use none of them again.
pub(crate) fn close_from(first: u32) -> io::Result<()> {
    // SAFETY: the callers never return and never drop what they held.
    answer(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) })
}

/// Takes a descriptor by its number, for a process that has just given it that number and holds no other owner.
pub(crate) fn adopt(descriptor: i32) -> io::Result<OwnedFd> {
    // SAFETY: the number is open (asked first), and every earlier owner of it is never dropped.
    unsafe {
        answer(libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC).into())?;
        Ok(OwnedFd::from_raw_fd(descriptor))
    }
}

/// Lets a capability be kept over an exec.
pub(crate) fn raise_ambient(capability: u32) -> io::Result<()> {
    let capability = libc::c_ulong::from(capability);
    // SAFETY: no memory is involved.
    answer(unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, capability, 0, 0) }.into())
}

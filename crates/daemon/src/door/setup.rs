//! Starts a process without copying this one: the only unsafe code of the daemon.
//!
//! A fork copies the page tables of the daemon, 60 ms for 400 MB (measured), and makes every page it writes
//! afterwards fault. So the child is made as `posix_spawn` makes it, on memory it shares with this thread, which
//! stands still until the child has exec'ed or ended; `posix_spawn` itself cannot set the death signal. Between
//! clone and exec there are only system calls on values prepared before: no allocation, no lock, no panic.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicI32, Ordering};

/// Stack of the child until it execs. Its deepest call is a system call.
const STACK_BYTES: usize = 64 * 1024;
/// Descriptors looked at one by one where the kernel cannot mark a range (before 5.11).
const DESCRIPTORS_MAX: i32 = 65_536;
/// Signals of Linux.
const SIGNALS_MAX: i32 = 64;

/// Everything a new process is made of.
pub(super) struct Launch<'a> {
    /// File to execute; a relative path counts from `cwd`.
    pub(super) program: &'a CStr,
    pub(super) argv: &'a [CString],
    pub(super) env: &'a [CString],
    pub(super) cwd: Option<&'a CStr>,
    /// Its descriptors 0, 1 and 2; each must be above 2 here, so that none is overwritten before it is used.
    pub(super) stdio: [BorrowedFd<'a>; 3],
}

/// Why there is no new process.
#[derive(Debug)]
pub(super) enum LaunchError {
    /// No process could be made, or not prepared.
    Process(io::Error),
    /// The working directory could not be entered.
    Directory(io::Error),
    /// The program could not be executed.
    Program(io::Error),
}

/// What the child reads, and the two words it writes back.
struct Order {
    program: *const libc::c_char,
    argv: *const *const libc::c_char,
    env: *const *const libc::c_char,
    cwd: *const libc::c_char,
    stdio: [i32; 3],
    parent: libc::pid_t,
    stage: AtomicI32,
    errno: AtomicI32,
}

/// Makes a process in its own session, that dies with this thread, with default signals and without inherited
/// descriptors. Returns its pid; nobody else waits for it.
///
/// The kernel sends the death signal when the *thread* ends: call this from one that lives as long as the daemon.
pub(super) fn launch(launch: &Launch<'_>) -> Result<i32, LaunchError> {
    let (argv, env) = (pointers(launch.argv), pointers(launch.env));
    let order = Order {
        program: launch.program.as_ptr(),
        argv: argv.as_ptr(),
        env: env.as_ptr(),
        cwd: launch.cwd.map_or(std::ptr::null(), CStr::as_ptr),
        stdio: launch.stdio.map(|descriptor| descriptor.as_raw_fd()),
        parent: rustix::process::getpid().as_raw_pid(),
        stage: AtomicI32::new(0),
        errno: AtomicI32::new(0),
    };
    let pid = clone(&order).map_err(LaunchError::Process)?;
    let error = || io::Error::from_raw_os_error(order.errno.load(Ordering::SeqCst));
    let failed = match order.stage.load(Ordering::SeqCst) {
        0 => return Ok(pid),
        DIRECTORY => LaunchError::Directory(error()),
        PROGRAM => LaunchError::Program(error()),
        _ => LaunchError::Process(error()),
    };
    let _ = rustix::process::waitpid(
        rustix::process::Pid::from_raw(pid),
        rustix::process::WaitOptions::empty(),
    );
    Err(failed)
}

fn pointers(texts: &[CString]) -> Vec<*const libc::c_char> {
    texts
        .iter()
        .map(|text| text.as_ptr())
        .chain([std::ptr::null()])
        .collect()
}

/// Runs [`child`] as a new process on this memory and returns when it has exec'ed or ended.
fn clone(order: &Order) -> io::Result<i32> {
    let mut stack: Vec<u128> = vec![0; STACK_BYTES / size_of::<u128>()];
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    let argument = std::ptr::from_ref(order).cast_mut().cast();
    let before = mask_signals(u64::MAX);
    #[expect(unsafe_code, reason = "clone has no safe form")]
    // SAFETY: all signals are blocked, so no handler of this process runs in the child. CLONE_VFORK holds this
    // thread until the child is done with the stack and the order; both live until then. `child` never unwinds.
    // Stacks grow down on every platform Linux runs this on.
    let pid = unsafe { libc::clone(child, stack.as_mut_ptr_range().end.cast(), flags, argument) };
    let result = if pid < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(pid)
    };
    mask_signals(before);
    result
}

/// Blocks exactly these signals in this thread and returns those blocked before. By system call, because the C
/// library keeps two of its own open.
fn mask_signals(blocked: u64) -> u64 {
    let mut before: u64 = 0;
    #[expect(unsafe_code, reason = "no safe form")]
    // SAFETY: both sets have the size that is told.
    unsafe {
        let (new, old) = (&raw const blocked, &raw mut before);
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            new,
            old,
            size_of::<u64>(),
        );
    }
    before
}

const PROCESS: i32 = 1;
const DIRECTORY: i32 = 2;
const PROGRAM: i32 = 3;

/// The child: prepares itself and execs. It returns only where that failed, and so ends.
#[expect(unsafe_code, reason = "system calls between clone and exec")]
extern "C" fn child(argument: *mut libc::c_void) -> libc::c_int {
    // SAFETY: `clone` passes an order that outlives the child. What follows are system calls and atomics.
    unsafe {
        let order = &*argument.cast_const().cast::<Order>();
        let stage = prepare(order);
        order.errno.store(*libc::__errno_location(), Ordering::SeqCst);
        order.stage.store(stage, Ordering::SeqCst);
        127
    }
}

/// Returns the stage that failed.
#[expect(unsafe_code, reason = "system calls between clone and exec")]
unsafe fn prepare(order: &Order) -> i32 {
    // SAFETY: every pointer of the order is valid and ends as it must; nothing here allocates or locks.
    unsafe {
        if libc::setsid() < 0 || libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) < 0 {
            return PROCESS;
        }
        for (to, from) in (0..).zip(order.stdio) {
            if libc::dup2(from, to) < 0 {
                return PROCESS;
            }
        }
        close_on_exec();
        // Ignored signals would be inherited, and no handler may run once signals are let in. All zero is the
        // default action, in the kernel's own layout.
        let default = [0_u64; 8];
        for signal in 1..=SIGNALS_MAX {
            let none = std::ptr::null::<u64>();
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                none,
                size_of::<u64>(),
            );
        }
        mask_signals(0);
        // A daemon that died before the death signal was set sends none.
        if libc::getppid() != order.parent {
            return PROCESS;
        }
        if !order.cwd.is_null() && libc::chdir(order.cwd) < 0 {
            return DIRECTORY;
        }
        libc::execve(order.program, order.argv, order.env);
        PROGRAM
    }
}

#[expect(unsafe_code, reason = "close_range has no safe form")]
fn close_on_exec() {
    // SAFETY: flags of descriptors of the child alone: it does not share the table.
    unsafe {
        if libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) == 0 {
            return;
        }
        for descriptor in 3..DESCRIPTORS_MAX {
            libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC);
        }
    }
}

//! What `/proc` tells of processes: one line of state each, who their children are, which mark they carry.
//!
//! It signals nobody and reaps only whom it is told. Everything it returns may be out of date a moment later; callers hold a pidfd and
//! compare start times before they act.

use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, WaitStatus, waitpid};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::time::Duration;

/// Looks at an environment that is empty, and the pause between two of them. An exec takes less.
const EXEC_LOOKS: usize = 8;
const EXEC_PAUSE: Duration = Duration::from_micros(100);

/// A process as `/proc/<pid>/stat` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Proc {
    pub(super) pid: i32,
    pub(super) parent: i32,
    pub(super) group: i32,
    pub(super) session: i32,
    /// Ticks since boot at its start: with the pid it names one process for ever.
    pub(super) start: u64,
    /// It has ended and waits to be reaped.
    pub(super) dead: bool,
    /// It is stopped by a signal.
    pub(super) stopped: bool,
}

/// The state of one process, or none if there is no such process.
pub(super) fn read(pid: i32) -> Option<Proc> {
    parse(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// The second field is the name in parentheses; it may hold anything, so fields are counted from the last one.
fn parse(stat: &[u8]) -> Option<Proc> {
    let close = stat.iter().rposition(|byte| *byte == b')')?;
    let pid = std::str::from_utf8(stat.get(..close)?.split(|byte| *byte == b' ').next()?).ok()?;
    let mut fields = std::str::from_utf8(stat.get(close + 1..)?)
        .ok()?
        .split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    let session = fields.next()?.parse().ok()?;
    // Fields are numbered from 1 in proc(5): threads are the 20th, the start is the 22nd.
    let threads: u64 = fields.nth(13)?.parse().ok()?;
    let start = fields.nth(1)?.parse().ok()?;
    // The first thread of a process can end before the others: such a process looks dead and runs.
    let dead = matches!(state, "Z" | "X") && threads <= 1;
    Some(Proc {
        pid: pid.parse().ok()?,
        parent,
        group,
        session,
        start,
        dead,
        stopped: state == "T",
    })
}

/// Every process there is, by pid.
pub(super) fn all() -> io::Result<BTreeMap<i32, Proc>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let pid = name.to_str().and_then(|name| name.parse().ok());
        if let Some(proc) = pid.and_then(read) {
            found.insert(proc.pid, proc);
        }
    }
    Ok(found)
}

/// The direct children of this process, adopted orphans among them.
pub(super) fn own_children() -> io::Result<BTreeSet<i32>> {
    let mut found = BTreeSet::new();
    for thread in fs::read_dir("/proc/self/task")? {
        match fs::read_to_string(thread?.path().join("children")) {
            Ok(pids) => found.extend(
                pids.split_ascii_whitespace()
                    .filter_map(|pid| pid.parse::<i32>().ok()),
            ),
            // The thread ended meanwhile.
            Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => {}
            // A kernel without these files: look at everything.
            Err(_) => return children_by_scan(),
        }
    }
    Ok(found)
}

fn children_by_scan() -> io::Result<BTreeSet<i32>> {
    let own = own_pid();
    Ok(all()?
        .into_values()
        .filter(|proc| proc.parent == own)
        .map(|proc| proc.pid)
        .collect())
}

/// The variables a process was started with whose name is `name`. Empty where they may not be read.
pub(super) fn variable(pid: i32, name: &str) -> Vec<String> {
    let environ = environ(pid);
    let entries = environ.split(|byte| *byte == 0);
    let value = |entry: &[u8]| {
        let value = entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        String::from_utf8(value.to_vec()).ok()
    };
    entries.filter_map(value).collect()
}

/// In the middle of an exec a process has no environment for a moment, so an empty one is read again.
fn environ(pid: i32) -> Vec<u8> {
    for _ in 0..EXEC_LOOKS {
        match fs::read(format!("/proc/{pid}/environ")) {
            Ok(environ) if environ.is_empty() => std::thread::sleep(EXEC_PAUSE),
            Ok(environ) => return environ,
            Err(_) => break,
        }
    }
    Vec::new()
}

/// The pid of this process.
pub(super) fn own_pid() -> i32 {
    rustix::process::getpid().as_raw_pid()
}

/// A pid as rustix wants it.
pub(super) fn pid(raw: i32) -> Option<Pid> {
    Pid::from_raw(raw)
}

/// Reaps one child, if it has ended. Never whichever child comes first: it could be somebody else's.
pub(super) fn reap(raw: i32) -> rustix::io::Result<Option<WaitStatus>> {
    let child = pid(raw).ok_or(Errno::CHILD)?;
    Ok(waitpid(Some(child), WaitOptions::NOHANG)?.map(|(_, status)| status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_shift_the_fields() {
        let stat = b"77 (a) Z 9 (b) S 1 2 3 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 99 0";
        let proc = parse(stat).unwrap();
        assert_eq!((proc.pid, proc.parent, proc.group, proc.session), (77, 1, 2, 3));
        assert_eq!((proc.start, proc.dead, proc.stopped), (12345, false, false));
    }

    #[test]
    fn a_dead_first_thread_with_living_others_is_alive() {
        let line = |state: &str, threads: u32| {
            format!("7 (x) {state} 1 2 3 0 -1 0 1 2 3 4 5 6 7 8 20 0 {threads} 0 5 9")
        };
        assert!(parse(line("Z", 1).as_bytes()).unwrap().dead);
        assert!(!parse(line("Z", 3).as_bytes()).unwrap().dead);
    }

    #[test]
    fn this_process_is_found() {
        let own = read(own_pid()).unwrap();
        assert_eq!(own.pid, own_pid());
        assert!(all().unwrap().contains_key(&own.pid));
        assert!(own_children().is_ok());
    }
}

//! The machine: system, kernel features, clock, Python for sessions.

use super::Finding;
use crate::context::Context;
use crate::shape;
use actum_model::time;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

/// The oldest kernel everything was tried on.
const KERNEL_MIN: (u64, u64) = (5, 13);

pub(super) fn system() -> Finding {
    let uname = rustix::system::uname();
    let (name, release) = (
        uname.sysname().to_string_lossy(),
        uname.release().to_string_lossy(),
    );
    let found = format!(
        "{name} {release} on {}, actum {}",
        uname.machine().to_string_lossy(),
        env!("CARGO_PKG_VERSION")
    );
    if name != "Linux" {
        return Finding::warn(
            "system",
            found,
            "for more than development use Linux: syncs and stops are weaker here",
        );
    }
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(|part| part.parse::<u64>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version < KERNEL_MIN {
        let fix = format!(
            "it works; a kernel from {}.{} on is what it was tried on",
            KERNEL_MIN.0, KERNEL_MIN.1
        );
        return Finding::warn("system", found, fix);
    }
    Finding::ok("system", found)
}

/// What processes need: a stop that cannot hit a stranger, and the cage.
pub(super) fn features() -> Finding {
    let own = rustix::process::getpid();
    let pidfd = rustix::process::pidfd_open(own, rustix::process::PidfdFlags::empty()).is_ok();
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let namespaces = read("/proc/sys/user/max_user_namespaces")
        .trim()
        .parse::<u64>()
        .unwrap_or(0)
        > 0;
    let landlock = read("/sys/kernel/security/lsm").contains("landlock");
    let seccomp = read("/proc/self/status")
        .lines()
        .any(|line| line.starts_with("Seccomp:"));
    let all = [
        ("pidfd", pidfd),
        ("user namespaces", namespaces),
        ("landlock", landlock),
        ("seccomp", seccomp),
    ];
    let list = |wanted: bool| {
        all.iter()
            .filter(|(_, has)| *has == wanted)
            .map(|(name, _)| *name)
            .collect::<Vec<_>>()
            .join(", ")
    };
    if !pidfd {
        return Finding::fail(
            "kernel",
            format!("without {}", list(false)),
            "`shell.run` needs pidfd: Linux 5.3 or later",
        );
    }
    if list(false).is_empty() {
        return Finding::ok("kernel", list(true));
    }
    let found = format!("{}; not seen: {}", list(true), list(false));
    Finding::warn("kernel", found, "see below what that means for the sandbox")
}

/// The wall clock against the newest thing in the journal.
pub(super) fn clock(context: &Context) -> Finding {
    let since_1970 = |at: SystemTime| {
        at.duration_since(UNIX_EPOCH)
            .ok()
            .and_then(|d| u64::try_from(d.as_millis()).ok())
    };
    let Some(now) = since_1970(SystemTime::now()) else {
        return Finding::fail("clock", "it stands before 1970", "set the clock");
    };
    let shown = format!("{} UTC", shape::short_time(&time::rfc3339(now)));
    let entries = std::fs::read_dir(context.data.join("journal"));
    let changed = |entry: std::fs::DirEntry| since_1970(entry.metadata().ok()?.modified().ok()?);
    let newest = entries
        .into_iter()
        .flatten()
        .filter_map(|entry| changed(entry.ok()?))
        .max();
    match newest {
        Some(newest) if newest > now.saturating_add(60_000) => {
            let behind = shape::millis(newest - now);
            Finding::warn(
                "clock",
                format!("{shown}, {behind} behind the journal"),
                "set the clock; history never goes back, so it waits",
            )
        }
        _ => Finding::ok("clock", shown),
    }
}

pub(super) fn python() -> Finding {
    let said = Command::new("python3")
        .arg("--version")
        .stdin(Stdio::null())
        .output();
    match said {
        Ok(output) if output.status.success() => {
            let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            if too_old(&said) {
                return Finding::warn(
                    "python3",
                    said,
                    "install Python 3.9 or newer for Python and shell sessions",
                );
            }
            Finding::ok("python3", said)
        }
        _ => Finding::warn(
            "python3",
            "not found",
            "install Python 3.9 or newer: Python and shell sessions, `actum py` and `actum demo` need it",
        ),
    }
}

/// Whether `Python 3.8.1` is older than what sessions need. What cannot be read is tried.
fn too_old(said: &str) -> bool {
    let mut numbers = said
        .trim_start_matches("Python ")
        .split('.')
        .map_while(|part| part.parse::<u64>().ok());
    matches!((numbers.next(), numbers.next()), (Some(major), Some(minor)) if (major, minor) < (3, 9))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_python_is_told_from_a_new_one() {
        assert!(too_old("Python 3.8.19") && too_old("Python 2.7.18"));
        assert!(!too_old("Python 3.9.0") && !too_old("Python 3.14.0rc1") && !too_old("something else"));
    }
}

//! How long anything of twenty sessions outlives a daemon that is killed, by what the kernel says of each process.

use super::memory::sessions;
use crate::daemon::Daemon;
use crate::spread::Spread;
use crate::table::{Row, Table};
use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

const SESSIONS: usize = 20;
/// What no process of them may outlive its daemon by.
const REACH: Duration = Duration::from_secs(1);
/// When the measuring gives up.
const PATIENCE: Duration = Duration::from_secs(30);
/// Each has a child that left its process group and, as it does itself, pays no heed to being asked to end.
const CODE: &str = "import signal, subprocess\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n\
    _ = subprocess.Popen(['sleep', '1000'], start_new_session=True)";

pub(super) fn rung(actum: &Path, folder: &Path, scale: f64, table: &mut Table) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut times = Vec::new();
    let mut processes = 0;
    for round in 0..((10.0 * scale) as usize).max(3) {
        let data = folder.join(format!("execution-killed-{round}"));
        std::fs::create_dir_all(&data)?;
        let mut daemon = Daemon::start(actum, &data)?;
        runtime.block_on(sessions(daemon.address, SESSIONS, CODE))?;
        let below = below(daemon.pid())?;
        processes = below.len();
        if processes < 2 * SESSIONS {
            bail!("expected two processes for each of {SESSIONS} sessions, found {processes}");
        }
        let itself = held(daemon.pid()).context("the daemon is gone")?;
        daemon.kill()?;
        all_gone(std::slice::from_ref(&itself))?;
        let begun = Instant::now();
        all_gone(&below)?;
        times.push(begun.elapsed());
    }
    let rounds = times.len();
    let worst = times.iter().copied().max().unwrap_or_default();
    let times = Spread::new(times);
    let mut row = Row::new(
        format!("workers gone after the daemon's SIGKILL, {SESSIONS} sessions"),
        format!(
            "{processes} processes, worst of {rounds}: {:.1} ms",
            worst.as_secs_f64() * 1e3
        ),
    );
    (row.p50, row.p99) = (Some(times.p50()), Some(times.p99()));
    table.add(row.reach("worst ≤ 1 s", worst <= REACH));
    Ok(())
}

/// Waits until every one of them has ended.
fn all_gone(all: &[OwnedFd]) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    for one in all {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left)?;
        if poll(&mut [PollFd::new(one, PollFlags::IN)], Some(&left))? == 0 {
            bail!("a process outlived its daemon by {PATIENCE:?}");
        }
    }
    Ok(())
}

/// Every process below one, held so that its number cannot become another's.
fn below(root: u32) -> Result<Vec<OwnedFd>> {
    let mut family = BTreeSet::from([root]);
    let all: Vec<(u32, u32)> = std::fs::read_dir("/proc")?
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            let parent = stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()?;
            Some((pid, parent))
        })
        .collect();
    loop {
        let before = family.len();
        let children = all.iter().filter(|(_, parent)| family.contains(parent));
        let children: Vec<u32> = children.map(|(pid, _)| *pid).collect();
        family.extend(children);
        if family.len() == before {
            break;
        }
    }
    family.remove(&root);
    Ok(family.into_iter().filter_map(held).collect())
}

fn held(pid: u32) -> Option<OwnedFd> {
    let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
    pidfd_open(pid, PidfdFlags::empty()).ok()
}

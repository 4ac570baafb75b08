//! Killing a process and all below it without a cage, by what `/proc` says.
//!
//! It finds what a worker adopted, since a worker is the reaper of its orphans. It does not find what was orphaned
//! after the worker died by itself and had left its process group; a cage does.

use rustix::process::{Pid, Signal, kill_process};
use std::collections::{BTreeMap, HashSet};
use std::fs;

/// Looks again at most this often for what forked meanwhile.
const PASSES_MAX: usize = 50;

/// Stops `root`, kills everything below it, then itself.
pub(super) fn kill_tree(root: Pid) {
    // A stopped parent makes no more children; what they make themselves is found by the next pass.
    let _ = kill_process(root, Signal::STOP);
    let mut struck = HashSet::new();
    for _ in 0..PASSES_MAX {
        let below = below(root);
        let fresh: Vec<Pid> = below.into_iter().filter(|pid| !struck.contains(pid)).collect();
        if fresh.is_empty() {
            break;
        }
        for pid in fresh {
            let _ = kill_process(pid, Signal::KILL);
            struck.insert(pid);
        }
    }
    let _ = kill_process(root, Signal::KILL);
}

fn below(root: Pid) -> Vec<Pid> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    let folders = fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in folders.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok()) {
        if let Some(parent) = parent_of(pid) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = Vec::new();
    let mut pending = vec![root.as_raw_nonzero().get()];
    while let Some(pid) = pending.pop() {
        let below = children.remove(&pid).unwrap_or_default();
        found.extend(below.iter().copied().filter_map(Pid::from_raw));
        pending.extend(below);
    }
    found
}

fn parent_of(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of a program may hold anything, a closing bracket too: what counts comes after the last one.
    let mut words = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = words.next()?;
    (state != "Z" && state != "X")
        .then(|| words.next()?.parse().ok())
        .flatten()
}

//! Which processes belong to a command: a pure question over a picture of all processes.
//!
//! A process belongs to a command when it is in the session or group of its main process, descends from one that
//! does, was seen to belong before, or carries the mark of its effect. It must not be older than the main process.
//! Not found is only a process that has cleared its environment, left session and group, and lost its parent, all
//! before anyone looked.

use super::procfs::Proc;
use std::collections::{BTreeMap, BTreeSet};

/// A process for ever: pid and start.
pub(super) type Name = (i32, u64);

/// What a tree is grown from.
pub(super) enum Root<'a> {
    /// The main process of a command. It is not reaped yet, so that its number means nobody else.
    Main {
        main: Name,
        /// Members seen before.
        known: &'a BTreeSet<Name>,
    },
    /// Only the mark: what an earlier daemon left.
    Mark,
}

/// All processes and what must not be taken for a member.
pub(super) struct Picture<'a> {
    pub(super) procs: &'a BTreeMap<i32, Proc>,
    /// This process.
    pub(super) own: i32,
    /// Main processes of commands, which belong to none but their own.
    pub(super) mains: &'a BTreeSet<i32>,
}

/// The members, the main process included, oldest first. `marked` says whether a process carries the mark; it is
/// asked only where nothing else tells.
pub(super) fn members(
    picture: &Picture<'_>,
    root: &Root<'_>,
    marked: &mut dyn FnMut(i32) -> bool,
) -> Vec<Proc> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for proc in picture.procs.values() {
        children.entry(proc.parent).or_default().push(proc.pid);
    }
    let spared = spared(picture);
    let candidates = || {
        picture
            .procs
            .values()
            .filter(|proc| !spared.contains(&proc.pid) && old_enough(proc, root))
    };
    let mut found = BTreeSet::new();
    let grow = |from: i32, found: &mut BTreeSet<i32>| {
        let mut next = vec![from];
        while let Some(pid) = next.pop() {
            if !spared.contains(&pid) && !is_other_main(picture, root, pid) && found.insert(pid) {
                next.extend(children.get(&pid).into_iter().flatten());
            }
        }
    };
    for proc in candidates().filter(|proc| by_place(proc, root)) {
        grow(proc.pid, &mut found);
    }
    for proc in candidates().filter(|proc| !proc.dead) {
        if !found.contains(&proc.pid) && !is_other_main(picture, root, proc.pid) && marked(proc.pid) {
            grow(proc.pid, &mut found);
        }
    }
    let mut members: Vec<Proc> = found
        .iter()
        .filter_map(|pid| picture.procs.get(pid))
        .copied()
        .collect();
    members.sort_by_key(|proc| (proc.start, proc.pid));
    members
}

/// This process and its ancestors: a daemon that was itself started by a command must not end itself.
fn spared(picture: &Picture<'_>) -> BTreeSet<i32> {
    let mut spared = BTreeSet::new();
    let mut pid = picture.own;
    while pid > 0 && spared.insert(pid) {
        pid = picture.procs.get(&pid).map_or(0, |proc| proc.parent);
    }
    spared
}

fn old_enough(proc: &Proc, root: &Root<'_>) -> bool {
    match root {
        Root::Main { main, .. } => proc.start >= main.1,
        Root::Mark => true,
    }
}

fn by_place(proc: &Proc, root: &Root<'_>) -> bool {
    match root {
        Root::Main {
            main: (main, _),
            known,
        } => {
            proc.pid == *main
                || proc.session == *main
                || proc.group == *main
                || known.contains(&(proc.pid, proc.start))
        }
        Root::Mark => false,
    }
}

fn is_other_main(picture: &Picture<'_>, root: &Root<'_>, pid: i32) -> bool {
    match root {
        Root::Main { main, .. } => pid != main.0 && picture.mains.contains(&pid),
        Root::Mark => picture.mains.contains(&pid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `pid parent group session start`, one process each.
    fn picture(lines: &[[i32; 5]]) -> BTreeMap<i32, Proc> {
        let proc = |[pid, parent, group, session, start]: [i32; 5]| Proc {
            pid,
            parent,
            group,
            session,
            start: start as u64,
            dead: false,
            stopped: false,
        };
        lines.iter().map(|line| (line[0], proc(*line))).collect()
    }

    fn check(lines: &[[i32; 5]], known: &[Name], marks: &[i32], expected: &[i32]) {
        let procs = picture(lines);
        let (mains, known) = (BTreeSet::from([50, 60]), known.iter().copied().collect());
        let picture = Picture {
            procs: &procs,
            own: 10,
            mains: &mains,
        };
        let root = Root::Main {
            main: (50, 100),
            known: &known,
        };
        let found = members(&picture, &root, &mut |pid| marks.contains(&pid));
        assert_eq!(found.iter().map(|proc| proc.pid).collect::<Vec<_>>(), expected);
    }

    const DAEMON: [i32; 5] = [10, 1, 10, 10, 5];
    const MAIN: [i32; 5] = [50, 10, 50, 50, 100];

    #[test]
    fn session_group_and_descendants_belong() {
        let lines = [
            DAEMON,
            MAIN,
            [51, 10, 51, 50, 101],
            [52, 51, 52, 52, 102],
            [53, 52, 53, 53, 103],
            [70, 1, 70, 70, 104],
        ];
        check(&lines, &[], &[], &[50, 51, 52, 53]);
    }

    #[test]
    fn an_orphan_in_its_own_session_is_found_by_its_mark_and_with_it_its_children() {
        let lines = [DAEMON, MAIN, [54, 10, 54, 54, 105], [55, 54, 55, 55, 106]];
        check(&lines, &[], &[54], &[50, 54, 55]);
        check(&lines, &[], &[], &[50]);
    }

    #[test]
    fn one_seen_before_still_belongs_and_another_with_its_number_does_not() {
        let lines = [DAEMON, MAIN, [54, 10, 54, 54, 105]];
        check(&lines, &[(54, 105)], &[], &[50, 54]);
        check(&lines, &[(54, 104)], &[], &[50]);
    }

    #[test]
    fn what_is_older_than_the_command_and_what_is_the_daemon_never_belongs() {
        let lines = [DAEMON, MAIN, [40, 1, 40, 40, 99]];
        check(&lines, &[], &[10, 40, 1], &[50]);
    }

    #[test]
    fn another_command_never_belongs() {
        let lines = [DAEMON, MAIN, [60, 10, 60, 60, 120], [61, 60, 60, 60, 121]];
        check(&lines, &[], &[60], &[50]);
    }
}

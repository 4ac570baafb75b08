//! One pass over the processes of a target: look who belongs to it, signal each, and say who lived.
//!
//! The list of all processes is never read at one moment, so a process that forks and dies meanwhile can hide its
//! child. As orphans are adopted by this process, its own list of children shows what slipped through.

use super::procfs::{self, Proc};
use super::tree::{self, Picture, Root};
use super::warden::{Strike, Struck, Target, Warden};
use crate::door::MARK;
use rustix::io::Errno;
use rustix::process::{PidfdFlags, Signal, kill_process, pidfd_open};
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// Pidfds held for one pass; those beyond are signalled and looked for again.
const ENDS_MAX: usize = 256;
/// Longest hunt in one pass; other commands wait meanwhile.
const HUNT: Duration = Duration::from_millis(20);

impl Warden {
    pub(super) fn strike(&mut self, strike: &Strike, procs: &mut Option<BTreeMap<i32, Proc>>) -> Struck {
        if let Target::Main(main) = strike.target
            && !strike.thorough
            && self.nothing_left(main)
        {
            return Struck {
                alive: 0,
                fresh: 0,
                ends: Vec::new(),
            };
        }
        let picture = match procs {
            Some(procs) => procs,
            None => match procfs::all() {
                Ok(all) => procs.insert(all),
                Err(error) => {
                    tracing::error!(%error, "cannot list processes");
                    return Struck::blind();
                }
            },
        };
        let members = self.members(&strike.target, picture);
        let mut struck = self.signal(&strike.target, &members, strike.signal);
        if strike.signal == Some(Signal::KILL) {
            struck.alive += self.hunt(&strike.target);
        }
        struck
    }

    /// Whether the children of this process show that a dead main process left nothing: its orphans would be
    /// among them.
    fn nothing_left(&self, main: i32) -> bool {
        let dead = procfs::read(main).is_some_and(|proc| proc.dead);
        dead && self.subreaper && self.strays().is_some_and(|strays| strays.is_empty())
    }

    /// Adopted orphans that live, of whatever command; `None` if they come and go too fast to tell. One that has
    /// just died may have left a child that came too late for the list, so the list is read again until no new
    /// body lies in it. Bodies stay until this thread reaps them.
    fn strays(&self) -> Option<Vec<Proc>> {
        let (begun, mut bodies) = (Instant::now(), BTreeSet::new());
        while begun.elapsed() < HUNT {
            let (mut living, mut news) = (Vec::new(), false);
            for pid in procfs::own_children().ok()? {
                if self.mains.contains_key(&pid) || bodies.contains(&pid) {
                    continue;
                }
                match procfs::read(pid).filter(|proc| proc.session != self.own_session) {
                    Some(proc) if proc.dead => news |= bodies.insert(pid),
                    Some(proc) => living.push(proc),
                    None => {}
                }
            }
            if !living.is_empty() || !news {
                return Some(living);
            }
        }
        None
    }

    /// Kills adopted orphans of a target as fast as they come, for processes that fork and die faster than all
    /// processes can be looked at. Returns how many it met.
    fn hunt(&mut self, target: &Target) -> usize {
        let (begun, mut met) = (Instant::now(), 0);
        while begun.elapsed() < HUNT {
            let Some(strays) = self.strays() else {
                return met + 1;
            };
            let procs = strays.into_iter().map(|proc| (proc.pid, proc)).collect();
            let found = self.members(target, &procs);
            if found.is_empty() {
                return met;
            }
            met += self.signal(target, &found, Some(Signal::KILL)).alive;
        }
        self.reap();
        met
    }

    fn members(&self, target: &Target, procs: &BTreeMap<i32, Proc>) -> Vec<Proc> {
        let mains = self.mains.keys().copied().collect();
        let picture = Picture {
            procs,
            own: self.own,
            mains: &mains,
        };
        let own_session = self.own_session;
        let carries = |pid: i32, mark: &dyn Fn(&String) -> bool| {
            // A process of the daemon's own session was not started through the door.
            procs.get(&pid).is_some_and(|proc| proc.session != own_session)
                && procfs::variable(pid, MARK).iter().any(mark)
        };
        match target {
            Target::Main(main) => {
                let Some(main) = self.mains.get(main) else {
                    return Vec::new();
                };
                let root = Root::Main {
                    main: main.name,
                    known: &main.known,
                };
                tree::members(&picture, &root, &mut |pid| {
                    carries(pid, &|mark| *mark == main.mark)
                })
            }
            Target::Marks(marks) => tree::members(&picture, &Root::Mark, &mut |pid| {
                carries(pid, &|mark| marks.contains(mark))
            }),
        }
    }

    fn signal(&mut self, target: &Target, members: &[Proc], signal: Option<Signal>) -> Struck {
        let group = match target {
            Target::Main(main) => *main,
            Target::Marks(_) => 0,
        };
        let living = members.iter().filter(|member| !member.dead);
        let held: Vec<_> = living
            .map(|member| (member, hold(member)))
            .filter(|(_, end)| !matches!(end, Err(Errno::SRCH)))
            .collect();
        if let (Some(signal), Some(group)) = (signal, procfs::pid(group)) {
            // The whole group at once, so that none of it can fork out of the way between two calls.
            let _ = rustix::process::kill_process_group(group, signal);
        }
        // What a main process started while it tidied up was not told; it is when it stays behind.
        let late = signal.is_none() && procfs::read(group).is_none_or(|proc| proc.dead);
        let mut struck = Struck {
            alive: held.len(),
            fresh: 0,
            ends: Vec::new(),
        };
        for (member, end) in held {
            let name = (member.pid, member.start);
            let fresh = !self.struck.contains_key(&name);
            let signal = signal.or((late && fresh).then_some(Signal::TERM));
            if signal.is_some() {
                self.struck.insert(name, Instant::now());
                struck.fresh += usize::from(fresh);
            }
            if let Some(main) = self.mains.get_mut(&group) {
                main.known.insert(name);
            }
            // TERM twice means "now" to some programs, so the group is not told again.
            let again = |signal: &Signal| late || *signal != Signal::TERM || member.group != group;
            let signals = [
                signal.filter(again),
                signal.filter(|_| member.stopped).map(|_| Signal::CONT),
            ];
            for signal in signals.into_iter().flatten() {
                let _ = match &end {
                    Ok(end) => rustix::process::pidfd_send_signal(end, signal),
                    Err(_) => procfs::pid(member.pid).map_or(Ok(()), |pid| kill_process(pid, signal)),
                };
            }
            struck
                .ends
                .extend(end.ok().filter(|_| struck.ends.len() < ENDS_MAX));
        }
        struck
    }
}

/// A pidfd that surely means this process and no later one with its number. `SRCH`: it has ended; another error:
/// it lives and cannot be held, say because there is no descriptor left.
fn hold(member: &Proc) -> Result<OwnedFd, Errno> {
    let pid = procfs::pid(member.pid).ok_or(Errno::SRCH)?;
    let end = pidfd_open(pid, PidfdFlags::NONBLOCK);
    let same = procfs::read(member.pid).is_some_and(|now| now.start == member.start && !now.dead);
    if same { end } else { Err(Errno::SRCH) }
}

//! Reaps adopted orphans without taking the children of others in this process.

use super::procfs;
use super::warden::Warden;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A dead orphan nobody can place is reaped after this: whoever else in the process waits for it has done so.
pub(super) const STRANGER: Duration = Duration::from_secs(2);
/// With more children than this they are reaped sooner: bodies take up process numbers.
const BODIES_MAX: usize = 512;
const HURRY: Duration = Duration::from_millis(100);
/// How long the name of a struck process is remembered, so that its body is reaped at once.
const MEMORY: Duration = Duration::from_secs(10);

impl Warden {
    /// Reaps dead orphans one by one, by number: waiting for just anyone would take the children of others in
    /// this process, whose owners would then be told that they have no such child.
    pub(super) fn reap(&mut self) {
        // `Ok(None)`: it still runs.
        self.abandoned
            .retain(|main| matches!(procfs::reap(*main), Ok(None)));
        self.struck.retain(|_, at| at.elapsed() < MEMORY);
        let Ok(children) = procfs::own_children() else {
            return;
        };
        let patience = if children.len() > BODIES_MAX {
            HURRY
        } else {
            STRANGER
        };
        let mut strangers = BTreeMap::new();
        for pid in children {
            if self.mains.contains_key(&pid) || self.abandoned.contains(&pid) {
                continue;
            }
            let Some(proc) = procfs::read(pid).filter(|proc| proc.dead && proc.session != self.own_session)
            else {
                continue;
            };
            let name = (pid, proc.start);
            let since = *self.strangers.get(&name).unwrap_or(&Instant::now());
            let ours = self.struck.contains_key(&name) || self.mains.contains_key(&proc.session);
            if ours || since.elapsed() >= patience {
                let _ = procfs::reap(pid);
            } else {
                strangers.insert(name, since);
            }
        }
        self.strangers = strangers;
    }
}

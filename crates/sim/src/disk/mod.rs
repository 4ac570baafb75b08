//! A disk in memory: what was written and what is durable are kept apart by sector, any call that changes
//! something can fail in any way, and a power cut lets the sectors of unsynced writes land in any order, partly,
//! or not at all. One process at a time uses it.

mod calls;

use crate::prng::Prng;
use actum_journal::{Area, StorageError};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const SECTOR_BYTES: usize = 512;

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Nothing is done.
    Before,
    /// A part is done: some sectors of a write, some of the unsynced sectors of a sync.
    Torn,
    /// It is done, but answered as failed.
    After,
    /// The disk is full.
    NoSpace,
    /// Another writer took over.
    Fenced,
    /// It is done and the answer is lost.
    UnknownDone,
    /// It is not done and the answer is lost.
    UnknownLost,
}

impl Failure {
    /// Every way to fail.
    pub const ALL: &[Failure] = &[
        Failure::Before,
        Failure::Torn,
        Failure::After,
        Failure::NoSpace,
        Failure::Fenced,
        Failure::UnknownDone,
        Failure::UnknownLost,
    ];

    fn is_done(self) -> bool {
        matches!(self, Failure::After | Failure::UnknownDone)
    }

    fn error(self, operation: &'static str, name: &str) -> StorageError {
        let kind = match self {
            Failure::Fenced => return StorageError::Fenced("another node".to_owned()),
            Failure::UnknownDone | Failure::UnknownLost => {
                return StorageError::Unknown("no answer".to_owned());
            }
            Failure::NoSpace => io::ErrorKind::StorageFull,
            Failure::Before | Failure::Torn | Failure::After => io::ErrorKind::Other,
        };
        StorageError::Io {
            operation,
            name: name.to_owned(),
            source: kind.into(),
        }
    }
}

type Objects = BTreeMap<(Area, String), Vec<u8>>;

struct Inner {
    /// What reads see.
    live: Objects,
    /// What survives a power cut for certain.
    durable: Objects,
    /// Sectors written and not yet synced.
    dirty: BTreeSet<(String, usize)>,
    /// Calls that changed something, since the last plan.
    calls: u64,
    /// The call to fail, counted from 0, and how.
    plan: Option<(u64, Failure)>,
    rng: Prng,
}

/// The disk. A clone is the same disk.
#[derive(Clone)]
pub struct Disk(Arc<Mutex<Inner>>);

impl Disk {
    /// An empty disk. `rng` decides what lands when power is cut.
    #[must_use]
    pub fn new(rng: Prng) -> Disk {
        Disk(Arc::new(Mutex::new(Inner {
            live: Objects::new(),
            durable: Objects::new(),
            dirty: BTreeSet::new(),
            calls: 0,
            plan: None,
            rng,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the `nth` changing call from now on fail, once.
    pub fn fail(&self, nth: u64, failure: Failure) {
        let mut inner = self.lock();
        inner.calls = 0;
        inner.plan = Some((nth, failure));
    }

    /// Nothing fails any more; changing calls are counted anew.
    pub fn heal(&self) {
        let mut inner = self.lock();
        inner.calls = 0;
        inner.plan = None;
    }

    /// Changing calls since the last [`Disk::fail`] or [`Disk::heal`].
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.lock().calls
    }

    /// Power is cut: unsynced sectors land or not, each by itself.
    pub fn cut_power(&self) {
        let mut inner = self.lock();
        let likely = *inner.rng.clone().pick(&[0, 100, 500, 900, 1000]).unwrap_or(&500);
        inner.rng.number();
        inner.land(likely);
        inner.live = inner.durable.clone();
        inner.plan = None;
    }

    /// What is durable, object by object: equal runs leave equal images.
    #[must_use]
    pub fn image(&self) -> Vec<(String, Vec<u8>)> {
        let inner = self.lock();
        let named = |((area, name), bytes): (&(Area, String), &Vec<u8>)| {
            (format!("{}/{name}", area.folder()), bytes.clone())
        };
        inner.durable.iter().map(named).collect()
    }

    /// Changes an object as a bad disk would. False where there is no such object.
    pub fn damage(&self, area: Area, name: &str, change: impl Fn(&mut Vec<u8>)) -> bool {
        let mut inner = self.lock();
        let key = (area, name.to_owned());
        let live = inner.live.get_mut(&key).map(&change).is_some();
        inner.durable.get_mut(&key).map(change).is_some() && live
    }

    /// Bytes of all journal objects, as they are read.
    #[must_use]
    pub fn journal_bytes(&self) -> Vec<(String, Vec<u8>)> {
        let inner = self.lock();
        let journal = inner.live.iter().filter(|((area, _), _)| *area == Area::Journal);
        journal
            .map(|((_, name), bytes)| (name.clone(), bytes.clone()))
            .collect()
    }
}

impl Inner {
    /// Counts a changing call and says how it is to fail, if it is.
    fn call(&mut self) -> Option<Failure> {
        let number = self.calls;
        self.calls += 1;
        let (_, failure) = self.plan.filter(|(at, _)| *at == number)?;
        self.plan = None;
        Some(failure)
    }

    /// Unsynced sectors become durable, each with so many of a thousand chances; none is unsynced afterwards.
    fn land(&mut self, per_mille: u64) {
        for (name, sector) in std::mem::take(&mut self.dirty) {
            if self.rng.chance(per_mille) {
                self.land_sector(&name, sector);
            }
        }
    }

    fn land_sector(&mut self, name: &str, sector: usize) {
        let key = (Area::Journal, name.to_owned());
        let (Some(live), Some(durable)) = (self.live.get(&key), self.durable.get_mut(&key)) else {
            return;
        };
        let start = sector * SECTOR_BYTES;
        let end = (start + SECTOR_BYTES).min(live.len());
        if durable.len() < end {
            durable.resize(end, 0);
        }
        if let (Some(to), Some(from)) = (durable.get_mut(start..end), live.get(start..end)) {
            to.copy_from_slice(from);
        }
    }

    fn write(&mut self, name: &str, offset: usize, bytes: &[u8]) -> Result<(), StorageError> {
        let key = (Area::Journal, name.to_owned());
        let file = self.live.get_mut(&key).ok_or_else(|| missing(name))?;
        let end = offset + bytes.len();
        if file.len() < end {
            file.resize(end, 0);
        }
        if let Some(slot) = file.get_mut(offset..end) {
            slot.copy_from_slice(bytes);
        }
        for sector in offset / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES) {
            self.dirty.insert((name.to_owned(), sector));
        }
        Ok(())
    }

    /// Writes some of the sectors of a write, in no order.
    fn tear(&mut self, name: &str, offset: usize, bytes: &[u8]) -> Result<(), StorageError> {
        let mut at = 0;
        while at < bytes.len() {
            let len = (SECTOR_BYTES - (offset + at) % SECTOR_BYTES).min(bytes.len() - at);
            if self.rng.chance(500) {
                self.write(name, offset + at, bytes.get(at..at + len).unwrap_or_default())?;
            }
            at += len;
        }
        Ok(())
    }

    /// Makes the unsynced sectors of one object durable, all or some. After a failed sync the others count as
    /// clean: no later sync writes them, as with the page cache of Linux.
    fn sync(&mut self, name: &str, per_mille: u64) {
        let (own, others) = std::mem::take(&mut self.dirty)
            .into_iter()
            .partition(|(n, _)| n == name);
        self.dirty = others;
        let own: BTreeSet<(String, usize)> = own;
        for (name, sector) in own {
            if self.rng.chance(per_mille) {
                self.land_sector(&name, sector);
            }
        }
    }

    fn put(&mut self, area: Area, name: &str, bytes: Option<Vec<u8>>) {
        let key = (area, name.to_owned());
        self.dirty.retain(|(n, _)| area != Area::Journal || n != name);
        match bytes {
            Some(bytes) => {
                self.live.insert(key.clone(), bytes.clone());
                self.durable.insert(key, bytes);
            }
            None => {
                self.live.remove(&key);
                self.durable.remove(&key);
            }
        }
    }

    /// A call that happens whole or not at all.
    fn whole(
        &mut self,
        operation: &'static str,
        area: Area,
        name: &str,
        bytes: Option<Vec<u8>>,
    ) -> Result<(), StorageError> {
        let failure = self.call();
        if failure.is_none_or(Failure::is_done) {
            self.put(area, name, bytes);
        }
        failure.map_or(Ok(()), |failure| Err(failure.error(operation, name)))
    }
}

fn missing(name: &str) -> StorageError {
    StorageError::NotFound {
        name: name.to_owned(),
    }
}

fn at(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

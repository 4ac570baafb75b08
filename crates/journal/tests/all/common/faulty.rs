//! Storage in memory that fails on demand: the nth call that changes something fails, in a chosen way; and it
//! keeps apart what was synced from what was only written, so that a crash can lose the latter.

use actum_journal::storage::Parts;
use actum_journal::{Area, Storage, StorageError};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Nothing is done.
    Before,
    /// Half of the bytes are written (a sync makes nothing durable).
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

#[derive(Debug, Default, Clone)]
pub struct Disk {
    /// What reads see.
    pub live: BTreeMap<(Area, String), Vec<u8>>,
    /// What survives a crash.
    pub durable: BTreeMap<(Area, String), Vec<u8>>,
    /// Names of the calls that changed something, in order.
    pub calls: Vec<String>,
    /// The call to fail, counted from 0, and how.
    pub fail: Option<(usize, Failure)>,
    /// Every later call fails too: the machine is gone.
    pub dead: bool,
}

#[derive(Debug, Default, Clone)]
pub struct Faulty(pub Arc<Mutex<Disk>>);

impl Faulty {
    pub fn storage(&self) -> Arc<dyn Storage> {
        Arc::new(self.clone())
    }

    pub fn fail_at(&self, call: usize, failure: Failure) {
        let mut disk = self.0.lock().unwrap();
        disk.calls.clear();
        disk.fail = Some((call, failure));
    }

    pub fn calls(&self) -> Vec<String> {
        self.0.lock().unwrap().calls.clone()
    }

    /// The machine stops and starts: what was not synced is gone, nothing fails any more.
    pub fn crash(&self) -> Faulty {
        let disk = self.0.lock().unwrap();
        let durable = disk.durable.clone();
        Faulty(Arc::new(Mutex::new(Disk {
            live: durable.clone(),
            durable,
            ..Disk::default()
        })))
    }

    /// Only the process stops: what was written is still in the page cache.
    pub fn restart(&self) -> Faulty {
        let disk = self.0.lock().unwrap();
        let (live, durable) = (disk.live.clone(), disk.durable.clone());
        Faulty(Arc::new(Mutex::new(Disk {
            live,
            durable,
            ..Disk::default()
        })))
    }

    pub fn bytes(&self, area: Area, name: &str) -> Vec<u8> {
        self.0.lock().unwrap().live[&(area, name.to_owned())].clone()
    }

    /// Changes bytes as a bad disk would: live and durable alike.
    pub fn damage(&self, area: Area, name: &str, change: impl Fn(&mut Vec<u8>)) {
        let mut disk = self.0.lock().unwrap();
        let key = (area, name.to_owned());
        change(disk.live.get_mut(&key).unwrap());
        if let Some(bytes) = disk.durable.get_mut(&key) {
            change(bytes);
        }
    }
}

impl Disk {
    /// Notes the call and says how it is to fail, if it is.
    fn call(&mut self, what: String) -> Option<Failure> {
        let number = self.calls.len();
        self.calls.push(what);
        if self.dead {
            return Some(Failure::Before);
        }
        let (at, failure) = self.fail?;
        if at != number {
            return None;
        }
        self.dead = matches!(failure, Failure::Before | Failure::Torn | Failure::After);
        Some(failure)
    }

    fn write(&mut self, name: &str, offset: usize, bytes: &[u8]) -> Result<(), StorageError> {
        let key = (Area::Journal, name.to_owned());
        let file = self.live.get_mut(&key).ok_or(StorageError::NotFound {
            name: name.to_owned(),
        })?;
        if file.len() < offset + bytes.len() {
            file.resize(offset + bytes.len(), 0);
        }
        file[offset..offset + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn keep(&mut self, area: Area, name: &str) {
        let key = (area, name.to_owned());
        match self.live.get(&key) {
            Some(bytes) => self.durable.insert(key, bytes.clone()),
            None => self.durable.remove(&key),
        };
    }
}

fn answer(failure: Failure, operation: &'static str, name: &str) -> StorageError {
    match failure {
        Failure::Fenced => StorageError::Fenced("another".to_owned()),
        Failure::UnknownDone | Failure::UnknownLost => StorageError::Unknown("no answer".to_owned()),
        Failure::NoSpace => {
            let source = io::Error::from(io::ErrorKind::StorageFull);
            StorageError::Io {
                operation,
                name: name.to_owned(),
                source,
            }
        }
        _ => {
            let source = io::Error::other("injected");
            StorageError::Io {
                operation,
                name: name.to_owned(),
                source,
            }
        }
    }
}

impl Storage for Faulty {
    fn list(&self, area: Area) -> Result<Vec<String>, StorageError> {
        let disk = self.0.lock().unwrap();
        Ok(disk
            .live
            .keys()
            .filter(|(a, _)| *a == area)
            .map(|(_, name)| name.clone())
            .collect())
    }

    fn size(&self, area: Area, name: &str) -> Result<Option<u64>, StorageError> {
        let disk = self.0.lock().unwrap();
        Ok(disk
            .live
            .get(&(area, name.to_owned()))
            .map(|bytes| bytes.len() as u64))
    }

    fn read(&self, area: Area, name: &str, offset: u64, out: &mut [u8]) -> Result<usize, StorageError> {
        let disk = self.0.lock().unwrap();
        let bytes = disk.live.get(&(area, name.to_owned()));
        let bytes = bytes.ok_or(StorageError::NotFound {
            name: name.to_owned(),
        })?;
        let rest = bytes.get(offset as usize..).unwrap_or(&[]);
        let count = rest.len().min(out.len());
        out[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn create(&self, name: &str, head: &[u8], bytes: u64) -> Result<(), StorageError> {
        let mut disk = self.0.lock().unwrap();
        let failure = disk.call(format!("create {name}"));
        if failure.is_none_or(|failure| matches!(failure, Failure::After | Failure::UnknownDone)) {
            let mut file = head.to_vec();
            file.resize((bytes as usize).max(head.len()), 0);
            disk.live.insert((Area::Journal, name.to_owned()), file);
            disk.keep(Area::Journal, name);
        }
        failure.map_or(Ok(()), |failure| Err(answer(failure, "create", name)))
    }

    fn write(&self, name: &str, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        let mut disk = self.0.lock().unwrap();
        let failure = disk.call(format!("write {name}"));
        match failure {
            None | Some(Failure::After | Failure::UnknownDone) => disk.write(name, offset as usize, bytes)?,
            Some(Failure::Torn) => disk.write(name, offset as usize, &bytes[..bytes.len() / 2])?,
            Some(_) => {}
        }
        failure.map_or(Ok(()), |failure| Err(answer(failure, "write", name)))
    }

    fn sync(&self, name: &str) -> Result<(), StorageError> {
        let mut disk = self.0.lock().unwrap();
        let failure = disk.call(format!("sync {name}"));
        if failure.is_none_or(|failure| matches!(failure, Failure::After | Failure::UnknownDone)) {
            disk.keep(Area::Journal, name);
        }
        failure.map_or(Ok(()), |failure| Err(answer(failure, "sync", name)))
    }

    fn put(&self, area: Area, name: &str, parts: Parts<'_>) -> Result<(), StorageError> {
        let mut whole = Vec::new();
        for part in parts {
            whole.extend_from_slice(&part?);
        }
        let mut disk = self.0.lock().unwrap();
        let failure = disk.call(format!("put {name}"));
        if failure.is_none_or(|failure| matches!(failure, Failure::After | Failure::UnknownDone)) {
            disk.live.insert((area, name.to_owned()), whole);
            disk.keep(area, name);
        }
        failure.map_or(Ok(()), |failure| Err(answer(failure, "put", name)))
    }

    fn remove(&self, area: Area, name: &str) -> Result<(), StorageError> {
        let mut disk = self.0.lock().unwrap();
        if !disk.live.contains_key(&(area, name.to_owned())) {
            return Ok(());
        }
        let failure = disk.call(format!("remove {name}"));
        if failure.is_none_or(|failure| matches!(failure, Failure::After | Failure::UnknownDone)) {
            disk.live.remove(&(area, name.to_owned()));
            disk.keep(area, name);
        }
        failure.map_or(Ok(()), |failure| Err(answer(failure, "remove", name)))
    }
}

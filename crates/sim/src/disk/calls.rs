//! The disk as the journal sees it: each call that changes something may fail as planned.

use super::{Disk, Failure, at, missing};
use actum_journal::storage::Parts;
use actum_journal::{Area, Storage, StorageError};

impl Storage for Disk {
    fn list(&self, area: Area) -> Result<Vec<String>, StorageError> {
        let inner = self.lock();
        let names = inner.live.keys().filter(|(a, _)| *a == area);
        Ok(names.map(|(_, name)| name.clone()).collect())
    }

    fn size(&self, area: Area, name: &str) -> Result<Option<u64>, StorageError> {
        let inner = self.lock();
        Ok(inner
            .live
            .get(&(area, name.to_owned()))
            .map(|bytes| bytes.len() as u64))
    }

    fn read(&self, area: Area, name: &str, offset: u64, out: &mut [u8]) -> Result<usize, StorageError> {
        let inner = self.lock();
        let bytes = inner
            .live
            .get(&(area, name.to_owned()))
            .ok_or_else(|| missing(name))?;
        let rest = bytes.get(at(offset)..).unwrap_or(&[]);
        let count = rest.len().min(out.len());
        if let (Some(to), Some(from)) = (out.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        Ok(count)
    }

    fn create(&self, name: &str, head: &[u8], bytes: u64) -> Result<(), StorageError> {
        let mut file = head.to_vec();
        file.resize(at(bytes).max(head.len()), 0);
        self.lock().whole("create", Area::Journal, name, Some(file))
    }

    fn write(&self, name: &str, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        let mut inner = self.lock();
        let failure = inner.call();
        match failure {
            None | Some(Failure::After | Failure::UnknownDone) => inner.write(name, at(offset), bytes)?,
            Some(Failure::Torn) => inner.tear(name, at(offset), bytes)?,
            Some(_) => {}
        }
        failure.map_or(Ok(()), |failure| Err(failure.error("write", name)))
    }

    fn sync(&self, name: &str) -> Result<(), StorageError> {
        let mut inner = self.lock();
        let failure = inner.call();
        match failure {
            None | Some(Failure::After | Failure::UnknownDone) => inner.sync(name, 1000),
            Some(Failure::UnknownLost) => {}
            Some(Failure::Torn) => inner.sync(name, 500),
            Some(Failure::Before | Failure::NoSpace | Failure::Fenced) => inner.sync(name, 0),
        }
        failure.map_or(Ok(()), |failure| Err(failure.error("sync", name)))
    }

    fn put(&self, area: Area, name: &str, parts: Parts<'_>) -> Result<(), StorageError> {
        let mut bytes = Vec::new();
        for part in parts {
            bytes.extend_from_slice(&part?);
        }
        self.lock().whole("put", area, name, Some(bytes))
    }

    fn remove(&self, area: Area, name: &str) -> Result<(), StorageError> {
        let mut inner = self.lock();
        if !inner.live.contains_key(&(area, name.to_owned())) {
            return Ok(());
        }
        inner.whole("remove", area, name, None)
    }
}

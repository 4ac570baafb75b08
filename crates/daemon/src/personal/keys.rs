//! The keys of subjects: one file each, made when the first value of a subject is sealed, destroyed when it is erased.
//!
//! A key has an id, so that an erasure on record names the key it destroys and never a later one of the same subject.

use crate::core::crash;
use crate::core::random_bytes;
use actum_model::Hash;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use zeroize::Zeroizing;

const ID_BYTES: usize = 16;
const KEY_BYTES: usize = 32;
const FILE_BYTES: usize = ID_BYTES + KEY_BYTES;

/// A key and its id.
pub(crate) struct SubjectKey {
    pub(crate) id: [u8; ID_BYTES],
    pub(crate) key: Zeroizing<[u8; KEY_BYTES]>,
}

impl SubjectKey {
    fn from_bytes(bytes: &[u8]) -> Option<SubjectKey> {
        let (id, key) = bytes.split_at_checked(ID_BYTES)?;
        let mut out = SubjectKey {
            id: id.try_into().ok()?,
            key: Zeroizing::new([0; KEY_BYTES]),
        };
        if key.len() != KEY_BYTES {
            return None;
        }
        out.key.copy_from_slice(key);
        Some(out)
    }

    /// The id in hex.
    pub(crate) fn id_hex(&self) -> String {
        hex(&self.id)
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The folder of keys. Changes happen one at a time.
#[derive(Debug)]
pub(crate) struct SubjectKeys {
    folder: PathBuf,
    changes: Mutex<()>,
}

impl SubjectKeys {
    /// The keys of a data directory. Nothing is made yet.
    pub(crate) fn new(data: &Path) -> SubjectKeys {
        SubjectKeys {
            folder: data.join("keys").join("subjects"),
            changes: Mutex::new(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, subject: &Hash) -> PathBuf {
        self.folder.join(format!("{subject}.key"))
    }

    /// The key of a subject, if there is one.
    pub(crate) fn get(&self, subject: &Hash) -> io::Result<Option<SubjectKey>> {
        let path = self.path(subject);
        let bytes = match fs::read(&path) {
            Ok(bytes) => Zeroizing::new(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let key = SubjectKey::from_bytes(&bytes).ok_or_else(|| {
            let message = format!(
                "{} has {} bytes, expected {FILE_BYTES}",
                path.display(),
                bytes.len()
            );
            io::Error::other(message)
        })?;
        // A crash in the middle of destroying one leaves zeros.
        Ok(Some(key).filter(|key| key.key.iter().any(|byte| *byte != 0)))
    }

    /// The key of a subject, made if there is none. It is durable when this returns.
    pub(crate) fn get_or_make(&self, subject: &Hash) -> io::Result<SubjectKey> {
        let _one_at_a_time = self.lock();
        if let Some(key) = self.get(subject)? {
            return Ok(key);
        }
        if !self.folder.exists() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&self.folder)?;
            if let Some(above) = self.folder.parent() {
                File::open(above)?.sync_all()?;
            }
        }
        let bytes = Zeroizing::new(random_bytes::<FILE_BYTES>()?);
        let (path, aside) = (self.path(subject), self.folder.join(format!("{subject}.new")));
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&aside)?;
        file.write_all(bytes.as_slice())?;
        file.sync_all()?;
        fs::rename(&aside, &path)?;
        self.sync()?;
        crash::point("subject_key_made");
        SubjectKey::from_bytes(bytes.as_slice()).ok_or_else(|| io::Error::other("a key of the wrong length"))
    }

    /// Destroys the key of a subject if it is this one. Doing it again changes nothing.
    pub(crate) fn destroy(&self, subject: &Hash, id: &str) -> io::Result<bool> {
        let _one_at_a_time = self.lock();
        let path = self.path(subject);
        let bytes = match fs::read(&path) {
            Ok(bytes) => Zeroizing::new(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        if bytes.get(..ID_BYTES).map(hex).as_deref() != Some(id) {
            return Ok(false);
        }
        let mut file = OpenOptions::new().write(true).open(&path)?;
        // The id stays until the file is gone, so that a crash in between is finished at the next start.
        file.seek(io::SeekFrom::Start(ID_BYTES as u64))?;
        file.write_all(&[0; KEY_BYTES])?;
        file.sync_all()?;
        crash::point("subject_key_zeroed");
        fs::remove_file(&path)?;
        self.sync()?;
        Ok(true)
    }

    /// Every subject that has a key.
    pub(crate) fn subjects(&self) -> io::Result<Vec<Hash>> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut found = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            let hash: Option<Hash> = name
                .to_str()
                .and_then(|name| name.strip_suffix(".key")?.parse().ok());
            found.extend(hash);
        }
        found.sort();
        Ok(found)
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_kept_until_it_is_destroyed_and_a_later_one_is_another() {
        let data = tempfile::tempdir().unwrap();
        let keys = SubjectKeys::new(data.path());
        let subject = Hash::of(b"subject");
        assert!(keys.get(&subject).unwrap().is_none());
        let first = keys.get_or_make(&subject).unwrap();
        let again = SubjectKeys::new(data.path()).get_or_make(&subject).unwrap();
        assert_eq!((first.id, &*first.key), (again.id, &*again.key));
        let mode = fs::metadata(keys.path(&subject)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(keys.subjects().unwrap(), [subject]);
        assert!(keys.destroy(&subject, &first.id_hex()).unwrap());
        assert!(!keys.destroy(&subject, &first.id_hex()).unwrap(), "twice is fine");
        assert_eq!(keys.subjects().unwrap(), []);
        let second = keys.get_or_make(&subject).unwrap();
        assert_ne!(first.id, second.id);
        assert!(
            !keys.destroy(&subject, &first.id_hex()).unwrap(),
            "an old erasure spares a new key"
        );
        assert!(keys.get(&subject).unwrap().is_some());
    }

    #[test]
    fn a_key_that_was_being_destroyed_is_none() {
        let data = tempfile::tempdir().unwrap();
        let keys = SubjectKeys::new(data.path());
        let subject = Hash::of(b"subject");
        let first = keys.get_or_make(&subject).unwrap();
        let mut bytes = first.id.to_vec();
        bytes.extend([0; KEY_BYTES]);
        fs::write(keys.path(&subject), bytes).unwrap();
        assert!(keys.get(&subject).unwrap().is_none());
        assert!(keys.destroy(&subject, &first.id_hex()).unwrap());
        assert!(keys.get_or_make(&subject).is_ok());
    }
}

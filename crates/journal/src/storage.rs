//! The one storage trait: named objects in three areas, of which those of the journal can be written in place.
//!
//! The file backend, the simulated disk and later PostgreSQL implement it. It knows nothing of records,
//! frames or heads; locking is the business of whoever opens a backend.

use std::io;

/// Where an object lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Area {
    /// Segments, `leaves` and `clean`.
    Journal,
    /// Snapshots.
    Snapshots,
    /// Sealed blobs, named `<2 hex>/<hash>`.
    Blobs,
}

impl Area {
    /// The folder of the area inside a data directory.
    #[must_use]
    pub const fn folder(self) -> &'static str {
        match self {
            Area::Journal => "journal",
            Area::Snapshots => "snapshots",
            Area::Blobs => "blobs",
        }
    }
}

/// Why a call on storage failed.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// There is no such object.
    #[error("`{name}` does not exist")]
    NotFound {
        /// Its name.
        name: String,
    },
    /// Another writer took over; nothing of this call was stored.
    #[error("another writer took over the journal: {0}")]
    Fenced(String),
    /// The answer got lost: the call may have been carried out or not.
    #[error("the fate of a storage call is unknown: {0}")]
    Unknown(String),
    /// The operating system refused.
    #[error("{operation} `{name}` failed")]
    Io {
        /// What was tried, as a verb: `write`, `sync`.
        operation: &'static str,
        /// The object.
        name: String,
        /// The cause.
        source: io::Error,
    },
}

impl StorageError {
    /// The sentence with its cause, for places that keep only text.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            StorageError::Io { source, .. } => format!("{self}: {source}"),
            _ => self.to_string(),
        }
    }
}

/// The pieces of an object being put, in order. An error among them means the object must not appear.
pub type Parts<'a> = &'a mut dyn Iterator<Item = Result<Vec<u8>, StorageError>>;

/// Named objects. Calls may come from several threads at once, but only one thread writes the journal.
pub trait Storage: Send + Sync {
    /// The names in an area, sorted.
    ///
    /// # Errors
    /// When the area cannot be read.
    fn list(&self, area: Area) -> Result<Vec<String>, StorageError>;

    /// The size of an object in bytes, `None` if it does not exist.
    ///
    /// # Errors
    /// When it cannot be found out.
    fn size(&self, area: Area, name: &str) -> Result<Option<u64>, StorageError>;

    /// Fills `out` from `offset` on and returns how many bytes there were: fewer only at the end.
    ///
    /// # Errors
    /// `NotFound`, or when it cannot be read.
    fn read(&self, area: Area, name: &str, offset: u64, out: &mut [u8]) -> Result<usize, StorageError>;

    /// Makes a journal object of `bytes` bytes that starts with `head` and is zero behind it. Durable,
    /// including its name, when the call returns; after a crash it is there whole or not at all.
    ///
    /// # Errors
    /// When it cannot be made; it then does not exist.
    fn create(&self, name: &str, head: &[u8], bytes: u64) -> Result<(), StorageError>;

    /// Writes into a journal object, which grows if need be. Not durable before [`Storage::sync`].
    ///
    /// # Errors
    /// Any error leaves unknown how much was written.
    fn write(&self, name: &str, offset: u64, bytes: &[u8]) -> Result<(), StorageError>;

    /// Makes everything written to a journal object durable.
    ///
    /// # Errors
    /// Any error leaves unknown what is durable; it must not be tried again.
    fn sync(&self, name: &str) -> Result<(), StorageError>;

    /// Puts an object whole, replacing one of the same name. Durable when the call returns; after a crash the
    /// old or the new one is there.
    ///
    /// # Errors
    /// When it cannot be put, or a part is an error; the old one is then still there.
    fn put(&self, area: Area, name: &str, parts: Parts<'_>) -> Result<(), StorageError>;

    /// Removes an object, durably. No error if it does not exist.
    ///
    /// # Errors
    /// When it cannot be removed.
    fn remove(&self, area: Area, name: &str) -> Result<(), StorageError>;
}

/// Puts an object given in one piece.
///
/// # Errors
/// Those of [`Storage::put`].
pub fn put_bytes(storage: &dyn Storage, area: Area, name: &str, bytes: &[u8]) -> Result<(), StorageError> {
    storage.put(area, name, &mut std::iter::once(Ok(bytes.to_vec())))
}

/// Reads an object whole; for small ones.
///
/// # Errors
/// Those of [`Storage::read`].
pub fn read_whole(storage: &dyn Storage, area: Area, name: &str) -> Result<Vec<u8>, StorageError> {
    let size = storage.size(area, name)?.ok_or_else(|| StorageError::NotFound {
        name: name.to_owned(),
    })?;
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
    let count = storage.read(area, name, 0, &mut bytes)?;
    bytes.truncate(count);
    Ok(bytes)
}

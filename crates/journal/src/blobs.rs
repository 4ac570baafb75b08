//! Sealed bodies, named by their hash. A blob is written and synced before the record that names it, so a
//! record never names a blob that is not there.

use crate::error::{Place, ReadError};
use crate::layout::blob_name;
use crate::storage::{Area, Storage, StorageError, put_bytes, read_whole};
use actum_model::Hash;
use std::sync::Arc;

/// The blobs of a data directory. Cheap to clone; clones may be used on any thread.
#[derive(Clone)]
pub struct Blobs {
    storage: Arc<dyn Storage>,
}

impl std::fmt::Debug for Blobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blobs").finish_non_exhaustive()
    }
}

impl Blobs {
    /// Blobs in `storage`.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>) -> Blobs {
        Blobs { storage }
    }

    /// Keeps `bytes`, durably, and returns their name. Keeping the same bytes twice costs nothing.
    ///
    /// # Errors
    /// When storage fails; no record may name the blob then.
    pub fn put(&self, bytes: &[u8]) -> Result<Hash, StorageError> {
        let hash = Hash::of(bytes);
        let name = blob_name(&hash);
        // Blobs are put whole, so one of the right size is one of the right content unless it is damaged.
        if self.storage.size(Area::Blobs, &name)? != Some(bytes.len() as u64) {
            put_bytes(self.storage.as_ref(), Area::Blobs, &name, bytes)?;
        }
        Ok(hash)
    }

    /// The bytes with that hash, `None` if they are not kept.
    ///
    /// # Errors
    /// `Damaged` when they have another hash now; or when storage fails.
    pub fn get(&self, hash: &Hash) -> Result<Option<Vec<u8>>, ReadError> {
        let name = blob_name(hash);
        let bytes = match read_whole(self.storage.as_ref(), Area::Blobs, &name) {
            Err(StorageError::NotFound { .. }) => return Ok(None),
            other => other?,
        };
        let found = Hash::of(&bytes);
        if found == *hash {
            return Ok(Some(bytes));
        }
        let place = Place {
            file: format!("{}/{name}", Area::Blobs.folder()),
            offset: 0,
            idx: 0,
        };
        Err(ReadError::Damaged {
            place,
            what: format!("its bytes have hash {found}"),
        })
    }
}

//! The mark of an orderly end: a small object written when the journal is closed and removed when it is
//! opened. Where it stands, every record up to the head it names was durable.

use crate::layout::CLEAN;
use crate::storage::{Area, Storage, StorageError, put_bytes, read_whole};
use actum_model::Hash;

const MAGIC: &[u8; 8] = b"ACTUMEND";

/// Puts the mark: `records` many records, the last with `hash`.
pub(crate) fn put(storage: &dyn Storage, records: u64, hash: &Hash) -> Result<(), StorageError> {
    put_bytes(storage, Area::Journal, CLEAN, &encode(records, hash))
}

/// The mark, if there is a whole one.
pub(crate) fn get(storage: &dyn Storage) -> Result<Option<(u64, Hash)>, StorageError> {
    if storage.size(Area::Journal, CLEAN)?.is_none() {
        return Ok(None);
    }
    Ok(decode(&read_whole(storage, Area::Journal, CLEAN)?))
}

fn encode(records: u64, hash: &Hash) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&records.to_le_bytes());
    bytes.extend_from_slice(&hash.0);
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<(u64, Hash)> {
    let (_, rest) = bytes.split_first_chunk::<8>()?;
    let (records, rest) = rest.split_first_chunk::<8>()?;
    let (hash, _) = rest.split_first_chunk::<32>()?;
    let (records, hash) = (u64::from_le_bytes(*records), Hash(*hash));
    (encode(records, &hash) == bytes).then_some((records, hash))
}

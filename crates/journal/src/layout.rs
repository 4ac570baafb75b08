//! The names of the objects in a data directory. Nothing here touches them.

use actum_model::Hash;

/// The file of record hashes, 32 bytes each, from record 0 on.
pub const LEAVES: &str = "leaves";

/// The mark of an orderly end.
pub const CLEAN: &str = "clean";

const SEGMENT_END: &str = ".seg";
const SNAPSHOT_END: &str = ".snap";

/// The name of the segment that starts with record `first_idx`: 20 digits, so that names sort like numbers.
#[must_use]
pub fn segment_name(first_idx: u64) -> String {
    format!("{first_idx:020}{SEGMENT_END}")
}

/// The first idx of a segment, if `name` is the name of one.
#[must_use]
pub fn segment_idx(name: &str) -> Option<u64> {
    numbered(name, SEGMENT_END)
}

/// The name of the snapshot of the state after record `idx`.
#[must_use]
pub fn snapshot_name(idx: u64) -> String {
    format!("{idx:020}{SNAPSHOT_END}")
}

/// The idx of a snapshot, if `name` is the name of one.
#[must_use]
pub fn snapshot_idx(name: &str) -> Option<u64> {
    numbered(name, SNAPSHOT_END)
}

/// The name of a blob.
#[must_use]
pub fn blob_name(hash: &Hash) -> String {
    let hex = hash.to_string();
    format!("{}/{hex}", hex.get(..2).unwrap_or_default())
}

/// The hash of a blob, if `name` is the name of one.
#[must_use]
pub fn blob_hash(name: &str) -> Option<Hash> {
    let (folder, hex) = name.split_once('/')?;
    if !hex.starts_with(folder) || folder.len() != 2 {
        return None;
    }
    hex.parse().ok()
}

fn numbered(name: &str, end: &str) -> Option<u64> {
    let digits = name.strip_suffix(end).filter(|digits| digits.len() == 20)?;
    digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| digits.parse().ok())?
}

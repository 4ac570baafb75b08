//! The hash definition of the trie, normative in `docs/adr/0009-graph-trie.md`:
//!
//! - empty: `SHA-256` over the domain `"actum/trie/empty/v1"` without parts,
//! - leaf: `SHA-256(0x00 ‖ key ‖ value hash)`,
//! - inner: `SHA-256(0x01 ‖ bit as 2 big-endian bytes ‖ left ‖ right)`.

use actum_model::Hash;
use sha2::{Digest, Sha256};

/// The digest of the trie without entries.
pub(super) fn empty_root() -> Hash {
    Hash::of_parts("actum/trie/empty/v1", &[])
}

/// The digest of one entry.
pub(super) fn leaf<const N: usize>(key: &[u8; N], value: &Hash) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([0]);
    hasher.update(key);
    hasher.update(value.0);
    Hash(hasher.finalize().into())
}

/// The digest of an inner node whose keys first differ in `bit`.
pub(super) fn inner(bit: u16, left: &Hash, right: &Hash) -> Hash {
    let [high, low] = bit.to_be_bytes();
    let mut hasher = Sha256::new();
    hasher.update([1, high, low]);
    hasher.update(left.0);
    hasher.update(right.0);
    Hash(hasher.finalize().into())
}

//! What a view holds: nodes, edges and attachments, and how their content becomes value hashes. The definitions
//! are normative in `docs/adr/0009-graph-trie.md`.

pub use actum_model::graph::{Edge, Node, Payload};

use crate::ids::{AttachmentKey, TargetId};
use crate::trie::TrieValue;
use actum_model::{Hash, Json};
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::OnceLock;

/// An attachment under its key: the one thing in a view that changes in place.
#[derive(Clone)]
pub struct Attachment {
    key: AttachmentKey,
    value: Json,
    version: u64,
    hash: OnceLock<Hash>,
}

impl Attachment {
    /// An attachment at a version (from 1).
    #[must_use]
    pub fn new(key: AttachmentKey, value: Json, version: u64) -> Attachment {
        Attachment {
            key,
            value,
            version,
            hash: OnceLock::new(),
        }
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> &AttachmentKey {
        &self.key
    }

    /// Its value.
    #[must_use]
    pub fn value(&self) -> &Json {
        &self.value
    }

    /// How often this key was set to something else; how it goes on after a clear says `View::version_floor`.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Its value hash under `target`: over target, key, value and version.
    #[must_use]
    pub fn hash(&self, target: &TargetId) -> Hash {
        attachment_hash(target.bytes(), self)
    }
}

impl PartialEq for Attachment {
    fn eq(&self, other: &Attachment) -> bool {
        (&self.key, &self.value, self.version) == (&other.key, &other.value, other.version)
    }
}

impl Eq for Attachment {}

impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} = {:?} at version {}", self.key, self.value, self.version)
    }
}

fn attachment_hash(target: &[u8], attachment: &Attachment) -> Hash {
    Hash::of_parts(
        "actum/attachment/v1",
        &[
            target,
            attachment.key.as_str().as_bytes(),
            attachment.value.as_str().as_bytes(),
            &attachment.version.to_be_bytes(),
        ],
    )
}

/// The trie key of an attachment: its target, then the SHA-256 of its key, so that one target is one range.
#[must_use]
pub fn attachment_path(target: &TargetId, key: &AttachmentKey) -> [u8; 64] {
    let digest: [u8; 32] = Sha256::digest(key.as_str().as_bytes()).into();
    let mut path = [0; 64];
    for (to, from) in path.iter_mut().zip(target.bytes().iter().chain(&digest)) {
        *to = *from;
    }
    path
}

// The id is a hash of everything in the node or edge, so it serves as value hash too and nothing is hashed twice.
impl TrieValue<32> for Node {
    fn value_hash(&self, key: &[u8; 32]) -> Hash {
        Hash(*key)
    }
}

impl TrieValue<32> for Edge {
    fn value_hash(&self, key: &[u8; 32]) -> Hash {
        Hash(*key)
    }
}

impl TrieValue<64> for Attachment {
    fn value_hash(&self, key: &[u8; 64]) -> Hash {
        let target = key
            .first_chunk::<32>()
            .map_or(&[][..], |target| target.as_slice());
        *self.hash.get_or_init(|| attachment_hash(target, self))
    }
}

/// The target in the trie key of an attachment.
#[must_use]
pub fn path_target(path: &[u8; 64]) -> TargetId {
    TargetId(Hash(path.first_chunk::<32>().copied().unwrap_or_default()))
}

//! What a view holds: nodes, edges and attachments, and how their content becomes ids and value hashes. The
//! definitions are normative in `docs/adr/0009-graph-trie.md`.

use crate::ids::{AttachmentKey, EdgeId, KindName, NodeId, TargetId};
use crate::trie::TrieValue;
use actum_model::{Hash, Json};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::{Arc, OnceLock};

/// Opaque bytes, shared: a clone costs O(1). Bytes in CBOR, standard base64 in JSON.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Payload(Arc<[u8]>);

impl Payload {
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Reads standard base64 with padding, strictly: one text for one list of bytes.
    ///
    /// # Errors
    /// On another alphabet, missing padding or bits left over.
    pub fn from_base64(text: &str) -> Result<Payload, base64::DecodeError> {
        STANDARD.decode(text).map(Payload::from)
    }

    /// The bytes as standard base64 with padding.
    #[must_use]
    pub fn to_base64(&self) -> String {
        STANDARD.encode(&self.0)
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Payload {
        Payload(bytes.into())
    }
}

impl From<&[u8]> for Payload {
    fn from(bytes: &[u8]) -> Payload {
        Payload(bytes.into())
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.0.len())
    }
}

impl Serialize for Payload {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if s.is_human_readable() {
            return s.serialize_str(&self.to_base64());
        }
        s.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Payload, D::Error> {
        if d.is_human_readable() {
            let text = String::deserialize(d)?;
            return Payload::from_base64(&text).map_err(serde::de::Error::custom);
        }
        d.deserialize_bytes(PayloadVisitor)
    }
}

struct PayloadVisitor;

impl serde::de::Visitor<'_> for PayloadVisitor {
    type Value = Payload;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Payload, E> {
        Ok(Payload::from(bytes))
    }
}

/// A node: immutable, named by its content.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// What it is.
    pub kind: KindName,
    /// What it says.
    pub payload: Payload,
}

impl Node {
    /// Its id: `SHA-256` over `"actum/node/v1"`, kind and payload, each part preceded by its length.
    #[must_use]
    pub fn id(&self) -> NodeId {
        NodeId(Hash::of_parts(
            "actum/node/v1",
            &[self.kind.as_str().as_bytes(), self.payload.as_bytes()],
        ))
    }
}

/// An edge: immutable, named by its content. An absent payload is not an empty one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edge {
    /// Where it starts.
    pub from: NodeId,
    /// Where it ends; may be where it starts.
    pub to: NodeId,
    /// What it is.
    pub kind: KindName,
    /// What it says, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Payload>,
}

impl Edge {
    /// Its id: `SHA-256` over `"actum/edge/v1"`, from, to, kind and, if there is one, the payload as a fifth
    /// part. Parts are preceded by their lengths, so an absent payload and an empty one differ.
    #[must_use]
    pub fn id(&self) -> EdgeId {
        let (from, to) = (self.from.bytes().as_slice(), self.to.bytes().as_slice());
        let kind = self.kind.as_str().as_bytes();
        let domain = "actum/edge/v1";
        EdgeId(match &self.payload {
            None => Hash::of_parts(domain, &[from, to, kind]),
            Some(payload) => Hash::of_parts(domain, &[from, to, kind, payload.as_bytes()]),
        })
    }
}

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

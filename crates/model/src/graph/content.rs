//! Nodes and edges: immutable, named by what they hold. How content becomes ids is normative in
//! `docs/adr/0009-graph-trie.md`.

use super::ids::{EdgeId, KindName, NodeId};
use crate::hash::Hash;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

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

//! SHA-256, the one hash of the system, and its domain-separated forms. No other hash is used anywhere.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

/// A SHA-256 digest. Shown to people as 64 lowercase hex digits, stored in CBOR as 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// Thirty-two zero bytes: the `prev` of the first record.
    pub const ZERO: Hash = Hash([0; 32]);

    /// SHA-256 of `bytes`, with no domain. Use it only for bytes whose place tells what they are.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Hash {
        Hash(Sha256::digest(bytes).into())
    }

    /// SHA-256 over the domain and the parts, each preceded by its length, so that no two lists of parts
    /// share their bytes.
    #[must_use]
    pub fn of_parts(domain: &str, parts: &[&[u8]]) -> Hash {
        let mut hasher = Sha256::new();
        update_part(&mut hasher, domain.as_bytes());
        for part in parts {
            update_part(&mut hasher, part);
        }
        Hash(hasher.finalize().into())
    }

    /// The first 16 bytes, as key of the compact tables.
    #[must_use]
    pub fn short(&self) -> [u8; 16] {
        let mut out = [0; 16];
        for (to, from) in out.iter_mut().zip(self.0.iter()) {
            *to = *from;
        }
        out
    }

    /// The first 8 bytes: enough to tell a repetition from a conflict where nobody can choose the hash.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let mut out = [0; 8];
        for (to, from) in out.iter_mut().zip(self.0.iter()) {
            *to = *from;
        }
        Fingerprint(out)
    }
}

fn update_part(hasher: &mut Sha256, part: &[u8]) {
    hasher.update((part.len() as u64).to_be_bytes());
    hasher.update(part);
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Written by hand, because every receipt and event holds some and formatting byte by byte costs ten times as much.
        let digit = |nibble: u8| {
            if nibble < 10 {
                b'0' + nibble
            } else {
                b'a' + nibble - 10
            }
        };
        let mut text = [0; 64];
        for (pair, byte) in text.as_chunks_mut().0.iter_mut().zip(self.0) {
            *pair = [digit(byte >> 4), digit(byte & 15)];
        }
        f.write_str(str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

/// What is wrong with a text that should be a hash.
#[derive(Debug, thiserror::Error)]
#[error("expected 64 lowercase hex digits, got `{0}`")]
pub struct BadHash(String);

impl FromStr for Hash {
    type Err = BadHash;

    fn from_str(text: &str) -> Result<Hash, BadHash> {
        let bad = || BadHash(crate::json::shorten(text));
        if text.len() != 64 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(bad());
        }
        let mut out = [0; 32];
        for (i, slot) in out.iter_mut().enumerate() {
            let pair = text.get(i * 2..i * 2 + 2).ok_or_else(bad)?;
            *slot = u8::from_str_radix(pair, 16).map_err(|_| bad())?;
        }
        Ok(Hash(out))
    }
}

impl Serialize for Hash {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if s.is_human_readable() {
            s.collect_str(self)
        } else {
            s.serialize_bytes(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Hash, D::Error> {
        if d.is_human_readable() {
            let text = String::deserialize(d)?;
            return text.parse().map_err(serde::de::Error::custom);
        }
        d.deserialize_bytes(HashVisitor)
    }
}

/// The first 8 bytes of a keyed hash (HMAC), which tell a repetition from a conflict. Hex in JSON.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Fingerprint(pub [u8; 8]);

impl Serialize for Fingerprint {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if s.is_human_readable() {
            return s.collect_str(&format_args!("{:016x}", u64::from_be_bytes(self.0)));
        }
        s.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Fingerprint, D::Error> {
        if d.is_human_readable() {
            let text = String::deserialize(d)?;
            let number = u64::from_str_radix(&text, 16).map_err(serde::de::Error::custom)?;
            return Ok(Fingerprint(number.to_be_bytes()));
        }
        d.deserialize_bytes(FingerprintVisitor)
    }
}

struct FingerprintVisitor;

impl serde::de::Visitor<'_> for FingerprintVisitor {
    type Value = Fingerprint;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("8 bytes")
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Fingerprint, E> {
        bytes
            .try_into()
            .map(Fingerprint)
            .map_err(|_| E::invalid_length(bytes.len(), &self))
    }
}

struct HashVisitor;

impl serde::de::Visitor<'_> for HashVisitor {
    type Value = Hash;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("32 bytes")
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Hash, E> {
        bytes
            .try_into()
            .map(Hash)
            .map_err(|_| E::invalid_length(bytes.len(), &self))
    }
}

//! The bytes of a sealed personal value: XChaCha20-Poly1305 under the key of its subject.
//!
//! `magic (8) ‖ subject (32) ‖ tenant (32) ‖ nonce (24) ‖ ciphertext and tag`. Subject and tenant are keyed hashes; all
//! before the nonce is authenticated. The value is padded, so that its length tells little after the key is gone.

use super::keys::SubjectKey;
use crate::core::random_bytes;
use actum_model::Hash;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use serde_json::Value;
use std::io;
use zeroize::Zeroizing;

const MAGIC: &[u8; 8] = b"actumP\x00\x01";
const NONCE_BYTES: usize = 24;
const HEAD_BYTES: usize = 8 + 32 + 32;
/// Values are padded to a multiple of this, with blanks, which JSON allows.
const PAD_BYTES: usize = 64;

/// A sealed value, taken apart.
pub(crate) struct Sealed<'a> {
    pub(crate) subject: Hash,
    pub(crate) tenant: Hash,
    head: &'a [u8],
    nonce: &'a [u8],
    body: &'a [u8],
}

/// Seals a value.
pub(crate) fn seal(key: &SubjectKey, subject: &Hash, tenant: &Hash, value: &Value) -> io::Result<Vec<u8>> {
    let text = actum_model::canonical::to_string(value).map_err(io::Error::other)?;
    let mut text = Zeroizing::new(text.into_bytes());
    let padded = text.len().next_multiple_of(PAD_BYTES);
    text.resize(padded, b' ');
    let mut out = [MAGIC.as_slice(), &subject.0, &tenant.0].concat();
    let nonce = random_bytes::<NONCE_BYTES>()?;
    let cipher = XChaCha20Poly1305::new_from_slice(key.key.as_slice()).map_err(io::Error::other)?;
    let payload = Payload {
        msg: &text,
        aad: &out,
    };
    let body = cipher
        .encrypt(XNonce::from_slice(&nonce), payload)
        .map_err(|_| io::Error::other("a value could not be sealed"))?;
    out.extend(nonce);
    out.extend(body);
    Ok(out)
}

impl Sealed<'_> {
    /// Takes the bytes of a blob apart; nothing if they are no sealed value.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Sealed<'_>> {
        let (head, rest) = bytes.split_at_checked(HEAD_BYTES)?;
        let (nonce, body) = rest.split_at_checked(NONCE_BYTES)?;
        let named = head.strip_prefix(MAGIC)?;
        let (subject, tenant) = named.split_at_checked(32)?;
        Some(Sealed {
            subject: Hash(subject.try_into().ok()?),
            tenant: Hash(tenant.try_into().ok()?),
            head,
            nonce,
            body,
        })
    }

    /// The value, if this is the key it was sealed under.
    pub(crate) fn open(&self, key: &SubjectKey) -> Option<Value> {
        let cipher = XChaCha20Poly1305::new_from_slice(key.key.as_slice()).ok()?;
        let payload = Payload {
            msg: self.body,
            aad: self.head,
        };
        let text = Zeroizing::new(cipher.decrypt(XNonce::from_slice(self.nonce), payload).ok()?);
        serde_json::from_slice(&text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn key(byte: u8) -> SubjectKey {
        SubjectKey {
            id: [byte; 16],
            key: Zeroizing::new([byte; 32]),
        }
    }

    #[test]
    fn only_its_key_opens_a_value_and_nothing_of_it_can_be_changed() {
        let (subject, tenant) = (Hash::of(b"s"), Hash::of(b"t"));
        let value = json!({"name": "Ann Smith", "n": [1, null]});
        let bytes = seal(&key(1), &subject, &tenant, &value).unwrap();
        let sealed = Sealed::parse(&bytes).unwrap();
        assert_eq!((sealed.subject, sealed.tenant), (subject, tenant));
        assert_eq!(sealed.open(&key(1)), Some(value.clone()));
        assert_eq!(sealed.open(&key(2)), None);
        assert_ne!(
            bytes,
            seal(&key(1), &subject, &tenant, &value).unwrap(),
            "each has its own nonce"
        );
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert!(
                Sealed::parse(&other).is_none_or(|sealed| sealed.open(&key(1)).is_none()),
                "byte {at}"
            );
        }
        for length in 0..bytes.len() {
            assert!(Sealed::parse(&bytes[..length]).is_none_or(|sealed| sealed.open(&key(1)).is_none()));
        }
    }

    #[test]
    fn the_length_of_a_short_value_does_not_show() {
        let length = |value: Value| seal(&key(1), &Hash::ZERO, &Hash::ZERO, &value).unwrap().len();
        assert_eq!(length(json!("Al")), length(json!("Alexandra Smith-Jones")));
    }
}

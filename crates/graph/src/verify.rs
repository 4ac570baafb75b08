//! Checking proofs. Written from `docs/adr/0009-graph-trie.md` with hashes alone: nothing here uses the trie, so
//! an error there is not repeated here.

use crate::diff::EntryKey;
use crate::proof::{Part, ViewProof};
use actum_model::Hash;
use sha2::{Digest, Sha256};

/// What a proof is expected to show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expectation {
    /// The entry is there and its value hash is this.
    Present(Hash),
    /// There is no entry under the key.
    Absent,
}

/// Why a proof does not show what is expected.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum VerifyError {
    /// It is about another trie than the key belongs into.
    #[error("the proof is about another part of the view than the key")]
    Part,
    /// The leaf is no hex of the length of a key, or there is no leaf at the end of a path.
    #[error("the proof has no well-formed leaf")]
    Leaf,
    /// The path does not lead to where the key would be.
    #[error("the path does not lead to where the key would be")]
    Path,
    /// It shows another value, or an entry where none is expected, or none where one is.
    #[error("the proof shows something else than expected")]
    Expectation,
    /// It leads to another digest.
    #[error("the proof leads to another digest")]
    Digest,
}

/// Checks that the view with this digest has, or has not, an entry under `key`.
///
/// # Errors
/// When the proof does not show it.
pub fn verify(
    digest: &Hash,
    key: &EntryKey,
    expectation: Expectation,
    proof: &ViewProof,
) -> Result<(), VerifyError> {
    let (part, path) = locate(key);
    if part != proof.part {
        return Err(VerifyError::Part);
    }
    let (root, leaf) = climb(&path, proof)?;
    let shown = match leaf {
        Some((leaf_key, value)) if leaf_key == path => Expectation::Present(value),
        _ => Expectation::Absent,
    };
    if shown != expectation {
        return Err(VerifyError::Expectation);
    }
    let [first, second] = &proof.others;
    let roots = match part {
        Part::Nodes => [&root, first, second],
        Part::Edges => [first, &root, second],
        Part::Attachments => [first, second, &root],
    };
    let parts = roots.map(|root| root.0.as_slice());
    if Hash::of_parts("actum/view/v1", &parts) == *digest {
        Ok(())
    } else {
        Err(VerifyError::Digest)
    }
}

/// The trie a key belongs into, and its bytes there.
fn locate(key: &EntryKey) -> (Part, Vec<u8>) {
    match key {
        EntryKey::Node(id) => (Part::Nodes, id.bytes().to_vec()),
        EntryKey::Edge(id) => (Part::Edges, id.bytes().to_vec()),
        EntryKey::Attachment(target, key) => {
            let mut path = target.bytes().to_vec();
            path.extend_from_slice(&Sha256::digest(key.as_str().as_bytes()));
            (Part::Attachments, path)
        }
    }
}

/// A key and the value hash under it.
type Leaf = (Vec<u8>, Hash);

/// The root a proof leads to, and its leaf.
fn climb(path: &[u8], proof: &ViewProof) -> Result<(Hash, Option<Leaf>), VerifyError> {
    let siblings = &proof.path.siblings;
    let Some(leaf) = &proof.path.leaf else {
        return if siblings.is_empty() {
            Ok((Hash::of_parts("actum/trie/empty/v1", &[]), None))
        } else {
            Err(VerifyError::Leaf)
        };
    };
    let key = unhex(&leaf.key)
        .filter(|key| key.len() == path.len())
        .ok_or(VerifyError::Leaf)?;
    let mut hash = sha256(&[&[0], &key, &leaf.value_hash.0]);
    let mut below = u32::MAX;
    for sibling in siblings.iter().rev() {
        // Bits grow towards the leaf, and at each the wanted key goes the way the leaf went.
        let taken = bit(&key, sibling.bit).ok_or(VerifyError::Path)?;
        if u32::from(sibling.bit) >= below || bit(path, sibling.bit) != Some(taken) {
            return Err(VerifyError::Path);
        }
        below = u32::from(sibling.bit);
        let (left, right) = if taken {
            (&sibling.hash, &hash)
        } else {
            (&hash, &sibling.hash)
        };
        hash = sha256(&[&[1], &sibling.bit.to_be_bytes(), &left.0, &right.0]);
    }
    Ok((hash, Some((key, leaf.value_hash))))
}

fn sha256(parts: &[&[u8]]) -> Hash {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    Hash(hasher.finalize().into())
}

fn bit(key: &[u8], at: u16) -> Option<bool> {
    let byte = key.get(usize::from(at / 8))?;
    Some(byte & (0x80 >> (at % 8)) != 0)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs
        .iter()
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

//! The header of a segment and of a snapshot file: 96 bytes, written once, whole before the file is visible.
//!
//! It does not say how much of the file is used: only frames do.

use crate::limits::{FILE_HEADER_BYTES, FORMAT_VERSION};
use actum_model::Hash;
use serde::{Deserialize, Serialize};
use std::fmt;

const CRC_AT: usize = 88;

/// The id of a realm: 16 random bytes, shown as hex.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct RealmId(#[serde(with = "serde_bytes")] pub [u8; 16]);

impl fmt::Display for RealmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for RealmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RealmId({self})")
    }
}

/// What a file with such a header holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// Records, from `first_idx` on.
    Segment,
    /// The state after record `first_idx`.
    Snapshot,
}

impl FileKind {
    /// The first eight bytes of the file.
    #[must_use]
    pub const fn magic(self) -> [u8; 8] {
        match self {
            FileKind::Segment => *b"ACTUMSEG",
            FileKind::Snapshot => *b"ACTUMSNP",
        }
    }
}

/// The header of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the file holds.
    pub kind: FileKind,
    /// The realm the file belongs to.
    pub realm: RealmId,
    /// The term in which it was made.
    pub term: u64,
    /// Segment: idx of the first record. Snapshot: idx of the last record the state rests on.
    pub first_idx: u64,
    /// Segment: hash of the record before the first, zero at 0. Snapshot: hash of record `first_idx`.
    pub prev: Hash,
    /// Segment: bytes the file was preallocated to. Snapshot: 0.
    pub file_bytes: u64,
}

/// What keeps bytes from being a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Fewer than 96 bytes.
    #[error("the file header needs {FILE_HEADER_BYTES} bytes, {0} are there")]
    Short(usize),
    /// Another magic.
    #[error("the file does not start with the magic of its kind")]
    Magic,
    /// Written by another version of the format.
    #[error("the file has format version {found}, this build reads {FORMAT_VERSION}")]
    Version {
        /// The version found.
        found: u32,
    },
    /// The CRC does not match, or a reserved field is not zero.
    #[error("the crc of the file header does not match")]
    Crc,
}

impl Header {
    /// The 96 bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; FILE_HEADER_BYTES] {
        let mut out = Vec::with_capacity(FILE_HEADER_BYTES);
        out.extend_from_slice(&self.kind.magic());
        out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.realm.0);
        out.extend_from_slice(&self.term.to_le_bytes());
        out.extend_from_slice(&self.first_idx.to_le_bytes());
        out.extend_from_slice(&self.prev.0);
        out.extend_from_slice(&self.file_bytes.to_le_bytes());
        out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
        let mut bytes = [0; FILE_HEADER_BYTES];
        for (slot, byte) in bytes.iter_mut().zip(out) {
            *slot = byte;
        }
        bytes
    }

    /// Reads a header of the given kind.
    ///
    /// # Errors
    /// When the bytes are not such a header, of this format version, with a matching CRC.
    pub fn decode(kind: FileKind, bytes: &[u8]) -> Result<Header, HeaderError> {
        let short = HeaderError::Short(bytes.len());
        let bytes = bytes.first_chunk::<FILE_HEADER_BYTES>().ok_or(short)?;
        if !bytes.starts_with(&kind.magic()) {
            return Err(HeaderError::Magic);
        }
        if seed(bytes) != crc32c::crc32c(bytes.get(..CRC_AT).ok_or(short)?) {
            return Err(HeaderError::Crc);
        }
        let found = u32::from_le_bytes(get(bytes, 8));
        if found != FORMAT_VERSION {
            return Err(HeaderError::Version { found });
        }
        if get::<4>(bytes, 12) != [0; 4] || get::<4>(bytes, 92) != [0; 4] {
            return Err(HeaderError::Crc);
        }
        Ok(Header {
            kind,
            realm: RealmId(get(bytes, 16)),
            term: u64::from_le_bytes(get(bytes, 32)),
            first_idx: u64::from_le_bytes(get(bytes, 40)),
            prev: Hash(get(bytes, 48)),
            file_bytes: u64::from_le_bytes(get(bytes, 80)),
        })
    }

    /// The CRC of the header, from which the CRC of every frame in the file starts.
    #[must_use]
    pub fn seed(&self) -> u32 {
        seed(&self.encode())
    }
}

fn seed(bytes: &[u8; FILE_HEADER_BYTES]) -> u32 {
    u32::from_le_bytes(get(bytes, CRC_AT))
}

/// The `N` bytes at `at`, both constants of the layout above and within the array.
fn get<const N: usize>(bytes: &[u8; FILE_HEADER_BYTES], at: usize) -> [u8; N] {
    bytes
        .get(at..)
        .and_then(|rest| rest.first_chunk::<N>())
        .copied()
        .unwrap_or([0; N])
}

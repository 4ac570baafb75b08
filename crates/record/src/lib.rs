//! The bytes of the history: record bodies, frames, segment headers, the hash chain, the Merkle tree over it
//! and the redaction classes.
//!
//! Everything here is a pure function of its arguments: no IO, no clock, no randomness, no panic that input
//! could cause. Files, threads and durability are the business of `actum-journal`. The byte layout is
//! described for people in `docs/format.md`; a test holds that document to the constants below.

pub mod body;
pub mod cbor;
pub mod frame;
pub mod header;
pub mod limits;
pub mod merkle;
pub mod redact;
pub mod scan;

pub use body::{Body, BodyError, Head};
pub use frame::{Frame, FrameError};
pub use header::{FileKind, Header, HeaderError, RealmId};
pub use merkle::Frontier;

//! The session protocol: its messages, their bytes, and frames on a stream.
//!
//! It checks that a message is well formed. Whether it may come now is for the session driver to say.

mod codec;
mod frame;
mod message;

pub use codec::{decode, encode};
pub use frame::{FrameBuffer, ProtocolError};
pub use message::{
    Backpressure, CapabilityError, CapabilityRequest, Checkpoint, Ended, Failure, FromWorker, Mime, Restored,
    Skipped, Stream, StreamOpen, Success, ToWorker, Transaction, WorkerHello,
};

//! The core of the daemon: one thread that owns the engine and the journal's writer, and the handle through
//! which transports submit commands and read durable state.
//!
//! It owns the clock, entropy and the keys. It knows no sockets (see `transport`) and starts no process
//! itself (see `door`).

mod clock;
pub(crate) mod crash;
mod effects;
mod handle;
mod history;
mod inbox;
mod keys;
mod live;
mod mail;
mod open;
mod options;
mod rate;
mod reads;
mod snapshots;
#[cfg(test)]
mod tests;
mod thread;
mod ticker;
mod timers;
mod warm;

pub use crash::CRASH_POINTS;
pub(crate) use effects::{is_in_memory, made};
pub(crate) use handle::WeakCore;
pub use handle::{Core, Published, ReplyTo};
pub use keys::{DataKeys, random_bytes};
pub use live::{Chunk, LiveRecord, OutputChunk};
pub use open::{OpenFault, open};
pub use options::CoreOptions;
pub(crate) use thread::Msg;

//! The engine joins the kernel to the journal: it decides ahead of the disk, batches, and releases replies
//! and effects only when what they rest on is durable.
//!
//! Sans-IO: it reads no clock, opens no file and starts no task. The daemon and the simulator drive the very
//! same engine: they feed it stamped inputs, hand its batches to the journal's writer, and give back what
//! the writer committed.

pub mod clock;
mod engine;
mod recovery;
mod release;
mod replay;

pub use clock::Clock;
pub use engine::{Engine, EngineError};
pub use recovery::{Recovered, Recovery, Summary, summary};
pub use release::{Pending, Publish, Released, Start};
pub use replay::{Drift, Replay, ReplayOutcome};

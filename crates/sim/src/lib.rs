//! The simulator: a seeded world around the very engine and journal of the daemon: a disk that fails, a clock
//! that jumps, workers that fail, hang and answer late, clients that repeat and contradict themselves, crashes
//! at any point. A reference model predicts every answer and outcome, and the promises of
//! `docs/invariants.md` are checked at every step.
//!
//! It does no IO, reads no clock, and draws numbers only from its seed. It is test support: nothing the product
//! links.

mod broken;
mod client;
mod disk;
mod flaws;
pub mod fuzz;
pub mod model;
mod node;
mod prng;
mod promises;
mod rewrites;
mod schedule;
mod world;

pub use broken::Broken;
pub use disk::{Disk, Failure};
pub use flaws::Flaw;
pub use model::Model;
pub use node::REALM;
pub use prng::Prng;
pub use schedule::{Plan, Report, run};
pub use world::{Answer, Crash, Options, Tick, World};

//! The kernel: `decide` and `apply` over one state. Pure: no clock, no randomness, no IO, no async.
//!
//! **Invariant:** state after record N is a function of records 0..N, through [`apply_record`] alone; and
//! [`decide`] reads nothing but the state and the stamped input.

mod apply;
mod commands;
pub mod decide;
pub mod lifecycle;
mod load;
pub mod read;
pub mod state;

pub use apply::{RecordHead, apply_event, apply_record};
pub use decide::{Decision, Reply, advance, decide};
pub use load::Loading;
pub use state::{Known, Session, State, state_digest};

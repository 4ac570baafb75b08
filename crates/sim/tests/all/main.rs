//! The simulated world: promises through faults and crashes, random histories, bugs put back.
//! One program for all of them: a file that is not named here is not run, and `cargo xtask tidy` says so.
#![allow(
    unreachable_pub,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a failed step of a test ends it, and a test may print what it measures"
)]

mod batched;
mod common;
mod determinism;
mod faults;
mod fuzz;
mod objectives;
mod random;
mod recovery;
mod time;
mod withstand;

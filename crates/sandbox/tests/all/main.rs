//! Real cages and zygotes: what they are, what cannot leave them, how long they live.
//! One program for all of them: a file that is not named here is not run, and `cargo xtask tidy` says so.
#![allow(
    unreachable_pub,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a failed step of a test ends it, and a test may print what it measures"
)]

mod cage;
mod common;
mod escapes;
mod lifetime;
mod sessions;

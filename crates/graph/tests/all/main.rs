//! The graph by its public interface, against a naive model and against the bytes kept in `tests/golden`.
//! One program for all of them: a file that is not named here is not run, and `cargo xtask tidy` says so.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step of a test ends it, and a test may print what it measures"
)]

mod common;
mod golden;
mod merges;
mod parsing;
mod proofs;
mod views;

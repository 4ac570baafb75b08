//! The kernel by its public interface: transcripts in `tests/scripts`, histories made at random.
//! One program for all of them: a file that is not named here is not run, and `cargo xtask tidy` says so.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step of a test ends it, and a test may print what it measures"
)]

mod classes;
mod graph_history;
mod rates;
mod rules;
mod script;
mod scripts;
mod snapshots;
mod time;

//! The bytes of records: golden ones, and properties of all.
//! One program for all of them: a file that is not named here is not run, and `cargo xtask tidy` says so.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step of a test ends it, and a test may print what it measures"
)]

mod golden;
mod properties;

//! The journal by its public interface: on real folders, and on storage that fails on demand.
//! One program for all of them: a file that is not named here is not run, and `cargo xtask tidy` says so.
#![allow(
    unreachable_pub,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step of a test ends it, and a test may print what it measures"
)]

mod common;
mod faults;
mod format_document;
mod index;
mod migration;
mod open;
mod readers;
mod snapshots;
mod tail;

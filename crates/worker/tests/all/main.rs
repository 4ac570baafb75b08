//! Sessions over real workers: what any worker must do, and what hostile ones may try.
//! One program for all of them: a file that is not named here is not run, and `cargo xtask tidy` says so.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step of a test ends it, and a test may print what it measures"
)]

mod calls;
mod cancel;
mod common;
mod conformance;
mod hostile;
mod output;
mod pool;
mod python;
mod shell;

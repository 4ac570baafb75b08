//! The process door from outside: real programs, real trees, real signals. Nothing here waits by the clock.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests may panic, and print what they measure"
)]

mod ends;
mod output;
mod start;
mod support;
mod tree;

//! The program as people, scripts and agents run it: real daemons, real processes, the offline tools.
//! One program for all of them: a file that is not named here is not run, and `cargo xtask tidy` says so.
#![allow(
    unreachable_pub,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a failed step of a test ends it, and a test may print what it measures"
)]

mod classes;
mod common;
mod crash_points;
mod daemon;
mod demo;
mod disk;
mod drops;
mod graph;
mod graph_commands;
mod inside;
mod kill;
mod mcp;
mod mcp_long;
mod mcp_sdk;
mod offline;
mod probe;
mod promises;
mod py;
mod py_terminal;
mod run;
mod time;
mod trace;
mod usage;
mod withstand_cancel;
mod withstand_escapes;
mod withstand_hostile;
mod withstand_kill;
mod withstand_providers;
mod withstand_sessions;
mod withstand_support;
mod work;
mod workspaces;

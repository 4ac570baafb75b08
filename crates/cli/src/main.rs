//! The binary `actum`: flags, printing, the demo, the doctor. It holds no logic that others need.

mod answer;
mod cli;
mod commands;
mod context;
mod daemon_file;
mod demo;
mod doctor;
mod execution;
mod failure;
mod folder;
mod keyboard;
mod live;
mod mint;
mod offline;
mod print;
mod progress;
mod remote;
mod run;
mod shape;
mod shown;
mod survey;
mod table;
mod unfinished;
mod watch;

/// Rows are made on one thread and dropped on another all the time, which the system's allocator does slowly:
/// recovery takes a third longer with it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use std::process::ExitCode;

fn main() -> ExitCode {
    // This program is also the one that builds cages: then this call does not return.
    actum_sandbox::helper_entry();
    cli::main()
}

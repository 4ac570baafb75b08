//! `cargo xtask <command>`: everything the project checks about itself, as one program.
//!
//! Each command is one module. Nothing here is part of the product; no crate may depend on it.

mod bench;
mod ci;
mod code;
mod deep;
mod floors;
mod say;
mod steps;
mod test;
mod tidy;
mod tree;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};

/// Every command, with the line shown by `cargo xtask help`.
const COMMANDS: &[(&str, &str)] = &[
    (
        "test",
        "what CI runs: tidy, floors, format, clippy, compile, determinism, all tests, doc tests",
    ),
    ("tidy", "hold the tree to its written rules (seconds)"),
    (
        "floors",
        "fail on any dependency between crates that does not go strictly downwards",
    ),
    ("ci", "test, then the short slices of the long runs that exist"),
    (
        "bench",
        "what Actum reaches above the floor of this machine; `graph` or `execution` for a part, `--short` for a twentieth",
    ),
    (
        "deep",
        "the long runs: every property test again, optimised, with many more cases",
    ),
];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say::error(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_else(|| "help".to_owned());
    let arguments: Vec<String> = arguments.collect();
    if let Some(extra) = arguments.first().filter(|_| command != "bench") {
        bail!("`cargo xtask {command}` takes no argument, got `{extra}`");
    }
    let root = tree::workspace_root().context("cannot find the workspace")?;
    match command.as_str() {
        "test" => test::run(&root),
        "tidy" => tidy::run(&root),
        "floors" => floors::run(&root),
        "ci" => ci::run(&root),
        "deep" => deep::run(&root),
        "bench" => bench::run(&root, &arguments),
        "help" | "--help" | "-h" => {
            help();
            Ok(())
        }
        other => {
            help();
            bail!("unknown command `{other}`");
        }
    }
}

fn help() {
    say::line("usage: cargo xtask <command>");
    say::line("");
    for (name, what) in COMMANDS {
        say::line(&format!("  {name:<8} {what}"));
    }
}

/// Whether `name` is a command of this program; the documents may name no other.
pub(crate) fn is_command(name: &str) -> bool {
    COMMANDS.iter().any(|(known, _)| *known == name)
}

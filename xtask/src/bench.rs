//! `cargo xtask bench`: builds the daemon and the bench in release, then runs every rung once, in one run.
//!
//! Numbers live here and in no test: these machines are shared, and what counts is the ratio to the floor.

use crate::steps::cargo;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::Command;

/// Runs the bench. `--short` takes a twentieth of the commands, to see that it works; `graph` and `execution` run that
/// section alone.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<()> {
    let build = [
        "build",
        "--release",
        "--package",
        "actum",
        "--package",
        "actum-bench",
    ];
    cargo(root, &build, &[])?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), Into::into);
    let mut command = Command::new(target.join("release/actum-bench"));
    command.arg(target.join("release/actum")).args(arguments);
    let status = command.status().context("cannot start the bench")?;
    if !status.success() {
        bail!("the bench ended with {status}");
    }
    Ok(())
}

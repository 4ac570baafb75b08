//! `cargo xtask test`: what CI runs, in an order that says what is wrong as early as possible: rules of the tree
//! (seconds), format, lints, the determinism test, then everything.

use std::path::Path;

use anyhow::Result;

use crate::steps::{self, Steps};
use crate::{floors, say, tidy};

/// Runs every part, stops at the first that fails, and prints how long each took.
pub(crate) fn run(root: &Path) -> Result<()> {
    let mut steps = Steps::default();
    let result = parts(root, &mut steps);
    steps.summary();
    result
}

/// The parts themselves, for `ci` and `deep` to build upon.
pub(crate) fn parts(root: &Path, steps: &mut Steps) -> Result<()> {
    steps.run("tidy", || tidy::run(root))?;
    steps.run("floors", || floors::run(root))?;
    steps.run("format", || steps::cargo(root, &["fmt", "--all", "--check"], &[]))?;
    let clippy = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    steps.run("clippy", || steps::cargo(root, &clippy, &[]))?;
    let nextest = steps::has_nextest(root);
    if !nextest {
        say::line("cargo-nextest is not installed; using `cargo test` instead");
    }
    steps.run("determinism", || steps::cargo(root, &determinism(nextest), &[]))?;
    steps.run("tests", || steps::cargo(root, &everything(nextest), &[]))?;
    steps.run("doc tests", || {
        steps::cargo(root, &["test", "--doc", "--workspace"], &[])
    })
}

fn determinism(nextest: bool) -> Vec<&'static str> {
    if !nextest {
        return vec!["test", "-p", "actum-sim", "determinism"];
    }
    vec!["nextest", "run", "-p", "actum-sim", "-E", "test(determinism)"]
}

fn everything(nextest: bool) -> Vec<&'static str> {
    if nextest {
        vec!["nextest", "run", "--workspace"]
    } else {
        vec!["test", "--workspace", "--all-targets"]
    }
}

//! `cargo xtask test`: what CI runs, in an order that says what is wrong as early as possible: rules of the tree
//! (seconds), format, lints, the determinism test, then everything.
//!
//! Every part names the whole workspace. A build of one crate alone would choose other features for what lies below it,
//! and compile all of that once more.

use std::num::NonZero;
use std::path::Path;

use anyhow::Result;

use crate::steps::{self, Steps};
use crate::{floors, say, tidy};

/// Tests run at once for each core. Most of them wait for processes of theirs.
const TESTS_PER_CORE: usize = 2;
/// Where that number is said to nextest, unless somebody has said another.
const THREADS: &str = "NEXTEST_TEST_THREADS";

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
    let runner = Runner::here(root);
    steps.run("compile tests", || runner.run(root, &["--no-run"]))?;
    steps.run("determinism", || runner.determinism(root))?;
    steps.run("tests", || runner.run(root, &[]))?;
    steps.run("doc tests", || {
        steps::cargo(root, &["test", "--doc", "--workspace"], &[])
    })
}

/// What runs the tests: a process for each where there is `cargo nextest`, a process for each crate otherwise.
struct Runner {
    nextest: bool,
    threads: String,
}

impl Runner {
    fn here(root: &Path) -> Self {
        let nextest = steps::has_nextest(root);
        if !nextest {
            say::line("cargo-nextest is not installed; using `cargo test` instead");
        }
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self {
            nextest,
            threads: (cores * TESTS_PER_CORE).to_string(),
        }
    }

    fn determinism(&self, root: &Path) -> Result<()> {
        if self.nextest {
            self.run(root, &["-E", "package(actum-sim) & test(determinism)"])
        } else {
            self.run(root, &["determinism"])
        }
    }

    fn run(&self, root: &Path, arguments: &[&str]) -> Result<()> {
        let plain = if self.nextest {
            ["nextest", "run", "--workspace", "--tests"].as_slice()
        } else {
            ["test", "--workspace", "--tests"].as_slice()
        };
        let threads = [(THREADS, self.threads.as_str())];
        let set = std::env::var_os(THREADS).is_some();
        let environment = if set { [].as_slice() } else { threads.as_slice() };
        steps::cargo(root, &[plain, arguments].concat(), environment)
    }
}

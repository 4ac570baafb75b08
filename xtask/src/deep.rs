//! `cargo xtask deep`: the long runs, for a machine with an hour to spare. Only runs that exist are named here.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::say;
use crate::steps::{self, Steps};

/// How many cases each property test tries; the default of a plain run is 256. A test that sets a number of its own
/// keeps it.
const PROPERTY_CASES: &str = "20000";
/// Seeds the simulator runs, and steps of each world; a plain run has 32 of 500.
const SIMULATED_WORLDS: &str = "2000";
const STEPS_PER_WORLD: &str = "2000";
/// What asks the tests for more than a plain run. `ACTUM_DEEP`: the full counts of what sessions must withstand.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("PROPTEST_CASES", PROPERTY_CASES),
    ("ACTUM_SIM_SEEDS", SIMULATED_WORLDS),
    ("ACTUM_SIM_STEPS", STEPS_PER_WORLD),
    ("ACTUM_DEEP", "1"),
];

/// The targets of `fuzz/`, and how long each is fed from coverage.
const FUZZ_TARGETS: &[&str] = &["envelope", "frames", "graph_pieces", "operations", "segment"];
const FUZZ_SECONDS: u64 = 60;

/// Runs every part and prints how long each took.
pub(crate) fn run(root: &Path) -> Result<()> {
    let mut steps = Steps::default();
    let arguments = ["test", "--release", "--workspace", "--all-targets"];
    let result = steps.run("all tests, optimised, many cases", || {
        steps::cargo(root, &arguments, ENVIRONMENT)
    });
    let result = result.and_then(|()| fuzz(root, &mut steps));
    steps.summary();
    result
}

/// Feeds every target of `fuzz/` from coverage, where there is what that needs.
fn fuzz(root: &Path, steps: &mut Steps) -> Result<()> {
    if !has_cargo_fuzz(root) {
        say::line(
            "==> no fuzzing from coverage: it needs a nightly toolchain and `cargo install cargo-fuzz`",
        );
        return Ok(());
    }
    for target in FUZZ_TARGETS {
        steps.run(&format!("fuzz {target}"), || run_target(root, target))?;
    }
    Ok(())
}

fn run_target(root: &Path, target: &str) -> Result<()> {
    let limit = format!("-max_total_time={FUZZ_SECONDS}");
    let status = nightly(root)
        .args(["fuzz", "run", target, "--", &limit])
        .status()
        .context("cannot start cargo fuzz")?;
    if !status.success() {
        bail!("`cargo fuzz run {target}` ended with {status}");
    }
    Ok(())
}

fn has_cargo_fuzz(root: &Path) -> bool {
    let mut command = nightly(root);
    command
        .args(["fuzz", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// The cargo of the nightly toolchain. What runs this program may have set another one; rustup is to choose.
fn nightly(root: &Path) -> Command {
    let mut command = Command::new("rustup");
    command
        .args(["run", "nightly", "cargo"])
        .current_dir(root)
        .env_remove("RUSTUP_TOOLCHAIN")
        .env_remove("CARGO");
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }

    #[test]
    fn what_is_asked_of_the_tests_is_read_by_some_of_them() {
        let mut files = Vec::new();
        sources(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates"),
            &mut files,
        );
        let texts: Vec<String> = files
            .iter()
            .map(|file| std::fs::read_to_string(file).unwrap())
            .collect();
        for (name, _) in ENVIRONMENT.iter().filter(|(name, _)| name.starts_with("ACTUM_")) {
            let quoted = format!("\"{name}\"");
            assert!(
                texts.iter().any(|text| text.contains(&quoted)),
                "nobody reads {name}"
            );
        }
    }

    #[test]
    fn every_target_of_the_fuzz_folder_is_run() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/fuzz_targets");
        let files = std::fs::read_dir(folder).unwrap();
        let mut found: Vec<String> = files
            .map(|file| file.unwrap().file_name().to_string_lossy().replace(".rs", ""))
            .collect();
        found.sort();
        assert_eq!(found, FUZZ_TARGETS);
    }
}

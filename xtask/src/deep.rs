//! `cargo xtask deep`: the long runs, for a machine with an hour to spare. Only runs that exist are named here.

use std::path::Path;

use anyhow::Result;

use crate::steps::{self, Steps};

/// How many cases each property test tries; the default of a plain run is 256. A test that sets a number of its own
/// keeps it.
const PROPERTY_CASES: &str = "20000";
/// Seeds the simulator runs, and steps of each world; a plain run has 32 of 500.
const SIMULATED_WORLDS: &str = "2000";
const STEPS_PER_WORLD: &str = "2000";

/// Runs every part and prints how long each took.
pub(crate) fn run(root: &Path) -> Result<()> {
    let mut steps = Steps::default();
    let arguments = ["test", "--release", "--workspace", "--all-targets"];
    let environment = [
        ("PROPTEST_CASES", PROPERTY_CASES),
        ("ACTUM_SIM_SEEDS", SIMULATED_WORLDS),
        ("ACTUM_SIM_STEPS", STEPS_PER_WORLD),
    ];
    let result = steps.run("all tests, optimised, many cases", || {
        steps::cargo(root, &arguments, &environment)
    });
    steps.summary();
    result
}

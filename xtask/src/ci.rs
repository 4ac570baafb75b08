//! `cargo xtask ci`: what `cargo xtask test` runs, and after it the short slices of the long runs. Only slices that
//! exist are named here; a slice is added together with the run it is cut from.

use std::path::Path;

use anyhow::Result;

use crate::steps::Steps;
use crate::test;

/// Runs every part and prints how long each took.
pub(crate) fn run(root: &Path) -> Result<()> {
    let mut steps = Steps::default();
    let result = test::parts(root, &mut steps);
    steps.summary();
    result
}

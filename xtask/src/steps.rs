//! Running parts one after the other, each with a clear line and its time; the first failure ends the run.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::say;

/// The parts run so far, with how long each took.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    done: Vec<(String, Duration)>,
}

impl Steps {
    /// Runs one part. On failure says which part it was and hands the error on.
    pub(crate) fn run(&mut self, name: &str, part: impl FnOnce() -> Result<()>) -> Result<()> {
        say::line(&format!("==> {name}"));
        let begun = Instant::now();
        let result = part();
        let took = begun.elapsed();
        let verdict = if result.is_ok() { "ok" } else { "FAILED" };
        say::line(&format!("    {name}: {verdict} in {}", seconds(took)));
        self.done.push((name.to_owned(), took));
        result.with_context(|| format!("`{name}` failed"))
    }

    /// Prints the table of times.
    pub(crate) fn summary(&self) {
        say::line("");
        for (name, took) in &self.done {
            say::line(&format!("{:>9}  {name}", seconds(*took)));
        }
        let total = self.done.iter().map(|(_, took)| *took).sum();
        say::line(&format!("{:>9}  in all", seconds(total)));
    }
}

/// Runs `cargo` with `arguments` in `root`, its output going where ours goes.
pub(crate) fn cargo(root: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    let mut command = cargo_command(root);
    command.args(arguments).envs(environment.iter().copied());
    let status = command.status().context("cannot start cargo")?;
    if !status.success() {
        bail!("`cargo {}` ended with {status}", arguments.join(" "));
    }
    Ok(())
}

/// What `cargo` with `arguments` prints.
pub(crate) fn cargo_output(root: &Path, arguments: &[&str]) -> Result<Vec<u8>> {
    let mut command = cargo_command(root);
    let output = command
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        bail!("`cargo {}` ended with {}", arguments.join(" "), output.status);
    }
    Ok(output.stdout)
}

/// Whether `cargo nextest` can be run here.
pub(crate) fn has_nextest(root: &Path) -> bool {
    let mut command = cargo_command(root);
    command
        .args(["nextest", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// The cargo that runs this program, so that both use one toolchain.
fn cargo_command(root: &Path) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(root).stdin(Stdio::null());
    command
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_its_part() {
        let mut steps = Steps::default();
        assert!(steps.run("first", || Ok(())).is_ok());
        let error = steps.run("second", || bail!("broken")).unwrap_err();
        assert_eq!(format!("{error:#}"), "`second` failed: broken");
        assert_eq!(steps.done.len(), 2);
    }
}

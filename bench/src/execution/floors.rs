//! What the same work costs without Actum: an interpreter for each execution, one that is kept and fed by pipes without
//! a cage, and a Jupyter kernel.

use crate::spread::Spread;
use crate::table::{Row, Table, progress};
use actum_sandbox::Interpreter;
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A loop over pipes: reads a line, evaluates it, answers a line.
const LOOP: &str = "import sys\nfor line in sys.stdin:\n    print(eval(line), flush=True)\n";

/// Times `1+1` in a kernel of its own and prints nanoseconds, one a line.
const KERNEL: &str = r#"
import sys, time
from jupyter_client.manager import start_new_kernel
manager, client = start_new_kernel(kernel_name="python3")
def once():
    client.execute_interactive("1+1", output_hook=lambda message: None)
for _ in range(20):
    once()
for _ in range(int(sys.argv[1])):
    begun = time.perf_counter_ns()
    once()
    print(time.perf_counter_ns() - begun)
client.stop_channels()
manager.shutdown_kernel(now=True)
"#;

pub(super) fn rungs(folder: &Path, scale: f64, table: &mut Table) -> Result<()> {
    // The interpreter itself, as sessions have it: what is called `python3` may be a script that chooses one.
    let python = Interpreter::find().context("no python3")?.file;
    let runs = ((100.0 * scale) as usize).max(5);
    add(
        table,
        "floor: python3 -c 1+1, a process each",
        &each(&python, runs)?,
    );
    let runs = ((5000.0 * scale) as usize).max(50);
    add(
        table,
        "floor: 1+1 in one python3 over pipes, no cage",
        &kept(&python, runs)?,
    );
    match kernel(folder, ((500.0 * scale) as usize).max(10)) {
        Ok(spread) => add(table, "floor: 1+1 in an ipykernel, by jupyter_client", &spread),
        Err(error) => {
            let why = format!("skipped: {error:#}");
            table.add(Row::new("floor: 1+1 in an ipykernel, by jupyter_client", why));
        }
    }
    Ok(())
}

fn add(table: &mut Table, name: &str, spread: &Spread) {
    let mut row = Row::new(name, "");
    (row.p50, row.p99) = (Some(spread.p50()), Some(spread.p99()));
    table.add(row);
}

fn each(python: &Path, runs: usize) -> Result<Spread> {
    let mut times = Vec::with_capacity(runs);
    for _ in 0..runs {
        let begun = Instant::now();
        let output = Command::new(python).args(["-c", "print(1+1)"]).output()?;
        times.push(begun.elapsed());
        if output.stdout != b"2\n" {
            bail!("python3 says {:?}", String::from_utf8_lossy(&output.stdout));
        }
    }
    Ok(Spread::new(times))
}

fn kept(python: &Path, runs: usize) -> Result<Spread> {
    let mut child = Command::new(python)
        .args(["-u", "-c", LOOP])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut input = child.stdin.take().context("no input")?;
    let mut output = BufReader::new(child.stdout.take().context("no output")?);
    let mut times = Vec::with_capacity(runs);
    let mut line = String::new();
    for run in 0..runs + 100 {
        let begun = Instant::now();
        input.write_all(b"1+1\n")?;
        line.clear();
        output.read_line(&mut line)?;
        if run >= 100 {
            times.push(begun.elapsed());
        }
    }
    drop(input);
    child.wait()?;
    Ok(Spread::new(times))
}

/// In a virtual environment of the bench's own, from the registry pip is set up with.
fn kernel(folder: &Path, runs: usize) -> Result<Spread> {
    let venv = folder.join("venv");
    progress("installing ipykernel and jupyter_client");
    quiet(Command::new("python3").args(["-m", "venv"]).arg(&venv)).context("no virtual environment")?;
    let python = venv.join("bin/python3");
    let install = [
        "-m",
        "pip",
        "install",
        "-q",
        "--disable-pip-version-check",
        "ipykernel",
        "jupyter_client",
    ];
    quiet(Command::new(&python).args(install)).context("the registry is out of reach")?;
    let output = Command::new(&python)
        .args(["-c", KERNEL, &runs.to_string()])
        .env("PATH", venv.join("bin"))
        .output()?;
    if !output.status.success() {
        bail!("the kernel failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let text = String::from_utf8(output.stdout)?;
    let times = text
        .lines()
        .filter_map(|line| line.parse().ok())
        .map(Duration::from_nanos);
    Ok(Spread::new(times.collect()))
}

fn quiet(command: &mut Command) -> Result<()> {
    let output = command.output()?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        bail!("{}", text.lines().last().unwrap_or("it failed without a word"));
    }
    Ok(())
}

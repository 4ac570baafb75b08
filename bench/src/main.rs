//! `cargo xtask bench`: the floor of this machine and, in the same run, what Actum reaches above it, over
//! the real API of a real daemon on loopback, with the disk synced. One table; numbers, never assertions.

mod boot;
mod daemon;
mod execution;
mod floor;
mod graph;
mod load;
mod publish;
mod spread;
mod table;
mod wire;

use anyhow::{Context, Result};
use std::path::PathBuf;
use table::{Row, Table};

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    All,
    Graph,
    Execution,
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let actum = PathBuf::from(
        arguments
            .next()
            .context("expected the path of the `actum` binary")?,
    );
    let (mut scale, mut section) = (1.0, Section::All);
    for argument in arguments {
        match argument.as_str() {
            "--short" => scale = 0.05,
            "--graph" | "graph" => section = Section::Graph,
            "execution" => section = Section::Execution,
            other => anyhow::bail!("expected `graph`, `execution`, `--short` or nothing, got `{other}`"),
        }
    }
    let mut table = Table::new();
    let folder = tempfile::Builder::new()
        .prefix("actum-bench-")
        .tempdir_in(bench_root()?)?;
    let floor = floor::measure(folder.path(), 2000)?;
    table.add(Row::floor(&floor));
    if section == Section::Execution {
        execution::rungs(&actum, folder.path(), scale, &mut table)?;
        table.print();
        return Ok(());
    }
    // First, while the memory of this process is that of the graph alone; printed in its place.
    let mut graph = Table::new();
    graph.section("graph");
    graph::kernel(folder.path(), scale, &mut graph)?;
    if section == Section::All {
        load::rungs(&actum, folder.path(), scale, &floor, &mut table)?;
        boot::rungs(&actum, folder.path(), scale, &mut table)?;
        publish::rung(&mut table);
    }
    graph::wire(&actum, folder.path(), scale, &mut graph)?;
    table.append(graph);
    if section == Section::All {
        execution::rungs(&actum, folder.path(), scale, &mut table)?;
    }
    table.print();
    Ok(())
}

/// Where the data goes: beside the build, so on a real disk and not in a memory file system.
fn bench_root() -> Result<PathBuf> {
    let root = std::env::current_exe()?
        .parent()
        .context("the binary has no folder")?
        .to_owned();
    Ok(root)
}

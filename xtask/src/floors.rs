//! `cargo xtask floors`: an import between workspace crates goes strictly downwards (ARCHITECTURE.md, "Floors").
//!
//! Reads `cargo metadata`, so it sees what cargo sees; it does not look at source text (tidy does).

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{say, steps};

/// Floor of every workspace package. A package that is not here fails the check, so a new crate takes its place
/// on purpose.
const FLOORS: &[(&str, u8)] = &[
    ("actum-model", 0),
    ("actum-graph", 1),
    ("actum-writ", 1),
    ("actum-policy", 1),
    ("actum-record", 1),
    ("actum-kernel", 2),
    ("actum-journal", 3),
    ("actum-sandbox", 3),
    ("actum-engine", 4),
    ("actum-provider", 4),
    ("actum-worker", 4),
    ("actum-daemon", 5),
    ("actum-client", 5),
    ("actum-mcp", 6),
    ("actum-sim", 6),
    ("actum-bench", 6),
    ("actum", 7),
    ("xtask", 8),
];

/// Packages of the pure floors: no clock, no randomness, no IO, no async.
const PURE: &[&str] = &[
    "actum-model",
    "actum-graph",
    "actum-writ",
    "actum-policy",
    "actum-record",
    "actum-kernel",
];

/// Libraries whose whole point is what the pure floors and the engine must not do.
const IMPURE_LIBRARIES: &[&str] = &[
    "async-std",
    "axum",
    "chrono",
    "getrandom",
    "hyper",
    "rand",
    "reqwest",
    "rusqlite",
    "rustix",
    "tokio",
    "uuid",
];

/// One dependency of one workspace package.
#[derive(Debug)]
struct Edge {
    from: String,
    to: String,
    dev: bool,
}

/// Checks the workspace at `root`.
pub(crate) fn run(root: &Path) -> Result<()> {
    let arguments = ["metadata", "--format-version", "1", "--no-deps"];
    let output = steps::cargo_output(root, &arguments)?;
    let metadata = serde_json::from_slice(&output).context("cargo metadata is not JSON")?;
    let (packages, edges) = read(&metadata)?;
    let faults = faults(&packages, &edges);
    for fault in &faults {
        say::error(fault);
    }
    if !faults.is_empty() {
        bail!("{} dependencies break the floors", faults.len());
    }
    say::line(&format!(
        "floors: {} packages, every dependency goes down",
        packages.len()
    ));
    Ok(())
}

fn read(metadata: &Value) -> Result<(Vec<String>, Vec<Edge>)> {
    let listed = metadata
        .get("packages")
        .and_then(Value::as_array)
        .context("no `packages` in the metadata")?;
    let mut packages = Vec::new();
    let mut edges = Vec::new();
    for package in listed {
        let from = text(package, "name")?;
        let dependencies = package.get("dependencies").and_then(Value::as_array);
        for dependency in dependencies.context("a package has no `dependencies`")? {
            let dev = dependency.get("kind").and_then(Value::as_str) == Some("dev");
            edges.push(Edge {
                from: from.clone(),
                to: text(dependency, "name")?,
                dev,
            });
        }
        packages.push(from);
    }
    Ok((packages, edges))
}

fn text(value: &Value, key: &str) -> Result<String> {
    let found = value.get(key).and_then(Value::as_str);
    Ok(found
        .with_context(|| format!("no `{key}` in the metadata"))?
        .to_owned())
}

fn faults(packages: &[String], edges: &[Edge]) -> Vec<String> {
    let mut faults: Vec<String> = packages
        .iter()
        .filter(|package| floor(package).is_none())
        .map(|package| format!("`{package}` stands on no floor; give it one in xtask/src/floors.rs"))
        .collect();
    faults.extend(edges.iter().filter_map(fault));
    faults
}

fn fault(edge: &Edge) -> Option<String> {
    let Edge { from, to, dev } = edge;
    if !*dev && is_core(from) && IMPURE_LIBRARIES.contains(&to.as_str()) {
        return Some(format!(
            "`{from}` may not depend on `{to}`: it does no IO and reads no clock"
        ));
    }
    let from_floor = floor(from)?;
    let to_floor = floor(to)?;
    // The simulator stands on top because it drives the engine, yet the crates below it test themselves against its
    // world and its reference model. Cargo never builds dev-dependencies into a product, so this edge cannot make
    // a lower crate need a higher one.
    if *dev && to == "actum-sim" {
        return None;
    }
    (to_floor >= from_floor).then(|| {
        let kind = if *dev { "a dev-dependency" } else { "a dependency" };
        format!("`{from}` (floor {from_floor}) has {kind} on `{to}` (floor {to_floor}): not downwards")
    })
}

fn floor(package: &str) -> Option<u8> {
    FLOORS
        .iter()
        .find(|(name, _)| *name == package)
        .map(|(_, floor)| *floor)
}

/// The pure crates, and the engine, which is not pure but does no IO either.
fn is_core(package: &str) -> bool {
    PURE.contains(&package) || package == "actum-engine"
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(from: &str, to: &str, kind: Option<&str>) -> Vec<String> {
        let metadata = json!({"packages": [{"name": from, "dependencies": [{"name": to, "kind": kind}]}]});
        let (packages, edges) = read(&metadata).unwrap();
        faults(&packages, &edges)
    }

    #[test]
    fn a_downward_edge_is_fine() {
        assert!(check("actum-kernel", "actum-model", None).is_empty());
        assert!(check("actum", "actum-daemon", None).is_empty());
        assert!(check("actum-kernel", "imbl", None).is_empty());
    }

    #[test]
    fn an_upward_edge_and_one_on_the_same_floor_are_refused() {
        assert_eq!(check("actum-model", "actum-kernel", None).len(), 1);
        assert_eq!(check("actum-client", "actum-daemon", None).len(), 1);
        assert_eq!(check("actum-client", "actum-daemon", Some("dev")).len(), 1);
        assert_eq!(check("actum-model", "actum-record", Some("build")).len(), 1);
    }

    #[test]
    fn only_the_simulator_may_be_reached_upwards_and_only_by_tests() {
        assert!(check("actum-kernel", "actum-sim", Some("dev")).is_empty());
        assert_eq!(check("actum-kernel", "actum-sim", None).len(), 1);
    }

    #[test]
    fn the_core_takes_no_library_that_does_io() {
        assert_eq!(check("actum-kernel", "tokio", None).len(), 1);
        assert_eq!(check("actum-engine", "rand", None).len(), 1);
        assert!(check("actum-kernel", "tokio", Some("dev")).is_empty());
        assert!(check("actum-daemon", "tokio", None).is_empty());
    }

    #[test]
    fn a_package_without_a_floor_is_refused() {
        assert_eq!(check("actum-attic", "serde", None).len(), 1);
    }
}

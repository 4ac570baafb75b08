//! Reliability objectives of the simulated world, held against fixed seeds: the build fails where one is missed.
//! What they mean and why they are where they are stands in `docs/objectives.md`, whose numbers this test reads.

use actum_sim::{Plan, Report, run};
use std::collections::BTreeMap;
use std::path::Path;

const SEEDS: std::ops::Range<u64> = 1000..1012;
const STEPS: u64 = 400;

/// The numbers of the table: `| name | at least / at most | … |`.
fn objectives() -> BTreeMap<String, f64> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/objectives.md");
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let name = cells.get(1).unwrap().trim_matches('`').to_owned();
        (name, cells.get(3).unwrap().parse().unwrap())
    })
    .collect()
}

#[test]
fn the_reliability_objectives_hold() {
    let objectives = objectives();
    let mut reports: Vec<Report> = Vec::new();
    let mut broken = 0_u32;
    for seed in SEEDS {
        let plan = Plan {
            seed,
            steps: STEPS,
            verbose: false,
        };
        match run(&plan, &mut Vec::new()) {
            Ok(report) => reports.push(report),
            Err(promise) => {
                println!("seed {seed}: {promise}");
                broken += 1;
            }
        }
    }
    let sum = |of: fn(&Report) -> usize| reports.iter().map(of).sum::<usize>() as f64;
    let (accepted, ended, doubts) = (sum(|r| r.accepted), sum(|r| r.ended), sum(|r| r.doubts));
    let (boots, effects) = (sum(|r| r.boots), sum(|r| r.effects));
    let mut missed = Vec::new();
    let mut hold = |name: &str, found: f64, at_least: bool| {
        let wanted = objectives
            .get(name)
            .unwrap_or_else(|| panic!("docs/objectives.md lacks `{name}`"));
        println!("{name}: {found:.4}, objective {wanted}");
        if (at_least && found < *wanted) || (!at_least && found > *wanted) {
            missed.push(format!("{name} is {found:.4}, objective {wanted}"));
        }
    };
    hold("broken_promises", f64::from(broken), false);
    hold("ended_share", ended / accepted.max(1.0), true);
    hold("doubt_share", doubts / accepted.max(1.0), false);
    hold("boots_exercised", boots, true);
    hold("effects_exercised", effects, true);
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

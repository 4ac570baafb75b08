//! `docs/requirements.md`: every requirement has an id of its own and names evidence that exists, or is `open`.
//!
//! Columns: `id | requirement | shown by | status`. Status `test` and `command` ask for at least one reference of
//! that kind; `decided` links the record of a decision; `open` may name what is there so far; `note` is for a sentence
//! that asks for nothing, and says why.

use std::collections::BTreeSet;

use super::Finding;
use super::references::{self, Kind, Tests};
use crate::tree::Tree;

const FILE: &str = "docs/requirements.md";

/// Checks the table.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let Some(text) = tree.text(FILE) else {
        return vec![Finding::error(FILE, 0, "is missing")];
    };
    let tests = Tests::of(tree);
    let mut findings = Vec::new();
    let mut ids = BTreeSet::new();
    for (content, line) in text
        .lines()
        .zip(1..)
        .filter(|(content, _)| content.starts_with("| S"))
    {
        let cells = cells(content);
        let [id, requirement, shown, status] = cells.as_slice() else {
            findings.push(Finding::error(
                FILE,
                line,
                format!("a row has 4 cells, this one {}", cells.len()),
            ));
            continue;
        };
        if !is_id(id) {
            findings.push(Finding::error(
                FILE,
                line,
                format!("`{id}` is no id of the form `S0-L3-01`"),
            ));
        }
        if !ids.insert(id.clone()) {
            findings.push(Finding::error(FILE, line, format!("id `{id}` stands twice")));
        }
        if requirement.is_empty() {
            findings.push(Finding::error(FILE, line, "says no requirement"));
        }
        findings.extend(evidence(tree, &tests, line, shown, status));
    }
    if ids.is_empty() {
        findings.push(Finding::error(FILE, 0, "has no rows"));
    }
    findings
}

fn evidence(tree: &Tree, tests: &Tests, line: usize, shown: &str, status: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if status == "note" {
        if shown.is_empty() || shown == "–" {
            findings.push(Finding::error(
                FILE,
                line,
                "a `note` says why it asks for nothing",
            ));
        }
        return findings;
    }
    let mut kinds = Vec::new();
    for reference in references::spans(shown) {
        match references::resolve(tree, tests, reference) {
            Ok(kind) => kinds.push(kind),
            Err(message) => findings.push(Finding::error(FILE, line, message)),
        }
    }
    let enough = match status {
        "open" => true,
        "test" => kinds.contains(&Kind::Test),
        "command" => kinds.contains(&Kind::Command),
        "decided" => shown.contains("](adr/"),
        other => {
            let message = format!("status `{other}` is none of `test`, `command`, `decided`, `open`, `note`");
            findings.push(Finding::error(FILE, line, message));
            true
        }
    };
    if !enough && findings.is_empty() {
        findings.push(Finding::error(
            FILE,
            line,
            format!("status `{status}`, but nothing named shows it"),
        ));
    }
    findings
}

/// The cells of a table row; `\|` does not part cells.
fn cells(row: &str) -> Vec<String> {
    let inner = row
        .trim()
        .trim_start_matches('|')
        .trim_end_matches('|')
        .replace("\\|", "\u{0}");
    inner
        .split('|')
        .map(|cell| cell.trim().replace('\u{0}', "|"))
        .collect()
}

/// Seed, heading, number: `S0-L3-01`.
fn is_id(id: &str) -> bool {
    let parts: Vec<&str> = id.split('-').collect();
    let [seed, heading, number] = parts.as_slice() else {
        return false;
    };
    let seed = matches!(*seed, "S0" | "S1" | "S2" | "S3" | "S4");
    let heading = !heading.is_empty()
        && heading
            .chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
    let number = number.len() == 2 && number.chars().all(|c| c.is_ascii_digit());
    seed && heading && number
}

#[cfg(test)]
mod tests {
    use super::super::check::messages;
    use super::*;

    fn found(rows: &str) -> usize {
        let test = ("crates/kernel/src/a.rs", "#[test]\nfn fifo_holds() {}\n");
        messages(check, &[test, (FILE, rows)]).len()
    }

    #[test]
    fn named_tests_and_commands_exist() {
        assert_eq!(found("| S0-L3-01 | lanes | `kernel::fifo_holds` | test |\n"), 0);
        assert_eq!(found("| S0-L3-01 | lanes | `kernel::gone` | test |\n"), 1);
        assert_eq!(found("| S0-L3-01 | lanes | `actum verify` | command |\n"), 0);
        assert_eq!(found("| S0-L3-01 | lanes | `actum verify` | test |\n"), 1);
        assert_eq!(found("| S0-L3-01 | lanes | – | test |\n"), 1);
    }

    #[test]
    fn open_rows_may_be_bare_and_notes_may_not() {
        assert_eq!(found("| S0-L3-01 | lanes | – | open |\n"), 0);
        assert_eq!(found("| S0-L3-01 | lanes | – | done |\n"), 1);
        assert_eq!(found("| S0-L3-01 | lanes | a heading | note |\n"), 0);
        assert_eq!(found("| S0-L3-01 | lanes | – | note |\n"), 1);
    }

    #[test]
    fn a_decision_links_its_record() {
        assert_eq!(
            found("| S0-DL-01 | backend | [ADR](adr/0001-a.md) | decided |\n"),
            0
        );
        assert_eq!(found("| S0-DL-01 | backend | we agreed | decided |\n"), 1);
    }

    #[test]
    fn ids_are_well_formed_and_unique() {
        let row = "| S0-L3-01 | lanes | – | open |\n";
        assert_eq!(found(&row.repeat(2)), 1);
        assert_eq!(found("| S9-x | lanes | – | open |\n"), 1);
        assert_eq!(found("| S0-L3-01 | lanes | open |\n"), 2);
    }

    #[test]
    fn an_escaped_bar_stays_in_its_cell() {
        assert_eq!(cells("| a \\| b | c |"), ["a | b", "c"]);
    }
}

//! `docs/findings.md`: a bug names a test that exists and a requirement that exists; a deferred finding says why,
//! whose it is, what brings it back, by when, and how far the damage reaches.

use super::Finding;
use super::references::{self, Kind, Tests};
use crate::tree::Tree;

const FILE: &str = "docs/findings.md";
const REQUIREMENTS: &str = "docs/requirements.md";

/// Checks both tables.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let Some(text) = tree.text(FILE) else {
        return vec![Finding::error(FILE, 0, "is missing")];
    };
    let tests = Tests::of(tree);
    let requirements = tree.text(REQUIREMENTS).unwrap_or_default();
    let mut findings = Vec::new();
    let mut columns: Vec<&str> = Vec::new();
    for (content, line) in text.lines().zip(1..) {
        if !content.starts_with("| ") {
            continue;
        }
        let cells: Vec<&str> = content.trim_matches('|').split('|').map(str::trim).collect();
        if matches!(cells.first(), Some(&("bug" | "finding"))) {
            columns = cells;
            continue;
        }
        let mut add = |message: String| findings.push(Finding::error(FILE, line, message));
        if cells.len() != columns.len() {
            add(format!(
                "a row has {} cells, this one {}",
                columns.len(),
                cells.len()
            ));
            continue;
        }
        for (column, cell) in columns.iter().zip(&cells) {
            if cell.is_empty() || *cell == "–" {
                add(format!("says no {column}"));
            }
        }
        if let ([_, shown, requirement], Some(&"bug")) = (cells.as_slice(), columns.first()) {
            let spans = references::spans(shown);
            let kinds: Vec<_> = spans
                .iter()
                .map(|span| references::resolve(tree, &tests, span))
                .collect();
            if !kinds.iter().any(|kind| matches!(kind, Ok(Kind::Test))) {
                add("names no test that would see it again".to_owned());
            }
            kinds.into_iter().filter_map(Result::err).for_each(&mut add);
            if !requirements.contains(&format!("| {requirement} |")) {
                add(format!("`{requirement}` is no requirement"));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::check::messages;
    use super::*;

    const BUGS: &str = "| bug | seen again by | requirement |\n|---|---|---|\n";
    const LEFT: &str =
        "| finding | rationale | owner | trigger | deadline | blast radius |\n|---|---|---|---|---|---|\n";

    fn found(text: &str) -> usize {
        let test = ("crates/kernel/src/a.rs", "#[test]\nfn fifo_holds() {}\n");
        let requirements = (REQUIREMENTS, "| S0-L3-01 | x | y | test |\n");
        messages(check, &[(FILE, text), requirements, test]).len()
    }

    #[test]
    fn a_bug_names_its_test_and_its_requirement() {
        let row = |shown: &str, requirement: &str| format!("{BUGS}| it broke | {shown} | {requirement} |\n");
        assert_eq!(found(&row("`kernel::a::fifo_holds`", "S0-L3-01")), 0);
        assert_eq!(found(&row("`kernel::a::fifo_holds`", "S0-L3-99")), 1);
        assert!(found(&row("`kernel::a::no_such_test`", "S0-L3-01")) > 0);
        assert_eq!(found(&row("somebody looked", "S0-L3-01")), 1);
    }

    #[test]
    fn a_deferred_finding_says_everything() {
        let row = |cells: &str| format!("{LEFT}{cells}\n");
        assert_eq!(found(&row("| a | b | c | d | e | f |")), 0);
        assert_eq!(found(&row("| a | b |  | d | – | f |")), 2);
        assert_eq!(found(&row("| a | b | c |")), 1);
    }
}

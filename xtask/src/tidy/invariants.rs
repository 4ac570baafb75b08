//! `docs/invariants.md`: the twelve invariants, each under a heading `## N. …` with a line `**Shown by:**` that names
//! tests that exist, or says `open`.

use super::Finding;
use super::references::{self, Kind, Tests};
use crate::tree::Tree;

const FILE: &str = "docs/invariants.md";
const COUNT: usize = 12;
const SHOWN_BY: &str = "**Shown by:**";

/// Checks the document.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let Some(text) = tree.text(FILE) else {
        return vec![Finding::error(FILE, 0, "is missing")];
    };
    let tests = Tests::of(tree);
    let mut findings = Vec::new();
    let mut expected = 1;
    for section in sections(text) {
        if section.number != expected {
            let message = format!("invariant {} stands where {expected} should", section.number);
            findings.push(Finding::error(FILE, section.line, message));
        }
        expected = section.number + 1;
        findings.extend(evidence(tree, &tests, &section));
    }
    if expected != COUNT + 1 {
        findings.push(Finding::error(
            FILE,
            0,
            format!("ends at invariant {}, of {COUNT}", expected - 1),
        ));
    }
    findings
}

#[derive(Debug)]
struct Section<'a> {
    number: usize,
    line: usize,
    shown: Option<String>,
    body: Vec<&'a str>,
}

/// The numbered sections, each with the paragraph that follows `**Shown by:**`.
fn sections(text: &str) -> Vec<Section<'_>> {
    let mut sections: Vec<Section<'_>> = Vec::new();
    let mut open = false;
    for (content, line) in text.lines().zip(1..) {
        if let Some(title) = content.strip_prefix("## ") {
            let number = title.split_once(". ").and_then(|(number, _)| number.parse().ok());
            open = number.is_some();
            sections.extend(number.map(|number| Section {
                number,
                line,
                shown: None,
                body: Vec::new(),
            }));
        } else if let Some(section) = sections.last_mut().filter(|_| open) {
            section.body.push(content);
        }
    }
    for section in &mut sections {
        section.shown = paragraph(&section.body);
    }
    sections
}

fn paragraph(body: &[&str]) -> Option<String> {
    let start = body.iter().position(|line| line.starts_with(SHOWN_BY))?;
    let lines: Vec<&str> = body
        .iter()
        .skip(start)
        .take_while(|line| !line.trim().is_empty())
        .copied()
        .collect();
    Some(lines.join(" ").replacen(SHOWN_BY, "", 1).trim().to_owned())
}

fn evidence(tree: &Tree, tests: &Tests, section: &Section<'_>) -> Vec<Finding> {
    let Some(shown) = &section.shown else {
        let message = format!("invariant {} has no line `{SHOWN_BY}`", section.number);
        return vec![Finding::error(FILE, section.line, message)];
    };
    if shown.starts_with("open") {
        return Vec::new();
    }
    let judged: Vec<Result<Kind, String>> = references::spans(shown)
        .into_iter()
        .map(|span| references::resolve(tree, tests, span))
        .collect();
    let proven = judged.contains(&Ok(Kind::Test));
    let mut findings: Vec<Finding> = judged
        .into_iter()
        .filter_map(Result::err)
        .map(|message| {
            Finding::error(
                FILE,
                section.line,
                format!("invariant {}: {message}", section.number),
            )
        })
        .collect();
    if !proven && findings.is_empty() {
        let message = format!("invariant {} names no test and is not `open`", section.number);
        findings.push(Finding::error(FILE, section.line, message));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::check::messages;
    use super::*;

    fn document(shown: &str) -> String {
        let section = |number: usize| format!("## {number}. A rule\n\nText.\n\n{SHOWN_BY} {shown}\n\n");
        format!(
            "# Invariants\n\n{}## How to add one\n",
            (1..=COUNT).map(section).collect::<String>()
        )
    }

    fn found(text: &str) -> usize {
        let test = ("crates/kernel/src/a.rs", "#[test]\nfn fifo_holds() {}\n");
        messages(check, &[test, (FILE, text)]).len()
    }

    #[test]
    fn every_invariant_names_a_test_or_is_open() {
        assert_eq!(found(&document("open")), 0);
        assert_eq!(found(&document("`kernel::fifo_holds`")), 0);
        assert_eq!(found(&document("`kernel::gone`")), COUNT);
        assert_eq!(found(&document("a good feeling")), COUNT);
        assert_eq!(found(&document("open").replacen(SHOWN_BY, "Nothing", 1)), 1);
    }

    #[test]
    fn there_are_twelve_in_order() {
        assert_eq!(found(&document("open").replacen("## 12.", "## 13.", 1)), 2);
        assert_eq!(
            found(&document("open").replacen("## 12. A rule", "## More", 1)),
            1
        );
    }
}

//! Every error code has a page, every page a code, and a page repeats what the table says of its code.
//!
//! The codes are the upper-case string literals of the product part of `crates/model/src/error.rs`, the one place
//! where they are declared. A row of that table goes on with HTTP status, `retryable` and a sentence; those, and the
//! example of the page, are compared. The prose of a page is its own.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Finding;
use crate::code;
use crate::tree::Tree;

const CODES: &str = "crates/model/src/error.rs";
const PAGES: &str = "docs/errors/";

/// What the table says of a code.
#[derive(Debug, PartialEq, Eq)]
struct Facts {
    status: String,
    retryable: bool,
    title: String,
}

/// Checks codes against pages. Says nothing while there is neither.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let codes = tree.text(CODES).map(declared).unwrap_or_default();
    let mut findings = Vec::new();
    for (code, facts) in &codes {
        let page = format!("{PAGES}{code}.md");
        match tree.text(&page) {
            None => findings.push(Finding::error(
                CODES,
                0,
                format!("code `{code}` has no page `{page}`"),
            )),
            Some(text) => {
                let faults = page_faults(code, facts.as_ref(), text);
                findings.extend(faults.into_iter().map(|fault| Finding::error(&page, 0, fault)));
            }
        }
    }
    for path in tree.paths() {
        let name = path.strip_prefix(PAGES).and_then(|rest| rest.strip_suffix(".md"));
        if let Some(name) = name.filter(|name| *name != "README" && !codes.contains_key(*name)) {
            findings.push(Finding::error(
                path,
                0,
                format!("no code `{name}` is declared in `{CODES}`"),
            ));
        }
    }
    findings
}

fn page_faults(code: &str, facts: Option<&Facts>, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut wanted = vec![format!("# {code}")];
    if let Some(Facts {
        status,
        retryable,
        title,
    }) = facts
    {
        let retryable = if *retryable { "yes" } else { "no" };
        wanted.push(title.clone());
        wanted.push(format!("HTTP status {status}. Retryable: {retryable}."));
    }
    for line in wanted
        .iter()
        .filter(|line| !text.lines().any(|found| found == **line))
    {
        faults.push(format!("has no line `{line}`"));
    }
    faults.extend(example_fault(code, facts, text));
    faults
}

/// What is wrong with the first JSON block of a page: a response, or an error object by itself.
fn example_fault(code: &str, facts: Option<&Facts>, text: &str) -> Option<String> {
    let block = text.split("```json\n").nth(1)?.split("```").next()?;
    let example: Value = match serde_json::from_str(block) {
        Ok(example) => example,
        Err(error) => return Some(format!("the example is not JSON: {error}")),
    };
    let error = example.get("error").unwrap_or(&example);
    if error.get("code").and_then(Value::as_str) != Some(code) {
        return Some("the example has another code".to_owned());
    }
    let retryable = error.get("retryable").and_then(Value::as_bool);
    let wrong = facts.is_some_and(|facts| retryable != Some(facts.retryable));
    wrong.then(|| "the example has another `retryable`".to_owned())
}

/// The codes declared in the given source, with what stands beside them where it can be read.
fn declared(source: &str) -> BTreeMap<String, Option<Facts>> {
    let product = code::split_tests(&code::blank_comments(source)).0;
    let mut codes = BTreeMap::new();
    // Between quotes every second piece is a literal; what follows a code is numbers, then its sentence.
    let pieces: Vec<&str> = product.split('"').collect();
    for (index, literal) in pieces
        .iter()
        .enumerate()
        .skip(1)
        .step_by(2)
        .filter(|(_, piece)| is_code(piece))
    {
        let beside = pieces.get(index + 1).zip(pieces.get(index + 2));
        codes.insert(
            (*literal).to_owned(),
            beside.and_then(|(numbers, title)| facts(numbers, title)),
        );
    }
    codes
}

fn facts(numbers: &str, title: &str) -> Option<Facts> {
    let mut words = numbers.split_whitespace();
    let status = words
        .next()
        .filter(|word| word.chars().all(|c| c.is_ascii_digit()))?;
    let retryable = words.next()?.parse().ok()?;
    Some(Facts {
        status: status.to_owned(),
        retryable,
        title: title.to_owned(),
    })
}

fn is_code(literal: &str) -> bool {
    let upper = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    literal.len() >= 3 && literal.starts_with(|c: char| c.is_ascii_uppercase()) && literal.chars().all(upper)
}

#[cfg(test)]
mod tests {
    use super::super::check::messages;
    use super::*;

    const SOURCE: &str = "//! Codes.\n// not \"A_COMMENT\"\nBusy \"BUSY\" 503 true \"A bound.\" \"wait\"; // \"NOT_THIS\"\n\
                          IdentityConflict => (\"IDENTITY_CONFLICT\", \"a sentence\"),\n\
                          #[cfg(test)]\nmod tests { const A: &str = \"IN_TEST\"; }\n";
    const BUSY: &str = "# BUSY\n\nA bound.\n\nHTTP status 503. Retryable: yes.\n\n```json\n\
                        {\"code\": \"BUSY\", \"retryable\": true}\n```\n";

    fn found(pages: &[(&str, &str)]) -> usize {
        let mut files = vec![(CODES, SOURCE)];
        files.extend(pages);
        messages(check, &files).len()
    }

    #[test]
    fn codes_are_read_from_the_literals() {
        let codes = declared(SOURCE);
        assert_eq!(Vec::from_iter(codes.keys()), ["BUSY", "IDENTITY_CONFLICT"]);
        let busy = Facts {
            status: "503".to_owned(),
            retryable: true,
            title: "A bound.".to_owned(),
        };
        assert_eq!(codes["BUSY"], Some(busy));
    }

    #[test]
    fn codes_and_pages_belong_together() {
        let busy = ("docs/errors/BUSY.md", BUSY);
        let conflict = ("docs/errors/IDENTITY_CONFLICT.md", "# IDENTITY_CONFLICT\n");
        assert_eq!(
            found(&[busy, conflict, ("docs/errors/README.md", "# Errors\n")]),
            0
        );
        assert_eq!(found(&[busy]), 1);
        assert_eq!(found(&[busy, conflict, ("docs/errors/OLD.md", "")]), 1);
        assert_eq!(found(&[busy, (conflict.0, "# Other\n")]), 1);
    }

    #[test]
    fn a_page_repeats_the_table() {
        let conflict = ("docs/errors/IDENTITY_CONFLICT.md", "# IDENTITY_CONFLICT\n");
        let edits = [
            ("503", "500"),
            ("A bound", "A leap"),
            ("\"BUSY\"", "\"LAZY\""),
            ("true}", "false}"),
            ("true}", "true"),
        ];
        for (from, to) in edits {
            assert_eq!(
                found(&[("docs/errors/BUSY.md", &BUSY.replace(from, to)), conflict]),
                1,
                "{from}"
            );
        }
    }
}

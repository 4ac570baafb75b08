//! Every error code has a page, and every page a code.
//!
//! The codes are the upper-case string literals of the product part of `crates/model/src/error.rs`, the one place
//! where they are declared.

use std::collections::BTreeSet;

use super::Finding;
use crate::code;
use crate::tree::Tree;

const CODES: &str = "crates/model/src/error.rs";
const PAGES: &str = "docs/errors/";

/// Checks codes against pages. Says nothing while there is neither.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let codes = tree.text(CODES).map(declared).unwrap_or_default();
    let mut findings = Vec::new();
    for code in &codes {
        let page = format!("{PAGES}{code}.md");
        match tree.text(&page) {
            None => findings.push(Finding::error(
                CODES,
                0,
                format!("code `{code}` has no page `{page}`"),
            )),
            Some(text) if text.lines().next() != Some(&format!("# {code}")) => {
                findings.push(Finding::error(&page, 1, format!("must open with `# {code}`")));
            }
            Some(_) => {}
        }
    }
    for path in tree.paths() {
        let name = path.strip_prefix(PAGES).and_then(|rest| rest.strip_suffix(".md"));
        if let Some(name) = name.filter(|name| *name != "README" && !codes.contains(*name)) {
            findings.push(Finding::error(
                path,
                0,
                format!("no code `{name}` is declared in `{CODES}`"),
            ));
        }
    }
    findings
}

/// The codes declared in the given source.
fn declared(source: &str) -> BTreeSet<String> {
    let product = code::split_tests(&code::blank_comments(source)).0;
    product
        .split('"')
        .skip(1)
        .step_by(2)
        .filter(|literal| is_code(literal))
        .map(str::to_owned)
        .collect()
}

fn is_code(literal: &str) -> bool {
    let upper = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    literal.len() >= 3 && literal.starts_with(|c: char| c.is_ascii_uppercase()) && literal.chars().all(upper)
}

#[cfg(test)]
mod tests {
    use super::super::check::messages;
    use super::*;

    const SOURCE: &str = "//! Codes.\n// not \"A_COMMENT\"\nBusy => \"BUSY\", // \"NOT_THIS\"\n\
                          IdentityConflict => (\"IDENTITY_CONFLICT\", \"a sentence\"),\n\
                          #[cfg(test)]\nmod tests { const A: &str = \"IN_TEST\"; }\n";

    #[test]
    fn codes_are_read_from_the_literals() {
        assert_eq!(Vec::from_iter(declared(SOURCE)), ["BUSY", "IDENTITY_CONFLICT"]);
    }

    #[test]
    fn codes_and_pages_belong_together() {
        let busy = ("docs/errors/BUSY.md", "# BUSY\n");
        let conflict = ("docs/errors/IDENTITY_CONFLICT.md", "# IDENTITY_CONFLICT\n");
        let index = ("docs/errors/README.md", "# Errors\n");
        assert!(messages(check, &[(CODES, SOURCE), busy, conflict, index]).is_empty());
        assert_eq!(messages(check, &[(CODES, SOURCE), busy]).len(), 1);
        assert_eq!(
            messages(
                check,
                &[(CODES, SOURCE), busy, conflict, ("docs/errors/OLD.md", "")]
            )
            .len(),
            1
        );
        assert_eq!(
            messages(check, &[(CODES, SOURCE), busy, (conflict.0, "# Other\n")]).len(),
            1
        );
    }
}

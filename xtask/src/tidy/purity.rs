//! The pure floors hold no clock, no randomness, no IO, no async and no hash map; the engine holds no clock and no
//! IO. Looks at the code that goes into the product; tests may read files.

use super::Finding;
use crate::code;
use crate::tree::Tree;

/// Crates in which state is a function of history and of nothing else.
const PURE_CRATES: &[&str] = &["model", "graph", "writ", "policy", "record", "kernel"];
/// Identifiers a pure crate does not use.
const PURE_WORDS: &[&str] = &[
    "SystemTime",
    "Instant",
    "rand",
    "HashMap",
    "HashSet",
    "async",
    "tokio",
];
/// Identifiers the engine does not use.
const ENGINE_WORDS: &[&str] = &["SystemTime", "Instant", "tokio"];
/// Modules of `std` that neither uses.
const STD_MODULES: &[&str] = &["fs", "net"];

/// Checks the sources of the core.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    tree.rust()
        .flat_map(|(path, text)| check_file(path, text))
        .collect()
}

fn check_file(path: &str, text: &str) -> Vec<Finding> {
    let mut parts = path.split('/');
    let (Some("crates"), Some(folder), Some("src")) = (parts.next(), parts.next(), parts.next()) else {
        return Vec::new();
    };
    let words = if PURE_CRATES.contains(&folder) {
        PURE_WORDS
    } else if folder == "engine" {
        ENGINE_WORDS
    } else {
        return Vec::new();
    };
    let product = code::product_code(path, text);
    let mut findings = Vec::new();
    for (content, line) in product.lines().zip(1..) {
        for word in words.iter().filter(|word| code::has_word(content, word)) {
            findings.push(Finding::error(
                path,
                line,
                format!("`{word}` has no place in `{folder}`"),
            ));
        }
    }
    for (module, line) in std_modules(&product) {
        findings.push(Finding::error(
            path,
            line,
            format!("`std::{module}` has no place in `{folder}`"),
        ));
    }
    findings
}

/// Every use of a forbidden module of `std`, as a path (`std::fs`) or in a group (`std::{fmt, fs}`), with its line.
fn std_modules(product: &str) -> Vec<(&'static str, usize)> {
    let mut found = Vec::new();
    for (start, prefix) in product.match_indices("std::") {
        let before = product.get(..start).unwrap_or_default();
        if before.chars().next_back().is_some_and(code::is_word) {
            continue;
        }
        let line = before.matches('\n').count() + 1;
        let rest = product.get(start + prefix.len()..).unwrap_or_default();
        for module in STD_MODULES.iter().filter(|module| names_module(rest, module)) {
            found.push((*module, line));
        }
    }
    found
}

/// Whether the path that goes on with `rest` names `module` directly or at the first level of a group.
fn names_module(rest: &str, module: &str) -> bool {
    let Some(group) = rest.strip_prefix('{') else {
        return first_word(rest) == module;
    };
    let mut depth = 0_usize;
    let mut entry = String::new();
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if first_word(&entry) == module {
                    return true;
                }
                entry.clear();
            }
            _ if depth == 0 => entry.push(c),
            _ => {}
        }
    }
    first_word(&entry) == module
}

fn first_word(text: &str) -> &str {
    let text = text.trim_start();
    text.split(|c| !code::is_word(c)).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::check::messages;
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        messages(check, &[(path, text)]).len()
    }

    #[test]
    fn a_pure_crate_has_no_clock_randomness_or_hash_map() {
        assert_eq!(
            found("crates/kernel/src/a.rs", "use std::collections::HashMap;\n"),
            1
        );
        assert_eq!(found("crates/model/src/a.rs", "let t = Instant::now();\n"), 1);
        assert_eq!(found("crates/record/src/a.rs", "pub async fn a() {}\n"), 1);
        assert_eq!(
            found(
                "crates/kernel/src/a.rs",
                "use std::collections::BTreeMap; // not HashMap\n"
            ),
            0
        );
        assert_eq!(
            found("crates/journal/src/a.rs", "use std::collections::HashMap;\n"),
            0
        );
    }

    #[test]
    fn the_engine_may_hash_but_has_no_clock_and_no_io() {
        assert_eq!(
            found("crates/engine/src/a.rs", "use std::collections::HashMap;\n"),
            0
        );
        assert_eq!(found("crates/engine/src/a.rs", "use std::time::SystemTime;\n"), 1);
        assert_eq!(found("crates/engine/src/a.rs", "let s = tokio::spawn(f);\n"), 1);
    }

    #[test]
    fn modules_are_found_in_groups_too() {
        assert_eq!(found("crates/kernel/src/a.rs", "use std::fs;\n"), 1);
        assert_eq!(
            found(
                "crates/kernel/src/a.rs",
                "use std::{fmt, net::{IpAddr, Ipv4Addr}};\n"
            ),
            1
        );
        assert_eq!(
            found("crates/kernel/src/a.rs", "use std::{fmt::{self, net}, str};\n"),
            0
        );
        assert_eq!(found("crates/kernel/src/a.rs", "use my_std::fs;\n"), 0);
    }

    #[test]
    fn tests_of_a_pure_crate_may_read_files() {
        assert_eq!(found("crates/kernel/tests/a.rs", "use std::fs;\n"), 0);
        assert_eq!(
            found(
                "crates/kernel/src/a.rs",
                "#[cfg(test)]\nmod tests {\n use std::fs;\n}\n"
            ),
            0
        );
    }
}

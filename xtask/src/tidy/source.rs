//! Rules of every Rust file: it says what it is, it is not too long, it leaves nothing open, its tests wait for
//! events and not for time.

use super::Finding;
use crate::code;
use crate::tree::Tree;

/// From here on a file is split.
const LINES_MAX: usize = 800;
/// From here on a file is looked at again.
const LINES_WARN: usize = 500;

/// Words that mark unfinished work, whole, anywhere in the file. Written in two halves so that this file is clean.
const OPEN_WORDS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];
/// Macros that stand for unfinished work, in code.
const OPEN_MACROS: &[&str] = &[concat!("todo", "!"), concat!("unimplemented", "!")];
/// Calls that make a test wait for time.
const SLEEPS: &[&str] = &["thread::sleep", "tokio::time::sleep", "time::sleep("];

/// Checks every Rust file.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    tree.rust()
        .flat_map(|(path, text)| check_file(path, text))
        .collect()
}

fn check_file(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !text.starts_with("//!") {
        findings.push(Finding::error(
            path,
            1,
            "must open with `//!`: what the file is, and what it does not do",
        ));
    }
    let lines = text.lines().count();
    if lines > LINES_MAX {
        findings.push(Finding::error(
            path,
            0,
            format!("has {lines} lines; split it at {LINES_MAX}"),
        ));
    } else if lines > LINES_WARN {
        findings.push(Finding::warning(
            path,
            0,
            format!("has {lines} lines; is it one room or several?"),
        ));
    }
    for (content, line) in text.lines().zip(1..) {
        for word in OPEN_WORDS.iter().filter(|word| code::has_word(content, word)) {
            findings.push(Finding::error(
                path,
                line,
                format!("`{word}`: do it, or open an issue"),
            ));
        }
    }
    let blanked = code::blank_literals(text);
    find(&mut findings, path, &blanked, OPEN_MACROS, "leaves work open");
    find(
        &mut findings,
        path,
        &blanked,
        &[concat!("#[", "ignore")],
        "an ignored test proves nothing",
    );
    let tests = code::test_code(path, text);
    find(
        &mut findings,
        path,
        &tests,
        SLEEPS,
        "tests wait for events, not for time",
    );
    findings
}

fn find(findings: &mut Vec<Finding>, path: &str, code: &str, needles: &[&str], why: &str) {
    for (content, line) in code.lines().zip(1..) {
        if let Some(needle) = needles.iter().find(|needle| content.contains(**needle)) {
            findings.push(Finding::error(path, line, format!("`{needle}`: {why}")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::messages;
    use super::*;

    fn found(path: &str, body: &str) -> Vec<String> {
        messages(check, &[(path, &format!("//! A file.\n{body}"))])
    }

    #[test]
    fn every_file_opens_with_what_it_is() {
        assert!(messages(check, &[("a.rs", "//! A file.\n")]).is_empty());
        assert_eq!(messages(check, &[("a.rs", "fn main() {}\n")]).len(), 1);
        assert!(messages(check, &[("a.py", "import os\n")]).is_empty());
    }

    #[test]
    fn long_files_warn_and_longer_ones_fail() {
        assert!(found("a.rs", &"//\n".repeat(400)).is_empty());
        assert!(found("a.rs", &"//\n".repeat(600)).concat().starts_with("warning"));
        assert!(found("a.rs", &"//\n".repeat(900)).concat().starts_with("error"));
    }

    #[test]
    fn open_work_is_refused_as_words_and_as_macros() {
        let word = format!("// {}: later\n", concat!("TO", "DO"));
        assert_eq!(found("a.rs", &word).len(), 1);
        assert!(found("a.rs", "const METHODS_TODOS: u8 = 1;\n").is_empty());
        assert_eq!(
            found("a.rs", &format!("fn a() {{ {}() }}\n", OPEN_MACROS[0])).len(),
            1
        );
        assert!(found("a.rs", &format!("const A: &str = \"{}\";\n", OPEN_MACROS[0])).is_empty());
    }

    #[test]
    fn no_test_is_ignored() {
        assert_eq!(
            found(
                "a.rs",
                &format!("#[test]\n{}]\nfn a() {{}}\n", concat!("#[", "ignore"))
            )
            .len(),
            1
        );
        assert!(found("a.rs", "#[test]\nfn a() {}\n").is_empty());
    }

    #[test]
    fn tests_do_not_sleep_but_the_product_may() {
        let call = "fn a() { std::thread::sleep(d); }\n";
        assert_eq!(found("crates/x/tests/a.rs", call).len(), 1);
        assert_eq!(
            found(
                "crates/x/src/a.rs",
                &format!("#[cfg(test)]\nmod tests {{\n{call}}}\n")
            )
            .len(),
            1
        );
        assert!(found("crates/x/src/a.rs", call).is_empty());
    }
}

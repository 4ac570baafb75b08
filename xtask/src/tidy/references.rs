//! What a document may name as evidence, and whether it exists.
//!
//! A reference stands in backticks and is one of: a test, `kernel::lanes::fifo_holds` (folder of the crate first,
//! function last); a document test, `doc: crates/journal/src/commit.rs`; a transcript, `script: <path>`; or a
//! command that can be run, `cargo xtask …`, `actum …`, `python3 <path>`, `.ci/run`. Evidence that only a
//! running program can judge (what a command prints) is not judged here.

use std::collections::BTreeSet;

use crate::code;
use crate::tree::Tree;

/// What a reference turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A test in the tree.
    Test,
    /// A command a user can run.
    Command,
}

/// Every test function of the tree, as `(crate folder, function name)`.
#[derive(Debug)]
pub(super) struct Tests(BTreeSet<(String, String)>);

impl Tests {
    /// Finds the test functions of `tree`, in test files and beside the code.
    pub(super) fn of(tree: &Tree) -> Self {
        let mut tests = BTreeSet::new();
        for (path, text) in tree.rust() {
            let Some(folder) = crate_folder(path) else {
                continue;
            };
            for name in test_names(text) {
                tests.insert((folder.to_owned(), name));
            }
        }
        Self(tests)
    }

    fn has(&self, folder: &str, name: &str) -> bool {
        self.0.contains(&(folder.to_owned(), name.to_owned()))
    }
}

/// The spans in backticks of a piece of Markdown.
pub(super) fn spans(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// Judges one reference; the error says what is wrong with it.
pub(super) fn resolve(tree: &Tree, tests: &Tests, reference: &str) -> Result<Kind, String> {
    if let Some(path) = reference.strip_prefix("doc: ") {
        let text = tree.text(path).ok_or_else(|| format!("no file `{path}`"))?;
        return if text.contains("/// ```") || text.contains("//! ```") {
            Ok(Kind::Test)
        } else {
            Err(format!("`{path}` has no document test"))
        };
    }
    if let Some(path) = reference.strip_prefix("script: ") {
        return if tree.holds(path) {
            Ok(Kind::Test)
        } else {
            Err(format!("no script `{path}`"))
        };
    }
    let mut words = reference.split_whitespace();
    match (words.next(), words.next()) {
        (Some("cargo"), Some("xtask")) => {
            let name = words.next().unwrap_or_default();
            if crate::is_command(name) {
                Ok(Kind::Command)
            } else {
                Err(format!("no command `cargo xtask {name}`"))
            }
        }
        (Some("cargo" | "actum"), Some(_)) => Ok(Kind::Command),
        (Some("python3"), Some(path)) if tree.holds(path) => Ok(Kind::Command),
        (Some(".ci/run"), None) => Ok(Kind::Command),
        (Some(test), None) if test.contains("::") => resolve_test(tests, test),
        _ => Err(format!(
            "`{reference}` is neither a test (`crate::…::name`) nor a command"
        )),
    }
}

fn resolve_test(tests: &Tests, reference: &str) -> Result<Kind, String> {
    let folder = reference.split("::").next().unwrap_or_default();
    let name = reference.rsplit("::").next().unwrap_or_default();
    if tests.has(folder, name) {
        Ok(Kind::Test)
    } else {
        Err(format!("no test `{name}` in the crate `{folder}`"))
    }
}

fn crate_folder(path: &str) -> Option<&str> {
    let mut parts = path.split('/');
    match parts.next()? {
        "crates" => parts.next(),
        other => parts.next().map(|_| other),
    }
}

/// The names of the functions marked as tests, in any framework's spelling (`#[test]`, `#[tokio::test]`).
fn test_names(source: &str) -> Vec<String> {
    let blanked = code::blank_literals(source);
    let mut names = Vec::new();
    let mut marked = false;
    for line in blanked.lines().map(str::trim) {
        marked |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        let name = marked.then(|| function_name(line)).flatten();
        if let Some(name) = name {
            names.push(name.to_owned());
            marked = false;
        }
    }
    names
}

fn function_name(line: &str) -> Option<&str> {
    let start = line
        .find("fn ")
        .filter(|start| *start == 0 || line.get(..*start).is_some_and(|s| s.ends_with(' ')))?;
    let name = line.get(start + 3..)?.split(|c| !code::is_word(c)).next()?;
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(reference: &str) -> Result<Kind, String> {
        let tree = Tree::of(&[
            (
                "crates/kernel/src/lane.rs",
                "#[cfg(test)]\nmod tests {\n    #[test]\n    fn fifo_holds() {}\n}\n",
            ),
            (
                "crates/daemon/tests/ws.rs",
                "#[tokio::test]\nasync fn answers() {}\nfn helper() {}\n",
            ),
            (
                "crates/journal/src/commit.rs",
                "//! Commits.\n//!\n//! ```compile_fail\n//! ```\n",
            ),
            ("crates/kernel/tests/scripts/cancel.txt", ""),
        ]);
        resolve(&tree, &Tests::of(&tree), reference)
    }

    #[test]
    fn tests_are_found_by_crate_and_name() {
        assert_eq!(judge("kernel::lane::tests::fifo_holds"), Ok(Kind::Test));
        assert_eq!(judge("daemon::answers"), Ok(Kind::Test));
        assert!(judge("daemon::helper").is_err());
        assert!(judge("daemon::fifo_holds").is_err());
    }

    #[test]
    fn scripts_and_document_tests_are_files() {
        assert_eq!(judge("doc: crates/journal/src/commit.rs"), Ok(Kind::Test));
        assert!(judge("doc: crates/kernel/src/lane.rs").is_err());
        assert_eq!(
            judge("script: crates/kernel/tests/scripts/cancel.txt"),
            Ok(Kind::Test)
        );
        assert!(judge("script: crates/kernel/tests/scripts/none.txt").is_err());
    }

    #[test]
    fn commands_are_told_from_words() {
        assert_eq!(judge("cargo xtask tidy"), Ok(Kind::Command));
        assert!(judge("cargo xtask fly").is_err());
        assert_eq!(judge("actum verify"), Ok(Kind::Command));
        assert!(judge("session").is_err());
    }

    #[test]
    fn spans_are_what_stands_in_backticks() {
        assert_eq!(spans("see `a::b` and `actum verify`."), ["a::b", "actum verify"]);
    }
}

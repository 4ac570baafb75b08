//! No text of the project names a place on somebody's machine.

use super::Finding;
use crate::code;
use crate::tree::Tree;

/// First parts of absolute paths that only make sense on one machine.
const FIRST_PARTS: &[&str] = &["root", "home", "work", "Users"];

/// Checks every text file.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.texts().filter(|(path, _)| *path != "Cargo.lock") {
        for (content, line) in text.lines().zip(1..) {
            if let Some(first) = FIRST_PARTS.iter().find(|first| names(content, first)) {
                let message =
                    format!("names an absolute path below `{first}`, which is a place on one machine");
                findings.push(Finding::error(path, line, message));
            }
        }
    }
    findings
}

/// Whether `line` holds an absolute path that begins with `first` and goes on. A path that follows a word, a dot or
/// a closing brace is the middle of a longer, relative one.
fn names(line: &str, first: &str) -> bool {
    let needle = format!("/{first}/");
    line.match_indices(&needle).any(|(start, found)| {
        let before = line.get(..start).and_then(|text| text.chars().next_back());
        let after = line
            .get(start + found.len()..)
            .and_then(|text| text.chars().next());
        let absolute = !before.is_some_and(|c| code::is_word(c) || matches!(c, '.' | '-' | '}' | ')' | '/'));
        absolute && after.is_some_and(code::is_word)
    })
}

#[cfg(test)]
mod tests {
    use super::super::check::messages;
    use super::*;

    fn found(line: &str) -> usize {
        messages(check, &[("a.md", line)]).len()
    }

    #[test]
    fn absolute_paths_of_a_machine_are_refused() {
        for first in FIRST_PARTS {
            assert_eq!(found(&format!("see `/{first}/someone/notes`\n")), 1);
        }
    }

    #[test]
    fn relative_paths_and_system_paths_are_fine() {
        let middle = format!("src/{}/mod.rs and https://example.org/{}/x\n", "work", "root");
        assert_eq!(found(&middle), 0);
        assert_eq!(found("/proc/self/exe, /etc/hosts, /tmp/x\n"), 0);
    }
}

//! Rules of every text people write by hand: no trailing whitespace, a newline at the end.

use super::Finding;
use crate::tree::Tree;

/// Kinds of files written by hand. Transcripts and golden files are not among them: their bytes are evidence.
const EXTENSIONS: &[&str] = &["rs", "md", "toml", "py", "sh", "yml", "yaml", "css", "js", "html"];

/// Checks every file written by hand.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    tree.texts()
        .filter(|(path, _)| by_hand(path))
        .flat_map(|(path, text)| check_file(path, text))
        .collect()
}

fn by_hand(path: &str) -> bool {
    let extension = path.rsplit_once('.').map(|(_, extension)| extension);
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension))
}

fn check_file(path: &str, text: &str) -> Vec<Finding> {
    let mut findings: Vec<Finding> = text
        .split('\n')
        .zip(1..)
        .filter(|(content, _)| content.ends_with([' ', '\t', '\r']))
        .map(|(_, line)| Finding::error(path, line, "trailing whitespace"))
        .collect();
    if !text.is_empty() && !text.ends_with('\n') {
        findings.push(Finding::error(
            path,
            text.lines().count(),
            "no newline at the end",
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::check::messages;
    use super::*;

    #[test]
    fn lines_end_where_their_text_ends() {
        assert!(messages(check, &[("a.md", "one\n\ntwo\n")]).is_empty());
        assert_eq!(messages(check, &[("a.md", "one  \ntwo\r\n")]).len(), 2);
        assert!(messages(check, &[("a.txt", "a transcript  \n")]).is_empty());
    }

    #[test]
    fn files_end_with_a_newline() {
        assert!(messages(check, &[("a.rs", "")]).is_empty());
        assert_eq!(messages(check, &[("a.rs", "one")]).len(), 1);
    }
}

//! Architecture decision records are numbered from 0001 without gaps, and the index names each.

use super::Finding;
use crate::tree::Tree;

const FOLDER: &str = "docs/adr/";
const INDEX: &str = "docs/adr/README.md";

/// Checks the folder of records.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let index = tree.text(INDEX).unwrap_or_default();
    let mut findings = Vec::new();
    let mut expected = 1;
    for path in tree
        .paths()
        .filter(|path| path.starts_with(FOLDER) && *path != INDEX)
    {
        let name = path.strip_prefix(FOLDER).unwrap_or(path);
        let number = name.split_once('-').filter(|(digits, _)| digits.len() == 4);
        let number = number.and_then(|(digits, _)| digits.parse::<u32>().ok());
        if number != Some(expected) {
            findings.push(Finding::error(
                path,
                0,
                format!("expected number {expected:04} here"),
            ));
        }
        expected = number.unwrap_or(expected) + 1;
        if !index.contains(&format!("({name})")) {
            findings.push(Finding::error(INDEX, 0, format!("does not link `{name}`")));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::check::messages;
    use super::*;

    const INDEX_TEXT: &str = "- [one](0001-one.md)\n- [two](0002-two.md)\n- [three](0003-three.md)\n";

    fn found(names: &[&str]) -> usize {
        let paths: Vec<String> = names.iter().map(|name| format!("{FOLDER}{name}")).collect();
        let mut files: Vec<(&str, &str)> = paths.iter().map(|path| (path.as_str(), "")).collect();
        files.push((INDEX, INDEX_TEXT));
        messages(check, &files).len()
    }

    #[test]
    fn numbers_have_no_gap_and_no_double() {
        assert_eq!(found(&["0001-one.md", "0002-two.md"]), 0);
        assert_eq!(found(&["0001-one.md", "0003-three.md"]), 1);
        assert_eq!(found(&["0001-one.md", "1-two.md"]), 2);
    }

    #[test]
    fn the_index_names_each() {
        assert_eq!(found(&["0001-one.md", "0002-other.md"]), 1);
    }
}

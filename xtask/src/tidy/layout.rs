//! What must and must not lie in the tree: a changelog with an Unreleased section, one lint configuration.

use super::Finding;
use crate::tree::Tree;

/// Checks the tree as a whole.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for path in tree.paths() {
        let name = path.rsplit('/').next().unwrap_or(path);
        if matches!(name, "clippy.toml" | ".clippy.toml") && path != "clippy.toml" {
            let message = "a crate's own clippy.toml replaces the root one and drops its rules; remove it";
            findings.push(Finding::error(path, 0, message));
        }
    }
    let unreleased = tree.text("CHANGELOG.md").is_some_and(|text| {
        text.lines()
            .any(|line| line.trim() == "## [Unreleased]" || line.trim() == "## Unreleased")
    });
    if !unreleased {
        findings.push(Finding::error(
            "CHANGELOG.md",
            0,
            "has no `## [Unreleased]` section",
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::check::messages;

    const CHANGELOG: (&str, &str) = ("CHANGELOG.md", "# Changelog\n\n## [Unreleased]\n");

    #[test]
    fn one_lint_configuration_only() {
        assert!(messages(super::check, &[CHANGELOG, ("clippy.toml", "")]).is_empty());
        assert_eq!(
            messages(super::check, &[CHANGELOG, ("crates/model/clippy.toml", "")]).len(),
            1
        );
    }

    #[test]
    fn the_changelog_has_an_unreleased_section() {
        assert!(messages(super::check, &[CHANGELOG]).is_empty());
        assert_eq!(
            messages(super::check, &[("CHANGELOG.md", "## [0.1.0]\n")]).len(),
            1
        );
        assert_eq!(messages(super::check, &[]).len(), 1);
    }
}

//! Links between documents lead somewhere: a relative link in a Markdown file names a file or folder of the tree.

use super::Finding;
use crate::tree::Tree;

/// Checks every Markdown file.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.texts().filter(|(path, _)| path.ends_with(".md")) {
        for (target, line) in targets(text) {
            let resolved = resolve(path, &target);
            if !resolved.as_deref().is_some_and(|resolved| tree.holds(resolved)) {
                findings.push(Finding::error(
                    path,
                    line,
                    format!("link to `{target}`, which is not there"),
                ));
            }
        }
    }
    findings
}

/// The relative targets of inline links outside code blocks, without their fragments.
fn targets(text: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    let mut in_block = false;
    for (content, line) in text.lines().zip(1..) {
        if content.trim_start().starts_with("```") {
            in_block = !in_block;
        }
        if in_block {
            continue;
        }
        for rest in content.split("](").skip(1) {
            let target = rest.split(')').next().unwrap_or_default();
            let path = target.split('#').next().unwrap_or_default();
            if !path.is_empty() && !path.contains("://") && !path.starts_with("mailto:") {
                found.push((path.to_owned(), line));
            }
        }
    }
    found
}

/// `target` as seen from the file at `path`; nothing when it leaves the tree.
fn resolve(path: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for part in target.trim_end_matches('/').split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop()?;
            }
            other => parts.push(other),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::super::check::messages;
    use super::*;

    fn found(text: &str) -> usize {
        messages(
            check,
            &[("docs/a.md", text), ("README.md", ""), ("docs/adr/0001-x.md", "")],
        )
        .len()
    }

    #[test]
    fn relative_links_lead_somewhere() {
        assert_eq!(
            found("[up](../README.md#top) and [folder](adr/) and [in](#here)\n"),
            0
        );
        assert_eq!(found("[gone](gone.md)\n"), 1);
        assert_eq!(found("[out](../../x.md)\n"), 1);
    }

    #[test]
    fn addresses_and_code_are_left_alone() {
        assert_eq!(found("[web](https://example.org/x)\n```text\n[a](b)\n```\n"), 0);
    }
}

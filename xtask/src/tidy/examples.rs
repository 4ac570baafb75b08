//! Lists of actions under `examples/` are well formed: one JSON object a line, ids unique, and every dependency
//! named before it is needed. Whether they work is shown by the demo.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Finding;
use crate::tree::Tree;

/// Checks every `examples/**/actions.jsonl`.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let lists = tree
        .texts()
        .filter(|(path, _)| path.starts_with("examples/") && path.ends_with("/actions.jsonl"));
    lists.flat_map(|(path, text)| check_list(path, text)).collect()
}

fn check_list(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut ids = BTreeSet::new();
    for (content, line) in text.lines().zip(1..) {
        let action: Value = match serde_json::from_str(content) {
            Ok(action) => action,
            Err(error) => {
                findings.push(Finding::error(path, line, format!("is not JSON: {error}")));
                continue;
            }
        };
        let field = |name: &str| action.get(name).and_then(Value::as_str);
        let (Some(_), Some(id)) = (field("type"), field("id")) else {
            findings.push(Finding::error(path, line, "an action has a `type` and an `id`"));
            continue;
        };
        let needs = action
            .get("dependsOn")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        for need in needs
            .iter()
            .filter_map(Value::as_str)
            .filter(|need| !ids.contains(*need))
        {
            findings.push(Finding::error(
                path,
                line,
                format!("`{id}` depends on `{need}`, not named before it"),
            ));
        }
        if !ids.insert(id.to_owned()) {
            findings.push(Finding::error(path, line, format!("id `{id}` stands twice")));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::check::messages;

    fn found(text: &str) -> usize {
        messages(super::check, &[("examples/x/actions.jsonl", text)]).len()
    }

    #[test]
    fn actions_are_objects_with_unique_ids() {
        assert_eq!(
            found("{\"type\":\"a.b\",\"id\":\"1\"}\n{\"type\":\"a.b\",\"id\":\"2\",\"dependsOn\":[\"1\"]}\n"),
            0
        );
        assert_eq!(
            found("{\"type\":\"a.b\",\"id\":\"1\"}\n{\"type\":\"a.b\",\"id\":\"1\"}\n"),
            1
        );
        assert_eq!(found("{\"type\":\"a.b\"\n{\"id\":\"1\"}\n"), 2);
    }

    #[test]
    fn a_dependency_comes_first() {
        assert_eq!(
            found("{\"type\":\"a.b\",\"id\":\"1\",\"dependsOn\":[\"2\"]}\n"),
            1
        );
    }
}

//! Tests of a crate are one program, and no file of it is left out. Each program links all that stands below it, which
//! takes longer than most tests; and a file that no `mod` names is not compiled, so its tests are not run and nobody
//! is told.

use std::collections::BTreeMap;

use super::Finding;
use crate::code;
use crate::tree::Tree;

/// Checks the folder `tests` of every crate.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut programs: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (path, _) in tree.rust() {
        if let Some((folder, _)) = split(path).filter(|(_, inside)| is_program(inside)) {
            programs.entry(folder).or_default().push(path);
        }
    }
    let several = programs.values().filter_map(|paths| {
        let [_, second, ..] = paths.as_slice() else {
            return None;
        };
        let message = format!(
            "is a test program beside `{}`; make it a module of one program, `tests/all/main.rs`",
            paths.first()?
        );
        Some(Finding::error(second, 0, message))
    });
    let left_out = tree.rust().filter_map(|(path, _)| left_out(tree, path));
    several.chain(left_out).collect()
}

/// The folder of a crate, and the place in its folder `tests`.
fn split(path: &str) -> Option<(&str, &str)> {
    let (folder, inside) = path.split_once("/tests/")?;
    (!folder.split('/').any(|part| part == "src")).then_some((folder, inside))
}

/// Whether cargo makes a program of a file in `tests`: it lies in no folder there, or is the `main.rs` of one.
fn is_program(inside: &str) -> bool {
    inside.split_once('/').is_none_or(|(_, name)| name == "main.rs")
}

/// A file in the folder of a test program that the module above it does not name.
fn left_out(tree: &Tree, path: &str) -> Option<Finding> {
    let (crate_folder, inside) = split(path)?;
    let (program, _) = inside.split_once('/')?;
    let root = format!("{crate_folder}/tests/{program}");
    if !tree.holds(&format!("{root}/main.rs")) || path == format!("{root}/main.rs") {
        return None;
    }
    let module = path.strip_suffix("/mod.rs").or(path.strip_suffix(".rs"))?;
    let (above, name) = module.rsplit_once('/')?;
    let parents = if above == root {
        vec![format!("{root}/main.rs")]
    } else {
        vec![format!("{above}/mod.rs"), format!("{above}.rs")]
    };
    let named = parents
        .iter()
        .filter_map(|parent| tree.text(parent))
        .any(|text| names(text, name));
    let message = format!(
        "`{}` does not name it, so its tests are not run",
        parents.join("` or `")
    );
    (!named).then(|| Finding::error(path, 0, message))
}

/// Whether a module declares another as a file of its own, in a line of its own.
fn names(text: &str, module: &str) -> bool {
    let declaration = format!("mod {module};");
    code::blank_literals(text).lines().map(str::trim).any(|line| {
        line.strip_suffix(&declaration)
            .is_some_and(|before| before.is_empty() || before.starts_with("pub"))
    })
}

#[cfg(test)]
mod tests {
    use super::super::check::messages;
    use super::*;

    #[test]
    fn a_crate_has_one_test_program() {
        let main = ("crates/x/tests/all/main.rs", "mod a;\n");
        let module = ("crates/x/tests/all/a.rs", "");
        assert!(messages(check, &[main, module]).is_empty());
        assert!(messages(check, &[("crates/x/tests/a.rs", ""), ("crates/y/tests/a.rs", "")]).is_empty());
        assert_eq!(
            messages(check, &[main, module, ("crates/x/tests/b.rs", "")]).len(),
            1
        );
        let second = ("crates/x/tests/other/main.rs", "");
        assert_eq!(messages(check, &[main, module, second]).len(), 1);
    }

    #[test]
    fn no_file_of_a_test_program_is_left_out() {
        let file = |path: &'static str, main: &'static str, above: &'static str| {
            let above = ("crates/x/tests/all/in/mod.rs", above);
            messages(check, &[("crates/x/tests/all/main.rs", main), above, (path, "")]).len()
        };
        assert_eq!(file("crates/x/tests/all/a.rs", "mod a;\nmod in;\n", ""), 0);
        assert_eq!(file("crates/x/tests/all/a.rs", "mod in;\n", ""), 1);
        assert_eq!(
            file("crates/x/tests/all/a.rs", "// mod a;\npub(crate) mod in;\n", ""),
            1
        );
        assert_eq!(file("crates/x/tests/all/a.rs", "", ""), 2);
        assert_eq!(file("crates/x/tests/all/in/b.rs", "mod in;\n", "pub mod b;\n"), 0);
        assert_eq!(file("crates/x/tests/all/in/b.rs", "mod in;\nmod b;\n", ""), 1);
    }

    #[test]
    fn what_tests_read_and_start_is_not_a_test() {
        let program = ("crates/x/tests/all/main.rs", "");
        assert!(messages(check, &[program, ("crates/x/tests/support/helper.rs", "")]).is_empty());
        let product = [("crates/x/src/tests/a.rs", ""), ("crates/x/src/tests/b.rs", "")];
        assert!(messages(check, &product).is_empty());
    }
}

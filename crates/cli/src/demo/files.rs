//! The example the demo carries out, built into the program so that it works from anywhere.

use crate::failure::Failure;
use serde_json::Value;
use std::path::Path;

macro_rules! example {
    ($($path:literal)*) => {
        /// Path within the example, and content.
        const FILES: &[(&str, &str)] =
            &[$(($path, include_str!(concat!("../../../../examples/repair-a-bug/", $path))),)*];
    };
}

example! {
    "README.md"
    "actions.jsonl"
    "tally/__init__.py" "tally/invoice.py" "tally/ledger.py" "tally/money.py" "tally/report.py"
    "tests/__init__.py" "tests/test_invoice.py" "tests/test_ledger.py" "tests/test_money.py"
    "tools/replace.py"
}

/// The payments server, which is no part of the project.
const PAYMENTS: &str = include_str!("../../../../examples/payments/payments.py");

/// Writes the payments server into `folder`.
pub(super) fn write_payments(folder: &Path) -> Result<(), Failure> {
    let path = folder.join("payments.py");
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&path, PAYMENTS))
        .map_err(|error| Failure::io("write", &path, &error))
}

/// Writes the example into `folder`.
pub(super) fn write(folder: &Path) -> Result<(), Failure> {
    for (path, content) in FILES {
        let path = folder.join(path);
        let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        made.and_then(|()| std::fs::write(&path, content))
            .map_err(|error| Failure::io("write", &path, &error))?;
    }
    Ok(())
}

/// The actions of the agent, in order.
pub(super) fn actions() -> Vec<Value> {
    let text = FILES
        .iter()
        .find(|(path, _)| *path == "actions.jsonl")
        .map_or("", |(_, text)| *text);
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_disk(folder: &Path, base: &Path, out: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if !path.ends_with("__pycache__") {
                    on_disk(&path, base, out);
                }
            } else {
                out.push(path.strip_prefix(base).unwrap().to_str().unwrap().to_owned());
            }
        }
    }

    #[test]
    fn every_file_of_the_example_is_built_in() {
        let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/repair-a-bug");
        let mut there = Vec::new();
        on_disk(&base, &base, &mut there);
        there.sort();
        let mut here: Vec<&str> = FILES.iter().map(|(path, _)| *path).collect();
        here.sort_unstable();
        assert_eq!(here, there);
        assert_eq!(actions().len(), 10);
    }
}

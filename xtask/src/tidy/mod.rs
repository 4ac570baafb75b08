//! `cargo xtask tidy`: the written rules of the tree, held by a program. Takes seconds and needs no build.
//!
//! A rule is a function from a [`Tree`] to findings, one file per family, each with a good and a bad snippet in its
//! tests. A rule never changes a file.

mod adr;
mod errors;
mod examples;
mod findings;
mod invariants;
mod layout;
mod links;
mod paths;
mod programs;
mod purity;
mod references;
mod requirements;
mod source;
mod text;

use std::fmt;
use std::path::Path;

use anyhow::{Result, bail};

use crate::say;
use crate::tree::Tree;

/// One place that breaks a rule, or that comes close to it.
#[derive(Debug)]
pub(crate) struct Finding {
    path: String,
    line: usize,
    message: String,
    fails: bool,
}

impl Finding {
    /// A finding that fails the run. `line` counts from 1; 0 means the file as a whole.
    fn error(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            message: message.into(),
            fails: true,
        }
    }

    /// A finding worth a look that fails nothing.
    fn warning(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            message: message.into(),
            fails: false,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.fails { "error" } else { "warning" };
        match self.line {
            0 => write!(out, "{kind}: {}: {}", self.path, self.message),
            line => write!(out, "{kind}: {}:{line}: {}", self.path, self.message),
        }
    }
}

/// Every rule, by the name of its family.
const RULES: &[fn(&Tree) -> Vec<Finding>] = &[
    layout::check,
    source::check,
    purity::check,
    text::check,
    paths::check,
    programs::check,
    errors::check,
    requirements::check,
    invariants::check,
    adr::check,
    links::check,
    examples::check,
    findings::check,
];

/// Checks the workspace at `root` and prints what it finds.
pub(crate) fn run(root: &Path) -> Result<()> {
    let tree = Tree::read(root)?;
    let mut findings: Vec<Finding> = RULES.iter().flat_map(|rule| rule(&tree)).collect();
    findings.sort_by(|a, b| (!a.fails, &a.path, a.line).cmp(&(!b.fails, &b.path, b.line)));
    for finding in &findings {
        say::error(&finding.to_string());
    }
    let failed = findings.iter().filter(|finding| finding.fails).count();
    if failed > 0 {
        bail!("{failed} findings");
    }
    say::line(&format!(
        "tidy: {} files, {} rules, {} warnings",
        tree.paths().count(),
        RULES.len(),
        findings.len()
    ));
    Ok(())
}

#[cfg(test)]
mod check {
    //! One helper for the tests of all rules.

    use super::{Finding, Tree};

    /// The messages a rule has for a tree of these files.
    pub(super) fn messages(rule: fn(&Tree) -> Vec<Finding>, files: &[(&str, &str)]) -> Vec<String> {
        rule(&Tree::of(files)).iter().map(ToString::to_string).collect()
    }
}

//! The files of the workspace as plain data, so that every rule is a function of a tree and a test can hand it a
//! tree of two lines. Reads everything once; writes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Folders that hold no source: build output, version control, caches, fuzz corpora.
const FOLDERS_SKIPPED: &[&str] = &[
    "target",
    ".git",
    "node_modules",
    "__pycache__",
    ".actum",
    "corpus",
    "artifacts",
];

/// Larger files are data, not text to hold to a style.
const TEXT_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// All paths of the workspace, relative to its root with `/` between parts, and the text of those that are text.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    paths: BTreeSet<String>,
    texts: BTreeMap<String, String>,
}

impl Tree {
    /// Reads the workspace at `root`.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let mut tree = Self::default();
        tree.read_folder(root, "")?;
        Ok(tree)
    }

    /// A tree made of the given files, for the tests of rules.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let mut tree = Self::default();
        for (path, text) in files {
            tree.insert((*path).to_owned(), Some((*text).to_owned()));
        }
        tree
    }

    /// Every text file, by path.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Every text file whose name ends in `.rs`.
    pub(crate) fn rust(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts().filter(|(path, _)| path.ends_with(".rs"))
    }

    /// Every path, text or not.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.paths.iter().map(String::as_str)
    }

    /// The text of one file.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }

    /// Whether `path` is a file, or a folder that holds one.
    pub(crate) fn holds(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        self.paths.contains(path) || self.paths().any(|known| known.starts_with(&folder))
    }

    fn insert(&mut self, path: String, text: Option<String>) {
        if let Some(text) = text {
            self.texts.insert(path.clone(), text);
        }
        self.paths.insert(path);
    }

    fn read_folder(&mut self, folder: &Path, prefix: &str) -> Result<()> {
        let entries = fs::read_dir(folder).with_context(|| format!("cannot list `{}`", folder.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("cannot list `{}`", folder.display()))?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let path = if prefix.is_empty() {
                name.clone()
            } else {
                format!("{prefix}/{name}")
            };
            // A file may vanish between the listing and the look, as editors and builds do.
            let Ok(metadata) = entry.path().symlink_metadata() else {
                continue;
            };
            if metadata.is_dir() {
                if !FOLDERS_SKIPPED.contains(&name.as_str()) {
                    self.read_folder(&entry.path(), &path)?;
                }
            } else if metadata.is_file() {
                let small = metadata.len() <= TEXT_BYTES_MAX;
                let text = if small {
                    fs::read_to_string(entry.path()).ok()
                } else {
                    None
                };
                self.insert(path, text);
            }
        }
        Ok(())
    }
}

/// The root of the workspace: the folder above this crate.
pub(crate) fn workspace_root() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.parent().context("the xtask crate has no folder above it")?;
    Ok(root.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_held_when_a_file_is_below_it() {
        let tree = Tree::of(&[("docs/adr/0001-a.md", "")]);
        assert!(tree.holds("docs/adr"));
        assert!(tree.holds("docs/adr/0001-a.md"));
        assert!(!tree.holds("docs/ad"));
    }

    #[test]
    fn the_workspace_can_be_read_and_holds_this_file() {
        let root = workspace_root().unwrap();
        let tree = Tree::read(&root).unwrap();
        assert!(tree.text("xtask/src/tree.rs").is_some());
        assert!(tree.paths().all(|path| !path.starts_with("target/")));
    }
}

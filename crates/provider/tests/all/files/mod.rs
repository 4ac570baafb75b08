//! `file.*` against a real file system: what is read and written, what is refused, and what a crash leaves.

mod changes;
mod crashes;
mod escapes;
mod reading;

use crate::common;
use actum_provider::file::FileProvider;
use actum_provider::{Answer, Call, Grants, Provider};
use serde_json::Value;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A granted folder, in a folder of its own with things outside.
pub(crate) struct Place {
    pub(crate) around: TempDir,
    pub(crate) root: PathBuf,
    pub(crate) grants: Grants,
}

impl Place {
    pub(crate) fn new() -> Place {
        let around = tempfile::tempdir().unwrap();
        let root = around.path().join("root");
        std::fs::create_dir(&root).unwrap();
        std::fs::write(around.path().join("outside"), "outside").unwrap();
        let grants = common::grants(&[format!("{}:rw", root.display())], &[]);
        Place { around, root, grants }
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.root.join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn outside(&self) -> PathBuf {
        self.around.path().join("outside")
    }

    pub(crate) fn call(&self, kind: &str, arguments: Value) -> Call {
        common::call(kind, arguments, &self.grants)
    }

    pub(crate) fn run(&self, kind: &str, arguments: Value) -> Answer {
        run(self.call(kind, arguments))
    }
}

pub(crate) fn run(call: Call) -> Answer {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(FileProvider.call(call))
}

/// Names of a folder, sorted.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

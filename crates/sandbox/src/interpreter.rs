//! The Python interpreter of this machine: the file it really is, and the folders it needs in a cage.
//!
//! It does not judge the version: a zygote says what it cannot run on.

use crate::zygote::ZygoteSpec;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Says the interpreter and its prefix, a line each.
const ASK: &str =
    "import os,sys;print(os.path.realpath(sys.executable));print(os.path.realpath(sys.base_prefix))";

/// A Python interpreter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// The file itself: what is called `python3` may be a link, or a script that chooses one.
    pub file: PathBuf,
    /// Folders it needs besides the system's own.
    pub runtime: Vec<PathBuf>,
}

impl Interpreter {
    /// The first `python3` in `PATH` that answers; none where there is none. Runs it, so it blocks.
    #[must_use]
    pub fn find() -> Option<Interpreter> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).find_map(|folder| Interpreter::ask(&folder.join("python3")))
    }

    /// Asks this file; none where it is no interpreter. Runs it, so it blocks.
    #[must_use]
    pub fn ask(file: &Path) -> Option<Interpreter> {
        if !file.is_file() {
            return None;
        }
        let asked = Command::new(file).args(["-I", "-c", ASK]).output().ok()?;
        let said = String::from_utf8(asked.stdout)
            .ok()
            .filter(|_| asked.status.success())?;
        let mut lines = said.lines().map(PathBuf::from);
        let (file, prefix) = (lines.next()?, lines.next()?);
        // The system's own folders are in every cage.
        let runtime = Some(prefix).filter(|prefix| !prefix.starts_with("/usr"));
        Some(Interpreter {
            file,
            runtime: runtime.into_iter().collect(),
        })
    }

    /// A zygote of this interpreter with such a worker, see [`ZygoteSpec::new`].
    #[must_use]
    pub fn zygote(&self, worker: &str) -> ZygoteSpec {
        ZygoteSpec {
            runtime: self.runtime.clone(),
            ..ZygoteSpec::new(&self.file, worker)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_is_no_interpreter_is_none_and_the_one_in_the_path_is_found_as_the_file_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let script = |name: &str, text: &str| {
            let file = folder.path().join(name);
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
            file
        };
        assert_eq!(Interpreter::ask(&folder.path().join("absent")), None);
        assert_eq!(Interpreter::ask(folder.path()), None);
        assert_eq!(
            Interpreter::ask(&script("fails", "#!/bin/sh\necho /a; echo /b; exit 1\n")),
            None
        );
        assert_eq!(Interpreter::ask(&script("short", "#!/bin/sh\necho /a\n")), None);
        let elsewhere = Interpreter::ask(&script(
            "chooses",
            "#!/bin/sh\necho /opt/p/bin/python3.12; echo /opt/p\n",
        ));
        let elsewhere = elsewhere.unwrap();
        assert_eq!(elsewhere.file, Path::new("/opt/p/bin/python3.12"));
        assert_eq!(elsewhere.zygote("w").runtime, [Path::new("/opt/p")]);
        let found = Interpreter::find().expect("a python3 in PATH");
        assert_eq!(found.file, found.file.canonicalize().unwrap());
        assert_eq!(Interpreter::ask(&found.file), Some(found));
    }
}

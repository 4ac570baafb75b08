//! A granted folder.

use super::BadGrant;
use super::text::shown;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

/// What may be done beneath a folder.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Reach {
    /// Reading.
    ReadOnly,
    /// Reading and writing.
    ReadWrite,
}

/// A folder and what may be done beneath it. As text `/path:ro` or `/path:rw`; without a word it is `ro`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FileGrant {
    /// The folder, absolute, without `.` and `..`.
    pub root: PathBuf,
    /// What may be done.
    pub reach: Reach,
}

impl FileGrant {
    /// A grant of a folder that is known as a path and not as a text.
    ///
    /// # Errors
    /// [`BadGrant`] where the path is not absolute or has `..` in it.
    pub fn new(root: &Path, reach: Reach) -> Result<FileGrant, BadGrant> {
        let bad = |what: &str| BadGrant::new(format!("{what}, got `{}`", shown(&root.to_string_lossy())));
        if !root.is_absolute() {
            return Err(bad("expected an absolute path of a folder"));
        }
        if root.components().any(|part| part == Component::ParentDir) {
            return Err(bad("expected a path without `..`"));
        }
        // Collecting the components drops `.`, doubled and trailing slashes.
        let root = root.components().collect();
        Ok(FileGrant { root, reach })
    }
}

impl FromStr for FileGrant {
    type Err = BadGrant;

    fn from_str(text: &str) -> Result<FileGrant, BadGrant> {
        if text.contains('\0') {
            return Err(BadGrant::new("expected a path without NUL"));
        }
        let (path, reach) = match text.rsplit_once(':') {
            Some((path, "rw")) => (path, Reach::ReadWrite),
            Some((path, "ro")) => (path, Reach::ReadOnly),
            Some((_, word)) if !word.contains('/') => {
                return Err(BadGrant::new(format!(
                    "expected `ro` or `rw` behind the last colon of `{}`, got `{}`",
                    shown(text),
                    shown(word)
                )));
            }
            _ => (text, Reach::ReadOnly),
        };
        FileGrant::new(Path::new(path), reach)
    }
}

impl TryFrom<String> for FileGrant {
    type Error = BadGrant;

    fn try_from(text: String) -> Result<FileGrant, BadGrant> {
        text.parse()
    }
}

impl From<FileGrant> for String {
    fn from(grant: FileGrant) -> String {
        grant.to_string()
    }
}

impl fmt::Display for FileGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reach = match self.reach {
            Reach::ReadOnly => "ro",
            Reach::ReadWrite => "rw",
        };
        write!(f, "{}:{reach}", self.root.display())
    }
}

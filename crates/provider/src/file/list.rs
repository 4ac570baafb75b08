//! `file.list`: what is in a folder, in the order of the bytes of the names, page by page. Links are listed and not
//! followed; hidden folders are not listed.

use super::ground::Ground;
use super::open;
use super::read::modified_ms;
use crate::grants::Reach;
use crate::sdk::{Call, Failure};
use actum_model::{ErrorCode, limits};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct List {
    path: String,
    #[serde(default)]
    recursive: bool,
    limit: Option<usize>,
    after: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Listed {
    path: String,
    entries: Vec<Entry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    /// Below the folder. Bytes that are no UTF-8 are replaced in it.
    name: String,
    /// The bytes of such a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    name_base64: Option<String>,
    kind: &'static str,
    size: u64,
    modified_ms: u64,
}

/// A walk through folders.
struct Walk<'a> {
    call: &'a Call,
    ground: &'a Ground,
    recursive: bool,
    after: Option<PathBuf>,
    limit: usize,
    scanned: usize,
    entries: Vec<Entry>,
    last: PathBuf,
    more: bool,
}

pub(super) fn list(call: &Call, asked: &List) -> Result<Listed, Failure> {
    let limit = asked.limit.unwrap_or(limits::PAGE_DEFAULT);
    if !(1..=limits::PAGE_MAX).contains(&limit) {
        let message = format!("expected a `limit` from 1 to {}, got {limit}", limits::PAGE_MAX);
        return Err(Failure::new(ErrorCode::InvalidInput, message));
    }
    let after = asked
        .after
        .as_ref()
        .map(|cursor| parse_cursor(cursor))
        .transpose()?;
    let ground = Ground::find(&call.grants, &asked.path, Reach::ReadOnly)?;
    let found = open::find(&ground, true)?;
    if found.kind != FileType::Directory {
        return Err(open::wrong_kind(&ground, "a folder", found.kind));
    }
    let folder = reopen(&found.named).map_err(|error| open::refusal(error, &ground))?;
    let (recursive, last) = (asked.recursive, PathBuf::new());
    let (entries, scanned, more) = (Vec::new(), 0, false);
    let mut walk = Walk {
        call,
        ground: &ground,
        recursive,
        after,
        limit,
        scanned,
        entries,
        last,
        more,
    };
    walk.folder(&folder, &found.real, Path::new(""), 0)?;
    let next_cursor = walk
        .more
        .then(|| URL_SAFE_NO_PAD.encode(walk.last.as_os_str().as_bytes()));
    let entries = walk.entries;
    Ok(Listed {
        path: ground.shown(),
        entries,
        next_cursor,
    })
}

fn parse_cursor(cursor: &str) -> Result<PathBuf, Failure> {
    match URL_SAFE_NO_PAD.decode(cursor) {
        Ok(bytes) if !bytes.is_empty() => Ok(PathBuf::from(OsString::from_vec(bytes))),
        _ => Err(Failure::new(
            ErrorCode::InvalidInput,
            "expected `after` to be the `nextCursor` of an earlier page",
        )),
    }
}

fn reopen(named: &OwnedFd) -> Result<OwnedFd, rustix::io::Errno> {
    inner(named, OsStr::new("."))
}

fn inner(folder: &OwnedFd, name: &OsStr) -> Result<OwnedFd, rustix::io::Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(folder, name, flags, Mode::empty())
}

impl Walk<'_> {
    fn folder(&mut self, folder: &OwnedFd, real: &Path, below: &Path, depth: usize) -> Result<(), Failure> {
        for name in self.names(folder)? {
            self.call.stop.check()?;
            let path = below.join(&name);
            let seen = self.after.as_ref().is_some_and(|after| path <= *after);
            let leads_on = self.after.as_ref().is_some_and(|after| after.starts_with(&path));
            if (seen && !leads_on) || self.ground.is_hidden(&real.join(&name)) {
                continue;
            }
            // What vanished since its name was read is not there.
            let Ok(stat) = rustix::fs::statat(folder, &name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            let kind = FileType::from_raw_mode(stat.st_mode);
            if !seen {
                if self.entries.len() == self.limit {
                    self.more = true;
                    return Ok(());
                }
                self.entries.push(entry(&path, kind, &stat));
                self.last.clone_from(&path);
            }
            if self.recursive && kind == FileType::Directory && depth < limits::FILE_LIST_DEPTH_MAX {
                // A folder that may not be read is listed, and what is in it is not.
                if let Ok(next) = inner(folder, &name) {
                    self.folder(&next, &real.join(&name), &path, depth + 1)?;
                }
            }
            if self.more {
                return Ok(());
            }
        }
        Ok(())
    }

    fn names(&mut self, folder: &OwnedFd) -> Result<Vec<OsString>, Failure> {
        let failed = |error| open::refusal(error, self.ground);
        let mut names = Vec::new();
        for entry in Dir::read_from(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            self.scanned += 1;
            if self.scanned > limits::FILE_LIST_SCANNED_MAX {
                let (path, limit) = (self.ground.shown(), limits::FILE_LIST_SCANNED_MAX);
                let message = format!("`{path}`: expected at most {limit} entries to look at, got more");
                return Err(Failure::new(ErrorCode::TooLarge, message));
            }
            names.push(name.to_owned());
        }
        names.sort_unstable();
        Ok(names)
    }
}

fn entry(path: &Path, kind: FileType, stat: &rustix::fs::Stat) -> Entry {
    let plain = path.to_str().is_some();
    Entry {
        name: path.to_string_lossy().into_owned(),
        name_base64: (!plain).then(|| STANDARD.encode(path.as_os_str().as_bytes())),
        kind: open::kind_word(kind),
        size: u64::try_from(stat.st_size).unwrap_or_default(),
        modified_ms: modified_ms(stat),
    }
}

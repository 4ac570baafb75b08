//! `file.remove` and `file.move`: changes of names. The content that loses its name is kept before.

use super::change::{self, Previous};
use super::content;
use super::ground::Ground;
use super::open::{self, Found, Spot};
use super::temp::is_temp;
use super::write::unlink;
use crate::grants::Reach;
use crate::sdk::{Call, Failure, parse};
use actum_model::effect::ProbeAnswer;
use actum_model::{ErrorCode, Hash};
use rustix::fs::{FileType, RenameFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Remove {
    path: String,
    if_hash: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Removed {
    path: String,
    removed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<Previous>,
}

/// Removes a plain file, a link itself, or an empty folder. Where nothing is there, nothing is done, so that twice is
/// once.
pub(super) fn remove(call: &Call, asked: &Remove) -> Result<Removed, Failure> {
    let if_hash = change::parse_hash(asked.if_hash.as_ref())?;
    let ground = Ground::find(&call.grants, &asked.path, Reach::ReadWrite)?;
    let spot = open::spot(&ground)?;
    ground.keep_in_place(&spot.real)?;
    let Some(found) = open::look(&ground, &spot)? else {
        rustix::fs::fsync(&spot.folder).map_err(|error| open::refusal(error, &ground))?;
        let path = ground.shown();
        return Ok(Removed {
            path,
            removed: false,
            kind: None,
            target: None,
            previous: None,
        });
    };
    let previous = go(call, &ground, &found, if_hash)?;
    let target = match found.kind {
        FileType::Symlink => rustix::fs::readlinkat(&found.named, "", Vec::new()).ok(),
        _ => None,
    };
    call.stop.check()?;
    if found.kind == FileType::RegularFile {
        change::same_as_read(&ground, &spot, Some(&found))?;
    }
    unlink(&ground, &spot, found.kind)?;
    change::sync_folder(&ground, &spot.folder)?;
    Ok(Removed {
        path: ground.shown(),
        removed: true,
        kind: Some(open::kind_word(found.kind)),
        target: target.map(|target| target.to_string_lossy().into_owned()),
        previous,
    })
}

/// Keeps what is about to lose its name. Devices, FIFOs and sockets stay.
fn go(
    call: &Call,
    ground: &Ground,
    found: &Found,
    if_hash: Option<Hash>,
) -> Result<Option<Previous>, Failure> {
    match found.kind {
        FileType::RegularFile => {
            let whole = content::whole(ground, found, &call.stop)?;
            change::check_hash(ground, if_hash, Some(whole.hash))?;
            change::keep(call, ground, &whole).map(Some)
        }
        FileType::Directory | FileType::Symlink => {
            change::check_hash(ground, if_hash, None)?;
            Ok(None)
        }
        other => Err(open::wrong_kind(
            ground,
            "a plain file, a folder or a link",
            other,
        )),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Move {
    from: String,
    to: String,
    #[serde(default)]
    replace: bool,
    if_hash: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Moved {
    from: String,
    to: String,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<Previous>,
}

/// Gives a file, link or folder another name, within one file system. Nothing is replaced unless asked for, and then
/// only a plain file by a plain file.
pub(super) fn relocate(call: &Call, asked: &Move) -> Result<Moved, Failure> {
    let if_hash = change::parse_hash(asked.if_hash.as_ref())?;
    let (from, source) = end(call, &asked.from)?;
    let (to, target) = end(call, &asked.to)?;
    from.keep_in_place(&source.real)?;
    to.keep_in_place(&target.real)?;
    let found = open::look(&from, &source)?.ok_or_else(|| open::refusal(Errno::NOENT, &from))?;
    if !matches!(
        found.kind,
        FileType::RegularFile | FileType::Directory | FileType::Symlink
    ) {
        return Err(open::wrong_kind(
            &from,
            "a plain file, a folder or a link",
            found.kind,
        ));
    }
    if if_hash.is_some() {
        let hash = match found.kind {
            FileType::RegularFile => Some(content::hash(&from, &found, &call.stop)?),
            _ => None,
        };
        change::check_hash(&from, if_hash, hash)?;
    }
    let previous = replaced(call, asked, &found, &to, &target)?;
    call.stop.check()?;
    rename(&source, &target, previous.is_some()).map_err(|error| match error {
        Errno::XDEV => {
            let message = format!(
                "`{}` and `{}` lie on different file systems",
                from.shown(),
                to.shown()
            );
            Failure::new(ErrorCode::FileRefused, message)
        }
        Errno::NOENT => open::refusal(error, &from),
        error => open::refusal(error, &to),
    })?;
    change::sync_folder(&to, &target.folder)?;
    change::sync_folder(&from, &source.folder)?;
    let kind = open::kind_word(found.kind);
    Ok(Moved {
        from: from.shown(),
        to: to.shown(),
        kind,
        previous,
    })
}

fn end(call: &Call, path: &str) -> Result<(Ground, Spot), Failure> {
    let ground = Ground::find(&call.grants, path, Reach::ReadWrite)?;
    let spot = open::spot(&ground)?;
    if is_temp(&spot.name) {
        let message = format!("`{}`: this name is kept for files on their way", ground.shown());
        return Err(Failure::new(ErrorCode::FileRefused, message));
    }
    Ok((ground, spot))
}

/// What the move would replace, kept.
fn replaced(
    call: &Call,
    asked: &Move,
    found: &Found,
    to: &Ground,
    target: &Spot,
) -> Result<Option<Previous>, Failure> {
    let Some(there) = open::look(to, target)? else {
        return Ok(None);
    };
    if !asked.replace {
        return Err(open::refusal(Errno::EXIST, to));
    }
    if (there.stat.st_dev, there.stat.st_ino) == (found.stat.st_dev, found.stat.st_ino) {
        let message = format!("`{}` and `{}` are one file", asked.from, asked.to);
        return Err(Failure::new(ErrorCode::FileRefused, message));
    }
    if found.kind != FileType::RegularFile {
        return Err(open::wrong_kind(
            to,
            "nothing, or a plain file to be replaced by one",
            there.kind,
        ));
    }
    let whole = content::whole(to, &there, &call.stop)?;
    let previous = change::keep(call, to, &whole)?;
    change::same_as_read(to, target, Some(&there))?;
    Ok(Some(previous))
}

fn rename(source: &Spot, target: &Spot, replace: bool) -> Result<(), Errno> {
    let flags = match replace {
        true => RenameFlags::empty(),
        false => RenameFlags::NOREPLACE,
    };
    rustix::fs::renameat_with(&source.folder, &source.name, &target.folder, &target.name, flags)
}

/// Whether a move happened. That the old name is still there says it did not; that the new one holds the content that
/// was to be moved says it did.
pub(super) fn probe(call: &Call) -> ProbeAnswer {
    match probed(call) {
        Ok(answer) => answer,
        Err(failure) => ProbeAnswer::Unknown(failure.fault.message),
    }
}

fn probed(call: &Call) -> Result<ProbeAnswer, Failure> {
    let asked: Move = parse(&call.kind, &call.arguments)?;
    let wanted = change::parse_hash(asked.if_hash.as_ref())?;
    let (from, source) = end(call, &asked.from)?;
    if open::look(&from, &source)?.is_some() {
        return Ok(ProbeAnswer::DidNotHappen);
    }
    let Some(wanted) = wanted else {
        let message = "the old name is gone, and without `ifHash` nobody knows what the new one holds";
        return Ok(ProbeAnswer::Unknown(message.to_owned()));
    };
    let (to, target) = end(call, &asked.to)?;
    let Some(found) = open::look(&to, &target)? else {
        return Ok(ProbeAnswer::Unknown("neither name is there".to_owned()));
    };
    Ok(match content::hash(&to, &found, &call.stop)? == wanted {
        true => ProbeAnswer::Landed,
        false => ProbeAnswer::Unknown("the new name holds other content".to_owned()),
    })
}

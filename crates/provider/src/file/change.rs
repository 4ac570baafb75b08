//! What all changes have in common: the content that is about to go is kept first, and folders are synced after.

use super::content::Whole;
use super::ground::Ground;
use super::open::{Found, Spot, look, refusal};
use crate::sdk::{Call, Failure};
use actum_model::{ErrorCode, Fault, Hash};
use rustix::fd::OwnedFd;
use serde::Serialize;

/// Content that was kept before it went.
#[derive(Clone, Serialize)]
pub(super) struct Previous {
    pub(super) hash: String,
    pub(super) bytes: u64,
}

/// Keeps content. Where that fails, nothing has changed yet and nothing does.
pub(super) fn keep(call: &Call, ground: &Ground, whole: &Whole) -> Result<Previous, Failure> {
    let failed = |why: String| {
        let message = format!(
            "nothing was changed: the content of `{}` could not be kept: {why}",
            ground.shown()
        );
        Failure::new(ErrorCode::FileFailed, message)
    };
    let hash = (call.means.keep)(&call.effect, &whole.bytes).map_err(failed)?;
    if hash != whole.hash {
        return Err(failed(format!("expected hash {}, got {hash}", whole.hash)));
    }
    Ok(Previous {
        hash: hash.to_string(),
        bytes: whole.bytes.len() as u64,
    })
}

/// Refuses where the content is not what the caller rests on.
pub(super) fn check_hash(ground: &Ground, wanted: Option<Hash>, got: Option<Hash>) -> Result<(), Failure> {
    match (wanted, got) {
        (Some(wanted), Some(got)) if wanted != got => {
            Err(changed(ground, &format!("the hash {wanted}, got {got}")))
        }
        (Some(wanted), None) => Err(changed(
            ground,
            &format!("the hash {wanted}, but nothing is there"),
        )),
        _ => Ok(()),
    }
}

pub(super) fn changed(ground: &Ground, what: &str) -> Failure {
    Failure::new(
        ErrorCode::FileChanged,
        format!("`{}`: expected {what}", ground.shown()),
    )
}

/// Reads the hash of an argument.
pub(super) fn parse_hash(text: Option<&String>) -> Result<Option<Hash>, Failure> {
    text.map(|text| text.parse::<Hash>())
        .transpose()
        .map_err(|error| Failure::new(ErrorCode::InvalidInput, format!("`ifHash`: {error}")))
}

/// Refuses where something else stands under the name by now than was read, or was written to meanwhile.
pub(super) fn same_as_read(ground: &Ground, spot: &Spot, read: Option<&Found>) -> Result<(), Failure> {
    let state = |found: &Found| {
        let stat = &found.stat;
        let changed = (i128::from(stat.st_ctime), i128::from(stat.st_ctime_nsec));
        (stat.st_dev, stat.st_ino, stat.st_size, changed)
    };
    match look(ground, spot)?.as_ref().map(state) == read.map(state) {
        true => Ok(()),
        false => Err(changed(
            ground,
            "it to stay as it was read, and somebody changed it meanwhile",
        )),
    }
}

/// Makes what was renamed or removed in a folder durable. When that fails, it has happened and may not last.
pub(super) fn sync_folder(ground: &Ground, folder: &OwnedFd) -> Result<(), Failure> {
    rustix::fs::fsync(folder).map_err(|error| {
        let fault = refusal(error, ground).fault;
        let message = format!("it was done, and may not last: {}", fault.message);
        Failure::unknown(Fault::new(ErrorCode::FileFailed, message))
    })
}

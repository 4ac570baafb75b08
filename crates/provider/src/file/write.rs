//! `file.write`: a file is whole or not there, what it replaces is kept before, and doing it twice is doing it once
//! (except for `append` without `ifHash`).

use super::Encoding;
use super::change::{self, Previous};
use super::content::{self, Whole};
use super::ground::Ground;
use super::open::{self, Found, Spot};
use super::temp::{Temp, is_temp};
use crate::grants::Reach;
use crate::sdk::{Call, Failure};
use actum_model::{ErrorCode, Hash, limits};
use rustix::fs::{AtFlags, FileType, Gid, Mode, RenameFlags, Uid};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Write {
    path: String,
    content: String,
    encoding: Option<Encoding>,
    mode: Option<WriteMode>,
    if_hash: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WriteMode {
    Create,
    Replace,
    Append,
}

#[derive(Serialize)]
pub(super) struct Written {
    path: String,
    hash: String,
    bytes: u64,
    changed: bool,
    created: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<Previous>,
}

/// What a write comes to after a look at what is there.
enum Plan {
    /// It has the content already.
    Done,
    /// This content is to be put in place.
    Put(Vec<u8>),
}

pub(super) fn write(call: &Call, asked: &Write) -> Result<Written, Failure> {
    let mode = asked.mode.unwrap_or(WriteMode::Replace);
    let if_hash = change::parse_hash(asked.if_hash.as_ref())?;
    if mode == WriteMode::Create && if_hash.is_some() {
        let message = "expected no `ifHash` with mode `create`: there is no content yet";
        return Err(Failure::new(ErrorCode::InvalidInput, message));
    }
    let content = content::decode(&asked.content, asked.encoding.unwrap_or(Encoding::Utf8))?;
    let ground = Ground::find(&call.grants, &asked.path, Reach::ReadWrite)?;
    let spot = open::spot(&ground)?;
    if is_temp(&spot.name) {
        let message = format!("`{}`: this name is kept for files on their way", ground.shown());
        return Err(Failure::new(ErrorCode::FileRefused, message));
    }
    let there = open::look(&ground, &spot)?;
    let current = match &there {
        Some(found) => Some(content::whole(&ground, found, &call.stop)?),
        None => None,
    };
    match plan(&ground, mode, if_hash, content, current.as_ref())? {
        Plan::Done => done(&ground, &spot, there.as_ref(), current.as_ref()),
        Plan::Put(content) => put(call, &ground, &spot, there.as_ref(), current.as_ref(), &content),
    }
}

fn plan(
    ground: &Ground,
    mode: WriteMode,
    if_hash: Option<Hash>,
    content: Vec<u8>,
    current: Option<&Whole>,
) -> Result<Plan, Failure> {
    let now = current.map(|whole| whole.hash);
    match (mode, current) {
        // Also the second time of the same write, after a crash before its outcome was recorded.
        (WriteMode::Create | WriteMode::Replace, _) if now == Some(Hash::of(&content)) => Ok(Plan::Done),
        (WriteMode::Create, Some(_)) => Err(open::refusal(rustix::io::Errno::EXIST, ground)),
        (WriteMode::Append, Some(whole)) => {
            if if_hash.is_some_and(|wanted| is_appended(whole, &content, wanted)) {
                return Ok(Plan::Done);
            }
            change::check_hash(ground, if_hash, now)?;
            let longer = [whole.bytes.as_slice(), &content].concat();
            match longer.len() as u64 {
                got if got > limits::FILE_KEPT_BYTES_MAX => Err(content::too_large(ground, got)),
                _ => Ok(Plan::Put(longer)),
            }
        }
        _ => {
            change::check_hash(ground, if_hash, now)?;
            Ok(Plan::Put(content))
        }
    }
}

/// Whether a file is what an earlier content with this hash and this behind it would be.
fn is_appended(whole: &Whole, content: &[u8], before: Hash) -> bool {
    let earlier = whole.bytes.strip_suffix(content);
    !content.is_empty() && earlier.is_some_and(|earlier| Hash::of(earlier) == before)
}

/// It has the content already; it is made durable, since it may come from a try that was cut off before that.
fn done(
    ground: &Ground,
    spot: &Spot,
    there: Option<&Found>,
    current: Option<&Whole>,
) -> Result<Written, Failure> {
    if let Some(found) = there {
        let file = open::open_plain(ground, found)?;
        file.sync_all()
            .map_err(|error| open::io_refusal(&error, ground))?;
    }
    rustix::fs::fsync(&spot.folder).map_err(|error| open::refusal(error, ground))?;
    Ok(Written {
        path: ground.shown(),
        hash: current.map(|whole| whole.hash).unwrap_or_default().to_string(),
        bytes: current.map(|whole| whole.bytes.len()).unwrap_or_default() as u64,
        changed: false,
        created: false,
        previous: None,
    })
}

fn put(
    call: &Call,
    ground: &Ground,
    spot: &Spot,
    there: Option<&Found>,
    current: Option<&Whole>,
    content: &[u8],
) -> Result<Written, Failure> {
    let previous = current
        .map(|whole| change::keep(call, ground, whole))
        .transpose()?;
    let mut temp = Temp::new(ground, &spot.folder, &call.effect)?;
    if let Some(found) = there {
        take_over(&temp, found);
    }
    temp.fill(ground, content)?;
    call.stop.check()?;
    change::same_as_read(ground, spot, there)?;
    let renamed = match there {
        Some(_) => rustix::fs::renameat(&spot.folder, temp.name.as_str(), &spot.folder, &spot.name),
        None => rustix::fs::renameat_with(
            &spot.folder,
            temp.name.as_str(),
            &spot.folder,
            &spot.name,
            RenameFlags::NOREPLACE,
        ),
    };
    renamed.map_err(|error| open::refusal(error, ground))?;
    temp.placed();
    change::sync_folder(ground, &spot.folder)?;
    (call.means.progress)(content.len() as u64, Some(content.len() as u64));
    Ok(Written {
        path: ground.shown(),
        hash: Hash::of(content).to_string(),
        bytes: content.len() as u64,
        changed: true,
        created: there.is_none(),
        previous,
    })
}

/// The new file belongs to whom the old one did, as far as the daemon may say so, and has its mode; never setuid,
/// which would give a stranger's content somebody's rights.
fn take_over(temp: &Temp<'_>, found: &Found) {
    let stat = &found.stat;
    let now = rustix::fs::fstat(&temp.file).ok();
    if now.is_none_or(|now| (now.st_uid, now.st_gid) != (stat.st_uid, stat.st_gid)) {
        let (owner, group) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
        let _ = rustix::fs::fchown(&temp.file, Some(owner), Some(group));
    }
    let _ = rustix::fs::fchmod(&temp.file, Mode::from_raw_mode(stat.st_mode & 0o777));
}

/// Removes a name in a folder.
pub(super) fn unlink(ground: &Ground, spot: &Spot, kind: FileType) -> Result<(), Failure> {
    let flags = match kind {
        FileType::Directory => AtFlags::REMOVEDIR,
        _ => AtFlags::empty(),
    };
    rustix::fs::unlinkat(&spot.folder, &spot.name, flags).map_err(|error| open::refusal(error, ground))
}

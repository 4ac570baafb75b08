//! The disk: the folder, its permissions, space, file system, and whether a sync is one.

use super::Finding;
use crate::context::Context;
use crate::shape;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const MIB: u64 = 1024 * 1024;
/// Two segments and a snapshot fit.
const SPACE_MIN: u64 = 256 * MIB;
const SPACE_GOOD: u64 = 2048 * MIB;
/// Syncs that are timed.
const SYNCS: usize = 9;
/// Above this a synced answer is slow.
const SYNC_SLOW: Duration = Duration::from_millis(50);
/// Below this nothing can have reached a disk.
const SYNC_TOO_FAST: Duration = Duration::from_micros(20);

/// The data directory, or the nearest folder above it that is there.
fn nearest(data: &Path) -> PathBuf {
    let whole = std::path::absolute(data).unwrap_or_else(|_| data.to_owned());
    whole
        .ancestors()
        .find(|path| path.is_dir())
        .unwrap_or(Path::new("/"))
        .to_owned()
}

pub(super) fn folder(context: &Context) -> Finding {
    let name = "data directory";
    let shown = context.data.display();
    let there = context.data.is_dir();
    if !there && context.data.exists() {
        return Finding::fail(
            name,
            format!("{shown} is no directory"),
            "name another with --data",
        );
    }
    let within = nearest(&context.data);
    if let Err(error) = probe(&within).and_then(fs::remove_file) {
        let fix = format!(
            "make {} writable for you, or name another with --data",
            within.display()
        );
        return Finding::fail(
            name,
            format!("{} cannot be written: {error}", within.display()),
            fix,
        );
    }
    if !there {
        return Finding::ok(
            name,
            format!("{shown} is not there yet; the first start makes it"),
        );
    }
    match fs::metadata(&context.data) {
        Ok(meta) if meta.mode() & 0o022 != 0 => {
            let found = format!(
                "{shown} can be written by others (mode {:o})",
                meta.mode() & 0o777
            );
            Finding::warn(name, found, format!("chmod go-w {shown}"))
        }
        _ => Finding::ok(name, format!("{shown}, writable")),
    }
}

/// Keys and tokens must be their owner's alone.
pub(super) fn secrets(context: &Context) -> Finding {
    let name = "keys and tokens";
    let mut paths = vec![context.data.join("tokens.json")];
    let keys = fs::read_dir(context.data.join("keys"));
    paths.extend(
        keys.into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path())),
    );
    let there: Vec<&PathBuf> = paths.iter().filter(|path| path.exists()).collect();
    let open = there
        .iter()
        .find(|path| fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o077 != 0));
    match open {
        Some(path) => {
            let found = format!("{} is open to others", path.display());
            Finding::fail(
                name,
                found,
                format!("chmod 600 {}; then make new tokens", path.display()),
            )
        }
        None if there.is_empty() => Finding::ok(name, "none yet"),
        None => Finding::ok(
            name,
            format!("{}, closed to others", shape::count(there.len() as u64, "file")),
        ),
    }
}

pub(super) fn space(context: &Context) -> Finding {
    let name = "space";
    let within = nearest(&context.data);
    let Ok(stat) = rustix::fs::statvfs(&within) else {
        return Finding::warn(name, "the file system does not tell", "see that there is enough");
    };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let found = format!("{} free", shape::bytes(free));
    if free < SPACE_MIN {
        return Finding::fail(name, found, format!("free at least {}", shape::bytes(SPACE_MIN)));
    }
    if stat.f_files > 0 && stat.f_favail < 1000 {
        return Finding::fail(
            name,
            format!("{found}, but {} inodes", stat.f_favail),
            "remove files",
        );
    }
    if free < SPACE_GOOD {
        return Finding::warn(
            name,
            found,
            "free some, or start with --compact: a full disk stops the daemon",
        );
    }
    Finding::ok(name, found)
}

pub(super) fn file_system(context: &Context) -> Finding {
    let name = "file system";
    let within = nearest(&context.data);
    let Ok(stat) = rustix::fs::statfs(&within) else {
        return Finding::warn(name, "not told", "use a local disk");
    };
    // The numbers are those of statfs(2).
    let kind = u64::try_from(stat.f_type).unwrap_or(0) & 0xffff_ffff;
    match kind {
        0x6969 | 0x517b | 0xff53_4d42 | 0xfe53_4d42 | 0x0102_1997 => Finding::fail(
            name,
            "a network file system: locks and syncs do not mean there what they mean here",
            "put --data on a local disk",
        ),
        0x0102_1994 | 0x8584_58f6 => Finding::warn(
            name,
            "in memory: nothing survives a restart of the machine",
            "put --data on a disk",
        ),
        0x794c_7630 => Finding::warn(
            name,
            "overlay, as in a container: a sync is only as good as the layer below",
            "mount a real volume at --data",
        ),
        0x9123_683e | 0x2fc1_2fc1 | 0xca45_1a4e => Finding::warn(
            name,
            "copy-on-write: preallocation gains nothing",
            "it works; ext4 or xfs syncs faster",
        ),
        0xef53 => Finding::ok(name, "ext4"),
        0x5846_5342 => Finding::ok(name, "xfs"),
        other => Finding::ok(name, format!("type {other:#x}")),
    }
}

pub(super) fn sync(context: &Context) -> Finding {
    let name = "sync";
    match timed(&nearest(&context.data)) {
        Err(error) => Finding::fail(
            name,
            format!("a sync failed: {error}"),
            "check the disk: dmesg, smartctl",
        ),
        Ok(took) if took > SYNC_SLOW => Finding::warn(
            name,
            format!("4 KiB written and synced in {}", shape::duration(took)),
            "each answer waits so long; use a faster disk, or --durability batched",
        ),
        Ok(took) if took < SYNC_TOO_FAST => Finding::warn(
            name,
            format!(
                "4 KiB written and synced in {} µs, faster than any disk",
                took.as_micros()
            ),
            "in memory or with a sync that does nothing, a power loss takes what was acknowledged",
        ),
        Ok(took) => Finding::ok(
            name,
            format!("4 KiB written and synced in {} µs", took.as_micros()),
        ),
    }
}

fn probe(within: &Path) -> io::Result<PathBuf> {
    let path = within.join(format!(".actum-doctor-{}", std::process::id()));
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)?;
    Ok(path)
}

/// The median of some writes with sync into a file that is there already.
fn timed(within: &Path) -> io::Result<Duration> {
    let path = probe(within)?;
    let measured = (|| {
        use std::os::unix::fs::FileExt;
        let mut file = OpenOptions::new().write(true).open(&path)?;
        file.write_all(&vec![0; SYNCS * 4096])?;
        file.sync_all()?;
        let mut times = Vec::with_capacity(SYNCS);
        for at in 0..SYNCS {
            let begun = Instant::now();
            file.write_all_at(&[1; 4096], at as u64 * 4096)?;
            file.sync_data()?;
            times.push(begun.elapsed());
        }
        times.sort();
        Ok(times.get(SYNCS / 2).copied().unwrap_or_default())
    })();
    fs::remove_file(&path)?;
    measured
}

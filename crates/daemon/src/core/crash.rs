//! Named crash points: places where the process ends itself with SIGKILL, for tests that ask what is left when
//! it dies exactly there. `ACTUM_CRASH_AT=NAME` or `NAME:N` arms one at its N-th passage; nothing else does.

use actum_journal::storage::Parts;
use actum_journal::{Area, Storage, StorageError};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Every crash point, in the order in which a command passes them.
pub const CRASH_POINTS: &[&str] = &[
    "subject_key_made",
    "decided",
    "journal_written_in_part",
    "journal_written",
    "journal_synced",
    "subject_erase_recorded",
    "subject_key_zeroed",
    "released",
    "segment_created",
    "effect_prepared",
    "effect_settled",
    "blob_put",
    "snapshot_put",
    "snapshot_recorded",
    "closing",
    "closed_marked",
];

struct Armed {
    name: String,
    passages_left: AtomicU64,
}

static ARMED: OnceLock<Option<Armed>> = OnceLock::new();

fn armed() -> Option<&'static Armed> {
    let read = || {
        let text = std::env::var("ACTUM_CRASH_AT").ok()?;
        let (name, passage) = text.split_once(':').unwrap_or((text.as_str(), "1"));
        Some(Armed {
            name: name.to_owned(),
            passages_left: AtomicU64::new(passage.parse().unwrap_or(1)),
        })
    };
    ARMED.get_or_init(read).as_ref()
}

/// Whether a crash point is armed at all, so that storage is only wrapped where a test wants it.
pub(crate) fn is_armed() -> bool {
    armed().is_some()
}

/// Passes a crash point: the process is gone if it is armed and this is its passage.
pub(crate) fn point(name: &str) {
    let Some(armed) = armed().filter(|armed| armed.name == name) else {
        return;
    };
    if armed.passages_left.fetch_sub(1, Ordering::AcqRel) == 1 {
        let _never_fails =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        // The signal is on its way; nothing may happen meanwhile.
        loop {
            std::thread::park();
        }
    }
}

/// Storage with crash points before and after its durable steps.
pub(crate) struct CrashStorage<S>(pub(crate) S);

impl<S: Storage> Storage for CrashStorage<S> {
    fn list(&self, area: Area) -> Result<Vec<String>, StorageError> {
        self.0.list(area)
    }

    fn size(&self, area: Area, name: &str) -> Result<Option<u64>, StorageError> {
        self.0.size(area, name)
    }

    fn read(&self, area: Area, name: &str, offset: u64, out: &mut [u8]) -> Result<usize, StorageError> {
        self.0.read(area, name, offset, out)
    }

    fn create(&self, name: &str, head: &[u8], bytes: u64) -> Result<(), StorageError> {
        self.0.create(name, head, bytes)?;
        point("segment_created");
        Ok(())
    }

    fn write(&self, name: &str, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        if armed().is_some_and(|armed| armed.name == "journal_written_in_part") {
            let half = bytes.get(..bytes.len() / 2).unwrap_or_default();
            self.0.write(name, offset, half)?;
            point("journal_written_in_part");
        }
        self.0.write(name, offset, bytes)?;
        point("journal_written");
        Ok(())
    }

    fn sync(&self, name: &str) -> Result<(), StorageError> {
        self.0.sync(name)?;
        point("journal_synced");
        Ok(())
    }

    fn put(&self, area: Area, name: &str, parts: Parts<'_>) -> Result<(), StorageError> {
        self.0.put(area, name, parts)?;
        point(match area {
            Area::Blobs => "blob_put",
            Area::Snapshots => "snapshot_put",
            Area::Journal => "closed_marked",
        });
        Ok(())
    }

    fn remove(&self, area: Area, name: &str) -> Result<(), StorageError> {
        self.0.remove(area, name)
    }
}

//! Reading a history from its beginning, or from its newest snapshot, without opening it: no lock is taken and
//! nothing is changed, so it works on a copy, on read-only media and beside a running writer.

use crate::catalog::Catalog;
use crate::error::OpenError;
use crate::leaves::LeafFile;
use crate::open::{realm, restore_newest, segments};
use crate::reader::Reader;
use crate::recovery::{Recover, RecoveryReport};
use crate::replay::{self, Begin};
use crate::storage::Storage;
use crate::tail;
use actum_model::Hash;
use actum_record::RealmId;
use std::sync::Arc;

/// How to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LookOptions {
    /// Begin with the newest fit snapshot instead of record 0.
    pub from_snapshot: bool,
    /// A writer may be adding records meanwhile. Frames behind the end are then not judged, because they may be
    /// half written; records that were there when the look began are never missed.
    pub growing: bool,
    /// Threads that decode besides the one that calls back.
    pub decode_threads: usize,
}

/// What was seen.
#[derive(Debug, Clone)]
pub struct Looked {
    /// The realm.
    pub realm: RealmId,
    /// What was read. Nothing was cut or rewritten: `torn_bytes_cut` tells what opening would cut.
    pub report: RecoveryReport,
}

/// Reads every record, in order, through `into`.
///
/// # Errors
/// See [`OpenError`]. `Missing` with idx 0 where the first records were compacted away and `from_snapshot` is not
/// set.
pub fn look(
    storage: &dyn Storage,
    options: LookOptions,
    into: &mut dyn Recover,
) -> Result<Looked, OpenError> {
    let mut report = RecoveryReport::default();
    // Leaves are written behind their records: so many records are there, whatever comes meanwhile.
    let expected = LeafFile::new(storage).count()?;
    let segments = segments(storage)?;
    let realm = realm(storage, &segments, None)?;
    let catalog = catalog_of(realm, &segments);
    let helpers = options.decode_threads;
    let meta = if options.from_snapshot {
        restore_newest(storage, realm, helpers, into, &mut report)?
    } else {
        None
    };
    report.snapshot = meta.as_ref().map(|meta| meta.idx);
    let begin = meta
        .as_ref()
        .map_or((0, Hash::ZERO), |meta| (meta.idx + 1, meta.hash));
    let begin = Begin {
        idx: begin.0,
        prev: Some(begin.1),
    };
    let mut take = |record: crate::recovery::RecordRef<'_>| into.record(record);
    let walked = replay::walk(
        storage,
        &segments,
        begin,
        helpers,
        &catalog,
        &mut report,
        &mut take,
    )?;
    report.head = walked.next_idx.checked_sub(1).map(|idx| (idx, walked.head_hash));
    if !options.growing || walked.next_idx < expected {
        report.torn_bytes_cut = tail::judge(storage, &segments, &walked.cut)?.bytes;
    }
    report.leaves_beyond_head = expected.saturating_sub(walked.next_idx);
    Ok(Looked { realm, report })
}

/// The realm of a journal and a reader of its records.
///
/// # Errors
/// See [`OpenError`]; `NoRealm` where there is no segment.
pub fn reader(storage: Arc<dyn Storage>) -> Result<(RealmId, Reader), OpenError> {
    let segments = segments(storage.as_ref())?;
    let realm = realm(storage.as_ref(), &segments, None)?;
    let catalog = Arc::new(catalog_of(realm, &segments));
    Ok((realm, Reader::new(storage, catalog)))
}

fn catalog_of(realm: RealmId, segments: &[crate::source::SourceFile]) -> Catalog {
    let catalog = Catalog::new(realm);
    for segment in segments {
        catalog.add_segment(&segment.header);
    }
    catalog
}

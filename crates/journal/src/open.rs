//! Opening: find the newest fit snapshot, apply the records behind it, judge the tail, heal it, and hand out
//! the halves. Nothing is changed on disk before everything was read and judged.

use crate::blobs::Blobs;
use crate::catalog::Catalog;
use crate::clean;
use crate::error::OpenError;
use crate::keeper::Keeper;
use crate::layout::{CLEAN, segment_idx, snapshot_idx};
use crate::leaves::LeafCheck;
use crate::options::Options;
use crate::reader::Reader;
use crate::recovery::{Recover, RecoveryReport};
use crate::replay::{self, Begin, Walked};
use crate::restore;
use crate::snapshot::SnapshotMeta;
use crate::source::{SourceError, SourceFile};
use crate::stage::{Buffers, Stager};
use crate::storage::{Area, Storage};
use crate::tail;
use crate::tree::Tree;
use crate::writer::{Start, Tail, Writer};
use crate::{heal, layout};
use actum_model::Hash;
use actum_record::{FileKind, Frontier, RealmId};
use std::sync::Arc;

/// An open journal, in the pieces its users own.
#[derive(Debug)]
pub struct Opened {
    /// For the engine.
    pub stager: Stager,
    /// For the thread that writes.
    pub writer: Writer,
    /// For everyone who reads history.
    pub reader: Reader,
    /// For roots and proofs.
    pub tree: Tree,
    /// For snapshots, compaction and the sweep of blobs.
    pub keeper: Keeper,
    /// For sealed bodies.
    pub blobs: Blobs,
    /// The realm of the journal.
    pub realm: RealmId,
    /// The term of the last segment; 0 for a new journal.
    pub term: u64,
    /// What was found and done.
    pub report: RecoveryReport,
}

/// Opens a journal and rebuilds state through `into`. The caller holds the lock of the storage.
///
/// # Errors
/// See [`OpenError`]; on an error nothing was changed, except that healing may have begun if storage failed
/// in it, which the next opening repeats.
pub fn open(
    storage: Arc<dyn Storage>,
    options: &Options,
    into: &mut dyn Recover,
) -> Result<Opened, OpenError> {
    let store = storage.as_ref();
    let mut report = RecoveryReport::default();
    let segments = segments(store)?;
    let realm = realm(store, &segments, options.realm)?;
    let catalog = Arc::new(Catalog::new(realm));
    for segment in &segments {
        catalog.add_segment(&segment.header);
    }
    let mark = clean::get(store)?;
    let meta = restore_newest(store, realm, options.decode_threads, into, &mut report)?;
    report.snapshot = meta.as_ref().map(|meta| meta.idx);
    let begin = meta.as_ref().map_or(
        Begin {
            idx: 0,
            prev: Some(Hash::ZERO),
        },
        |meta| Begin {
            idx: meta.idx + 1,
            prev: Some(meta.hash),
        },
    );
    let mut leaves = LeafCheck::new(store);
    let walked = if segments.is_empty() && meta.is_none() {
        None
    } else {
        let mut failure = None;
        let mut take = |record: crate::recovery::RecordRef<'_>| {
            if let Err(error) = leaves.compare(record.idx, &record.hash) {
                failure = Some(error);
                return Err("its leaf cannot be read".to_owned());
            }
            into.record(record)
        };
        let helpers = options.decode_threads;
        let walked = replay::walk(store, &segments, begin, helpers, &catalog, &mut report, &mut take);
        if let Some(error) = failure {
            return Err(error.into());
        }
        Some(walked?)
    };
    let (next_idx, head_hash) = walked
        .as_ref()
        .map_or((0, Hash::ZERO), |w| (w.next_idx, w.head_hash));
    report.head = next_idx.checked_sub(1).map(|idx| (idx, head_hash));
    check_mark(mark, &segments, walked.as_ref(), next_idx, head_hash, &mut report)?;
    if let Some(walked) = &walked {
        let verdict = tail::judge(store, &segments, &walked.cut)?;
        store.remove(Area::Journal, CLEAN)?;
        heal::cut(store, &segments, walked, &verdict, &catalog, &mut report)?;
        if !report.clean {
            heal::rewrite(store, &segments, walked, &catalog, &mut report)?;
        }
    } else {
        store.remove(Area::Journal, CLEAN)?;
    }
    let reader = Reader::new(Arc::clone(&storage), Arc::clone(&catalog));
    leaves.put_right(store, &reader, begin.idx, next_idx, &mut report)?;
    let term = segments.last().map_or(0, |segment| segment.header.term);
    let tail = walked.as_ref().and_then(|walked| tail_of(&segments, walked));
    let frontier = meta.map_or_else(Frontier::default, |meta| meta.frontier);
    let buffers = Buffers::default();
    Ok(Opened {
        stager: Stager::new(next_idx, head_hash, buffers.clone()),
        writer: Writer::new(Start {
            storage: Arc::clone(&storage),
            catalog: Arc::clone(&catalog),
            buffers,
            durability: options.durability,
            segment_bytes: options.segment_bytes,
            term,
            tail,
            next_idx,
            head_hash,
        }),
        tree: Tree::new(Arc::clone(&storage), frontier),
        keeper: Keeper::new(Arc::clone(&storage), catalog),
        blobs: Blobs::new(storage),
        reader,
        realm,
        term,
        report,
    })
}

/// The segments in order, with whole headers that agree with their names.
pub(crate) fn segments(storage: &dyn Storage) -> Result<Vec<SourceFile>, OpenError> {
    let names = storage.list(Area::Journal)?;
    let numbered = names
        .iter()
        .filter_map(|name| segment_idx(name).map(|idx| (name, idx)));
    numbered
        .map(|(name, idx)| {
            let file = format!("{}/{name}", Area::Journal.folder());
            match SourceFile::open(storage, Area::Journal, name, FileKind::Segment) {
                Ok(found) if found.header.first_idx == idx => Ok(found),
                Ok(_) => Err(OpenError::Header {
                    file,
                    idx,
                    source: actum_record::HeaderError::Crc,
                }),
                Err(SourceError::Header(source)) => Err(OpenError::Header { file, idx, source }),
                Err(SourceError::Storage(error)) => Err(error.into()),
            }
        })
        .collect()
}

pub(crate) fn realm(
    storage: &dyn Storage,
    segments: &[SourceFile],
    expected: Option<RealmId>,
) -> Result<RealmId, OpenError> {
    let Some(first) = segments.first() else {
        // Snapshots without a segment: all records behind them are lost.
        if let Some(idx) = storage
            .list(Area::Snapshots)?
            .iter()
            .rev()
            .find_map(|name| snapshot_idx(name))
        {
            return Err(OpenError::Missing { idx: idx + 1 });
        }
        return expected.ok_or(OpenError::NoRealm);
    };
    let expected = expected.unwrap_or(first.header.realm);
    match segments.iter().find(|segment| segment.header.realm != expected) {
        None => Ok(expected),
        Some(other) => Err(OpenError::Realm {
            file: other.shown(),
            found: other.header.realm,
            expected,
        }),
    }
}

pub(crate) fn restore_newest(
    storage: &dyn Storage,
    realm: RealmId,
    helpers: usize,
    into: &mut dyn Recover,
    report: &mut RecoveryReport,
) -> Result<Option<SnapshotMeta>, OpenError> {
    let names = storage.list(Area::Snapshots)?;
    for name in names.iter().rev().filter(|name| snapshot_idx(name).is_some()) {
        match restore::restore(storage, name, Some(realm), helpers, into) {
            Ok(meta) => return Ok(Some(meta)),
            Err(why) => {
                into.reset();
                report.snapshots_unfit.push((name.clone(), why));
            }
        }
    }
    Ok(None)
}

/// A mark of an orderly end proves every record below the head it names.
fn check_mark(
    mark: Option<(u64, Hash)>,
    segments: &[SourceFile],
    walked: Option<&Walked>,
    next_idx: u64,
    head_hash: Hash,
    report: &mut RecoveryReport,
) -> Result<(), OpenError> {
    let Some((records, hash)) = mark else {
        return Ok(());
    };
    report.clean = records == next_idx && hash == head_hash;
    if records > next_idx {
        let evidence = format!("the journal was closed in order with {records} records");
        return Err(match walked {
            Some(walked) => tail::damaged(segments, &walked.cut, evidence),
            None => OpenError::Missing { idx: 0 },
        });
    }
    Ok(())
}

fn tail_of(segments: &[SourceFile], walked: &Walked) -> Option<Tail> {
    let segment = segments.get(walked.cut.segment)?;
    Some(Tail {
        name: layout::segment_name(segment.header.first_idx),
        first_idx: segment.header.first_idx,
        seed: segment.seed,
        end: walked.cut.offset,
        bytes: segment.header.file_bytes,
    })
}

//! Verifying a history: is it whole. Frames, sequence, chain, leaves, tree and snapshots are compared with each
//! other; nothing is executed and nothing changed. It stops at nothing: every finding is listed.

use crate::inspect::{Inspection, inspect};
use crate::leaves::LeafFile;
use crate::restore;
use crate::source::{FileChunks, SourceError, SourceFile};
use crate::storage::{Area, Storage, StorageError};
use actum_model::Hash;
use actum_record::{FileKind, Frontier, RealmId, frame};
use std::collections::BTreeMap;

/// Findings listed; more are counted.
const FINDINGS_MAX: usize = 100;

/// What verifying found.
#[derive(Debug, Clone, Default)]
pub struct Verification {
    /// Whether everything agrees. A torn tail of unacknowledged bytes does not speak against it.
    pub whole: bool,
    /// The realm.
    pub realm: Option<RealmId>,
    /// First record whose frame is kept.
    pub first_idx: u64,
    /// Records of the history, compacted ones included.
    pub records: u64,
    /// Hash of the last record.
    pub head_hash: Hash,
    /// Root of the tree over all records.
    pub root: Hash,
    /// Snapshots that are whole.
    pub snapshots: Vec<u64>,
    /// Bytes behind the head that opening will cut.
    pub torn: bool,
    /// What does not agree, as sentences.
    pub findings: Vec<String>,
    /// Findings in all.
    pub findings_total: usize,
}

impl Verification {
    fn find(&mut self, what: String) {
        self.findings_total += 1;
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(what);
        }
    }
}

/// Verifies everything. Reads the whole journal twice and takes a few microseconds per record.
///
/// # Errors
/// When storage fails; what does not agree is a finding, not an error.
pub fn verify(storage: &dyn Storage) -> Result<Verification, StorageError> {
    let view = inspect(storage)?;
    let mut out = Verification::default();
    for problem in &view.problems {
        if problem.acknowledged {
            out.find(format!("{}: {}", problem.place, problem.what));
        } else {
            out.torn = true;
        }
    }
    let header = view.segments.iter().find_map(|segment| segment.header);
    out.realm = header.map(|header| header.realm);
    out.first_idx = header.map_or(0, |header| header.first_idx);
    for segment in &view.segments {
        if segment
            .header
            .is_some_and(|header| Some(header.realm) != out.realm)
        {
            out.find(format!("`journal/{}` belongs to another realm", segment.name));
        }
    }
    if out.findings_total == 0 {
        leaves_and_tree(storage, &view, &mut out)?;
    }
    if let Some(records) = view.clean.filter(|records| *records != out.records)
        && out.findings_total == 0
    {
        out.find(format!(
            "the mark of an orderly end says {records} records, there are {}",
            out.records
        ));
    }
    out.whole = out.findings_total == 0;
    Ok(out)
}

/// Compares every record with its leaf, the leaves with the trees in snapshots, and computes the root.
fn leaves_and_tree(
    storage: &dyn Storage,
    view: &Inspection,
    out: &mut Verification,
) -> Result<(), StorageError> {
    let hashes = record_hashes(storage, view)?;
    out.records = view
        .segments
        .last()
        .and_then(|segment| segment.header.map(|header| header.first_idx + segment.frames))
        .unwrap_or(0);
    out.head_hash = hashes.last().copied().unwrap_or_else(|| {
        view.segments
            .last()
            .and_then(|segment| segment.header)
            .map_or(Hash::ZERO, |header| header.prev)
    });
    let snapshots = snapshots(storage, view, out)?;
    let mut leaves = LeafFile::new(storage);
    let mut frontier = Frontier::default();
    for idx in 0..out.records {
        let leaf = leaves.get(idx)?;
        let record = idx
            .checked_sub(out.first_idx)
            .and_then(|at| hashes.get(usize::try_from(at).ok()?));
        match (record, leaf) {
            (Some(record), leaf) => {
                // Leaves behind the last sync may be missing after a crash; opening makes them again.
                if leaf.is_some_and(|leaf| leaf != *record) {
                    out.find(format!("leaf {idx} is not the hash of record {idx}"));
                }
                frontier.push(record);
            }
            (None, Some(leaf)) => frontier.push(&leaf),
            (None, None) => {
                out.find(format!("record {idx} was compacted away and its leaf is missing"));
                return Ok(());
            }
        }
        if let Some((hash, tree)) = snapshots.get(&idx) {
            if *tree != frontier {
                out.find(format!(
                    "the tree in the snapshot at {idx} is not the tree of the leaves"
                ));
            }
            let found = record.copied().or(leaf).unwrap_or_default();
            if *hash != found {
                out.find(format!(
                    "the snapshot at {idx} names hash {hash}, record {idx} has {found}"
                ));
            }
        }
    }
    if view.leaves > out.records {
        let count = view.leaves - out.records;
        out.find(format!(
            "{count} hashes in `journal/leaves` name committed records that are gone"
        ));
    }
    out.root = frontier.root();
    Ok(())
}

fn snapshots(
    storage: &dyn Storage,
    view: &Inspection,
    out: &mut Verification,
) -> Result<BTreeMap<u64, (Hash, Frontier)>, StorageError> {
    let mut found = BTreeMap::new();
    for (name, state) in &view.snapshots {
        let meta = match state {
            Ok(_) => restore::check(storage, name, out.realm.unwrap_or_default()),
            Err(why) => Err(why.clone()),
        };
        match meta {
            Ok(meta) => {
                out.snapshots.push(meta.idx);
                if meta.idx >= out.records {
                    out.find(format!("snapshot `{name}` rests on records that are not there"));
                }
                found.insert(meta.idx, (meta.hash, meta.frontier));
            }
            Err(why) => out.find(format!("snapshot `{name}`: {why}")),
        }
    }
    Ok(found)
}

/// The hashes of all records kept, whose frames `inspect` found whole and in order.
fn record_hashes(storage: &dyn Storage, view: &Inspection) -> Result<Vec<Hash>, StorageError> {
    let mut hashes = Vec::new();
    for segment in &view.segments {
        let file = match SourceFile::open(storage, Area::Journal, &segment.name, FileKind::Segment) {
            Ok(file) => file,
            Err(SourceError::Storage(error)) => return Err(error),
            Err(SourceError::Header(_)) => return Ok(hashes),
        };
        let mut left = segment.frames;
        let mut chunks = FileChunks::new(0);
        while let Some(chunk) = chunks.next(storage, &file)? {
            for (offset, len) in chunk
                .frames
                .iter()
                .take(usize::try_from(left).unwrap_or(usize::MAX))
            {
                let bytes = chunk.bytes.get(*offset..offset + len).unwrap_or_default();
                let Ok(frame) = frame::parse(bytes, chunk.seed) else {
                    return Ok(hashes);
                };
                hashes.push(Hash::of(frame.body));
                left -= 1;
            }
        }
    }
    Ok(hashes)
}

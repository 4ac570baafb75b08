//! Makes the files say what opening found: cuts a torn tail, and after an unclean end rewrites and syncs what
//! no later record proves durable (a failed sync may have left the page cache ahead of the disk). Every step
//! can be repeated, so a crash in the middle is healed by the next opening.

use crate::catalog::Catalog;
use crate::recovery::RecoveryReport;
use crate::replay::Walked;
use crate::source::SourceFile;
use crate::storage::{Area, Storage, StorageError};
use crate::tail::Verdict;

const PIECE_BYTES: u64 = 1024 * 1024;

/// Cuts behind the last whole, chained frame.
pub(crate) fn cut(
    storage: &dyn Storage,
    segments: &[SourceFile],
    walked: &Walked,
    verdict: &Verdict,
    catalog: &Catalog,
    report: &mut RecoveryReport,
) -> Result<(), StorageError> {
    let cut = &walked.cut;
    // The last segment goes first: a gap in the middle would look like damage to the next opening.
    for segment in segments.iter().skip(cut.segment + 1).rev() {
        storage.remove(Area::Journal, &segment.name)?;
        catalog.remove_segment(segment.header.first_idx);
        report.segments_removed += 1;
    }
    let Some(segment) = segments.get(cut.segment) else {
        return Ok(());
    };
    catalog.cut(segment.header.first_idx, cut.idx);
    report.torn_bytes_cut = verdict.bytes;
    // A file that lost its end gets its zeros back, so that later writes stay overwrites.
    let dirty = cut.offset..verdict.dirty_end;
    let missing = segment.bytes.max(cut.offset)..segment.header.file_bytes;
    if dirty.is_empty() && missing.is_empty() {
        return Ok(());
    }
    zero(storage, &segment.name, dirty)?;
    zero(storage, &segment.name, missing)?;
    storage.sync(&segment.name)
}

fn zero(storage: &dyn Storage, name: &str, range: std::ops::Range<u64>) -> Result<(), StorageError> {
    let zeros = vec![0; usize::try_from(PIECE_BYTES.min(range.end.saturating_sub(range.start))).unwrap_or(0)];
    let mut at = range.start;
    while at < range.end {
        let len = usize::try_from((range.end - at).min(PIECE_BYTES)).unwrap_or(0);
        storage.write(name, at, zeros.get(..len).unwrap_or_default())?;
        at += len as u64;
    }
    Ok(())
}

/// Rewrites and syncs the records that no later record proves durable.
pub(crate) fn rewrite(
    storage: &dyn Storage,
    segments: &[SourceFile],
    walked: &Walked,
    catalog: &Catalog,
    report: &mut RecoveryReport,
) -> Result<(), StorageError> {
    report.records_rewritten = walked.next_idx.saturating_sub(walked.proven);
    if report.records_rewritten == 0 {
        return Ok(());
    }
    for segment in segments.iter().take(walked.cut.segment + 1) {
        let next = catalog
            .after(segment.header.first_idx)
            .map(|(header, _)| header.first_idx);
        if next.is_some_and(|next| next <= walked.proven) {
            continue;
        }
        let from = match catalog.find(walked.proven) {
            Some((info, _, offset)) if info.header.first_idx == segment.header.first_idx => offset,
            _ => 0,
        };
        let to = if next.is_some() {
            segment.bytes
        } else {
            walked.cut.offset
        };
        rewrite_range(storage, &segment.name, from..to)?;
        storage.sync(&segment.name)?;
    }
    Ok(())
}

fn rewrite_range(storage: &dyn Storage, name: &str, range: std::ops::Range<u64>) -> Result<(), StorageError> {
    let mut at = range.start;
    while at < range.end {
        let mut piece = vec![0; usize::try_from((range.end - at).min(PIECE_BYTES)).unwrap_or(0)];
        let count = storage.read(Area::Journal, name, at, &mut piece)?;
        if count == 0 {
            break;
        }
        storage.write(name, at, piece.get(..count).unwrap_or_default())?;
        at += count as u64;
    }
    Ok(())
}

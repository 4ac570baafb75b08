//! The tail rule. The sectors of an unsynced batch may have landed in any order, so behind the first bad frame
//! whole ones may follow. If one of them says that the bad one was durable, acknowledged data is damaged:
//! that is an error. Otherwise nothing behind the bad frame was ever acknowledged, and it is cut.
//!
//! This file only looks and judges; `heal` writes.

use crate::error::{OpenError, Place};
use crate::source::SourceFile;
use crate::storage::{Storage, StorageError};
use actum_record::limits::FILE_HEADER_BYTES;
use actum_record::{body, scan};

const WINDOW_BYTES: usize = 1024 * 1024;

/// Where the whole, chained frames end, and why.
#[derive(Debug)]
pub(crate) struct Cut {
    /// Number of the segment in the list.
    pub(crate) segment: usize,
    /// Offset of the first byte that is not part of a whole, chained frame.
    pub(crate) offset: u64,
    /// The record that would be there.
    pub(crate) idx: u64,
    /// What is there instead.
    pub(crate) what: String,
}

/// What is to be cut, after it was found that nothing acknowledged is among it.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// Offset behind the last byte in the cut segment that is not zero; the cut offset if all are.
    pub(crate) dirty_end: u64,
    /// Bytes of torn frames in all segments.
    pub(crate) bytes: u64,
}

/// Applies the rule to everything behind `cut`.
pub(crate) fn judge(storage: &dyn Storage, segments: &[SourceFile], cut: &Cut) -> Result<Verdict, OpenError> {
    let mut verdict = Verdict {
        dirty_end: cut.offset,
        bytes: 0,
    };
    for (number, segment) in segments.iter().enumerate().skip(cut.segment) {
        let from = if number == cut.segment {
            cut.offset
        } else {
            FILE_HEADER_BYTES as u64
        };
        let end = dirty_end(storage, segment, from)?;
        look_for_proof(storage, segments, cut, segment, from..end)?;
        if number == cut.segment {
            verdict.dirty_end = end;
        }
        verdict.bytes += end - from;
    }
    Ok(verdict)
}

/// The error for damage, with its evidence.
pub(crate) fn damaged(segments: &[SourceFile], cut: &Cut, evidence: String) -> OpenError {
    let file = segments
        .get(cut.segment)
        .map(SourceFile::shown)
        .unwrap_or_default();
    OpenError::Damaged {
        place: Place {
            file,
            offset: cut.offset,
            idx: cut.idx,
        },
        what: cut.what.clone(),
        evidence,
    }
}

/// Offset behind the last byte from `from` on that is not zero.
fn dirty_end(storage: &dyn Storage, segment: &SourceFile, from: u64) -> Result<u64, StorageError> {
    let (mut at, mut end) = (from, from);
    let mut window = vec![0; WINDOW_BYTES];
    loop {
        let count = storage.read(segment.area, &segment.name, at, &mut window)?;
        if count == 0 {
            return Ok(end);
        }
        let found = window.get(..count).unwrap_or_default();
        if scan::leading_zeros(found) < count {
            let zeros = found.iter().rev().take_while(|byte| **byte == 0).count();
            end = at + (count - zeros) as u64;
        }
        at += count as u64;
    }
}

fn look_for_proof(
    storage: &dyn Storage,
    segments: &[SourceFile],
    cut: &Cut,
    segment: &SourceFile,
    range: std::ops::Range<u64>,
) -> Result<(), OpenError> {
    // A body may end in zeros (`elapsed`, at most 8 of them) and is padded with up to 15 more.
    let len = usize::try_from((range.end - range.start).next_multiple_of(16) + 32).unwrap_or(usize::MAX);
    let mut bytes = vec![0; len];
    let count = storage.read(segment.area, &segment.name, range.start, &mut bytes)?;
    bytes.truncate(count);
    let mut from = 0;
    while let Some((at, frame)) = scan::find_frame(&bytes, from, segment.seed) {
        if let Some(durable) = frame.durable_through.filter(|durable| *durable >= cut.idx) {
            let offset = range.start + at as u64;
            let idx = body::decode_head(frame.body).map_or(u64::MAX, |head| head.stamp.idx);
            let place = Place {
                file: segment.shown(),
                offset,
                idx,
            };
            let evidence = format!("{place} says that record {durable} was durable");
            return Err(damaged(segments, cut, evidence));
        }
        from = at + frame.len;
    }
    Ok(())
}

//! Walks the records of the segments in order, from a given one on, and checks that they follow each other:
//! position by position, hash by hash, segment by segment. It stops where they do not; what that means is
//! for `tail` to judge.

use crate::catalog::Catalog;
use crate::decode::{DecodedChunk, DecodedRecord, Fault, decode};
use crate::error::{OpenError, Place};
use crate::pipeline;
use crate::recovery::{RecordRef, RecoveryReport};
use crate::source::{Chunk, FileChunks, Pool, SourceFile};
use crate::storage::{Storage, StorageError};
use crate::tail::Cut;
use actum_model::Hash;
use actum_record::FrameError;
use std::ops::ControlFlow;

/// Where a walk is, and where it ended.
#[derive(Debug)]
pub(crate) struct Walked {
    /// Position the next record must have: one more than the head.
    pub(crate) next_idx: u64,
    /// Hash of the head; zero before record 0.
    pub(crate) head_hash: Hash,
    /// Number of records that later ones prove durable.
    pub(crate) proven: u64,
    /// Where the frames end.
    pub(crate) cut: Cut,
}

/// Where to begin: with record `idx`, whose `prev` must be `prev` if that is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Begin {
    pub(crate) idx: u64,
    pub(crate) prev: Option<Hash>,
}

type Drawn = Result<(Chunk, u64), StorageError>;

/// Walks from `begin` to the end of the chain. `take` gets every record, with its segment number and offset.
pub(crate) fn walk(
    storage: &dyn Storage,
    segments: &[SourceFile],
    begin: Begin,
    helpers: usize,
    catalog: &Catalog,
    report: &mut RecoveryReport,
    take: &mut dyn FnMut(RecordRef<'_>) -> Result<(), String>,
) -> Result<Walked, OpenError> {
    let first = segments
        .iter()
        .rposition(|segment| segment.header.first_idx <= begin.idx);
    let first = first.ok_or(OpenError::Missing { idx: begin.idx })?;
    let mut walker = Walker {
        segments,
        begin,
        catalog,
        report,
        take,
        started: false,
        next_idx: 0,
        prev: None,
        proven: 0,
    };
    let mut files = segments.iter().enumerate().skip(first);
    let mut current: Option<(FileChunks, &SourceFile)> = None;
    let mut failed = false;
    let pool = Pool::default();
    let source = || loop {
        if failed {
            return None;
        }
        if current.is_none() {
            current = files.next().map(|(number, file)| (FileChunks::new(number), file));
        }
        let (chunks, file) = current.as_mut()?;
        match chunks.next_in(storage, file, &pool) {
            Ok(Some(chunk)) => return Some(Ok((chunk, begin.idx.saturating_sub(file.header.first_idx)))),
            Ok(None) => current = None,
            Err(error) => {
                failed = true;
                return Some(Err(error));
            }
        }
    };
    let work = |drawn: Drawn| drawn.map(|(chunk, skip)| decode(chunk, skip));
    let stopped = pipeline::run(helpers, source, work, |decoded| match decoded {
        Ok(decoded) => {
            let (bytes, step) = walker.chunk(decoded);
            pool.give_back(bytes);
            step
        }
        Err(error) => ControlFlow::Break(Err(error.into())),
    });
    let cut = match stopped {
        Some(result) => result?,
        // Every file ends with a chunk that has an end, and the last file's end stops the walk.
        None => return Err(OpenError::Missing { idx: begin.idx }),
    };
    if walker.next_idx < begin.idx || walker.prev.is_none() {
        let evidence = format!("a snapshot rests on record {}", begin.idx.saturating_sub(1));
        return Err(crate::tail::damaged(segments, &cut, evidence));
    }
    let head_hash = walker.prev.unwrap_or_default();
    Ok(Walked {
        next_idx: walker.next_idx,
        head_hash,
        proven: walker.proven,
        cut,
    })
}

struct Walker<'a> {
    segments: &'a [SourceFile],
    begin: Begin,
    catalog: &'a Catalog,
    report: &'a mut RecoveryReport,
    take: &'a mut dyn FnMut(RecordRef<'_>) -> Result<(), String>,
    started: bool,
    next_idx: u64,
    /// Hash of the record before `next_idx`; not known while records below the beginning are skipped.
    prev: Option<Hash>,
    proven: u64,
}

type Step = ControlFlow<Result<Cut, OpenError>>;

impl Walker<'_> {
    /// Consumes a chunk and gives back its buffer.
    fn chunk(&mut self, mut decoded: DecodedChunk) -> (Vec<u8>, Step) {
        let records = std::mem::take(&mut decoded.records);
        let bad = decoded.bad.take();
        let step = self.records(&decoded, records, bad);
        (decoded.chunk.bytes, step)
    }

    fn records(
        &mut self,
        decoded: &DecodedChunk,
        records: Vec<DecodedRecord>,
        bad: Option<(usize, Fault)>,
    ) -> Step {
        let chunk = &decoded.chunk;
        let Some(segment) = self.segments.get(chunk.file) else {
            return ControlFlow::Continue(());
        };
        if !self.started {
            self.started = true;
            self.next_idx = segment.header.first_idx;
            if segment.header.first_idx == self.begin.idx {
                self.known(segment.header.prev, chunk.file)?;
            }
        }
        self.next_idx += decoded.skipped;
        if let Some(hash) = decoded.hash_before {
            self.known(hash, chunk.file)?;
        }
        let first_idx = segment.header.first_idx;
        for (idx, (offset, _)) in (first_idx + chunk.frames_before..).zip(chunk.frames.iter()) {
            self.catalog.note(first_idx, idx, chunk.base + *offset as u64);
        }
        let file = chunk.file;
        for record in records {
            let offset = chunk.base + record.offset as u64;
            if record.stamp.idx != self.next_idx || Some(record.stamp.prev) != self.prev {
                let what = format!("record {} that does not follow the one before", record.stamp.idx);
                return self.stop(file, offset, what);
            }
            self.next_idx += 1;
            self.prev = Some(record.hash);
            self.proven = self.proven.max(record.durable_through.map_or(0, |idx| idx + 1));
            self.report.records_read += 1;
            let idx = record.stamp.idx;
            let taken = (self.take)(RecordRef {
                idx,
                at_ms: record.stamp.at_ms,
                elapsed_ms: record.stamp.elapsed_ms,
                hash: record.hash,
                input: chunk.bytes.get(record.input).unwrap_or_default(),
                events: record.events,
            });
            if let Err(reason) = taken {
                return ControlFlow::Break(Err(OpenError::Refused { idx, reason }));
            }
        }
        match (bad, &chunk.end) {
            (Some((offset, fault)), _) => {
                let offset = chunk.base + offset as u64;
                self.report.bytes_read += offset - chunk.base;
                match fault {
                    Fault::Frame(error) => self.stop(file, offset, error.to_string()),
                    Fault::Body(source) => {
                        let place = Place {
                            file: segment.shown(),
                            offset,
                            idx: self.next_idx,
                        };
                        ControlFlow::Break(Err(OpenError::Unreadable { place, source }))
                    }
                }
            }
            (None, Some((offset, error))) => {
                self.report.bytes_read += offset - chunk.base;
                self.end_of_segment(file, *offset, *error)
            }
            (None, None) => {
                self.report.bytes_read += chunk.bytes.len() as u64;
                ControlFlow::Continue(())
            }
        }
    }

    /// The hash of the record before the beginning became known: it must be the one expected.
    fn known(&mut self, hash: Hash, file: usize) -> Step {
        if let Some(expected) = self.begin.prev.filter(|expected| *expected != hash) {
            let idx = self.begin.idx.saturating_sub(1);
            let cut = Cut {
                segment: file,
                offset: 0,
                idx,
                what: format!("record {idx} has hash {hash}"),
            };
            let evidence = format!("the record after it, or the snapshot resting on it, expects {expected}");
            return ControlFlow::Break(Err(crate::tail::damaged(self.segments, &cut, evidence)));
        }
        self.prev = Some(hash);
        ControlFlow::Continue(())
    }

    /// The frames of a segment ended. They go on in the next one if that continues exactly here.
    fn end_of_segment(&mut self, file: usize, offset: u64, error: FrameError) -> Step {
        let natural = matches!(error, FrameError::Zeros | FrameError::Short { found: 0..24, .. });
        let next = self.segments.get(file + 1).map(|segment| &segment.header);
        let continues = next.is_some_and(|header| {
            let hash_fits = self.prev.is_none_or(|prev| prev == header.prev);
            header.first_idx == self.next_idx && hash_fits
        });
        if natural && continues {
            if self.next_idx == self.begin.idx
                && self.prev.is_none()
                && let Some(header) = next
            {
                return self.known(header.prev, file + 1);
            }
            return ControlFlow::Continue(());
        }
        self.stop(file, offset, error.to_string())
    }

    fn stop(&self, file: usize, offset: u64, what: String) -> Step {
        ControlFlow::Break(Ok(Cut {
            segment: file,
            offset,
            idx: self.next_idx,
            what,
        }))
    }
}

//! Reading records while the writer writes: by position, or one after the other. It never looks beyond the
//! bound the caller passes, and checks CRC and position of everything it hands out.

use crate::catalog::Catalog;
use crate::decode::{DecodedChunk, Fault, decode};
use crate::error::{Place, ReadError};
use crate::source::{FileChunks, SourceFile};
use crate::storage::{Area, Storage, StorageError};
use actum_model::{Event, Hash};
use actum_record::{Header, body, frame};
use std::collections::VecDeque;
use std::sync::Arc;

/// Bytes read for a single record; most are far smaller.
const ONE_READ_BYTES: usize = 64 * 1024;

/// A record, owned.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Position.
    pub idx: u64,
    /// Wall time in milliseconds since 1970.
    pub at_ms: u64,
    /// Monotonic run time in milliseconds.
    pub elapsed_ms: u64,
    /// Hash of the previous body.
    pub prev: Hash,
    /// Hash of the body.
    pub hash: Hash,
    /// The encoded input.
    pub input: Vec<u8>,
    /// What was decided.
    pub events: Vec<Event>,
}

/// The reading half of a journal. Cheap to clone; clones may be used on any thread.
#[derive(Clone)]
pub struct Reader {
    storage: Arc<dyn Storage>,
    catalog: Arc<Catalog>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("catalog", &self.catalog)
            .finish_non_exhaustive()
    }
}

impl Reader {
    pub(crate) fn new(storage: Arc<dyn Storage>, catalog: Arc<Catalog>) -> Reader {
        Reader { storage, catalog }
    }

    /// The first record kept; those before it were compacted away.
    #[must_use]
    pub fn first_idx(&self) -> u64 {
        self.catalog.first_idx().unwrap_or(0)
    }

    /// Records from `from` on, up to and including `through`, which must be committed. `through` of `None`
    /// is an empty journal.
    #[must_use]
    pub fn records(&self, from: u64, through: Option<u64>) -> Records {
        let end = through.map_or(0, |through| through.saturating_add(1));
        Records {
            chunks: self.chunks(from, end),
            ready: VecDeque::new(),
            failed: None,
            done: false,
        }
    }

    /// Record `idx`.
    ///
    /// # Errors
    /// `RecordGone` if it was compacted away, `NotYet` if it was never written.
    pub fn record(&self, idx: u64) -> Result<Record, ReadError> {
        let mut chunks = self.chunks(idx, idx.saturating_add(1));
        chunks.read_bytes = Some(ONE_READ_BYTES);
        let mut records = Records {
            chunks,
            ready: VecDeque::new(),
            failed: None,
            done: false,
        };
        records
            .next()
            .unwrap_or(Err(ReadError::NotYet { idx, head: None }))
    }

    /// Position and hash of records from `from` up to, not including, `end`, without decoding them.
    pub(crate) fn hashes(&self, from: u64, end: u64) -> Hashes {
        Hashes {
            chunks: self.chunks(from, end),
            ready: VecDeque::new(),
        }
    }

    fn chunks(&self, from: u64, end: u64) -> Chunks {
        Chunks {
            reader: self.clone(),
            next: from,
            end,
            open: None,
            read_bytes: None,
        }
    }
}

/// Chunks of frames from one record on, across segments. Not decoded yet.
struct Chunks {
    reader: Reader,
    /// The next record wanted.
    next: u64,
    /// One more than the last record wanted.
    end: u64,
    open: Option<(FileChunks, SourceFile)>,
    read_bytes: Option<usize>,
}

/// A chunk and the number of its first frame that is wanted.
type Wanted = (crate::source::Chunk, u64, Header);

impl Chunks {
    fn next_chunk(&mut self) -> Result<Option<Wanted>, ReadError> {
        loop {
            if self.next >= self.end {
                return Ok(None);
            }
            if self.open.is_none() {
                self.open = Some(self.find()?);
            }
            let Some((chunks, file)) = self.open.as_mut() else {
                return Ok(None);
            };
            let first_idx = file.header.first_idx;
            let drawn = match chunks.next(self.reader.storage.as_ref(), file) {
                Err(StorageError::NotFound { .. }) => return Err(self.gone()),
                other => other?,
            };
            let Some(mut chunk) = drawn else {
                self.open = None;
                // Nothing of this file was wanted and nothing follows: the record was never written.
                if self
                    .reader
                    .catalog
                    .find(self.next)
                    .is_none_or(|(i, ..)| i.header.first_idx == first_idx)
                {
                    let head = self.next.checked_sub(1);
                    return Err(ReadError::NotYet { idx: self.next, head });
                }
                continue;
            };
            let first = first_idx + chunk.frames_before;
            for (idx, (offset, _)) in (first..).zip(chunk.frames.iter()) {
                self.reader
                    .catalog
                    .note(first_idx, idx, chunk.base + *offset as u64);
            }
            // Frames behind the bound may be half written just now.
            let wanted = usize::try_from(self.end.saturating_sub(first)).unwrap_or(usize::MAX);
            chunk.frames.truncate(wanted);
            let behind = first + chunk.frames.len() as u64;
            if behind > self.next {
                let skip = self.next - first_idx;
                self.next = behind;
                return Ok(Some((chunk, skip, file.header)));
            }
        }
    }

    fn find(&self) -> Result<(FileChunks, SourceFile), ReadError> {
        let (info, idx, offset) = self.reader.catalog.find(self.next).ok_or_else(|| self.gone())?;
        let header = info.header;
        let file = SourceFile {
            area: Area::Journal,
            name: crate::layout::segment_name(header.first_idx),
            header,
            seed: info.seed,
            bytes: header.file_bytes,
        };
        let chunks = FileChunks::from(0, offset, idx - header.first_idx);
        Ok((
            self.read_bytes
                .map_or(chunks, |bytes| chunks_reading(idx, offset, &header, bytes)),
            file,
        ))
    }

    fn gone(&self) -> ReadError {
        match self.reader.catalog.first_idx() {
            Some(first) if first > self.next => ReadError::RecordGone {
                idx: self.next,
                first,
            },
            _ => ReadError::NotYet {
                idx: self.next,
                head: None,
            },
        }
    }
}

fn chunks_reading(idx: u64, offset: u64, header: &Header, bytes: usize) -> FileChunks {
    FileChunks::from(0, offset, idx - header.first_idx).reading(bytes)
}

/// Iterator over records. It ends at the bound, or with the first error.
pub struct Records {
    chunks: Chunks,
    ready: VecDeque<Record>,
    /// The error that comes after what is ready.
    failed: Option<ReadError>,
    done: bool,
}

impl std::fmt::Debug for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Records")
            .field("next", &self.chunks.next)
            .finish_non_exhaustive()
    }
}

impl Iterator for Records {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(record) = self.ready.pop_front() {
                return Some(Ok(record));
            }
            if self.done {
                return self.failed.take().map(Err);
            }
            let step = self.chunks.next_chunk().and_then(|wanted| match wanted {
                None => Ok(true),
                Some((chunk, skip, header)) => {
                    own(decode(chunk, skip), &header, &mut self.ready).map(|()| false)
                }
            });
            match step {
                Ok(done) => self.done = done,
                Err(error) => {
                    self.failed = Some(error);
                    self.done = true;
                }
            }
        }
    }
}

fn own(decoded: DecodedChunk, header: &Header, ready: &mut VecDeque<Record>) -> Result<(), ReadError> {
    let base = header.first_idx + decoded.chunk.frames_before + decoded.skipped;
    let mut expected = base;
    let place = |offset: usize, idx: u64| Place {
        file: format!("journal/{}", crate::layout::segment_name(header.first_idx)),
        offset: decoded.chunk.base + offset as u64,
        idx,
    };
    for record in decoded.records {
        if record.stamp.idx != expected {
            let what = format!("it holds record {}", record.stamp.idx);
            return Err(ReadError::Damaged {
                place: place(record.offset, expected),
                what,
            });
        }
        expected += 1;
        ready.push_back(Record {
            idx: record.stamp.idx,
            at_ms: record.stamp.at_ms,
            elapsed_ms: record.stamp.elapsed_ms,
            prev: record.stamp.prev,
            hash: record.hash,
            input: decoded.chunk.bytes.get(record.input).unwrap_or_default().to_vec(),
            events: record.events,
        });
    }
    match decoded.bad {
        None => Ok(()),
        Some((offset, fault)) => {
            let what = match fault {
                Fault::Frame(error) => error.to_string(),
                Fault::Body(error) => error.to_string(),
            };
            Err(ReadError::Damaged {
                place: place(offset, expected),
                what,
            })
        }
    }
}

/// Iterator over positions and hashes.
pub(crate) struct Hashes {
    chunks: Chunks,
    ready: VecDeque<(u64, Hash)>,
}

impl Iterator for Hashes {
    type Item = Result<(u64, Hash), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(found) = self.ready.pop_front() {
            return Some(Ok(found));
        }
        let (chunk, skip, header) = match self.chunks.next_chunk() {
            Ok(Some(wanted)) => wanted,
            Ok(None) => return None,
            Err(error) => return Some(Err(error)),
        };
        let first = header.first_idx + chunk.frames_before;
        for (idx, (offset, len)) in (first..).zip(chunk.frames.iter().copied()) {
            if idx < header.first_idx + skip {
                continue;
            }
            let parsed = frame::parse(
                chunk.bytes.get(offset..offset + len).unwrap_or_default(),
                chunk.seed,
            );
            let checked = parsed.map_err(|error| error.to_string()).and_then(|frame| {
                let head = body::decode_head(frame.body).map_err(|error| error.to_string())?;
                if head.stamp.idx == idx {
                    Ok(Hash::of(frame.body))
                } else {
                    Err("out of order".to_owned())
                }
            });
            match checked {
                Ok(hash) => self.ready.push_back((idx, hash)),
                Err(what) => {
                    let file = format!("journal/{}", crate::layout::segment_name(header.first_idx));
                    let place = Place {
                        file,
                        offset: chunk.base + offset as u64,
                        idx,
                    };
                    return Some(Err(ReadError::Damaged { place, what }));
                }
            }
        }
        self.ready.pop_front().map(Ok)
    }
}

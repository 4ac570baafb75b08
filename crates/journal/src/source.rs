//! Reads the frames of one file in large pieces and finds where frames begin and end by their headers alone.
//! CRCs and contents are looked at later, on several threads.

use crate::storage::{Area, Storage, StorageError};
use actum_record::frame::{self, FrameError};
use actum_record::limits::FILE_HEADER_BYTES;
use actum_record::{FileKind, Header, HeaderError};
use std::sync::{Mutex, PoisonError};

/// Bytes read at a time: a hundred records, which with what they decode to fit in the caches of a core.
const READ_BYTES: usize = 64 * 1024;

/// A file with a header, whose frames are to be read.
#[derive(Debug, Clone)]
pub(crate) struct SourceFile {
    pub(crate) area: Area,
    pub(crate) name: String,
    pub(crate) header: Header,
    pub(crate) seed: u32,
    /// Bytes the file has.
    pub(crate) bytes: u64,
}

/// Why a file cannot be a source.
#[derive(Debug)]
pub(crate) enum SourceError {
    Storage(StorageError),
    Header(HeaderError),
}

impl SourceFile {
    pub(crate) fn open(
        storage: &dyn Storage,
        area: Area,
        name: &str,
        kind: FileKind,
    ) -> Result<SourceFile, SourceError> {
        let bytes = storage.size(area, name).map_err(SourceError::Storage)?;
        let bytes = bytes.ok_or(SourceError::Storage(StorageError::NotFound {
            name: name.to_owned(),
        }))?;
        let mut front = [0; FILE_HEADER_BYTES];
        let count = storage
            .read(area, name, 0, &mut front)
            .map_err(SourceError::Storage)?;
        let front = front.get(..count).unwrap_or_default();
        let header = Header::decode(kind, front).map_err(SourceError::Header)?;
        Ok(SourceFile {
            area,
            name: name.to_owned(),
            header,
            seed: header.seed(),
            bytes,
        })
    }

    /// The name with its folder, for messages.
    pub(crate) fn shown(&self) -> String {
        format!("{}/{}", self.area.folder(), self.name)
    }
}

/// Frames that lie side by side.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// Number of the file in the list it came from.
    pub(crate) file: usize,
    pub(crate) seed: u32,
    /// Offset of `bytes` in the file.
    pub(crate) base: u64,
    /// How many frames of the file lie before this chunk.
    pub(crate) frames_before: u64,
    pub(crate) bytes: Vec<u8>,
    /// Offset in `bytes` and length of each frame.
    pub(crate) frames: Vec<(usize, usize)>,
    /// Where and why the frames of the file end, in the last chunk of a file.
    pub(crate) end: Option<(u64, FrameError)>,
}

/// Buffers of chunks that were consumed, to be filled again: a fresh one costs a page fault per 4 KiB.
#[derive(Debug, Default)]
pub(crate) struct Pool(Mutex<Vec<Vec<u8>>>);

impl Pool {
    fn take(&self) -> Vec<u8> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
            .unwrap_or_default()
    }

    pub(crate) fn give_back(&self, buffer: Vec<u8>) {
        if buffer.capacity() <= 2 * READ_BYTES {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
        }
    }
}

/// Draws chunks from a file, beginning behind its header.
#[derive(Debug)]
pub(crate) struct FileChunks {
    file: usize,
    at: u64,
    frames_before: u64,
    ended: bool,
    read_bytes: usize,
}

impl FileChunks {
    pub(crate) fn new(file: usize) -> FileChunks {
        FileChunks::from(file, FILE_HEADER_BYTES as u64, 0)
    }

    /// Begins at a place known to be the start of frame number `frames_before`.
    pub(crate) fn from(file: usize, at: u64, frames_before: u64) -> FileChunks {
        FileChunks {
            file,
            at,
            frames_before,
            ended: false,
            read_bytes: READ_BYTES,
        }
    }

    /// The same with smaller pieces, where only a few frames are wanted.
    pub(crate) fn reading(self, read_bytes: usize) -> FileChunks {
        FileChunks { read_bytes, ..self }
    }

    /// The next chunk, `None` after the one that had an end.
    pub(crate) fn next(
        &mut self,
        storage: &dyn Storage,
        source: &SourceFile,
    ) -> Result<Option<Chunk>, StorageError> {
        self.next_in(storage, source, &Pool::default())
    }

    /// The same with buffers from a pool.
    pub(crate) fn next_in(
        &mut self,
        storage: &dyn Storage,
        source: &SourceFile,
        pool: &Pool,
    ) -> Result<Option<Chunk>, StorageError> {
        if self.ended {
            return Ok(None);
        }
        let mut want = self.read_bytes;
        loop {
            let chunk = self.read(storage, source, want, pool)?;
            match chunk.end {
                // A frame larger than a piece: read again, as much as it needs.
                Some((at, FrameError::Short { needed, .. }))
                    if chunk.frames.is_empty()
                        && at == self.at
                        && needed > want
                        && self.at + needed as u64 <= source.bytes =>
                {
                    want = needed;
                }
                _ => {
                    self.at += chunk.frames.iter().map(|(_, len)| *len as u64).sum::<u64>();
                    self.frames_before += chunk.frames.len() as u64;
                    self.ended = chunk.end.is_some();
                    return Ok(Some(chunk));
                }
            }
        }
    }

    fn read(
        &self,
        storage: &dyn Storage,
        source: &SourceFile,
        want: usize,
        pool: &Pool,
    ) -> Result<Chunk, StorageError> {
        let mut bytes = pool.take();
        bytes.resize(want, 0);
        let count = storage.read(source.area, &source.name, self.at, &mut bytes)?;
        bytes.truncate(count);
        let at_end = count < want || self.at + count as u64 >= source.bytes;
        let (mut frames, mut offset) = (Vec::new(), 0);
        let end = loop {
            match frame::peek(bytes.get(offset..).unwrap_or_default()) {
                Ok(len) => {
                    frames.push((offset, len));
                    offset += len;
                }
                // Cut by the end of the piece, not of the file: the next piece starts with this frame.
                Err(FrameError::Short { .. }) if !at_end && !frames.is_empty() => break None,
                Err(error) => break Some((self.at + offset as u64, error)),
            }
        };
        bytes.truncate(offset);
        Ok(Chunk {
            file: self.file,
            seed: source.seed,
            base: self.at,
            frames_before: self.frames_before,
            bytes,
            frames,
            end,
        })
    }
}

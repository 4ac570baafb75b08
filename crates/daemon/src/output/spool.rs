//! Collected output of one stream: in memory while it is small, in a file without a name when it grows.
//!
//! It holds redacted bytes only. Its limit is the caller's to keep.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes kept in memory; more are moved to the file.
const MEMORY_BYTES_MAX: usize = 256 * 1024;

/// The collected bytes.
#[derive(Debug, Default)]
pub(super) struct Spool {
    folder: PathBuf,
    file: Option<Arc<File>>,
    filed: u64,
    memory: Vec<u8>,
}

impl Spool {
    /// Empty; files go to `folder`.
    pub(super) fn new(folder: &Path) -> Spool {
        Spool {
            folder: folder.to_owned(),
            ..Spool::default()
        }
    }

    /// How many bytes it holds.
    pub(super) fn len(&self) -> u64 {
        self.filed + self.memory.len() as u64
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// When the file cannot be made or written; what was added before is still there.
    pub(super) async fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.memory.len() + bytes.len() > MEMORY_BYTES_MAX {
            self.spill().await?;
        }
        self.memory.extend_from_slice(bytes);
        Ok(())
    }

    async fn spill(&mut self) -> io::Result<()> {
        let (file, folder, offset) = (self.file.clone(), self.folder.clone(), self.filed);
        let memory = std::mem::take(&mut self.memory);
        let write = move || {
            let write = || {
                let file = file.map_or_else(|| tempfile::tempfile_in(&folder).map(Arc::new), Ok)?;
                file.write_all_at(&memory, offset)?;
                Ok(file)
            };
            let written: io::Result<Arc<File>> = write();
            (memory, written)
        };
        let (mut memory, written) = tokio::task::spawn_blocking(write)
            .await
            .map_err(io::Error::other)?;
        match written {
            Ok(file) => {
                self.file = Some(file);
                self.filed += memory.len() as u64;
                memory.clear();
                self.memory = memory;
                Ok(())
            }
            Err(error) => {
                self.memory = memory;
                Err(error)
            }
        }
    }

    /// All of it, in one piece. It reads a file: call it where blocking is allowed.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn into_bytes(self) -> io::Result<Vec<u8>> {
        let Some(file) = self.file else {
            return Ok(self.memory);
        };
        let filed = usize::try_from(self.filed).map_err(io::Error::other)?;
        let mut bytes = vec![0; filed];
        file.read_exact_at(&mut bytes, 0)?;
        bytes.extend_from_slice(&self.memory);
        Ok(bytes)
    }
}

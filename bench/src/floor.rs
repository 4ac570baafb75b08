//! The floor: what one durable write costs on this disk, without anything of Actum.

use crate::spread::Spread;
use anyhow::Result;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

const BLOCK_BYTES: usize = 4096;

/// `count` writes of 4 KiB into a preallocated, zero-filled file, each followed by fdatasync.
pub(crate) fn measure(folder: &Path, count: usize) -> Result<Spread> {
    let path = folder.join("floor");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .read(true)
        .open(&path)?;
    let zeros = vec![0u8; 1024 * 1024];
    for _ in 0..(count * BLOCK_BYTES).div_ceil(zeros.len()) {
        file.write_all(&zeros)?;
    }
    file.sync_all()?;
    let block = [7u8; BLOCK_BYTES];
    let mut durations = Vec::with_capacity(count);
    for i in 0..count {
        let begun = Instant::now();
        file.write_all_at(&block, (i * BLOCK_BYTES) as u64)?;
        rustix::fs::fdatasync(&file)?;
        durations.push(begun.elapsed());
    }
    drop(file);
    std::fs::remove_file(path)?;
    Ok(Spread::new(durations))
}

//! Takes one stream from its pipe to its two ends: live text in chunks, and the whole, kept to its limit.
//!
//! Everything that leaves here is redacted. The order is fixed: bytes, redaction, limit, then keeping and telling.

use super::spool::Spool;
use super::text::Lossy;
use super::{Credit, DoorEvent, Inner, Stream};
use crate::redact::OutputGuard;
use actum_model::limits::OUTPUT_BYTES_MAX;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Bytes taken from the pipe at once.
const READ_BYTES: usize = 32 * 1024;
/// Largest chunk of live text.
const CHUNK_BYTES_MAX: usize = 64 * 1024;
/// Longest time text waits to become part of a larger chunk.
const CHUNK_WAIT: Duration = Duration::from_millis(50);
/// Reads after the end, when the pipe may still be held: more than a pipe holds by default.
const LAST_READS: usize = 64;

/// Where the process is, for its pumps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Phase {
    /// It runs; a slow reader of live output slows it down.
    Running,
    /// It has ended: read on and wait for nobody.
    Exited,
    /// Take what is in the pipe and be done.
    Cut,
}

/// What a pump does next.
enum Next {
    Cut,
    Due,
    Read(usize),
}

/// Returns when the process has come to this phase or beyond, or its job is gone.
async fn reached(phase: &mut watch::Receiver<Phase>, wanted: Phase) {
    let _ = phase.wait_for(|phase| *phase >= wanted).await;
}

/// What a stream has become.
#[derive(Debug, Default)]
pub(super) struct Captured {
    pub(super) spool: Spool,
    /// Bytes beyond the limit, counted and dropped.
    pub(super) dropped: u64,
    /// Why output was lost, if the spool failed.
    pub(super) lost: Option<String>,
}

/// The pump of one stream.
pub(super) struct Pump {
    inner: Arc<Inner>,
    seq: u64,
    stream: Stream,
    redactor: OutputGuard,
    phase: watch::Receiver<Phase>,
    captured: Captured,
    decoder: Lossy,
    text: String,
    due: Option<Instant>,
    offset: u64,
}

impl Pump {
    pub(super) fn new(
        inner: Arc<Inner>,
        seq: u64,
        stream: Stream,
        redactor: OutputGuard,
        phase: watch::Receiver<Phase>,
    ) -> Pump {
        let captured = Captured {
            spool: Spool::new(&inner.options.spool),
            ..Captured::default()
        };
        Pump {
            inner,
            seq,
            stream,
            redactor,
            phase,
            captured,
            decoder: Lossy::default(),
            text: String::new(),
            due: None,
            offset: 0,
        }
    }

    /// Pumps until the pipe ends or is cut off.
    pub(super) async fn run(mut self, pipe: OwnedFd) -> Captured {
        match pipe::Receiver::from_owned_fd(pipe) {
            Ok(mut pipe) => self.read(&mut pipe).await,
            Err(error) => self.captured.lost = Some(error.to_string()),
        }
        let last = self.redactor.finish();
        self.keep(&last).await;
        self.decoder.finish(&mut self.text);
        self.tell(0).await;
        self.captured
    }

    async fn read(&mut self, pipe: &mut pipe::Receiver) {
        let mut buffer = vec![0; READ_BYTES];
        let mut phase = self.phase.clone();
        loop {
            let due = self.due;
            let next = tokio::select! {
                biased;
                () = reached(&mut phase, Phase::Cut) => Next::Cut,
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => Next::Due,
                read = pipe.read(&mut buffer) => Next::Read(read.unwrap_or(0)),
            };
            match next {
                Next::Cut => break,
                Next::Due => self.tell(0).await,
                Next::Read(0) => return,
                Next::Read(count) => self.take(buffer.get(..count).unwrap_or_default()).await,
            }
        }
        for _ in 0..LAST_READS {
            match pipe.try_read(&mut buffer) {
                Ok(0) | Err(_) => return,
                Ok(count) => self.take(buffer.get(..count).unwrap_or_default()).await,
            }
        }
    }

    async fn take(&mut self, bytes: &[u8]) {
        let mut safe = Vec::with_capacity(bytes.len());
        self.redactor.push(bytes, &mut safe);
        self.keep(&safe).await;
        self.tell(CHUNK_BYTES_MAX).await;
    }

    async fn keep(&mut self, bytes: &[u8]) {
        let room = (OUTPUT_BYTES_MAX as u64).saturating_sub(self.captured.spool.len());
        let room = if self.captured.lost.is_some() {
            0
        } else {
            usize::try_from(room).unwrap_or(usize::MAX)
        };
        let (kept, mut dropped) = bytes.split_at(room.min(bytes.len()));
        if let Err(error) = self.captured.spool.push(kept).await {
            self.captured.lost = Some(error.to_string());
            dropped = bytes;
        } else {
            self.decoder.push(kept, &mut self.text);
        }
        self.captured.dropped += dropped.len() as u64;
        if self.due.is_none() && !self.text.is_empty() {
            self.due = Some(Instant::now() + CHUNK_WAIT);
        }
    }

    /// Sends text in chunks until less than `rest` bytes are left.
    async fn tell(&mut self, rest: usize) {
        let before = self.offset;
        while !self.text.is_empty() && self.text.len() >= rest {
            let end = self.text.floor_char_boundary(CHUNK_BYTES_MAX);
            let later = self.text.split_off(end);
            let data = std::mem::replace(&mut self.text, later);
            let credit = self.credit(data.len()).await;
            let (seq, stream, offset) = (self.seq, self.stream, self.offset);
            self.offset += data.len() as u64;
            // Nobody listens any more only when the daemon ends.
            let _ = self.inner.events.send(DoorEvent::Output {
                seq,
                stream,
                offset,
                data,
                credit,
            });
        }
        if self.offset > before {
            self.due = (!self.text.is_empty()).then(|| Instant::now() + CHUNK_WAIT);
        }
    }

    /// Waits for room among what was told and not taken, but not for a process that has ended: what it left in
    /// its pipe is little.
    async fn credit(&mut self, bytes: usize) -> Credit {
        let room = Arc::clone(&self.inner.live).acquire_many_owned(u32::try_from(bytes).unwrap_or(u32::MAX));
        tokio::select! {
            biased;
            permit = room => Credit(permit.ok()),
            () = reached(&mut self.phase, Phase::Exited) => Credit(None),
        }
    }
}

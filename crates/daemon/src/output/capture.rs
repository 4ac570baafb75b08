//! One stream of one command: bytes come in, live text and the kept whole come out.
//!
//! Everything that leaves here is redacted. The order is fixed: bytes, redaction, limit, then keeping and telling.

use super::spool::Spool;
use super::text::Lossy;
use super::{Credit, Sink, Stream, WorkEvent};
use crate::redact::OutputGuard;
use actum_model::limits::OUTPUT_BYTES_MAX;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Largest chunk of live text.
const CHUNK_BYTES_MAX: usize = 64 * 1024;
/// Longest time text waits to become part of a larger chunk.
const CHUNK_WAIT: Duration = Duration::from_millis(50);

/// What a stream has become.
#[derive(Debug, Default)]
pub(crate) struct Captured {
    pub(super) spool: Spool,
    /// Bytes beyond the limit, counted and dropped.
    pub(super) dropped: u64,
    /// Why output was lost, if the spool failed.
    pub(crate) lost: Option<String>,
}

/// A stream on its way out.
pub(crate) struct Capture {
    sink: Sink,
    seq: u64,
    stream: Stream,
    guard: OutputGuard,
    captured: Captured,
    decoder: Lossy,
    text: String,
    due: Option<Instant>,
    offset: u64,
}

impl Capture {
    pub(crate) fn new(sink: Sink, seq: u64, stream: Stream, guard: OutputGuard) -> Capture {
        let captured = Captured {
            spool: Spool::new(&sink.spool),
            ..Captured::default()
        };
        Capture {
            sink,
            seq,
            stream,
            guard,
            captured,
            decoder: Lossy::default(),
            text: String::new(),
            due: None,
            offset: 0,
        }
    }

    /// When text that waits for more must be told.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Nothing can be read of this stream.
    pub(crate) fn lost(&mut self, why: String) {
        self.captured.lost = Some(why);
    }

    /// Takes bytes. Waits for room among what was told and not taken, until `hurry` is done.
    pub(crate) async fn take(&mut self, bytes: &[u8], hurry: impl Future<Output = ()>) {
        let mut safe = Vec::with_capacity(bytes.len());
        self.guard.push(bytes, &mut safe);
        self.keep(&safe).await;
        self.tell(CHUNK_BYTES_MAX, hurry).await;
    }

    /// Tells what waits.
    pub(crate) async fn flush(&mut self, hurry: impl Future<Output = ()>) {
        self.tell(0, hurry).await;
    }

    /// Nothing more comes: tells the rest and hands the whole over.
    pub(crate) async fn finish(mut self, hurry: impl Future<Output = ()>) -> Captured {
        let last = self.guard.finish();
        self.keep(&last).await;
        self.decoder.finish(&mut self.text);
        self.tell(0, hurry).await;
        self.captured
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
    async fn tell(&mut self, rest: usize, hurry: impl Future<Output = ()>) {
        tokio::pin!(hurry);
        let (before, mut hurried) = (self.offset, false);
        while !self.text.is_empty() && self.text.len() >= rest {
            let end = self.text.floor_char_boundary(CHUNK_BYTES_MAX);
            let later = self.text.split_off(end);
            let data = std::mem::replace(&mut self.text, later);
            let room = u32::try_from(data.len()).unwrap_or(u32::MAX);
            let room = Arc::clone(&self.sink.live).acquire_many_owned(room);
            let credit = if hurried {
                Credit(None)
            } else {
                tokio::select! {
                    biased;
                    permit = room => Credit(permit.ok()),
                    () = &mut hurry => {
                        hurried = true;
                        Credit(None)
                    }
                }
            };
            let (seq, stream, offset) = (self.seq, self.stream, self.offset);
            self.offset += data.len() as u64;
            self.sink.tell(WorkEvent::Output {
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
}

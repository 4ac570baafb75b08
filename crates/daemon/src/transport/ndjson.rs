//! Many commands in one request: NDJSON in, NDJSON out, in the order of the lines.
//!
//! Lines are submitted as they come, and answers stream while the request still does. A line that is no command
//! is answered with its own error, and the others go on.

use super::connection::too_long;
use super::http::{App, Peer};
use super::lines::{Cut, LineBuffer, each};
use super::problem::common_headers;
use super::{drained, subscription};
use crate::access::Grant;
use crate::core::ReplyTo;
use actum_model::contract::Admission;
use actum_model::{Envelope, Response, limits};
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode};
use axum::response::IntoResponse;
use bytes::Bytes;
use futures_util::stream::unfold;
use http_body_util::BodyExt;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

/// Answers taken from the core at a time.
const ANSWERS_AT_ONCE: usize = 512;
/// Answers gathered into one chunk of the body.
const CHUNK_BYTES: usize = 64 * 1024;

/// Answers a request whose body is lines.
pub(crate) fn stream(app: &App, grant: Grant, peer: Peer, body: Body) -> axum::response::Response {
    let (answers_in, answers) = mpsc::unbounded_channel();
    let permits = Arc::new(Semaphore::new(limits::PENDING_PER_CONNECTION_MAX));
    let reader = Reader {
        app: Arc::clone(app),
        grant,
        permits: Arc::clone(&permits),
        answers: answers_in,
        lines: 0,
    };
    let writer = Writer {
        _reader: AbortOnDrop(tokio::spawn(reader.run(body))),
        permits,
        answers,
        batch: Vec::new(),
        waiting: VecDeque::new(),
        next: 0,
        _peer: peer,
    };
    let chunks = unfold(writer, async |mut writer| {
        let chunk = writer.chunk().await?;
        Some((Ok::<_, Infallible>(chunk), writer))
    });
    let headers = common_headers(HeaderValue::from_static("application/x-ndjson"));
    (StatusCode::OK, headers, Body::from_stream(chunks)).into_response()
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Reader {
    app: App,
    grant: Grant,
    permits: Arc<Semaphore>,
    answers: mpsc::UnboundedSender<(u64, Response)>,
    /// Lines read: the number of the next.
    lines: u64,
}

impl Reader {
    async fn run(mut self, body: Body) {
        let mut draining = self.app.core.draining();
        tokio::select! {
            () = drained(&mut draining) => {}
            () = self.read(body) => {}
        }
    }

    async fn read(&mut self, mut body: Body) {
        let mut buffer = LineBuffer::default();
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else {
                // The body broke off: what stands behind the last newline may be half a command.
                return;
            };
            let Some(data) = frame.data_ref() else {
                continue;
            };
            buffer.push(data);
            while let Some(cut) = buffer.cut() {
                self.take(cut).await;
            }
        }
        if let Some(cut) = buffer.finish() {
            self.take(cut).await;
        }
    }

    async fn take(&mut self, cut: Cut) {
        match cut {
            Cut::Lines(lines) => {
                for line in each(&lines) {
                    let tag = self.next_line().await;
                    self.command(tag, line).await;
                }
            }
            Cut::TooLong => {
                let tag = self.next_line().await;
                self.answer(tag, Response::refused("", None, too_long()));
            }
        }
    }

    async fn next_line(&mut self) -> u64 {
        // The semaphore is never closed.
        if let Ok(permit) = self.permits.acquire().await {
            permit.forget();
        }
        self.lines += 1;
        self.lines - 1
    }

    fn answer(&self, tag: u64, response: Response) {
        let _writer_is_gone = self.answers.send((tag, response));
    }

    async fn command(&self, tag: u64, line: &[u8]) {
        match Envelope::parse(line) {
            Err(refusal) => self.answer(tag, *refusal),
            Ok(envelope)
                if envelope
                    .contract()
                    .is_some_and(|c| c.admission == Admission::Connection) =>
            {
                self.answer(tag, subscription::no_connection(&envelope));
            }
            Ok(envelope) => {
                let outbox = self.answers.clone();
                self.app
                    .core
                    .submit(&self.grant.caller, envelope, ReplyTo { outbox, tag })
                    .await;
            }
        }
    }
}

/// Puts answers back into the order of their lines.
struct Writer {
    _reader: AbortOnDrop,
    permits: Arc<Semaphore>,
    answers: mpsc::UnboundedReceiver<(u64, Response)>,
    batch: Vec<(u64, Response)>,
    /// Answers from line `next` on, where they have come. Never longer than the permits.
    waiting: VecDeque<Option<Response>>,
    next: u64,
    _peer: Peer,
}

impl Writer {
    /// The next answers that are in order, as lines; `None` when all are given.
    async fn chunk(&mut self) -> Option<Bytes> {
        loop {
            let chunk = self.in_order();
            if !chunk.is_empty() {
                return Some(Bytes::from(chunk));
            }
            if self.answers.recv_many(&mut self.batch, ANSWERS_AT_ONCE).await == 0 {
                return None;
            }
            for (tag, response) in self.batch.drain(..) {
                let at = usize::try_from(tag.saturating_sub(self.next)).unwrap_or(usize::MAX);
                if at >= self.waiting.len() {
                    self.waiting.resize_with(at.saturating_add(1), || None);
                }
                if let Some(place) = self.waiting.get_mut(at) {
                    *place = Some(response);
                }
            }
        }
    }

    fn in_order(&mut self) -> String {
        let mut chunk = String::new();
        let mut given = 0;
        while chunk.len() < CHUNK_BYTES && matches!(self.waiting.front(), Some(Some(_))) {
            if let Some(Some(response)) = self.waiting.pop_front() {
                chunk.push_str(&response.to_json());
                chunk.push('\n');
                given += 1;
            }
        }
        self.next += given as u64;
        self.permits.add_permits(given);
        chunk
    }
}

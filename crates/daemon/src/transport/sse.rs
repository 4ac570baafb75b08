//! `GET /v1/events`: events as a stream a browser or `curl` can follow and resume.
//!
//! The stream is pulled: a slow reader gets the past from the journal and misses nothing but live output.

use super::feed::{Feed, try_next};
use super::greeting;
use super::http::{App, Peer};
use super::problem::{answer, common_headers};
use super::reads::{Asked, arguments};
use super::subscription::{Filter, event_line, output_line, passing};
use crate::access::Grant;
use crate::core::{LiveRecord, OutputChunk};
use actum_model::error::{ErrorCode, Fault};
use actum_model::{Envelope, Response};
use axum::body::Body;
use axum::extract::{Extension, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::IntoResponse;
use bytes::Bytes;
use futures_util::stream::unfold;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::fmt::Write;
use std::sync::Arc;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::time::Instant;

/// A place in history: an event of a record. It is the `id:` of the stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Place {
    idx: u64,
    n: usize,
}

/// `GET /v1/events`.
pub(crate) async fn events(
    State(app): State<App>,
    Extension(grant): Extension<Grant>,
    Extension(peer): Extension<Peer>,
    Query(query): Asked,
    headers: HeaderMap,
) -> axum::response::Response {
    match open(app, grant, peer, query, &headers).await {
        Ok(stream) => {
            let chunks = unfold(stream, async |mut stream| {
                let chunk = stream.chunk().await?;
                Some((Ok::<_, Infallible>(chunk), stream))
            });
            let headers = common_headers(HeaderValue::from_static("text/event-stream"));
            (StatusCode::OK, headers, Body::from_stream(chunks)).into_response()
        }
        Err(refusal) => answer(&refusal),
    }
}

async fn open(
    app: App,
    grant: Grant,
    peer: Peer,
    query: Vec<(String, String)>,
    headers: &HeaderMap,
) -> Result<Stream, Box<Response>> {
    let kind = "events.subscribe";
    let refuse = |fault| Box::new(Response::refused(kind, None, fault));
    let payload = arguments(kind, query)?;
    // The contract of `events.subscribe` checks the query.
    Envelope::from_value(json!({"type": kind, "payload": payload}))?;
    let after = headers
        .get("last-event-id")
        .map(place_of)
        .transpose()
        .map_err(refuse)?;
    // The channels first: what comes between them and the head is then seen twice, not missed.
    let (live, output) = (app.core.live(), app.core.output());
    let head = app.core.published().head;
    let asked = after
        .map(|place| place.idx)
        .or_else(|| payload.get("fromIdx").and_then(Value::as_u64));
    let mut feed = Feed::new(app.core.clone(), live, asked.unwrap_or(head), asked.is_some());
    feed.open().await.map_err(refuse)?;
    let mut greeting = String::new();
    push_event(
        &mut greeting,
        None,
        "server_ready",
        &greeting::server_ready(&app.core).to_string(),
    );
    if let Some(summary) = greeting::recovery_summary(&app.core) {
        push_event(
            &mut greeting,
            None,
            "startup_recovery_summary",
            &summary.to_string(),
        );
    }
    Ok(Stream {
        filter: Filter::of(&grant.caller.tenant, &payload),
        draining: app.core.draining(),
        app,
        grant,
        feed,
        output: Some(output),
        after,
        seq: 0,
        greeting: Some(greeting),
        ended: false,
        token_check: Instant::now(),
        _peer: peer,
    })
}

/// Reads a `Last-Event-ID`.
fn place_of(value: &HeaderValue) -> Result<Place, Fault> {
    let parsed = value.to_str().ok().and_then(|text| {
        let (idx, n) = text.trim().split_once('.')?;
        Some(Place {
            idx: idx.parse().ok()?,
            n: n.parse().ok()?,
        })
    });
    parsed.ok_or_else(|| {
        Fault::new(
            ErrorCode::InvalidInput,
            "the header `Last-Event-ID` is no id of this stream: expected `IDX.N`",
        )
    })
}

struct Stream {
    app: App,
    grant: Grant,
    filter: Filter,
    feed: Feed,
    output: Option<Receiver<Arc<OutputChunk>>>,
    draining: watch::Receiver<bool>,
    after: Option<Place>,
    seq: u64,
    greeting: Option<String>,
    ended: bool,
    token_check: Instant,
    _peer: Peer,
}

impl Stream {
    /// The next bytes; `None` at the end of the stream.
    async fn chunk(&mut self) -> Option<Bytes> {
        if let Some(greeting) = self.greeting.take() {
            return Some(greeting.into());
        }
        if self.ended {
            return None;
        }
        loop {
            if self.token_check <= Instant::now() {
                self.token_check = Instant::now() + self.app.timings.token_check;
                if !self.app.access.still_good(&self.grant) {
                    return None;
                }
            }
            let mut text = String::new();
            tokio::select! {
                biased;
                () = super::drained(&mut self.draining) => {
                    self.ended = true;
                    push_event(&mut text, None, "server_shutdown", &greeting::server_shutdown().to_string());
                }
                chunk = next_output(&mut self.output) => self.push_output(&mut text, &chunk),
                record = self.feed.next() => match record {
                    Ok(Some(record)) => {
                        // Output comes before the result.
                        while let Some(chunk) = self.output.as_mut().and_then(try_next) {
                            self.push_output(&mut text, &chunk);
                        }
                        self.push_record(&mut text, &record);
                    }
                    Ok(None) => return None,
                    Err(fault) => {
                        tracing::warn!(code = fault.code.as_str(), "event stream ended: {fault}");
                        return None;
                    }
                },
                () = tokio::time::sleep(self.app.timings.keep_alive) => text.push_str(": still here\n\n"),
            }
            if !text.is_empty() {
                return Some(text.into());
            }
        }
    }

    fn push_output(&self, text: &mut String, chunk: &OutputChunk) {
        if self.filter.passes_output(chunk) {
            push_event(text, None, chunk.chunk.name(), &output_line(chunk, None));
        }
    }

    fn push_record(&mut self, text: &mut String, record: &LiveRecord) {
        for (n, event) in passing(&self.filter, record) {
            let seen = self
                .after
                .is_some_and(|after| after.idx == record.idx && n <= after.n);
            if seen {
                continue;
            }
            self.seq += 1;
            let name = event.get("event").and_then(Value::as_str).unwrap_or("message");
            let place = Place { idx: record.idx, n };
            push_event(text, Some(place), name, &event_line(event, self.seq, None));
        }
    }
}

/// JSON on one line holds no newline, so one `data:` field is enough.
fn push_event(text: &mut String, place: Option<Place>, name: &str, data: &str) {
    // Writing to a String cannot fail.
    if let Some(place) = place {
        let _infallible = writeln!(text, "id: {}.{}", place.idx, place.n);
    }
    let _infallible = write!(text, "event: {name}\ndata: {data}\n\n");
}

async fn next_output(output: &mut Option<Receiver<Arc<OutputChunk>>>) -> Arc<OutputChunk> {
    while let Some(receiver) = output {
        match receiver.recv().await {
            Ok(chunk) => return chunk,
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => *output = None,
        }
    }
    std::future::pending().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_back() {
        let read = |text: &str| place_of(&HeaderValue::from_str(text).unwrap());
        assert_eq!(read("17.3").unwrap(), Place { idx: 17, n: 3 });
        for bad in ["", "17", "17.", ".3", "-1.0", "a.b", "1.2.3"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}

//! WebSocket at `/v1/ws`: one JSON object per text frame, or several as lines.
//!
//! The framing is tungstenite's; what is said stands in [`super::connection`].

use super::connection::{End, Heard, Inbound, LOST, Seat, run};
use super::http::{App, Peer};
use super::outbox::{Gone, Outbound};
use crate::access::Grant;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Extension, State};
use axum::response::Response;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{Sink, SinkExt, StreamExt};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Frames up to this are read whole, so that a message above its limit is answered and not cut off. Above it the
/// connection is closed with 1009.
const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Read at a time. Every open connection holds so much, and tungstenite clears it before each read (measured: with
/// 32 KiB that was a tenth of the transport's work).
const READ_BYTES: usize = 8 * 1024;

/// `GET /v1/ws`.
pub(crate) async fn upgrade(
    State(app): State<App>,
    Extension(grant): Extension<Grant>,
    Extension(peer): Extension<Peer>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let seat = Seat {
        grant,
        access: Some(app.access.clone()),
        timings: app.timings.clone(),
    };
    upgrade
        .max_message_size(FRAME_BYTES_MAX)
        .max_frame_size(FRAME_BYTES_MAX)
        .read_buffer_size(READ_BYTES)
        .on_upgrade(async move |socket| {
            let (sink, stream) = socket.split();
            run(app.core.clone(), seat, Reading(stream), Writing(sink)).await;
            // The slot of the connection is free from here on.
            drop(peer);
        })
}

struct Reading(SplitStream<WebSocket>);

impl Inbound for Reading {
    async fn hear(&mut self) -> Heard {
        match self.0.next().await {
            Some(Ok(Message::Text(text))) => Heard::Lines(text.into()),
            Some(Ok(Message::Binary(_))) => Heard::Wrong("expected a text frame, got a binary one"),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Heard::Alive,
            Some(Ok(Message::Close(_))) | None => Heard::Gone(LOST),
            Some(Err(error)) => Heard::Gone(end_of(&error)),
        }
    }
}

fn end_of(error: &axum::Error) -> End {
    use std::error::Error;
    use tungstenite::Error as Broken;
    let source = error.source().and_then(|source| source.downcast_ref::<Broken>());
    match source {
        Some(Broken::Capacity(_)) => (1009, "MESSAGE_TOO_LARGE: the frame is larger than 16 MiB"),
        Some(Broken::Utf8(_)) => (1007, "INVALID_JSON: a text frame must be UTF-8"),
        Some(Broken::Protocol(_)) => (1002, "the WebSocket protocol was broken"),
        _ => LOST,
    }
}

struct Writing(SplitSink<WebSocket, Message>);

impl Writing {
    fn sink(&mut self) -> Pin<&mut SplitSink<WebSocket, Message>> {
        Pin::new(&mut self.0)
    }
}

impl Outbound for Writing {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        self.sink().poll_ready(cx).map_err(|_| Gone)
    }

    fn write(&mut self, line: String) -> Result<(), Gone> {
        self.sink()
            .start_send(Message::Text(line.into()))
            .map_err(|_| Gone)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        self.sink().poll_flush(cx).map_err(|_| Gone)
    }

    fn ping(&mut self) -> Result<bool, Gone> {
        let ping = Message::Ping(bytes::Bytes::new());
        self.sink().start_send(ping).map(|()| true).map_err(|_| Gone)
    }

    async fn close(&mut self, code: u16, reason: &'static str) {
        if (code, reason) == LOST {
            return;
        }
        let frame = CloseFrame {
            code,
            reason: reason.into(),
        };
        let _gone = self.0.send(Message::Close(Some(frame))).await;
    }
}

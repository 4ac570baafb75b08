//! WebSocket at `/graphql`, speaking graphql-transport-ws.
//!
//! One task per connection reads and writes; each operation has a task that pulls its answers and waits for the
//! connection, so a slow client slows its subscriptions and fills nothing. A browser, which cannot send an
//! `Authorization` header here, says its token in the payload of `connection_init`.

use super::http::of_members;
use crate::access::Grant;
use crate::transport::graphql::{App, Peer, drained};
use actum_model::Fault;
use actum_model::json::parse_strict;
use actum_model::limits::{GRAPHQL_OPERATIONS_MAX, ID_CHARS_MAX, MESSAGE_BYTES_MAX};
use async_graphql::Response;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use futures_util::StreamExt;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::pin::pin;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

const PROTOCOL: &str = "graphql-transport-ws";
/// Answers of all operations that wait for the connection.
const WAITING_MAX: usize = 16;

/// Why a connection ends: a close code of the protocol and its reason.
type End = (u16, String);

/// Takes the connection over.
pub(super) fn upgrade(
    app: App,
    grant: Result<Grant, Fault>,
    peer: Peer,
    upgrade: WebSocketUpgrade,
) -> axum::response::Response {
    upgrade
        .protocols([PROTOCOL])
        .max_message_size(MESSAGE_BYTES_MAX)
        .max_frame_size(MESSAGE_BYTES_MAX)
        .on_upgrade(async move |socket| {
            let remote = peer.remote.ip();
            let connection = Connection::new(app, grant, remote, socket);
            connection.run().await;
            // The slot of the connection is free from here on.
            drop(peer);
        })
}

/// What a task of an operation says.
struct Note {
    id: String,
    /// Tells a later operation of the same id from this one.
    number: u64,
    /// The message; without one the operation is over.
    text: Option<String>,
}

struct Operation {
    number: u64,
    task: JoinHandle<()>,
}

impl Drop for Operation {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Connection {
    app: App,
    socket: WebSocket,
    /// Who calls, or why that is not known yet.
    grant: Result<Grant, Fault>,
    remote: std::net::IpAddr,
    ready: bool,
    operations: BTreeMap<String, Operation>,
    begun: u64,
    notes_in: mpsc::Sender<Note>,
    notes: mpsc::Receiver<Note>,
    heard: bool,
}

impl Connection {
    fn new(app: App, grant: Result<Grant, Fault>, remote: std::net::IpAddr, socket: WebSocket) -> Connection {
        let (notes_in, notes) = mpsc::channel(WAITING_MAX);
        Connection {
            app,
            socket,
            grant,
            remote,
            ready: false,
            operations: BTreeMap::new(),
            begun: 0,
            notes_in,
            notes,
            heard: true,
        }
    }

    async fn run(mut self) {
        let Err((code, reason)) = self.talk().await else {
            return;
        };
        self.operations.clear();
        let frame = CloseFrame {
            code,
            reason: reason.into(),
        };
        let closing = self.socket.send(Message::Close(Some(frame)));
        let _too_late = tokio::time::timeout(self.app.timings.close, closing).await;
    }

    /// Talks until the peer is gone (`Ok`) or there is a reason to end.
    async fn talk(&mut self) -> Result<(), End> {
        if self
            .socket
            .protocol()
            .is_none_or(|found| found.as_bytes() != PROTOCOL.as_bytes())
        {
            return Err((4406, "Subprotocol not acceptable".to_owned()));
        }
        let mut draining = self.app.core.draining();
        let mut draining = pin!(drained(&mut draining));
        let init_until = Instant::now() + self.app.timings.init;
        let mut ping =
            tokio::time::interval_at(Instant::now() + self.app.timings.ping, self.app.timings.ping);
        let mut check = tokio::time::interval(self.app.timings.token_check);
        loop {
            tokio::select! {
                biased;
                () = &mut draining => return Err((1001, "the daemon is draining".to_owned())),
                _ = check.tick() => self.check_token()?,
                _ = ping.tick() => {
                    if !std::mem::take(&mut self.heard) {
                        return Ok(());
                    }
                    self.send(Message::Ping(bytes::Bytes::new())).await?;
                }
                () = tokio::time::sleep_until(init_until), if !self.ready => {
                    return Err((4408, "Connection initialisation timeout".to_owned()));
                }
                note = self.notes.recv() => {
                    if let Some(note) = note {
                        self.pass_on(note).await?;
                    }
                }
                message = self.socket.recv() => {
                    self.heard = true;
                    match message {
                        Some(Ok(Message::Text(text))) => self.hear(text.as_str()).await?,
                        Some(Ok(Message::Binary(_))) => return Err(invalid("expected a text frame")),
                        Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                        Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(()),
                    }
                }
            }
        }
    }

    fn check_token(&self) -> Result<(), End> {
        match &self.grant {
            Ok(grant) if !self.app.access.still_good(grant) => {
                Err((4403, "UNAUTHENTICATED: the token was revoked".to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// Sends a message; a peer that does not take it is gone.
    async fn send(&mut self, message: Message) -> Result<(), End> {
        let late = self.app.timings.ping + self.app.timings.pong;
        match tokio::time::timeout(late, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err((1006, String::new())),
            Err(_late) => Err((4429, "SLOW_CONSUMER: the connection reads too slowly".to_owned())),
        }
    }

    async fn say(&mut self, message: Value) -> Result<(), End> {
        self.send(Message::Text(message.to_string().into())).await
    }

    async fn pass_on(&mut self, note: Note) -> Result<(), End> {
        let current = self.operations.get(&note.id).map(|operation| operation.number);
        if current != Some(note.number) {
            return Ok(());
        }
        match note.text {
            Some(text) => self.send(Message::Text(text.into())).await,
            None => {
                self.operations.remove(&note.id);
                Ok(())
            }
        }
    }

    async fn hear(&mut self, text: &str) -> Result<(), End> {
        let Ok(Value::Object(mut message)) = parse_strict(text.as_bytes()) else {
            return Err(invalid("expected one JSON object per message"));
        };
        let id = match message.remove("id") {
            None => None,
            Some(Value::String(id)) if (1..=ID_CHARS_MAX).contains(&id.len()) => Some(id),
            Some(_) => return Err(invalid("expected a short text as `id`")),
        };
        let payload = message.remove("payload").filter(|payload| !payload.is_null());
        let kind = message.get("type").and_then(Value::as_str).unwrap_or_default();
        match (kind, id) {
            ("connection_init", None) => self.init(payload).await,
            ("ping", None) => self.say(json!({"type": "pong"})).await,
            ("pong", None) => Ok(()),
            ("complete", Some(id)) => {
                self.operations.remove(&id);
                Ok(())
            }
            ("subscribe", Some(id)) => match payload {
                Some(Value::Object(members)) => self.subscribe(id, members),
                _ => Err(invalid("expected a GraphQL request as `payload`")),
            },
            _ => Err(invalid("expected a message of graphql-transport-ws")),
        }
    }

    async fn init(&mut self, payload: Option<Value>) -> Result<(), End> {
        if self.ready {
            return Err((4429, "Too many initialisation requests".to_owned()));
        }
        if let Some(header) = payload.as_ref().and_then(authorization) {
            self.grant = self.app.access.authenticate(Some(header.as_bytes()), self.remote);
        }
        if let Err(fault) = &self.grant {
            return Err((4403, format!("{}: Forbidden", fault.code)));
        }
        self.ready = true;
        self.say(json!({"type": "connection_ack"})).await
    }

    fn subscribe(&mut self, id: String, members: Map<String, Value>) -> Result<(), End> {
        let (true, Ok(grant)) = (self.ready, &self.grant) else {
            return Err((4401, "Unauthorized".to_owned()));
        };
        if self.operations.contains_key(&id) {
            return Err((4409, format!("Subscriber for {id} already exists")));
        }
        if self.operations.len() >= GRAPHQL_OPERATIONS_MAX {
            return Err((
                4429,
                format!("BUSY: expected at most {GRAPHQL_OPERATIONS_MAX} operations"),
            ));
        }
        let request = of_members(members).map_err(|fault| invalid(&fault.message))?;
        self.begun += 1;
        let (number, notes, name) = (self.begun, self.notes_in.clone(), id.clone());
        let mut answers = self.app.graphql.stream(&grant.caller, request);
        let task = tokio::spawn(async move {
            let note = |text| Note {
                id: name.clone(),
                number,
                text,
            };
            while let Some((response, failed)) = answers.next().await {
                let text = Some(spoken(&name, &response, failed));
                if notes.send(note(text)).await.is_err() || failed {
                    let _gone = notes.send(note(None)).await;
                    return;
                }
            }
            let complete = json!({"id": name, "type": "complete"}).to_string();
            let _gone = notes.send(note(Some(complete))).await;
            let _gone = notes.send(note(None)).await;
        });
        self.operations.insert(id, Operation { number, task });
        Ok(())
    }
}

/// A message about an operation. Written as it is, so that fields stay in the order they were asked for.
#[derive(serde::Serialize)]
struct Spoken<'a, T> {
    id: &'a str,
    r#type: &'static str,
    payload: T,
}

impl<T: serde::Serialize> Spoken<'_, T> {
    fn written(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// An answer as a message: `next`, or `error` where nothing was carried out or a subscription ended.
fn spoken(id: &str, response: &Response, failed: bool) -> String {
    if failed {
        let (r#type, payload) = ("error", &response.errors);
        Spoken { id, r#type, payload }.written()
    } else {
        let (r#type, payload) = ("next", response);
        Spoken { id, r#type, payload }.written()
    }
}

/// What `connection_init` says instead of an `Authorization` header: the same under `authorization`, in any case, or
/// the bare token under `token`.
fn authorization(payload: &Value) -> Option<String> {
    let members = payload.as_object()?;
    let header = members
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    if let Some(text) = header.and_then(|(_, value)| value.as_str()) {
        return Some(text.to_owned());
    }
    let token = members.get("token").and_then(Value::as_str)?;
    Some(format!("Bearer {token}"))
}

fn invalid(what: &str) -> End {
    // The reason of a close frame has room for 123 bytes.
    let short: String = what.chars().filter(char::is_ascii).take(100).collect();
    (4400, format!("INVALID_INPUT: {short}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_may_come_as_a_header_or_bare() {
        let of = |payload: Value| authorization(&payload);
        assert_eq!(
            of(json!({"Authorization": "Bearer x"})).as_deref(),
            Some("Bearer x")
        );
        assert_eq!(of(json!({"token": "x"})).as_deref(), Some("Bearer x"));
        assert_eq!(of(json!({})), None);
        assert_eq!(of(json!("x")), None);
    }
}

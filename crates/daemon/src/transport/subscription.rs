//! A subscription: which events a caller asked for and may see, how they stand on the wire, and the task that
//! carries them to a connection.
//!
//! Events of other tenants never pass the filter. A consumer that cannot keep up with live events is told the
//! position to resume from, and the subscription ends there: what it did deliver has no gap.

use super::feed::Feed;
use crate::core::{Chunk, LiveRecord, OutputChunk};
use crate::output::Shown;
use actum_model::Response;
use actum_model::envelope::Envelope;
use actum_model::error::{ErrorCode, Fault};
use actum_model::ids::Tenant;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// Which events pass.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    tenant: Tenant,
    session: Option<String>,
    correlation: Option<String>,
}

impl Filter {
    /// What a checked `events.subscribe` asks for, within the tenant of its caller.
    pub(crate) fn of(tenant: &Tenant, payload: &Value) -> Filter {
        let text = |name: &str| payload.get(name).and_then(Value::as_str).map(str::to_owned);
        Filter {
            tenant: tenant.clone(),
            session: text("sessionId"),
            correlation: text("correlationId"),
        }
    }

    /// Whether an event passes. Events of no tenant concern the whole realm.
    pub(crate) fn passes(&self, event: &Map<String, Value>) -> bool {
        let text = |name: &str| event.get(name).and_then(Value::as_str);
        text("tenant").is_none_or(|tenant| tenant == self.tenant.as_str())
            && fits(self.session.as_deref(), text("sessionId"))
            && fits(self.correlation.as_deref(), text("correlationId"))
    }

    /// Whether live output passes.
    pub(crate) fn passes_output(&self, chunk: &OutputChunk) -> bool {
        chunk.tenant == self.tenant
            && fits(
                self.session.as_deref(),
                chunk.session.as_ref().map(|id| id.as_str()),
            )
            && fits(self.correlation.as_deref(), Some(chunk.correlation.as_str()))
    }
}

fn fits(wanted: Option<&str>, found: Option<&str>) -> bool {
    wanted.is_none() || wanted == found
}

/// The events of a record that pass, each with its place in the record.
pub(crate) fn passing<'a>(
    filter: &'a Filter,
    record: &'a LiveRecord,
) -> impl Iterator<Item = (usize, &'a Map<String, Value>)> {
    let events = record.events.iter().enumerate();
    events.filter_map(|(n, event)| Some((n, event.as_object().filter(|event| filter.passes(event))?)))
}

/// The wire form of an event: without its tenant, with its number and, on a connection, its subscription.
pub(crate) fn event_line(event: &Map<String, Value>, seq: u64, subscription: Option<&str>) -> String {
    let mut out = String::with_capacity(320);
    out.push('{');
    for (name, value) in event.iter().filter(|(name, _)| *name != "tenant") {
        push_member(&mut out, name, value);
    }
    if let Some(subscription) = subscription {
        push_member(&mut out, "subscription", &Value::from(subscription));
    }
    push_member(&mut out, "eventSeq", &Value::from(seq));
    out.push('}');
    out
}

fn push_member(out: &mut String, name: &str, value: &Value) {
    use std::fmt::Write;
    if !out.ends_with('{') {
        out.push(',');
    }
    // Writing to a String cannot fail.
    let _infallible = write!(out, "{}:{value}", Value::from(name));
}

/// The wire form of something live: `output`, `display` or `progress`.
pub(crate) fn output_line(chunk: &OutputChunk, subscription: Option<&str>) -> String {
    let mut out = match &chunk.chunk {
        Chunk::Output { stream, offset, data } => json!({"stream": stream, "offset": offset, "data": data}),
        Chunk::Shown(Shown::Display(bundle)) => json!({"data": bundle}),
        Chunk::Shown(Shown::Progress(progress)) => progress.clone(),
    };
    if let Value::Object(members) = &mut out {
        members.insert("type".into(), chunk.chunk.name().into());
        members.insert("id".into(), chunk.id.as_str().into());
        if let Some(session) = &chunk.session {
            members.insert("sessionId".into(), session.as_str().into());
        }
        if let Some(subscription) = subscription {
            members.insert("subscription".into(), subscription.into());
        }
    }
    out.to_string()
}

/// The message that ends a subscription whose consumer was too slow.
pub(crate) fn gap_line(subscription: &str, resume_from: u64) -> String {
    json!({"type": "gap", "subscription": subscription, "resumeFromIdx": resume_from}).to_string()
}

/// The answer to a connection command that was carried out.
pub(crate) fn answered(envelope: &Envelope, data: &Value) -> Response {
    let (kind, id) = asked(envelope);
    Response::read(&kind, id.as_deref(), data)
}

/// The answer to a connection command that was refused.
pub(crate) fn refused(envelope: &Envelope, fault: Fault) -> Response {
    let (kind, id) = asked(envelope);
    Response::refused(&kind, id.as_deref(), fault)
}

fn asked(envelope: &Envelope) -> (String, Option<String>) {
    (
        envelope.kind.to_string(),
        envelope.id.as_ref().map(|id| id.as_str().to_owned()),
    )
}

/// What a subscription sends to its connection.
#[derive(Debug)]
pub(crate) enum Note {
    /// The answer to `events.subscribe`; always first.
    Answer(Box<Response>),
    /// A line.
    Line(String),
    /// The last line: the subscription is over.
    Last(String),
}

/// The task of one subscription.
pub(crate) struct Carrier {
    pub(crate) name: String,
    pub(crate) filter: Filter,
    pub(crate) feed: Feed,
    pub(crate) notes: mpsc::Sender<(u64, Note)>,
    pub(crate) number: u64,
}

impl Carrier {
    /// Answers the request, then carries events until the connection or the daemon is gone.
    pub(crate) async fn run(mut self, request: Envelope) {
        let answer = match self.feed.open().await {
            Ok(()) => answered(&request, &json!({"subscription": self.name})),
            Err(fault) => {
                let refusal = Note::Answer(Box::new(refused(&request, fault)));
                let _gone = self.notes.send((self.number, refusal)).await;
                return;
            }
        };
        let answer = Note::Answer(Box::new(answer));
        if self.notes.send((self.number, answer)).await.is_err() {
            return;
        }
        let mut seq = 0;
        // While it reads the past it waits for the connection, and until what it read there has gone out; from then
        // on an event must find room.
        let mut patient = true;
        loop {
            patient =
                patient && self.notes.capacity() < self.notes.max_capacity() / 2 || self.feed.is_behind();
            let record = match self.feed.next().await {
                Ok(Some(record)) => record,
                Ok(None) => return,
                Err(fault) => return self.end(self.feed.position(), Some(fault)).await,
            };
            if let Err(idx) = self.carry(&record, &mut seq, patient).await {
                return self.end(idx, None).await;
            }
        }
    }

    /// Sends a record whole or not at all; the error is the position that was not sent.
    async fn carry(&mut self, record: &Arc<LiveRecord>, seq: &mut u64, patient: bool) -> Result<(), u64> {
        let passing: Vec<_> = passing(&self.filter, record).map(|(_, event)| event).collect();
        if passing.is_empty() {
            return Ok(());
        }
        let permits = if patient {
            self.notes
                .reserve_many(passing.len())
                .await
                .map_err(|_| record.idx)?
        } else {
            match self.notes.try_reserve_many(passing.len()) {
                Ok(permits) => permits,
                Err(TrySendError::Full(()) | TrySendError::Closed(())) => return Err(record.idx),
            }
        };
        for (permit, event) in permits.zip(passing) {
            *seq += 1;
            permit.send((self.number, Note::Line(event_line(event, *seq, Some(&self.name)))));
        }
        Ok(())
    }

    async fn end(&self, resume_from: u64, fault: Option<Fault>) {
        if let Some(fault) = &fault {
            tracing::warn!(
                subscription = self.name,
                code = fault.code.as_str(),
                "subscription ended: {fault}"
            );
        }
        let last = Note::Last(gap_line(&self.name, resume_from));
        let _gone = self.notes.send((self.number, last)).await;
    }
}

/// The refusal of a transport that has no connection to subscribe.
pub(crate) fn no_connection(envelope: &Envelope) -> Response {
    let fault = Fault::new(
        ErrorCode::InvalidInput,
        format!("/type: `{}` needs a connection that stays open", envelope.kind),
    );
    refused(
        envelope,
        fault.with_hint("use `GET /v1/events`, a WebSocket at `/v1/ws`, or `serve --stdio`"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn nothing_of_another_tenant_passes() {
        let filter = Filter::of(&Tenant::main(), &json!({}));
        assert!(filter.passes(&event(&json!({"tenant": "main", "sessionId": "a"}))));
        assert!(filter.passes(&event(&json!({"event": "server_shutdown"}))));
        assert!(!filter.passes(&event(&json!({"tenant": "other", "sessionId": "a"}))));
    }

    #[test]
    fn session_and_correlation_narrow() {
        let filter = Filter::of(&Tenant::main(), &json!({"sessionId": "a", "correlationId": "c"}));
        assert!(filter.passes(&event(
            &json!({"tenant": "main", "sessionId": "a", "correlationId": "c"})
        )));
        assert!(!filter.passes(&event(
            &json!({"tenant": "main", "sessionId": "b", "correlationId": "c"})
        )));
        assert!(!filter.passes(&event(&json!({"tenant": "main", "sessionId": "a"}))));
    }

    #[test]
    fn the_tenant_does_not_stand_on_the_wire() {
        let line = event_line(
            &event(&json!({"type": "event", "tenant": "main", "idx": 3})),
            7,
            Some("s-1"),
        );
        assert_eq!(
            serde_json::from_str::<Value>(&line).unwrap(),
            json!({"type": "event", "idx": 3, "subscription": "s-1", "eventSeq": 7})
        );
    }
}

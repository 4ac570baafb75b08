//! Effects on their way out and back: arguments are made whole again, the door carries them out, and what it
//! says becomes inputs of the engine.

use super::crash;
use super::handle::Shared;
use super::live::OutputChunk;
use super::thread::Msg;
use crate::door::{Door, DoorEvent, Job};
use crate::redact::{self, Secret, Vault};
use actum_engine::Start;
use actum_journal::Blobs;
use actum_model::effect::SettledAs;
use actum_model::{ErrorCode, Fault, Hash, Json, Settlement, limits};
use serde_json::Value;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Output that is not yet durable is made so when this much has come.
const CHECKPOINT_BYTES: usize = 64 * 1024;

/// The arguments of a command before redaction. They stay in memory and nowhere else.
pub(crate) struct Originals {
    pub(crate) payload: Json,
    pub(crate) secrets: Vec<Secret>,
}

/// The way out.
pub(crate) struct Effects {
    door: Door,
    vault: Arc<Vault>,
    blobs: Blobs,
    originals: HashMap<u64, Originals>,
    /// Effects that may leave and wait for a free place.
    waiting: VecDeque<Start>,
    inbox: mpsc::WeakSender<Msg>,
    runtime: tokio::runtime::Handle,
    /// Whether programs may run without a cage. A command may have been accepted under other flags: from a timer,
    /// or before a restart.
    allow_uncaged: bool,
}

impl Effects {
    pub(crate) fn new(
        door: Door,
        vault: Vault,
        blobs: Blobs,
        inbox: mpsc::WeakSender<Msg>,
        runtime: tokio::runtime::Handle,
        allow_uncaged: bool,
    ) -> Effects {
        let (originals, waiting) = (HashMap::new(), VecDeque::new());
        Effects {
            door,
            vault: Arc::new(vault),
            blobs,
            originals,
            waiting,
            inbox,
            runtime,
            allow_uncaged,
        }
    }

    pub(crate) fn remember(&mut self, seq: u64, originals: Originals) {
        self.originals.insert(seq, originals);
    }

    pub(crate) fn forget(&mut self, seq: u64) {
        self.originals.remove(&seq);
    }

    /// Lets an effect leave, or wait for a free place. It settles exactly once, whatever happens.
    pub(crate) fn start(&mut self, start: Start) {
        self.waiting.push_back(start);
        self.go_on();
    }

    /// Starts what waits, as far as there are free places.
    pub(crate) fn go_on(&mut self) {
        while self.door.running() < limits::RUNNING_EFFECTS_MAX {
            let Some(start) = self.waiting.pop_front() else {
                return;
            };
            let originals = self.originals.remove(&start.seq);
            let (vault, blobs) = (Arc::clone(&self.vault), self.blobs.clone());
            let allowed = self.allow_uncaged;
            self.door.start_with(start.seq, move || {
                if !allowed {
                    let message = "this daemon does not run programs without a cage";
                    return Err(Fault::new(ErrorCode::UncagedRefused, message));
                }
                let job = prepare(&start, originals, &vault, &blobs);
                crash::point("effect_prepared");
                job
            });
        }
    }

    pub(crate) fn stop(&mut self, seq: u64) {
        let Some(at) = self.waiting.iter().position(|start| start.seq == seq) else {
            return self.door.stop(seq, Duration::from_millis(limits::STOP_GRACE_MS));
        };
        self.waiting.remove(at);
        let message = "it was stopped while it waited for a free place, so nothing of it happened";
        let fault = Some(Fault::new(ErrorCode::Cancelled, message));
        let settlement = Settlement {
            settled: SettledAs::Failed,
            data: None,
            fault,
        };
        let inbox = self.inbox.clone();
        self.runtime
            .spawn(async move { send(&inbox, Msg::Settled { seq, settlement }).await });
    }
}

/// What stands in a record for arguments in a sealed blob.
pub(crate) fn sealed(hash: &Hash) -> Json {
    Json::from_canonical(&format!(r#"{{"$blob":"{hash}"}}"#))
}

/// The arguments of an effect as they were decided: from the record, or from the blob it names.
fn unsealed(payload: &Json, blobs: &Blobs) -> Result<Value, Fault> {
    let value = payload.to_value();
    let Some(hash) = value.get("$blob").and_then(Value::as_str) else {
        return Ok(value);
    };
    let internal = |what: String| {
        Fault::new(
            ErrorCode::Internal,
            format!("its arguments are not to be had: {what}"),
        )
    };
    let hash: Hash = hash.parse().map_err(|error| internal(format!("{error}")))?;
    let bytes = blobs.get(&hash).map_err(|error| internal(error.to_string()))?;
    let bytes = bytes.ok_or_else(|| internal(format!("blob {hash} is gone")))?;
    serde_json::from_slice(&bytes).map_err(|error| internal(error.to_string()))
}

fn prepare(start: &Start, originals: Option<Originals>, vault: &Vault, blobs: &Blobs) -> Result<Job, Fault> {
    let (payload, mut secrets) = match originals {
        Some(originals) => (originals.payload.to_value(), originals.secrets),
        None => {
            let payload = unsealed(&start.payload, blobs)?;
            if start.redacted || redact::is_lost(&payload) {
                let message = "a secret given inline was lost when the daemon ended";
                return Err(Fault::new(ErrorCode::SecretUnavailable, message));
            }
            (payload, Vec::new())
        }
    };
    let (payload, resolved) = redact::resolve(&payload, vault)?;
    secrets.extend(resolved);
    Job::from_payload(start.seq, start.effect, &payload, secrets)
}

async fn send(inbox: &mpsc::WeakSender<Msg>, message: Msg) {
    if let Some(inbox) = inbox.upgrade() {
        let _ended = inbox.send(message).await;
    }
}

/// Turns what the door says into inputs and live output, until the door is gone.
pub(crate) async fn listen(
    mut door: mpsc::UnboundedReceiver<DoorEvent>,
    inbox: mpsc::WeakSender<Msg>,
    shared: Arc<Shared>,
) {
    let mut kept: HashMap<(u64, &'static str), (u64, String)> = HashMap::new();
    while let Some(event) = door.recv().await {
        match event {
            DoorEvent::Output {
                seq,
                stream,
                offset,
                data,
                credit,
            } => {
                let stream = stream.as_str();
                show(&shared, seq, stream, offset, &data);
                let (from, text) = kept
                    .entry((seq, stream))
                    .or_insert_with(|| (offset, String::new()));
                text.push_str(&data);
                if text.len() >= CHECKPOINT_BYTES {
                    // Only the newest edge is of use after a crash; the whole comes with the outcome.
                    let cut = edge(text);
                    let (offset, data) = (*from + cut as u64, text.split_off(cut));
                    kept.remove(&(seq, stream));
                    send(
                        &inbox,
                        Msg::Output {
                            seq,
                            stream,
                            offset,
                            data,
                        },
                    )
                    .await;
                }
                drop(credit);
            }
            DoorEvent::Settled { seq, settlement } => {
                crash::point("effect_settled");
                kept.remove(&(seq, "stdout"));
                kept.remove(&(seq, "stderr"));
                send(&inbox, Msg::Settled { seq, settlement }).await;
            }
        }
    }
}

/// Where the newest edge of a text begins.
fn edge(text: &str) -> usize {
    let mut from = text.len().saturating_sub(limits::OUTPUT_EDGE_BYTES);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    from
}

fn show(shared: &Shared, seq: u64, stream: &'static str, offset: u64, data: &str) {
    if shared.output.receiver_count() == 0 {
        return;
    }
    let published = shared.published.load();
    let Some(row) = published.state.command(seq) else {
        return;
    };
    let identity = &row.identity;
    let _nobody = shared.output.send(Arc::new(OutputChunk {
        tenant: identity.tenant.clone(),
        session: identity.session.clone(),
        correlation: identity.correlation_id(),
        id: identity.public_id(),
        stream,
        offset,
        data: data.to_owned(),
    }));
}

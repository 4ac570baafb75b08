//! The handle transports hold: submit, read, follow.

use super::effects::{self, Originals};
use super::inbox::{Inbox, WeakInbox};
use super::keys::DataKeys;
use super::live::{self, LiveRecord, OutputChunk};
use super::rate::Rates;
use super::reads;
use super::thread::{Msg, ReadRequest};
use super::timers;
use crate::access::calls::Calls;
use crate::door::Door;
use crate::personal::Personal;
use crate::redact::{self, Rules};
use crate::sessions::Sessions;
use actum_journal::{Blobs, Reader};
use actum_kernel::State;
use actum_model::contract::{Admission, Contract};
use actum_model::envelope::Caller;
use actum_model::input::{OverRate, Submit};
use actum_model::worker::Sandbox;
use actum_model::{Envelope, ErrorCode, Fault, Json, Response, limits, marks};
use arc_swap::ArcSwap;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

/// Where one response goes: a connection's outbox, with the connection's own mark on it.
#[derive(Debug)]
pub struct ReplyTo {
    /// The outbox.
    pub outbox: mpsc::UnboundedSender<(u64, Response)>,
    /// Comes back with the response.
    pub tag: u64,
}

impl ReplyTo {
    /// Sends the response. A connection that is gone has nobody who could read it.
    pub(crate) fn send(self, response: Response) {
        let _gone = self.outbox.send((self.tag, response));
    }
}

/// A durable state.
#[derive(Clone, Debug)]
pub struct Published {
    /// The state.
    pub state: State,
    /// The idx of the next record: all below are durable.
    pub head: u64,
}

/// What the handle and the threads share.
pub(crate) struct Shared {
    pub(crate) keys: DataKeys,
    pub(crate) rates: Rates,
    pub(crate) replay_rates: Rates,
    pub(crate) clocks: super::clock::Clocks,
    pub(crate) published: ArcSwap<Published>,
    pub(crate) head: watch::Sender<u64>,
    pub(crate) live: broadcast::Sender<Arc<LiveRecord>>,
    pub(crate) output: broadcast::Sender<Arc<OutputChunk>>,
    pub(crate) draining: watch::Sender<bool>,
    pub(crate) fatal: watch::Sender<Option<Fault>>,
    pub(crate) recovery: ArcSwap<Value>,
    pub(crate) reader: Reader,
    pub(crate) blobs: Blobs,
    pub(crate) personal: Personal,
    pub(crate) rules: Arc<Rules>,
    pub(crate) history: super::history::History,
    pub(crate) realm: String,
    pub(crate) sandbox: Sandbox,
    pub(crate) sessions: std::sync::OnceLock<Sessions>,
    pub(crate) door: std::sync::OnceLock<Door>,
    pub(crate) calls: Calls,
    pub(crate) durability: &'static str,
    pub(crate) counters: Counters,
}

/// What is counted and not stored.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) refused: AtomicU64,
    pub(crate) replayed: AtomicU64,
    pub(crate) batches: AtomicU64,
}

/// The handle. Clones are cheap.
#[derive(Clone)]
pub struct Core {
    pub(crate) inbox: Inbox,
    pub(crate) shared: Arc<Shared>,
}

/// The handle of somebody the core itself holds: it does not keep the core alive.
#[derive(Clone)]
pub(crate) struct WeakCore {
    pub(crate) inbox: WeakInbox,
    pub(crate) shared: std::sync::Weak<Shared>,
}

impl WeakCore {
    /// The core, while it is there.
    ///
    /// # Errors
    /// `SHUTTING_DOWN`.
    pub(crate) fn upgrade(&self) -> Result<Core, Fault> {
        let (inbox, shared) = (self.inbox.upgrade(), self.shared.upgrade());
        match (inbox, shared) {
            (Some(inbox), Some(shared)) => Ok(Core { inbox, shared }),
            _ => Err(gone()),
        }
    }

    /// Tells the engine's thread something, if it is there.
    pub(crate) async fn send(&self, message: Msg) {
        if let Some(inbox) = self.inbox.upgrade() {
            let _ended = inbox.send(message).await;
        }
    }
}

impl Core {
    /// Hands a checked envelope over. Exactly one response comes to `reply`, when all it rests on is durable.
    /// Waits while the engine's queue is full, so that a fast sender is slowed instead of filling memory.
    pub async fn submit(&self, caller: &Caller, envelope: Envelope, reply: ReplyTo) {
        match envelope.contract().map(|contract| contract.admission) {
            Some(Admission::Read) => self.read(caller, envelope, reply).await,
            Some(Admission::Queued | Admission::Control) => self.command(caller, envelope, reply).await,
            Some(Admission::Connection) | None => {
                let message = format!(
                    "`{}` needs a connection of its own (WebSocket or stdio)",
                    envelope.kind
                );
                refuse(reply, &envelope, Fault::new(ErrorCode::InvalidInput, message));
            }
        }
    }

    /// Submits one command and waits for its response.
    pub async fn call(&self, caller: &Caller, envelope: Envelope) -> Response {
        let (outbox, mut inbox) = mpsc::unbounded_channel();
        let (kind, id) = asked(&envelope);
        self.submit(caller, envelope, ReplyTo { outbox, tag: 0 }).await;
        match inbox.recv().await {
            Some((_, response)) => response,
            None => Response::refused(&kind, id.as_deref(), gone()),
        }
    }

    async fn read(&self, caller: &Caller, envelope: Envelope, reply: ReplyTo) {
        let request = ReadRequest {
            caller: caller.clone(),
            envelope,
            reply,
        };
        if let Err(error) = self.inbox.send(Msg::Read(Box::new(request))).await
            && let Msg::Read(request) = error.0
        {
            refuse(request.reply, &request.envelope, gone());
        }
    }

    async fn command(&self, caller: &Caller, mut envelope: Envelope, reply: ReplyTo) {
        if *self.shared.draining.borrow() {
            let fault = Fault::new(ErrorCode::ShuttingDown, "the daemon is draining");
            return refuse(reply, &envelope, fault);
        }
        let checked =
            admit(&self.shared.rules, &envelope).and_then(|()| timers::check(&envelope, &self.shared.rules));
        if let Err(fault) = checked {
            return refuse(reply, &envelope, fault);
        }
        if envelope.kind.as_str() == "session.create"
            && let Some(sessions) = self.shared.sessions.get()
        {
            sessions.expect(&envelope.payload.to_value());
        }
        let fingerprint = self.shared.keys.fingerprint(caller, &envelope);
        let now_ms = self.shared.clocks.monotonic_ms();
        let limited = OverRate {
            submission: self.shared.rates.take(caller, now_ms),
            replay: self.shared.replay_rates.peek(caller, now_ms),
        };
        envelope.payload = match self.seal_personal(caller, &envelope, limited).await {
            Ok(payload) => payload,
            Err(fault) => return refuse(reply, &envelope, fault),
        };
        let mut originals = None;
        if let Some(redacted) = redact::command(&envelope.payload, &self.shared.rules) {
            let whole = std::mem::replace(&mut envelope.payload, redacted.payload);
            originals = Some(Originals {
                payload: whole,
                secrets: redacted.secrets,
            });
        }
        envelope.payload = match self.seal_large(&envelope).await {
            Ok(payload) => payload,
            Err(fault) => return refuse(reply, &envelope, fault),
        };
        let redacted = originals.is_some();
        let submit = Submit {
            caller: caller.clone(),
            envelope,
            fingerprint,
            redacted,
            limited,
        };
        let message = Msg::Submit {
            submit: Box::new(submit),
            originals: originals.map(Box::new),
            reply,
        };
        if let Err(error) = self.inbox.send(message).await
            && let Msg::Submit { submit, reply, .. } = error.0
        {
            refuse(reply, &submit.envelope, gone());
        }
    }

    /// The arguments as they are from here on: with markers for what is personal, and with the keyed hash of a
    /// subject that is to be erased. What they stand for is durable first.
    async fn seal_personal(
        &self,
        caller: &Caller,
        envelope: &Envelope,
        limited: OverRate,
    ) -> Result<Json, Fault> {
        let payload = envelope.payload.clone();
        let erase = envelope.kind.as_str() == "subject.erase";
        let rules = Arc::clone(&self.shared.rules);
        let marked = marked(&payload, &rules)?;
        let Some(payload) = marked.or_else(|| erase.then(|| payload.clone())) else {
            return Ok(payload);
        };
        if limited.submission.is_some() && !erase {
            // It is refused, or answered from what is recorded: its arguments are read by nobody.
            return Ok(Json::from_canonical("{}"));
        }
        let (personal, tenant, contract) = (
            self.shared.personal.clone(),
            caller.tenant.clone(),
            envelope.contract(),
        );
        let work = move || {
            if erase {
                let arguments = payload.to_value();
                let name = arguments.get("subject").and_then(Value::as_str);
                return personal.to_erase(&tenant, name.unwrap_or_default());
            }
            let sealed = personal.seal(&tenant, contract, &payload)?;
            Ok(sealed.unwrap_or(payload))
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(sealed) => sealed,
            Err(error) => Err(Fault::new(ErrorCode::Internal, error.to_string())),
        }
    }

    /// Arguments that only an effect reads go to a sealed blob where they are large: it is durable before the
    /// record that names it. What the kernel itself decides from stays in the record.
    async fn seal_large(&self, envelope: &Envelope) -> Result<Json, Fault> {
        let payload = envelope.payload.clone();
        let large = payload.as_str().len() > limits::INLINE_BYTES_MAX;
        if !large || !envelope.contract().is_some_and(Contract::has_effect) {
            return Ok(payload);
        }
        let contract = envelope.contract();
        let probe = payload.to_value().get("probe").is_some();
        let idempotent = contract.is_some_and(|contract| contract.idempotent_with(&payload));
        let blobs = self.shared.blobs.clone();
        let put = tokio::task::spawn_blocking(move || blobs.put(payload.as_str().as_bytes())).await;
        match put {
            Ok(Ok(hash)) => Ok(effects::sealed(&hash, probe, idempotent)),
            Ok(Err(error)) => Err(Fault::new(
                ErrorCode::Internal,
                format!("the arguments were not sealed: {error}"),
            )),
            Err(error) => Err(Fault::new(ErrorCode::Internal, error.to_string())),
        }
    }

    /// The newest durable state.
    #[must_use]
    pub fn published(&self) -> Arc<Published> {
        self.shared.published.load_full()
    }

    /// Durable records from now on. After `Lagged`, go on with [`Core::past`] behind the last idx seen.
    #[must_use]
    pub fn live(&self) -> broadcast::Receiver<Arc<LiveRecord>> {
        self.shared.live.subscribe()
    }

    /// The idx of the next record, told anew after each batch, when [`Core::published`] gives its state.
    #[must_use]
    pub fn heads(&self) -> watch::Receiver<u64> {
        self.shared.head.subscribe()
    }

    /// At most `max` durable records from `from_idx` on; none at the head. Reads the disk: call it where
    /// blocking is allowed.
    ///
    /// # Errors
    /// `RECORD_GONE` where they were compacted away, `JOURNAL_DAMAGED`.
    pub fn past(&self, from_idx: u64, max: usize) -> Result<Vec<Arc<LiveRecord>>, Fault> {
        let published = self.published();
        live::past(&self.shared.reader, &published.state, from_idx, max)
    }

    /// Live output of running commands.
    #[must_use]
    pub fn output(&self) -> broadcast::Receiver<Arc<OutputChunk>> {
        self.shared.output.subscribe()
    }

    /// What the last boot found and did, with commands of every tenant: for the operator, not for callers.
    #[must_use]
    pub fn recovery(&self) -> Value {
        (**self.shared.recovery.load()).clone()
    }

    /// Health, as `server.health` shows it.
    #[must_use]
    pub fn health(&self) -> Value {
        reads::health(&self.shared)
    }

    /// True once the daemon drains.
    #[must_use]
    pub fn draining(&self) -> watch::Receiver<bool> {
        self.shared.draining.subscribe()
    }

    /// The reason, once the core cannot go on. The process must end then.
    #[must_use]
    pub fn fatal(&self) -> watch::Receiver<Option<Fault>> {
        self.shared.fatal.subscribe()
    }

    /// The realm's id in hex.
    #[must_use]
    pub fn realm_hex(&self) -> String {
        self.shared.realm.clone()
    }

    /// A sealed blob.
    ///
    /// # Errors
    /// `NOT_FOUND`, or `INTERNAL` where it cannot be read.
    pub fn blob(&self, hash: &actum_model::Hash) -> Result<Vec<u8>, Fault> {
        match self.shared.blobs.get(hash) {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err(Fault::new(ErrorCode::NotFound, format!("no blob {hash} is kept"))),
            Err(error) => Err(live::read_fault(&error)),
        }
    }

    /// The value that a marker of a personal value stands for. Reads the disk: call it where blocking is allowed.
    ///
    /// # Errors
    /// `NOT_FOUND` where the caller's tenant has none, `PERSONAL_DATA_ERASED`.
    pub fn personal(&self, caller: &Caller, hash: &actum_model::Hash) -> Result<Value, Fault> {
        self.shared.personal.open(&caller.tenant, hash)
    }

    /// The calls from inside running commands.
    pub(crate) fn calls(&self) -> &Calls {
        &self.shared.calls
    }

    /// Takes no new commands from now on.
    pub fn drain(&self) {
        self.shared.draining.send_replace(true);
    }

    /// Ends in order: everything decided is made durable, the journal is closed. Commands that still run are ended
    /// behind that, each with all it started, and classified at the next boot.
    pub async fn close(&self) {
        self.drain();
        if let Some(sessions) = self.shared.sessions.get() {
            sessions.close().await;
        }
        // A program that waits for an address waits for nothing now.
        self.shared.calls.answer_nowhere();
        let (done, closed) = oneshot::channel();
        if self.inbox.post(Msg::Close(done)).await.is_ok() {
            let _ended = closed.await;
        }
        // They had their time. What became of them is not recorded any more, so nobody takes their end for a loss.
        if let Some(door) = self.shared.door.get() {
            door.close(Duration::ZERO).await;
        }
    }
}

/// Refuses what must not reach the disk. Ids and keys are stored like arguments, so they are looked at too.
fn admit(rules: &Rules, envelope: &Envelope) -> Result<(), Fault> {
    let named = [
        ("/id", envelope.id.as_ref().map(|id| id.as_str())),
        ("/sessionId", envelope.session.as_ref().map(|id| id.as_str())),
        ("/idempotencyKey", envelope.key.as_ref().map(|key| key.as_str())),
        (
            "/correlationId",
            envelope.correlation.as_ref().map(|id| id.as_str()),
        ),
        ("/causationId", envelope.causation.as_ref().map(|id| id.as_str())),
    ];
    for (at, text) in named {
        if let Some(text) = text.filter(|text| rules.can_refuse(text)) {
            rules.admit_text(text, at)?;
        }
    }
    if rules.can_refuse(envelope.payload.as_str()) {
        rules.admit(&envelope.payload.to_value(), "/payload")?;
    }
    Ok(())
}

/// The arguments with what the rules class as personal marked like what the caller marked; nothing where neither is.
fn marked(payload: &Json, rules: &Rules) -> Result<Option<Json>, Fault> {
    let by_caller = payload.as_str().contains(marks::PERSONAL);
    if !by_caller && !rules.mark_members() {
        return Ok(None);
    }
    let mut value = payload.to_value();
    if !rules.mark(&mut value, "/payload")? {
        return Ok(by_caller.then(|| payload.clone()));
    }
    let marked = Json::from_value(&value);
    marked
        .map(Some)
        .map_err(|error| Fault::new(ErrorCode::Internal, error.to_string()))
}

fn asked(envelope: &Envelope) -> (String, Option<String>) {
    (
        envelope.kind.to_string(),
        envelope.id.as_ref().map(ToString::to_string),
    )
}

fn refuse(reply: ReplyTo, envelope: &Envelope, fault: Fault) {
    let (kind, id) = asked(envelope);
    reply.send(Response::refused(&kind, id.as_deref(), fault));
}

fn gone() -> Fault {
    Fault::new(ErrorCode::ShuttingDown, "the daemon has ended")
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }
}

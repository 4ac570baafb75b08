//! Effects on their way out and back: arguments are made whole again, the door carries them out, and what it
//! says becomes inputs of the engine.

use super::crash;
use super::handle::Shared;
use super::inbox::WeakInbox;
use super::live::{Chunk, OutputChunk};
use super::thread::Msg;
use crate::access::calls::{self, Calls};
use crate::cage::Cages;
use crate::door::{Door, Job};
use crate::output::WorkEvent;
use crate::personal::Personal;
use crate::providers::Providers;
use crate::redact::{self, Secret, Vault};
use crate::sessions::{Key, Sessions};
use actum_engine::Start;
use actum_journal::Blobs;
use actum_model::contract::{self, Carrier};
use actum_model::restore::Phase;
use actum_model::worker::Sandbox;
use actum_model::{ErrorCode, Fault, Hash, Json, Lane, Settlement, limits};
use actum_provider::sdk::Moment;
use actum_record::redact::Class;
use serde_json::Value;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Output that is not yet durable is made so when this much has come.
const CHECKPOINT_BYTES: usize = 64 * 1024;

/// The arguments of a command before secrets were taken out. They stay in memory and nowhere else. Personal values
/// are not in them: they come from where they are sealed, so that one erased meanwhile is not used.
pub(crate) struct Originals {
    pub(crate) payload: Json,
    pub(crate) secrets: Vec<Secret>,
}

/// What an effect is made of besides its arguments.
pub(crate) struct Means {
    pub(crate) vault: Vault,
    pub(crate) blobs: Blobs,
    pub(crate) personal: Personal,
    pub(crate) calls: Calls,
    /// The cage that programs run in.
    pub(crate) sandbox: Sandbox,
}

/// The way out.
pub(crate) struct Effects {
    door: Door,
    sessions: Sessions,
    providers: Providers,
    cages: Cages,
    means: Arc<Means>,
    originals: HashMap<u64, Originals>,
    /// Effects that may leave and wait for a free place.
    waiting: VecDeque<Start>,
    inbox: WeakInbox,
    runtime: tokio::runtime::Handle,
}

impl Effects {
    pub(crate) fn new(
        (door, sessions, providers): (Door, Sessions, Providers),
        cages: Cages,
        means: Means,
        inbox: WeakInbox,
        runtime: tokio::runtime::Handle,
    ) -> Effects {
        Effects {
            door,
            sessions,
            providers,
            cages,
            means: Arc::new(means),
            originals: HashMap::new(),
            waiting: VecDeque::new(),
            inbox,
            runtime,
        }
    }

    pub(crate) fn remember(&mut self, seq: u64, originals: Originals) {
        self.originals.insert(seq, originals);
    }

    pub(crate) fn forget(&mut self, seq: u64) {
        self.originals.remove(&seq);
        self.means.calls.end(seq);
    }

    /// Lets an effect leave, or wait for a free place. It settles exactly once, whatever happens.
    pub(crate) fn start(&mut self, start: Start) {
        // A call from inside a running command waits for no place: its caller holds one until it is answered.
        let from_inside = start
            .identity
            .lane
            .as_ref()
            .is_some_and(|place| matches!(place.lane, Lane::Exec(_)));
        if from_inside {
            return self.carry_out(start);
        }
        self.waiting.push_back(start);
        self.go_on();
    }

    /// Starts what waits, as far as there are free places.
    pub(crate) fn go_on(&mut self) {
        while self.running() < limits::RUNNING_EFFECTS_MAX {
            let Some(start) = self.waiting.pop_front() else {
                return;
            };
            self.carry_out(start);
        }
    }

    fn running(&self) -> usize {
        self.door.running() + self.sessions.running() + self.providers.running()
    }

    /// Hands an effect to whoever carries its kind out.
    fn carry_out(&mut self, start: Start) {
        let originals = self.originals.remove(&start.seq);
        let (means, runtime) = (Arc::clone(&self.means), self.runtime.clone());
        let carrier = contract::find(start.identity.kind.as_str()).map(|contract| contract.carrier);
        match carrier {
            Some(Carrier::Session) => {
                let of = start.clone();
                self.sessions.start(start, move || {
                    let made = arguments(&of, originals, &means);
                    crash::point("effect_prepared");
                    made
                });
            }
            Some(Carrier::Provider) => {
                let moment = Moment {
                    at_ms: start.at,
                    elapsed_ms: start.elapsed,
                };
                let of = start.clone();
                self.providers.start(start, moment, move || {
                    let made = arguments(&of, originals, &means);
                    crash::point("effect_prepared");
                    made
                });
            }
            Some(Carrier::Process | Carrier::Kernel) | None => {
                let cages = self.cages.clone();
                self.door.start_with(start.seq, move || {
                    let job = match start.probe {
                        true => prepare_probe(&start, &means),
                        false => prepare(&start, originals, &means, &runtime),
                    };
                    let job = job.and_then(|job| cages.cage(job, &start));
                    crash::point("effect_prepared");
                    job
                });
            }
        }
    }

    pub(crate) fn stop(&mut self, seq: u64) {
        self.means.calls.end(seq);
        let Some(at) = self.waiting.iter().position(|start| start.seq == seq) else {
            let grace = Duration::from_millis(limits::STOP_GRACE_MS);
            self.door.stop(seq, grace);
            self.sessions.stop(seq, grace);
            return self.providers.stop(seq);
        };
        self.waiting.remove(at);
        let message = "it was stopped while it waited for a free place, so nothing of it happened";
        let settlement = Settlement::failed(Fault::new(ErrorCode::Cancelled, message));
        let inbox = self.inbox.clone();
        self.runtime
            .spawn(async move { send(&inbox, Msg::Settled { seq, settlement }).await });
    }
}

impl Effects {
    /// Interrupts the code of a command.
    pub(crate) fn interrupt(&self, seq: u64) {
        self.sessions.interrupt(seq);
    }

    /// A session is gone: its process ends.
    pub(crate) fn end_session(&self, key: &Key) {
        self.sessions.end(key);
    }
}

/// What stands in a record for arguments in a sealed blob. Whether they hold a probe and may be repeated is something
/// the kernel decides from, so it stands beside the name.
pub(crate) fn sealed(hash: &Hash, probe: bool, idempotent: bool) -> Json {
    let idempotent = if idempotent { r#","idempotent":true"# } else { "" };
    let probe = if probe { r#","probe":true"# } else { "" };
    Json::from_canonical(&format!(r#"{{"$blob":"{hash}"{idempotent}{probe}}}"#))
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

/// The probe of a command, which has all it needs in its own arguments. What is secret in the rest of the command
/// is taken out of what it writes, as far as it can be had.
fn prepare_probe(start: &Start, means: &Means) -> Result<Job, Fault> {
    if means.sandbox != Sandbox::None {
        // What ran in a cage is interrupted and never probed, so its command ran without one. In a cage the probe would
        // not see what it looks for, and would say that nothing happened.
        let message = "its command ran without a cage, and this daemon runs programs only in one";
        return Err(Fault::new(ErrorCode::SpawnFailed, message)
            .with_hint("start the daemon with `--sandbox none` to have it asked, or look for yourself"));
    }
    let payload = unsealed(&start.payload, &means.blobs)?;
    let mut probe = payload.get("probe").cloned().unwrap_or_default();
    if let (Value::Object(probe), Some(cwd)) = (&mut probe, payload.get("cwd")) {
        probe.entry("cwd").or_insert_with(|| cwd.clone());
    }
    if redact::is_lost(&probe) || (start.redacted && redact::may_be_lost(&probe)) {
        let message = "a secret given inline was lost when the daemon ended";
        return Err(Fault::new(ErrorCode::SecretUnavailable, message));
    }
    let (mut probe, mut secrets) = redact::resolve(&probe, &means.vault)?;
    secrets.extend(means.personal.open_all(&start.caller.tenant, &mut probe)?);
    if let Ok((mut payload, rest)) = redact::resolve(&payload, &means.vault) {
        secrets.extend(rest);
        secrets.extend(
            means
                .personal
                .open_all(&start.caller.tenant, &mut payload)
                .unwrap_or_default(),
        );
    }
    Job::from_payload(start.seq, start.effect, &probe, secrets)
}

/// The arguments of an effect with what memory kept of them, or as the record has them.
fn whole(start: &Start, originals: Option<Originals>, means: &Means) -> Result<(Value, Vec<Secret>), Fault> {
    if let Some(originals) = originals {
        return Ok((originals.payload.to_value(), originals.secrets));
    }
    let payload = unsealed(&start.payload, &means.blobs)?;
    let lost = match start.probe {
        // A probe has all it needs in its own arguments.
        true => payload.get("probe").is_some_and(redact::is_lost),
        false => start.redacted || redact::is_lost(&payload),
    };
    if lost {
        let message = "a secret given inline was lost when the daemon ended";
        return Err(Fault::new(ErrorCode::SecretUnavailable, message));
    }
    Ok((payload, Vec::new()))
}

/// The same with personal values. References to secrets stay references.
fn arguments(
    start: &Start,
    originals: Option<Originals>,
    means: &Means,
) -> Result<(Value, Vec<Secret>), Fault> {
    let (mut payload, mut secrets) = whole(start, originals, means)?;
    secrets.extend(means.personal.open_all(&start.caller.tenant, &mut payload)?);
    Ok((payload, secrets))
}

/// Whether the arguments of a command can be made without the disk.
pub(crate) fn is_in_memory(start: &Start) -> bool {
    let text = start.payload.as_str();
    !text.contains("$blob") && !text.contains("$redacted")
}

/// Makes the arguments of a command that is carried out in the runtime: off its threads where the disk is read for
/// them, and at once where they are in the record, which is what most commands have.
pub(crate) async fn made(
    start: &Start,
    make: impl FnOnce() -> Result<(Value, Vec<Secret>), Fault> + Send + 'static,
) -> Result<(Value, Vec<Secret>), Fault> {
    if is_in_memory(start) {
        return make();
    }
    match tokio::task::spawn_blocking(make).await {
        Ok(made) => made,
        Err(error) => Err(Fault::new(ErrorCode::Internal, error.to_string())),
    }
}

/// The program of a command. In a cage, references to secrets stay what they are, and there is nothing to call back.
fn prepare(
    start: &Start,
    originals: Option<Originals>,
    means: &Means,
    runtime: &tokio::runtime::Handle,
) -> Result<Job, Fault> {
    if means.sandbox != Sandbox::None {
        let (payload, secrets) = arguments(start, originals, means)?;
        return Job::from_payload(start.seq, start.effect, &payload, secrets);
    }
    // References first: a personal value that is spelt like one is no reference.
    let (payload, mut secrets) = whole(start, originals, means)?;
    let (mut payload, resolved) = redact::resolve(&payload, &means.vault)?;
    secrets.extend(resolved);
    secrets.extend(means.personal.open_all(&start.caller.tenant, &mut payload)?);
    let mut job = Job::from_payload(start.seq, start.effect, &payload, secrets)?;
    invite(&mut job, start, &means.calls, runtime)?;
    Ok(job)
}

/// Tells the program where and with what it may call back. A command that brings either itself means another daemon
/// or another caller, and its token must not go there.
fn invite(
    job: &mut Job,
    start: &Start,
    calls: &Calls,
    runtime: &tokio::runtime::Handle,
) -> Result<(), Fault> {
    if job.env.contains_key(calls::URL) || job.env.contains_key(calls::TOKEN) {
        return Ok(());
    }
    let Some(url) = runtime.block_on(calls.address()) else {
        return Ok(());
    };
    let invitation = calls.invite(start.seq, start.caller.clone(), url)?;
    job.env.insert(calls::URL.to_owned(), invitation.url);
    job.env.insert(calls::TOKEN.to_owned(), invitation.token.clone());
    job.secrets.push(Secret {
        class: Class::Secret,
        reference: calls::TOKEN.to_owned(),
        value: invitation.token,
    });
    Ok(())
}

async fn send(inbox: &WeakInbox, message: Msg) {
    if let Some(inbox) = inbox.upgrade() {
        let _ended = inbox.send(message).await;
    }
}

/// Turns what the door says into inputs and live output, until the door is gone.
pub(crate) async fn listen(
    mut door: mpsc::UnboundedReceiver<WorkEvent>,
    inbox: WeakInbox,
    shared: Arc<Shared>,
) {
    let mut kept: HashMap<(u64, &'static str), (u64, String)> = HashMap::new();
    while let Some(event) = door.recv().await {
        match event {
            WorkEvent::Output {
                seq,
                stream,
                offset,
                data,
                credit,
            } => {
                if is_probed(&shared, seq) {
                    // What a probe writes is no output of its command; it comes with the answer.
                    continue;
                }
                let stream = stream.as_str();
                let chunk = Chunk::Output {
                    stream,
                    offset,
                    data: data.clone(),
                };
                show(&shared, seq, chunk);
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
            WorkEvent::Shown { seq, shown } => show(&shared, seq, Chunk::Shown(shown)),
            WorkEvent::Settled { seq, settlement } => {
                crash::point("effect_settled");
                kept.remove(&(seq, "stdout"));
                kept.remove(&(seq, "stderr"));
                shared.calls.end(seq);
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

fn is_probed(shared: &Shared, seq: u64) -> bool {
    let published = shared.published.load();
    let row = published.state.command(seq);
    row.is_some_and(|row| matches!(&row.phase, Phase::Running(running) if running.is_probed()))
}

fn show(shared: &Shared, seq: u64, chunk: Chunk) {
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
        chunk,
    }));
}

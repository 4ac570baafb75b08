//! Opening: lock, keys, recovery, boot; then the engine's thread runs.

use super::clock::Clocks;
use super::crash;
use super::effects::{self, Effects, Means};
use super::handle::{Core, Counters, Published, Shared, WeakCore};
use super::history::{self, History};
use super::inbox::{Inbox, WeakInbox};
use super::keys::DataKeys;
use super::mail::Mail;
use super::rate::Rates;
use super::snapshots::Snapshots;
use super::thread::{EngineThread, Msg};
use super::ticker::Ticker;
use super::{CoreOptions, random_bytes};
use crate::access::calls::Calls;
use crate::cage::Cages;
use crate::door::{Door, DoorOptions};
use crate::output::{Sink, WorkEvent};
use crate::personal::Personal;
use crate::providers::Providers;
use crate::redact::{Rules, Vault};
use crate::sessions::{Sessions, Starter};
use actum_engine::{Clock, Engine, Recovery, summary};
use actum_journal::{
    AppendError, Durability, FileError, FileStorage, OpenError, Opened, Options, RealmId, Storage,
};
use actum_kernel::State;
use actum_model::event::Event;
use actum_model::input::Boot;
use actum_model::restore::Phase;
use actum_model::{ErrorCode, Fault, Hash, Input, contract, limits};
use actum_provider::Grants;
use arc_swap::ArcSwap;
use serde_json::Value;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{broadcast, mpsc, watch};

/// Why a data directory could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.message)]
pub struct OpenFault(pub Fault);

impl OpenFault {
    fn new(code: ErrorCode, error: &dyn std::error::Error) -> OpenFault {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message = format!("{message}: {cause}");
            source = cause.source();
        }
        OpenFault(Fault::new(code, message))
    }
}

impl From<FileError> for OpenFault {
    fn from(error: FileError) -> OpenFault {
        let code = match &error {
            FileError::Locked { .. } => ErrorCode::JournalLocked,
            _ => ErrorCode::DataMissing,
        };
        OpenFault::new(code, &error)
    }
}

impl From<OpenError> for OpenFault {
    fn from(error: OpenError) -> OpenFault {
        let code = match &error {
            OpenError::Damaged { .. } | OpenError::Missing { .. } => ErrorCode::JournalDamaged,
            OpenError::Header { .. } | OpenError::Refused { .. } => ErrorCode::JournalUnsupported,
            _ => ErrorCode::JournalPoisoned,
        };
        OpenFault::new(code, &error)
    }
}

impl From<std::io::Error> for OpenFault {
    fn from(error: std::io::Error) -> OpenFault {
        OpenFault::new(ErrorCode::DataMissing, &error)
    }
}

impl From<AppendError> for OpenFault {
    fn from(error: AppendError) -> OpenFault {
        OpenFault::new(ErrorCode::JournalPoisoned, &error)
    }
}

/// Opens a data directory and starts the core in the current tokio runtime. Blocks while it recovers.
///
/// # Errors
/// `JOURNAL_LOCKED`, `JOURNAL_DAMAGED`, `JOURNAL_UNSUPPORTED`, `DATA_MISSING` or `JOURNAL_POISONED`.
pub fn open(options: &CoreOptions) -> Result<Core, OpenFault> {
    let clocks = Clocks::start();
    let runtime =
        tokio::runtime::Handle::try_current().map_err(|error| OpenFault::new(ErrorCode::Internal, &error))?;
    let files = FileStorage::open(&options.data)?;
    let storage: Arc<dyn Storage> = if crash::is_armed() {
        Arc::new(crash::CrashStorage(files))
    } else {
        Arc::new(files)
    };
    let keys = DataKeys::open(&options.data)?;
    let journal_options = Options {
        segment_bytes: options.segment_bytes,
        durability: options.durability,
        realm: Some(RealmId(keys.realm)),
        decode_threads: 1,
    };
    let mut recovery = Recovery::new();
    let opened = actum_journal::open(Arc::clone(&storage), &journal_options, &mut recovery)?;
    let state = recovery.finish().state;
    let (inbox, messages, desk) = Inbox::new(limits::INPUT_QUEUE_MAX);
    let rules = Arc::new(rules(options).map_err(OpenFault)?);
    let personal = Personal::new(&options.data, keys.clone(), opened.blobs.clone());
    finish_erasures(&personal, &state, &opened)?;
    let (sink, work_events) = sink(&options.data, &opened, &rules)?;
    let door = Door::new(sink.clone(), DoorOptions::default())?;
    sweep(&runtime, &door, &state);
    let shared = Arc::new(shared(
        options,
        Kept {
            keys,
            personal: personal.clone(),
            rules,
        },
        clocks,
        &opened,
        &state,
    ));
    let weak = inbox.downgrade();
    runtime.spawn(effects::listen(work_events, weak.clone(), Arc::clone(&shared)));
    let (relaxed, to_sync) = mpsc::channel(1);
    runtime.spawn(sync_what_is_relaxed(
        to_sync,
        weak.clone(),
        options.sync_interval_ms,
    ));
    runtime.spawn(history::follow(Arc::downgrade(&shared)));
    let _warming = super::warm::start(shared.published.load_full());
    let vault = Vault::new(options.data.join("secrets"));
    let grants = Arc::new(grants(options)?);
    let cages = Cages::new(
        options.config.sandbox,
        std::fs::canonicalize(&options.data)?,
        Arc::clone(&grants),
    );
    let weak_core = WeakCore {
        inbox: weak.clone(),
        shared: Arc::downgrade(&shared),
    };
    cages.places.sweep(&state);
    let starter = Starter::new(cages.clone(), options.data.join("spool"))?;
    let sessions = Sessions::new(runtime.clone(), sink.clone(), weak_core, starter);
    let _first = shared.sessions.set(sessions.clone());
    let _first = shared.door.set(door.clone());
    let providers = Providers::new(runtime.clone(), sink, grants, vault.clone()).map_err(OpenFault)?;
    let means = Means {
        vault,
        blobs: opened.blobs,
        personal,
        calls: shared.calls.clone(),
        sandbox: options.config.sandbox,
    };
    let core = Core {
        inbox,
        shared: Arc::clone(&shared),
    };
    let elapsed_base = state.elapsed;
    let last_idx = opened.report.snapshot.map_or(0, |idx| idx + 1);
    let mut thread = EngineThread {
        clock: Clock::resume(state.at, state.elapsed, clocks.wall_ms(), clocks.monotonic_ms()),
        engine: Engine::new(state, opened.stager),
        writer: opened.writer,
        shared: Arc::clone(&shared),
        effects: Effects::new(
            (door, sessions, providers),
            cages,
            means,
            weak.clone(),
            runtime.clone(),
        ),
        snapshots: Snapshots {
            keeper: opened.keeper,
            tree: opened.tree,
            every_records: options.snapshot_every_records,
            compact: options.compact,
            last_idx,
            busy: Arc::default(),
            inbox: weak.clone(),
        },
        mail: Mail::start(&runtime),
        ticker: Ticker::start(&runtime, weak, clocks, elapsed_base),
        runtime,
        dispatches: Vec::new(),
        relaxed,
        last: (0, Duration::ZERO),
        failed: None,
    };
    let events = boot(&mut thread, options).map_err(OpenFault)?;
    if opened.report.leaves_beyond_head > 0 {
        tracing::error!(
            records = opened.report.leaves_beyond_head,
            "the journal ends before records that were acknowledged; run `actum verify` on a copy of the data"
        );
    }
    let took = clocks.monotonic_ms();
    let found = summary(&opened.report, thread.engine.ahead(), &events, took);
    thread.shared.recovery.store(Arc::new(found.0));
    desk.seat(thread);
    std::thread::Builder::new()
        .name("engine".into())
        .spawn(move || super::thread::run(messages, &desk, &shared))?;
    Ok(core)
}

/// What is granted, with the data directory out of reach.
fn grants(options: &CoreOptions) -> Result<Grants, OpenFault> {
    let mut grants = options.grants.clone();
    grants.hidden.push(std::fs::canonicalize(&options.data)?);
    // What a killed daemon left half written was never seen by anybody.
    let swept = actum_provider::file::sweep(&grants);
    tracing::debug!(?swept, "looked for files of the run before");
    Ok(grants)
}

fn rules(options: &CoreOptions) -> Result<Rules, Fault> {
    match &options.classes {
        Some(path) => Rules::read(path),
        None => Rules::of(&options.data),
    }
}

/// Destroys keys whose erasure is on record and that are still there: the daemon died in between, or the key was
/// put back from a copy. Kept outcomes name them, and of a batch that was never released so do the last records.
fn finish_erasures(personal: &Personal, state: &State, opened: &Opened) -> Result<(), OpenFault> {
    if !personal.has_keys() {
        return Ok(());
    }
    let outcomes = state.outcomes.values();
    let kept = outcomes.filter(|row| row.identity.kind.as_str() == "subject.erase");
    for data in kept.filter_map(|row| row.data.as_ref()) {
        personal.erase(data)?;
    }
    let Some((head, _)) = opened.report.head else {
        return Ok(());
    };
    let from = head
        .saturating_sub(2 * limits::BATCH_INPUTS_MAX as u64)
        .max(opened.reader.first_idx());
    for record in opened.reader.records(from, Some(head)) {
        let record = record.map_err(|error| OpenFault::new(ErrorCode::JournalDamaged, &error))?;
        for data in record.events.iter().filter_map(super::thread::erased) {
            personal.erase(data)?;
        }
    }
    Ok(())
}

/// Where what commands write goes, and what is told of it.
fn sink(
    data: &Path,
    opened: &Opened,
    rules: &Arc<Rules>,
) -> Result<(Sink, mpsc::UnboundedReceiver<WorkEvent>), OpenFault> {
    let spool = data.join("spool");
    // What a killed daemon left in the spool was never part of the history.
    if spool.exists() {
        std::fs::remove_dir_all(&spool)?;
    }
    std::fs::DirBuilder::new().mode(0o700).create(&spool)?;
    let (events, receiver) = mpsc::unbounded_channel();
    let blobs = opened.blobs.clone();
    let seal = Arc::new(move |bytes: &[u8]| blobs.put(bytes).map_err(|error| error.to_string()));
    Ok((Sink::new(events, seal, spool, Arc::clone(rules)), receiver))
}

/// Ends processes that a killed daemon left behind, before their commands are classified.
fn sweep(runtime: &tokio::runtime::Handle, door: &Door, state: &State) {
    let left: Vec<Hash> = state
        .commands
        .values()
        .filter_map(|row| match &row.phase {
            Phase::Running(running) if running.dispatching => Some(running.effect),
            _ => None,
        })
        .collect();
    if left.is_empty() {
        return;
    }
    let door = door.clone();
    let grace = Duration::from_millis(limits::STOP_GRACE_MS);
    let (done, swept) = std::sync::mpsc::channel();
    runtime.spawn(async move {
        let _gone = done.send(door.sweep(&left, grace).await);
    });
    // On a current-thread runtime nobody would run the task while this thread waits.
    if let Ok(found) = swept.recv_timeout(Duration::from_secs(10)) {
        tracing::debug!(?found, "looked for processes of the run before");
    }
}

/// What stays secret and what decides about it.
struct Kept {
    keys: DataKeys,
    personal: Personal,
    rules: Arc<Rules>,
}

fn shared(options: &CoreOptions, kept: Kept, clocks: Clocks, opened: &Opened, state: &State) -> Shared {
    let published = Published {
        state: state.clone(),
        head: state.next_idx,
    };
    let Kept {
        keys,
        personal,
        rules,
    } = kept;
    let history = History::new(&options.data, opened.reader.clone(), Arc::clone(&rules));
    Shared {
        keys,
        personal,
        rules,
        rates: Rates::new(options.rate_per_second, options.rate_burst),
        replay_rates: Rates::new(limits::REPLAY_RATE_PER_SECOND, limits::REPLAY_BURST),
        clocks,
        head: watch::Sender::new(published.head),
        published: ArcSwap::from_pointee(published),
        live: broadcast::Sender::new(limits::LIVE_EVENTS_QUEUED_MAX),
        output: broadcast::Sender::new(limits::LIVE_EVENTS_QUEUED_MAX),
        draining: watch::Sender::new(false),
        fatal: watch::Sender::new(None),
        recovery: ArcSwap::from_pointee(Value::Null),
        reader: opened.reader.clone(),
        blobs: opened.blobs.clone(),
        history,
        realm: opened.realm.to_string(),
        sandbox: options.config.sandbox,
        sessions: std::sync::OnceLock::new(),
        door: std::sync::OnceLock::new(),
        calls: Calls::new(options.listens),
        durability: match options.durability {
            Durability::Strict => "strict",
            Durability::Batched => "batched",
        },
        counters: Counters::default(),
    }
}

/// Decides the boot, classifies everything and makes it durable. Gives the boot's events.
fn boot(thread: &mut EngineThread, options: &CoreOptions) -> Result<Vec<Event>, Fault> {
    let ahead = thread.engine.ahead();
    let first = ahead.term == 0;
    let random = || random_bytes::<16>().map_err(|error| Fault::new(ErrorCode::Internal, error.to_string()));
    let incarnation = if first { random()? } else { ahead.incarnation };
    let realm = thread.shared.keys.realm;
    let boot = Boot {
        realm: realm.to_vec(),
        incarnation: incarnation.to_vec(),
        node: node(),
        build: env!("CARGO_PKG_VERSION").to_owned(),
        contracts: contract::table_hash(),
        classes: thread.shared.rules.hash(),
        config: options.config.clone(),
    };
    thread.writer.set_term(ahead.term + 1);
    thread.boot(Input::Boot(boot))
}

fn node() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Makes durable what was released relaxed, at most so long after it.
async fn sync_what_is_relaxed(mut relaxed: mpsc::Receiver<()>, inbox: WeakInbox, interval_ms: u64) {
    while relaxed.recv().await.is_some() {
        tokio::time::sleep(Duration::from_millis(interval_ms.max(1))).await;
        let Some(inbox) = inbox.upgrade() else { return };
        if inbox.post(Msg::Sync).await.is_err() {
            return;
        }
    }
}

impl EngineThread {
    /// Takes the history up: boot and the classification of everything that was running, before any other
    /// input. Gives the events of these records.
    fn boot(&mut self, input: Input) -> Result<Vec<Event>, Fault> {
        let (at, elapsed) = self.now();
        self.decide(at, elapsed, input, None)?;
        let of = |records: super::thread::Records| records.into_iter().flat_map(|(_, events)| events);
        let mut events: Vec<Event> = of(self.commit()?).collect();
        while self.engine.ahead().has_more() {
            let before = self.engine.ahead().next_idx;
            self.engine
                .go_on(at, elapsed)
                .map_err(|error| Fault::new(ErrorCode::Internal, error.to_string()))?;
            events.extend(of(self.commit()?));
            if self.engine.ahead().next_idx == before {
                break;
            }
        }
        Ok(events)
    }
}

//! One live session: its worker's events on their way to the commands they belong to.
//!
//! One task reads the events in order. While output waits for somebody to take it, the task waits, and with it the
//! worker that writes: nothing is kept without bound.

use super::{Inner, Key, Owed, calls, outcome, pool};
use crate::core::Msg;
use crate::output::{Capture, Shown, Stream, WorkEvent};
use crate::redact::OutputGuard;
use actum_model::hash::Hash;
use actum_model::ids::SessionId;
use actum_model::worker::{WorkerChange, WorkerNews};
use actum_model::{Caller, Json, Settlement};
use actum_worker::protocol;
use actum_worker::session::{EndReason, Ending, Event, Events, Heartbeat, Outcome, Session};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::{Instant, sleep_until};

/// Bundles of one execution that are kept with its result; later ones are live only.
const DISPLAYS_KEPT_MAX: usize = 64;
/// Bytes of these bundles.
const DISPLAY_BYTES_KEPT_MAX: usize = 64 * 1024;

/// A session whose process lives.
pub(super) struct Live {
    pub(super) session: Session,
    /// Which process it is.
    pub(super) incarnation: Hash,
    /// The session's generation.
    pub(super) generation: u64,
    executions: Mutex<BTreeMap<String, Execution>>,
    heartbeat: Mutex<Option<Heartbeat>>,
    /// Its place in the pool, given back with it.
    #[expect(dead_code, reason = "held for its drop")]
    place: Option<pool::Place>,
}

/// Code that runs, as its worker's events find it.
pub(super) struct Execution {
    caller: Caller,
    guard: OutputGuard,
    stdout: Capture,
    stderr: Capture,
    displays: Vec<Value>,
    display_bytes: usize,
    /// Bundles that were shown and not kept.
    displays_dropped: u64,
    /// Calls made and lines asked for so far.
    asked: BTreeMap<String, u64>,
    /// The cage, where the process was started for this.
    sandbox: Option<Value>,
    owed: Owed,
}

impl Execution {
    pub(super) fn new(caller: Caller, guard: OutputGuard, sandbox: Option<Value>, owed: Owed) -> Execution {
        let capture = |stream| Capture::new(owed.inner().sink.clone(), owed.seq(), stream, guard.clone());
        Execution {
            caller,
            stdout: capture(Stream::Stdout),
            stderr: capture(Stream::Stderr),
            guard,
            displays: Vec::new(),
            display_bytes: 0,
            displays_dropped: 0,
            asked: BTreeMap::new(),
            sandbox,
            owed,
        }
    }

    /// Settles its command by how it ended.
    async fn end(self, outcome: Outcome) {
        let ended = outcome::Ended {
            outcome,
            stdout: self.stdout.finish(pending()).await,
            stderr: self.stderr.finish(pending()).await,
            displays: self.displays,
            displays_dropped: self.displays_dropped,
            sandbox: self.sandbox,
        };
        let inner = self.owed.inner();
        let by_stop = inner.stopped(self.owed.seq()).is_some();
        let settlement = outcome::settle(&inner.sink, ended, &self.guard, by_stop).await;
        self.owed.pay(settlement);
    }
}

impl Live {
    pub(super) fn new(
        session: Session,
        incarnation: Hash,
        generation: u64,
        place: Option<pool::Place>,
    ) -> Live {
        Live {
            session,
            incarnation,
            generation,
            executions: Mutex::default(),
            heartbeat: Mutex::default(),
            place,
        }
    }

    /// Makes a place for the events of an execution, before the worker hears of it.
    pub(super) fn begin(&self, id: String, execution: Execution) {
        self.executions().insert(id, execution);
    }

    /// The worker did not take an execution: its command is settled so, unless it was already.
    pub(super) fn give_up(&self, id: &str, settlement: Settlement) {
        let found = self.executions().remove(id);
        if let Some(execution) = found {
            execution.owed.pay(settlement);
        }
    }

    fn executions(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Execution>> {
        self.executions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn describe(&self, session: &SessionId) -> Value {
        let heartbeat = *self.heartbeat.lock().unwrap_or_else(PoisonError::into_inner);
        let beat = heartbeat.unwrap_or_default();
        json!({"sessionId": session.as_str(), "generation": self.generation,
            "pid": self.session.pid(), "worker": self.session.worker().worker, "residentBytes": beat.rss_bytes,
            "names": beat.names})
    }
}

/// Reads the events of a session until it is over.
pub(super) async fn read(inner: Arc<Inner>, key: Key, live: Arc<Live>, mut events: Events) {
    // The execution whose events come now is held outside the map, so that waiting for room blocks nobody.
    let mut current: Option<(String, Execution)> = None;
    loop {
        let due = current.as_ref().and_then(|(_, running)| {
            [running.stdout.due(), running.stderr.due()]
                .into_iter()
                .flatten()
                .min()
        });
        let event = tokio::select! {
            biased;
            event = events.next() => event,
            () = until(due) => {
                if let Some((_, running)) = &mut current {
                    flush(running).await;
                }
                continue;
            }
        };
        match event {
            None => break,
            Some(Event::Ended { reason }) => {
                tell_ended(&inner, &key, &live, &reason).await;
            }
            Some(Event::Heartbeat(beat)) => {
                *live.heartbeat.lock().unwrap_or_else(PoisonError::into_inner) = Some(beat);
            }
            Some(Event::Finished(outcome)) => finish(&inner, &key, &live, &mut current, outcome).await,
            Some(other) => {
                let Some(id) = execution_of(&other) else { continue };
                if current.as_ref().is_none_or(|(now, _)| *now != id) {
                    put_back(&live, current.take());
                    let found = live.executions().remove(&id);
                    current = found.map(|execution| (id.clone(), execution));
                }
                if let Some((_, running)) = &mut current {
                    take(&inner, &key.1, &live, &id, running, other).await;
                }
            }
        }
    }
    put_back(&live, current.take());
    // Nobody answers any more. What is still there is settled as lost when it is dropped, after the lock.
    let _left = std::mem::take(&mut *live.executions());
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => pending().await,
    }
}

fn put_back(live: &Live, current: Option<(String, Execution)>) {
    if let Some((id, execution)) = current {
        live.executions().insert(id, execution);
    }
}

async fn flush(running: &mut Execution) {
    running.stdout.flush(pending()).await;
    running.stderr.flush(pending()).await;
}

/// The execution an event belongs to.
fn execution_of(event: &Event) -> Option<String> {
    match event {
        Event::Output { execution, .. }
        | Event::Display { execution, .. }
        | Event::Progress { execution, .. }
        | Event::InputRequest { execution, .. } => Some(execution.clone()),
        Event::CapabilityRequest(request) => Some(request.execution.clone()),
        Event::Acknowledged { .. }
        | Event::StreamOpen(_)
        | Event::StreamData { .. }
        | Event::StreamClose { .. }
        | Event::Finished(_)
        | Event::Heartbeat(_)
        | Event::Ended { .. } => None,
    }
}

async fn take(
    inner: &Arc<Inner>,
    session: &SessionId,
    live: &Arc<Live>,
    id: &str,
    running: &mut Execution,
    event: Event,
) {
    let from = |running: &Execution| calls::From {
        id: id.to_owned(),
        caller: running.caller.clone(),
        session: session.clone(),
    };
    match event {
        Event::Output { stream, data, .. } => {
            let capture = match stream {
                protocol::Stream::Stderr => &mut running.stderr,
                protocol::Stream::Stdout | protocol::Stream::Display => &mut running.stdout,
            };
            capture.take(&data, pending()).await;
        }
        Event::Display { data, .. } => {
            // What was written before it is told before it.
            flush(running).await;
            let bundle = running.guard.value(outcome::bundle(&data));
            let bytes = bundle.to_string().len();
            if running.displays.len() < DISPLAYS_KEPT_MAX
                && running.display_bytes + bytes <= DISPLAY_BYTES_KEPT_MAX
            {
                running.display_bytes += bytes;
                running.displays.push(bundle.clone());
            } else {
                running.displays_dropped += 1;
            }
            inner.sink.tell(WorkEvent::Shown {
                seq: running.owed.seq(),
                shown: Shown::Display(bundle),
            });
        }
        Event::Progress {
            step, total, text, ..
        } => {
            let text = text.map(|text| running.guard.text(&text));
            inner.sink.tell(WorkEvent::Shown {
                seq: running.owed.seq(),
                shown: Shown::Progress(json!({"step": step, "total": total, "text": text})),
            });
        }
        Event::InputRequest {
            id: request,
            prompt,
            deadline_ms,
            ..
        } => {
            flush(running).await;
            let number = running.asked.entry("input".to_owned()).or_default();
            *number += 1;
            let ask = calls::Input {
                request,
                number: *number,
                prompt: running.guard.text(&prompt),
                deadline_ms,
            };
            let (inner, live) = (Arc::clone(inner), Arc::clone(live));
            let runtime = inner.runtime.clone();
            runtime.spawn(calls::input(inner, live, from(running), ask));
        }
        Event::CapabilityRequest(request) => {
            let number = running.asked.entry(request.capability.clone()).or_default();
            *number += 1;
            let (inner, live, number) = (Arc::clone(inner), Arc::clone(live), *number);
            let runtime = inner.runtime.clone();
            runtime.spawn(calls::capability(inner, live, from(running), request, number));
        }
        _ => {}
    }
}

async fn finish(
    inner: &Arc<Inner>,
    key: &Key,
    live: &Arc<Live>,
    current: &mut Option<(String, Execution)>,
    outcome: Outcome,
) {
    if current.as_ref().is_none_or(|(id, _)| *id != outcome.execution) {
        put_back(live, current.take());
    }
    let running = match current.take() {
        Some((_, running)) => Some(running),
        None => live.executions().remove(&outcome.execution),
    };
    // The session is told to be lost before its command ends, so that nothing is started in between.
    if !outcome.session_kept
        && let Ending::Lost(reason) = &outcome.ending
    {
        tell_ended(inner, key, live, reason).await;
    }
    if let Some(running) = running {
        running.end(outcome).await;
    }
}

/// Tells the kernel that the process is gone, once, and forgets it.
pub(super) async fn tell_ended(inner: &Arc<Inner>, key: &Key, live: &Arc<Live>, reason: &EndReason) {
    let known = {
        let mut all = inner.live();
        match all.get(key) {
            Some(now) if now.incarnation == live.incarnation => all.remove(key).is_some(),
            _ => false,
        }
    };
    if known {
        let reason = reason.to_string();
        news(inner, key, live, WorkerChange::Ended { reason }).await;
    }
}

/// Tells the kernel that the process was started, in this cage.
pub(super) async fn tell_started(inner: &Inner, key: &Key, live: &Live, sandbox: &Value) {
    let sandbox = Json::from_value(sandbox).unwrap_or_default();
    news(inner, key, live, WorkerChange::Started { sandbox }).await;
}

async fn news(inner: &Inner, key: &Key, live: &Live, change: WorkerChange) {
    let news = WorkerNews {
        tenant: key.0.clone(),
        session: key.1.clone(),
        generation: live.generation,
        incarnation: live.incarnation,
        change,
    };
    inner.core.send(Msg::Worker(Box::new(news))).await;
}

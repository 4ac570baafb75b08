//! What is open in a session, and whether a message of the worker may come now. No socket, no clock.

use super::event::{Cost, Event, Heartbeat};
use super::outcome::{Ending, Outcome, SessionError};
use crate::limits::{FRAME_COST_BYTES, ID_BYTES_MAX, OPEN_REQUESTS_MAX, QUEUE_MAX};
use crate::protocol::{Checkpoint, Failure, FromWorker, ProtocolError, Restored, Stream, Success};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The answer to a checkpoint or a restore.
#[derive(Debug)]
pub(super) enum Reply {
    /// A checkpoint was made.
    Checkpoint(Checkpoint),
    /// One was loaded.
    Restored(Restored),
    /// It could not be done.
    Failed(Failure),
}

/// What follows from a message.
#[derive(Debug)]
pub(super) enum Step {
    /// Tell it.
    Tell(Event, Cost),
    /// Hand the answer to whoever asked under this id.
    Answer(String, Reply),
    /// Grant the worker's side of a channel; nothing to tell.
    Nothing,
    /// The worker named a fault of its own.
    Fault {
        /// Its code.
        code: String,
        /// Its words.
        message: String,
    },
}

#[derive(Debug)]
struct Request {
    id: String,
    kind: Kind,
    acknowledged: bool,
    cancelled: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Execution,
    Checkpoint,
    Restore,
}

/// The requests of a session in the order in which the worker serves them, and the windows of its streams.
#[derive(Debug)]
pub(super) struct Book {
    requests: VecDeque<Request>,
    next_seq: [u64; 2],
    windows: [i64; 3],
    inputs: BTreeSet<String>,
    capabilities: BTreeSet<String>,
    channels: BTreeMap<String, u64>,
}

impl Book {
    pub(super) fn new(windows: &BTreeMap<Stream, u64>) -> Book {
        let window = |stream| {
            windows
                .get(&stream)
                .map_or(0, |bytes| i64::try_from(*bytes).unwrap_or(i64::MAX))
        };
        Book {
            requests: VecDeque::new(),
            next_seq: [0; 2],
            windows: [
                window(Stream::Stdout),
                window(Stream::Stderr),
                window(Stream::Display),
            ],
            inputs: BTreeSet::new(),
            capabilities: BTreeSet::new(),
            channels: BTreeMap::new(),
        }
    }

    // -- what this side asks

    pub(super) fn add_execution(&mut self, id: &str) -> Result<(), SessionError> {
        self.add(id, Kind::Execution)
    }

    pub(super) fn add_request(&mut self, id: &str, restore: bool) -> Result<(), SessionError> {
        self.add(id, if restore { Kind::Restore } else { Kind::Checkpoint })
    }

    fn add(&mut self, id: &str, kind: Kind) -> Result<(), SessionError> {
        if id.is_empty() || id.len() > ID_BYTES_MAX || self.requests.iter().any(|request| request.id == id) {
            return Err(SessionError::Id(id.chars().take(100).collect()));
        }
        if self.requests.len() >= QUEUE_MAX {
            return Err(SessionError::QueueFull);
        }
        self.requests.push_back(Request {
            id: id.to_owned(),
            kind,
            acknowledged: false,
            cancelled: false,
        });
        Ok(())
    }

    /// Marks a request as cancelled; whether it is there to be. A checkpoint or a restore runs code of the user's too,
    /// so it must not be without an end.
    pub(super) fn cancel(&mut self, id: &str) -> bool {
        let found = self.requests.iter_mut().find(|request| request.id == id);
        found.is_some_and(|request| {
            request.cancelled = true;
            true
        })
    }

    /// Whether the worker is at it now.
    pub(super) fn is_served(&self, id: &str) -> bool {
        self.requests.front().is_some_and(|front| front.id == id)
    }

    pub(super) fn is_open(&self, id: &str) -> bool {
        self.requests.iter().any(|request| request.id == id)
    }

    pub(super) fn grant(&mut self, stream: Stream, bytes: u64) {
        if let Some(window) = self.windows.get_mut(stream as usize) {
            *window = window.saturating_add_unsigned(bytes);
        }
    }

    /// Whether this input or capability request is open; it no longer is.
    pub(super) fn answer_input(&mut self, id: &str) -> bool {
        self.inputs.remove(id)
    }

    pub(super) fn answer_capability(&mut self, id: &str) -> bool {
        self.capabilities.remove(id)
    }

    /// The execution that output of a stream belongs to when it is found after the worker's end, and its number there.
    /// Code that lets nothing else run may have kept its acknowledgement back as well.
    pub(super) fn remains(&self, stream: Stream) -> Option<(String, u64)> {
        let front = self.requests.front()?;
        let seq = *self.next_seq.get(stream as usize)?;
        (front.kind == Kind::Execution).then(|| (front.id.clone(), seq))
    }

    /// Executions that have no outcome.
    pub(super) fn open_executions(&mut self) -> Vec<String> {
        let executions = self
            .requests
            .drain(..)
            .filter(|request| request.kind == Kind::Execution);
        executions.map(|request| request.id).collect()
    }

    // -- what the worker says

    /// Takes a message whose frame was `size` bytes long.
    pub(super) fn take(&mut self, message: FromWorker, size: u64) -> Result<Step, ProtocolError> {
        let kept = Cost::Kept(size + FRAME_COST_BYTES);
        match message {
            FromWorker::Hello(_) | FromWorker::Ready { .. } => Err(out_of_place("a second introduction")),
            FromWorker::Ack { of } => self.acknowledge(of, kept),
            FromWorker::Output {
                id,
                stream,
                seq,
                data,
            } => self.output(id, stream, seq, data),
            FromWorker::Display { id, data } => {
                self.expect_running(&id, "`display`")?;
                self.spend(Stream::Display, size + FRAME_COST_BYTES, 1)?;
                let cost = Cost::Window(Stream::Display, size + FRAME_COST_BYTES);
                Ok(Step::Tell(Event::Display { execution: id, data }, cost))
            }
            FromWorker::Progress {
                id,
                step,
                total,
                text,
            } => {
                self.expect_running(&id, "`progress`")?;
                let event = Event::Progress {
                    execution: id,
                    step,
                    total,
                    text,
                };
                Ok(Step::Tell(event, Cost::Loose))
            }
            FromWorker::Result(success) => self.succeeded(success, kept),
            FromWorker::Error(failure) => self.failed(failure, kept),
            FromWorker::CheckpointData(checkpoint) => {
                self.close_request(&checkpoint.id, Kind::Checkpoint)?;
                Ok(Step::Answer(checkpoint.id.clone(), Reply::Checkpoint(checkpoint)))
            }
            FromWorker::Restored(restored) => {
                self.close_request(&restored.id, Kind::Restore)?;
                Ok(Step::Answer(restored.id.clone(), Reply::Restored(restored)))
            }
            FromWorker::Heartbeat {
                rss,
                cpu,
                names,
                stray,
            } => {
                let beat = Heartbeat {
                    rss_bytes: rss,
                    cpu,
                    names,
                    stray_bytes: stray,
                };
                Ok(Step::Tell(Event::Heartbeat(beat), Cost::Heartbeat))
            }
            FromWorker::Fault { code, message } => Ok(Step::Fault { code, message }),
            other => self.take_request(other, kept),
        }
    }

    fn take_request(&mut self, message: FromWorker, kept: Cost) -> Result<Step, ProtocolError> {
        match message {
            FromWorker::InputRequest {
                id,
                execution,
                prompt,
                deadline_ms,
            } => {
                self.expect_running(&execution, "`input_request`")?;
                open(&mut self.inputs, &id)?;
                let event = Event::InputRequest {
                    id,
                    execution,
                    prompt,
                    deadline_ms,
                };
                Ok(Step::Tell(event, kept))
            }
            FromWorker::CapabilityRequest(request) => {
                self.expect_running(&request.execution, "`capability_request`")?;
                open(&mut self.capabilities, &request.id)?;
                Ok(Step::Tell(Event::CapabilityRequest(request), kept))
            }
            FromWorker::StreamOpen(request) => {
                self.expect_running(&request.execution, "`stream_open`")?;
                if self.channels.len() >= OPEN_REQUESTS_MAX || self.channels.contains_key(&request.id) {
                    return Err(out_of_place("one channel too many, or one opened twice"));
                }
                self.channels.insert(request.id.clone(), 0);
                Ok(Step::Tell(Event::StreamOpen(request), kept))
            }
            FromWorker::StreamData { id, seq, data } => {
                let expected = self.channels.get_mut(&id).filter(|next| **next == seq);
                let next = expected
                    .ok_or_else(|| out_of_place("data of a channel that is closed, or out of order"))?;
                *next += 1;
                Ok(Step::Tell(Event::StreamData { id, seq, data }, kept))
            }
            FromWorker::StreamClose { id, reason } => {
                self.channels
                    .remove(&id)
                    .ok_or_else(|| out_of_place("the close of a channel that is not open"))?;
                Ok(Step::Tell(Event::StreamClose { id, reason }, kept))
            }
            _ => Ok(Step::Nothing),
        }
    }

    fn acknowledge(&mut self, of: String, kept: Cost) -> Result<Step, ProtocolError> {
        let request = self
            .requests
            .iter_mut()
            .find(|request| request.id == of && !request.acknowledged);
        match request {
            Some(request) => {
                request.acknowledged = true;
                Ok(Step::Tell(Event::Acknowledged { of }, kept))
            }
            None => Err(out_of_place(&format!(
                "`ack` of `{}`, which is not waited for",
                shown(&of)
            ))),
        }
    }

    fn output(
        &mut self,
        id: String,
        stream: Stream,
        seq: u64,
        data: bytes::Bytes,
    ) -> Result<Step, ProtocolError> {
        self.expect_running(&id, "`output`")?;
        let Some(next) = self.next_seq.get_mut(stream as usize) else {
            return Err(out_of_place("`output` of a stream that is shown, not written"));
        };
        if *next != seq {
            return Err(out_of_place(&format!(
                "`output` {seq} of `{}`, expected {next}",
                shown(&id)
            )));
        }
        *next += 1;
        let cost = data.len() as u64 + FRAME_COST_BYTES;
        self.spend(stream, cost, i64::try_from(cost).unwrap_or(i64::MAX))?;
        let event = Event::Output {
            execution: id,
            stream,
            seq,
            data,
        };
        Ok(Step::Tell(event, Cost::Window(stream, cost)))
    }

    /// Takes `cost` from a window that must hold at least `needed`.
    fn spend(&mut self, stream: Stream, cost: u64, needed: i64) -> Result<(), ProtocolError> {
        match self.windows.get_mut(stream as usize) {
            Some(window) if *window >= needed => {
                *window = window.saturating_sub_unsigned(cost);
                Ok(())
            }
            _ => Err(out_of_place(&format!("more of {stream:?} than its credit"))),
        }
    }

    fn expect_running(&self, id: &str, what: &str) -> Result<(), ProtocolError> {
        match self.requests.front() {
            Some(front) if front.id == id && front.kind == Kind::Execution && front.acknowledged => Ok(()),
            Some(front) => Err(out_of_place(&format!(
                "{what} of `{}` while `{}` is served",
                shown(id),
                shown(&front.id)
            ))),
            None => Err(out_of_place(&format!(
                "{what} of `{}` while nothing runs",
                shown(id)
            ))),
        }
    }

    fn succeeded(&mut self, success: Success, kept: Cost) -> Result<Step, ProtocolError> {
        self.expect_running(&success.id, "`result`")?;
        self.next();
        Ok(finished(success.id.clone(), Ending::Succeeded(success), kept))
    }

    fn failed(&mut self, failure: Failure, kept: Cost) -> Result<Step, ProtocolError> {
        let place = self.requests.iter().position(|request| request.id == failure.id);
        let found = place.and_then(|place| self.requests.get(place));
        match found {
            Some(request) if request.kind != Kind::Execution => {
                self.close_request(&failure.id, request.kind)?;
                Ok(Step::Answer(failure.id.clone(), Reply::Failed(failure)))
            }
            // One that waits in the queue may be taken out of it; nothing else comes out of turn.
            Some(request) if place != Some(0) && request.cancelled && failure.code == "CANCELLED" => {
                self.requests.retain(|request| request.id != failure.id);
                Ok(finished(failure.id.clone(), Ending::Failed(failure), kept))
            }
            _ => {
                self.expect_running(&failure.id, "`error`")?;
                self.next();
                Ok(finished(failure.id.clone(), Ending::Failed(failure), kept))
            }
        }
    }

    fn close_request(&mut self, id: &str, kind: Kind) -> Result<(), ProtocolError> {
        match self.requests.front() {
            Some(front) if front.id == id && front.kind == kind => {
                self.next();
                Ok(())
            }
            _ => Err(out_of_place(&format!(
                "an answer to `{}`, which is not served",
                shown(id)
            ))),
        }
    }

    fn next(&mut self) {
        self.requests.pop_front();
        self.next_seq = [0; 2];
        self.inputs.clear();
        self.capabilities.clear();
    }
}

fn finished(execution: String, ending: Ending, kept: Cost) -> Step {
    let outcome = Outcome {
        execution,
        ending,
        session_kept: true,
    };
    Step::Tell(Event::Finished(outcome), kept)
}

fn open(set: &mut BTreeSet<String>, id: &str) -> Result<(), ProtocolError> {
    if set.len() >= OPEN_REQUESTS_MAX {
        return Err(out_of_place(&format!(
            "more than {OPEN_REQUESTS_MAX} open requests"
        )));
    }
    if id.is_empty() || id.len() > ID_BYTES_MAX || !set.insert(id.to_owned()) {
        return Err(out_of_place(&format!(
            "a request whose id `{}` is open, empty or too long",
            shown(id)
        )));
    }
    Ok(())
}

fn out_of_place(what: &str) -> ProtocolError {
    ProtocolError::OutOfPlace(format!("got {what}"))
}

fn shown(id: &str) -> String {
    id.chars().take(80).collect()
}

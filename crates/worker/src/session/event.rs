//! What a session tells, and the receiving end with its accounting: whatever is taken from it gives credit back to
//! the worker, so that a slow consumer slows the worker down and nothing else.

use super::outcome::{EndReason, Outcome};
use crate::protocol::{CapabilityRequest, Mime, Stream, StreamOpen};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::{Notify, mpsc};

/// Something a session tells.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The worker has queued a request. The first thing said of it.
    Acknowledged {
        /// The request.
        of: String,
    },
    /// Output of the running execution.
    Output {
        /// The execution.
        execution: String,
        /// Which stream.
        stream: Stream,
        /// Counts the pieces of this stream in this execution, from 0.
        seq: u64,
        /// The bytes.
        data: Bytes,
    },
    /// Something was shown.
    Display {
        /// The execution.
        execution: String,
        /// Representations by MIME type.
        data: BTreeMap<String, Mime>,
    },
    /// How far the execution is.
    Progress {
        /// The execution.
        execution: String,
        /// Steps done.
        step: f64,
        /// Steps in all, if known.
        total: Option<f64>,
        /// Words beside it.
        text: Option<String>,
    },
    /// Code waits for a line. Answer with [`super::Session::input`].
    InputRequest {
        /// Id of the request.
        id: String,
        /// The execution.
        execution: String,
        /// The prompt.
        prompt: String,
        /// How long the code waits, in milliseconds.
        deadline_ms: Option<u64>,
    },
    /// Code asks for something. Answer with [`super::Session::answer`].
    CapabilityRequest(CapabilityRequest),
    /// Code opened a channel.
    StreamOpen(StreamOpen),
    /// Data on a channel.
    StreamData {
        /// The channel.
        id: String,
        /// Counts from 0.
        seq: u64,
        /// The bytes.
        data: Bytes,
    },
    /// A channel was closed by the worker.
    StreamClose {
        /// The channel.
        id: String,
        /// `end`, `error` or `cancel`.
        reason: String,
    },
    /// An execution came to its end; its output was told before.
    Finished(Outcome),
    /// The worker lives. At most one waits to be taken.
    Heartbeat(Heartbeat),
    /// The session is over; nothing follows.
    Ended {
        /// Why.
        reason: EndReason,
    },
}

/// What a worker says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Heartbeat {
    /// Resident memory, in bytes.
    pub rss_bytes: u64,
    /// Share of one processor since the last one.
    pub cpu: f64,
    /// Names in the namespace.
    pub names: u64,
    /// Bytes written between executions since the last result.
    pub stray_bytes: u64,
}

/// What the consumer has taken and not yet been credited for.
#[derive(Debug, Default)]
pub(super) struct Taken {
    credit: [AtomicU64; 3],
    kept: AtomicU64,
    loose: AtomicU64,
    heartbeat_waits: AtomicBool,
    pub(super) rss: AtomicU64,
    pub(super) gone: AtomicBool,
    pub(super) notify: Notify,
}

/// What an event costs while it waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cost {
    /// Of a stream's window.
    Window(Stream, u64),
    /// Of the bytes kept besides.
    Kept(u64),
    /// A loose event, which may be dropped.
    Loose,
    /// A heartbeat.
    Heartbeat,
    /// One of the last, which must be told.
    Free,
}

impl Taken {
    fn give_back(&self, cost: Cost) {
        match cost {
            Cost::Window(stream, bytes) => {
                if let Some(slot) = self.credit.get(stream as usize) {
                    slot.fetch_add(bytes, Ordering::AcqRel);
                }
                self.notify.notify_one();
            }
            Cost::Kept(bytes) => {
                self.kept.fetch_sub(bytes, Ordering::AcqRel);
            }
            Cost::Loose => {
                self.loose.fetch_sub(1, Ordering::AcqRel);
            }
            Cost::Heartbeat => self.heartbeat_waits.store(false, Ordering::Release),
            Cost::Free => {}
        }
    }

    /// Credit to grant, once it is worth a message.
    pub(super) fn credit(&self, stream: Stream, worth: u64) -> Option<u64> {
        let slot = self.credit.get(stream as usize)?;
        (slot.load(Ordering::Acquire) >= worth.max(1)).then(|| slot.swap(0, Ordering::AcqRel))
    }

    /// Books an event; whether it may be told, and what is kept then.
    pub(super) fn book(&self, cost: Cost) -> Booked {
        match cost {
            Cost::Window(..) | Cost::Free => Booked::Yes,
            Cost::Kept(bytes) => {
                let kept = self.kept.fetch_add(bytes, Ordering::AcqRel) + bytes;
                if kept > crate::limits::KEPT_BYTES_MAX {
                    Booked::Flood
                } else {
                    Booked::Yes
                }
            }
            Cost::Loose => {
                let loose = self.loose.load(Ordering::Acquire);
                if loose >= crate::limits::LOOSE_EVENTS_MAX as u64 {
                    return Booked::Dropped;
                }
                self.loose.fetch_add(1, Ordering::AcqRel);
                Booked::Yes
            }
            Cost::Heartbeat => {
                if self.heartbeat_waits.swap(true, Ordering::AcqRel) {
                    Booked::Dropped
                } else {
                    Booked::Yes
                }
            }
        }
    }
}

/// Whether an event may be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Booked {
    Yes,
    Dropped,
    Flood,
}

/// The events of one session, in order. Dropping it ends the session: nobody would see what it does.
#[derive(Debug)]
pub struct Events {
    pub(super) inbox: mpsc::UnboundedReceiver<(Event, Cost)>,
    pub(super) taken: Arc<Taken>,
}

impl Events {
    /// The next event; `None` after [`Event::Ended`]. Safe to cancel.
    pub async fn next(&mut self) -> Option<Event> {
        let (event, cost) = self.inbox.recv().await?;
        self.taken.give_back(cost);
        Some(event)
    }

    /// The next event that is already here.
    pub fn try_next(&mut self) -> Option<Event> {
        let (event, cost) = self.inbox.try_recv().ok()?;
        self.taken.give_back(cost);
        Some(event)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.taken.gone.store(true, Ordering::Release);
        self.taken.notify.notify_one();
    }
}

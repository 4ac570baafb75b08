//! One connection that stays open, WebSocket or standard input: commands in, responses and events out.
//!
//! A reader and a pump run in one task. The reader checks envelopes and hands them to the core; the pump
//! ([`super::pump`]) turns what comes back into lines and writes them in batches. No task, channel or timer is
//! made per command.

use super::outbox::Outbound;
use super::pair::{Either, until_one_ends};
use super::pump::Pump;
use super::subscription::refused;
use super::{Timings, drained, lines};
use crate::access::{Access, Grant};
use crate::core::{Core, LiveRecord, OutputChunk, ReplyTo};
use actum_model::contract::Admission;
use actum_model::error::{ErrorCode, Fault};
use actum_model::{Envelope, Response, limits};
use bytes::Bytes;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{Semaphore, broadcast, mpsc, watch};

/// Why a connection ends: a WebSocket close code and its reason.
pub(crate) type End = (u16, &'static str);

/// The peer finished, all is answered.
pub(crate) const DONE: End = (1000, "");
/// The peer went first; nothing can be said to it.
pub(crate) const LOST: End = (1006, "");

/// What came in.
#[derive(Debug)]
pub(crate) enum Heard {
    /// Whole lines.
    Lines(Bytes),
    /// A message above the limit; it was skipped.
    TooLong,
    /// A message of a form the protocol does not have.
    Wrong(&'static str),
    /// A sign of life.
    Alive,
    /// The peer sends nothing more, and still reads.
    Finished,
    /// The peer is gone, or broke the transport's own rules.
    Gone(End),
}

/// The reading half of a connection. Dropping the future of `hear` loses nothing.
pub(crate) trait Inbound: Send {
    /// The next thing that comes in.
    fn hear(&mut self) -> impl Future<Output = Heard> + Send;
}

/// Who sits at the other end, under which rules.
pub(crate) struct Seat {
    pub(crate) grant: Grant,
    /// Who to ask whether the grant is still good; nobody for standard input.
    pub(crate) access: Option<Arc<Access>>,
    pub(crate) timings: Timings,
}

/// What the reader asks of the pump.
pub(crate) enum Ask {
    /// Everything that is needed to miss nothing from the moment of asking.
    Subscribe {
        request: Envelope,
        live: broadcast::Receiver<Arc<LiveRecord>>,
        output: broadcast::Receiver<Arc<OutputChunk>>,
        head: u64,
    },
    Unsubscribe(Envelope),
}

/// Held while an answer is due that the pump makes itself: a connection ends only when nobody holds one.
pub(crate) type Due = mpsc::UnboundedSender<(u64, Response)>;

/// What reader and pump share.
pub(crate) struct Shared {
    /// How many commands may still be sent before one is answered.
    pub(crate) permits: Semaphore,
    /// Something came in since the last ping.
    pub(crate) heard: AtomicBool,
    /// The reader waits for the core or a permit, so it cannot hear a pong.
    pub(crate) busy: AtomicBool,
}

/// Carries one connection from its greeting to its end.
pub(crate) async fn run(core: Core, seat: Seat, inbound: impl Inbound, mut outbound: impl Outbound) {
    let shared = Shared {
        permits: Semaphore::new(limits::PENDING_PER_CONNECTION_MAX),
        heard: AtomicBool::new(false),
        busy: AtomicBool::new(false),
    };
    let (answers_in, answers) = mpsc::unbounded_channel();
    let (asks_in, asks) = mpsc::unbounded_channel();
    let reader = Reader {
        core: core.clone(),
        seat: &seat,
        shared: &shared,
        answers: answers_in,
        asks: asks_in,
    };
    let draining = core.draining();
    let (code, reason) = {
        // The reader owns its end of `answers`: when it is through, the channel closes with the last answer.
        let mut reader = pin!(reader.run(inbound, draining));
        let mut pump = pin!(Pump::new(core, &seat, &shared, &mut outbound).run(answers, asks));
        match until_one_ends(&mut pump, &mut reader).await {
            Either::First(end) | Either::Second(Some(end)) => end,
            Either::Second(None) => pump.await,
        }
    };
    let _too_late = tokio::time::timeout(seat.timings.close, outbound.close(code, reason)).await;
}

struct Reader<'a> {
    core: Core,
    seat: &'a Seat,
    shared: &'a Shared,
    answers: Due,
    asks: mpsc::UnboundedSender<(Ask, Due)>,
}

impl Reader<'_> {
    /// Reads until the peer has finished or the daemon drains (`None`: what is due is still answered), or the peer
    /// is gone.
    async fn run(self, mut inbound: impl Inbound, mut draining: watch::Receiver<bool>) -> Option<End> {
        let mut draining = pin!(drained(&mut draining));
        loop {
            let heard = tokio::select! {
                biased;
                () = &mut draining => return None,
                heard = inbound.hear() => heard,
            };
            self.shared.heard.store(true, Ordering::Relaxed);
            match heard {
                Heard::Lines(bytes) => {
                    self.shared.busy.store(true, Ordering::Relaxed);
                    for line in lines::each(&bytes) {
                        self.take_permit().await;
                        self.command(line).await;
                    }
                    self.shared.busy.store(false, Ordering::Relaxed);
                }
                Heard::TooLong => self.refuse(too_long()).await,
                Heard::Wrong(message) => self.refuse(Fault::new(ErrorCode::InvalidJson, message)).await,
                Heard::Alive => {}
                Heard::Finished => return None,
                Heard::Gone(end) => return Some(end),
            }
        }
    }

    async fn take_permit(&self) {
        // The semaphore is never closed; if it were, there would be no bound to keep.
        if let Ok(permit) = self.shared.permits.acquire().await {
            permit.forget();
        }
    }

    async fn refuse(&self, fault: Fault) {
        self.take_permit().await;
        self.answer(Response::refused("", None, fault));
    }

    fn answer(&self, response: Response) {
        let _pump_is_gone = self.answers.send((0, response));
    }

    async fn command(&self, line: &[u8]) {
        let envelope = match Envelope::parse(line) {
            Ok(envelope) => envelope,
            Err(refusal) => return self.answer(*refusal),
        };
        if envelope
            .contract()
            .is_some_and(|contract| contract.admission == Admission::Connection)
        {
            return self.ask(envelope);
        }
        let reply = ReplyTo {
            outbox: self.answers.clone(),
            tag: 0,
        };
        self.core.submit(&self.seat.grant.caller, envelope, reply).await;
    }

    fn ask(&self, request: Envelope) {
        let ask = match request.kind.as_str() {
            "events.subscribe" => {
                // The channels first: what comes between them and the head is then seen twice, not missed.
                let (live, output) = (self.core.live(), self.core.output());
                let head = self.core.published().head;
                Ask::Subscribe {
                    request,
                    live,
                    output,
                    head,
                }
            }
            "events.unsubscribe" => Ask::Unsubscribe(request),
            _ => {
                let message = format!("/type: `{}` is not served on this connection", request.kind);
                return self.answer(refused(&request, Fault::new(ErrorCode::UnknownCommand, message)));
            }
        };
        let _pump_is_gone = self.asks.send((ask, self.answers.clone()));
    }
}

/// The refusal of a message that was skipped unread.
pub(crate) fn too_long() -> Fault {
    let message = format!("expected at most {} bytes, got more", limits::MESSAGE_BYTES_MAX);
    Fault::new(ErrorCode::MessageTooLarge, message)
}

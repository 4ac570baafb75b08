//! The writing side of a connection that stays open: answers, events and output become lines, in batches.
//!
//! Answers are never dropped. Events wait in their subscription while much is to be written; live output, which is
//! provisional, is dropped then.

use super::connection::{Ask, DONE, Due, End, LOST, Seat, Shared};
use super::feed::{Feed, try_next};
use super::greeting;
use super::outbox::{Outbound, Outbox};
use super::subscription::{Carrier, Filter, Note, answered, output_line, refused};
use crate::core::{Core, OutputChunk};
use actum_model::error::{ErrorCode, Fault};
use actum_model::{Envelope, Response, limits};
use serde_json::json;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use tokio::sync::{broadcast, mpsc};
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// Responses taken from the core at a time.
const ANSWERS_AT_ONCE: usize = 512;
/// While more than this waits to be written, events stay in their subscriptions.
const EVENTS_PAUSE_BYTES: usize = 256 * 1024;
/// While more than this waits to be written, live output is dropped.
const OUTPUT_PAUSE_BYTES: usize = 1024 * 1024;
/// Subscriptions of one connection: each costs a task.
const SUBSCRIPTIONS_MAX: usize = 64;

const DRAINED: End = (1001, "the daemon is draining");

type Output = broadcast::Receiver<Arc<OutputChunk>>;

struct Subscription {
    filter: Filter,
    /// Held until its request is answered.
    due: Option<Due>,
    task: AbortHandle,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// See the head of the file.
pub(crate) struct Pump<'a, O> {
    core: Core,
    seat: &'a Seat,
    shared: &'a Shared,
    outbound: &'a mut O,
    outbox: Outbox<'a>,
    notes_in: mpsc::Sender<(u64, Note)>,
    notes: mpsc::Receiver<(u64, Note)>,
    /// Live output, while somebody subscribes.
    output: Option<Output>,
    subscriptions: BTreeMap<u64, Subscription>,
    subscribed: u64,
    clock: Clock,
}

/// When to look at what.
struct Clock {
    ping: Instant,
    /// Until when the peer must have been heard of.
    pong: Option<Instant>,
    token_check: Instant,
    /// Until when what is due may still be answered, while the daemon drains.
    drain: Option<Instant>,
}

impl Clock {
    fn next(&self) -> Instant {
        let soonest = self.ping.min(self.token_check);
        let soonest = self.pong.map_or(soonest, |pong| pong.min(soonest));
        self.drain.map_or(soonest, |drain| drain.min(soonest))
    }
}

impl<'a, O: Outbound> Pump<'a, O> {
    pub(crate) fn new(core: Core, seat: &'a Seat, shared: &'a Shared, outbound: &'a mut O) -> Pump<'a, O> {
        let (notes_in, notes) = mpsc::channel(limits::LIVE_EVENTS_QUEUED_MAX);
        let now = Instant::now();
        Pump {
            core,
            seat,
            shared,
            outbound,
            outbox: Outbox::new(&shared.permits),
            notes_in,
            notes,
            output: None,
            subscriptions: BTreeMap::new(),
            subscribed: 0,
            clock: Clock {
                ping: now + seat.timings.ping,
                pong: None,
                token_check: now + seat.timings.token_check,
                drain: None,
            },
        }
    }

    /// Writes until all is answered and nobody can ask any more, or the connection must end.
    pub(crate) async fn run(
        mut self,
        mut answers: mpsc::UnboundedReceiver<(u64, Response)>,
        mut asks: mpsc::UnboundedReceiver<(Ask, Due)>,
    ) -> End {
        self.greet();
        let mut draining = self.core.draining();
        let mut draining = pin!(super::drained(&mut draining));
        let mut end = None;
        let mut timer = pin!(tokio::time::sleep_until(self.clock.next()));
        let mut batch = Vec::with_capacity(ANSWERS_AT_ONCE);
        loop {
            if self.outbox.bytes() > limits::OUTBOX_BYTES_MAX {
                return (1011, "SLOW_CONSUMER: too much waits to be read");
            }
            let roomy = self.outbox.bytes() < EVENTS_PAUSE_BYTES;
            tokio::select! {
                biased;
                count = answers.recv_many(&mut batch, ANSWERS_AT_ONCE) => {
                    if count == 0 {
                        return self.finish(end).await;
                    }
                    self.answer_all(&mut batch);
                }
                Some((ask, due)) = asks.recv() => self.asked(ask, due),
                Some((number, note)) = self.notes.recv(), if roomy => self.note(number, note),
                Some(chunk) = next_output(&mut self.output), if roomy => self.tell_output(&chunk),
                written = poll_fn(|cx| self.outbox.poll_drain(cx, self.outbound)), if self.outbox.is_dirty() => {
                    if written.is_err() {
                        return LOST;
                    }
                }
                () = &mut draining, if end.is_none() => {
                    end = Some(DRAINED);
                    self.outbox.tell(greeting::server_shutdown().to_string());
                    self.clock.drain = Some(Instant::now() + self.seat.timings.drain);
                    timer.as_mut().reset(self.clock.next());
                }
                () = &mut timer => {
                    if let Some(end) = self.look_at_clock().await {
                        return end;
                    }
                    timer.as_mut().reset(self.clock.next());
                }
            }
        }
    }

    fn greet(&mut self) {
        self.outbox.tell(greeting::server_ready(&self.core).to_string());
        if let Some(summary) = greeting::recovery_summary(&self.core) {
            self.outbox.tell(summary.to_string());
        }
    }

    /// Everything is answered: writes it out. The reader may have seen sooner than the pump that the daemon drains.
    async fn finish(mut self, end: Option<End>) -> End {
        let end = end.unwrap_or_else(|| {
            if !*self.core.draining().borrow() {
                return DONE;
            }
            self.outbox.tell(greeting::server_shutdown().to_string());
            DRAINED
        });
        let flush = poll_fn(|cx| self.outbox.poll_drain(cx, self.outbound));
        match tokio::time::timeout(self.seat.timings.drain, flush).await {
            Ok(Ok(())) => end,
            Ok(Err(_)) | Err(_) => LOST,
        }
    }

    fn answer_all(&mut self, batch: &mut Vec<(u64, Response)>) {
        self.catch_up_output();
        for (_, response) in batch.drain(..) {
            self.outbox.answer(response.to_json());
        }
    }

    /// Output comes before the result: what was sent before an answer or event came is written before it.
    fn catch_up_output(&mut self) {
        while let Some(chunk) = self.output.as_mut().and_then(try_next) {
            self.tell_output(&chunk);
        }
    }

    fn tell_output(&mut self, chunk: &OutputChunk) {
        for (number, subscription) in &self.subscriptions {
            if self.outbox.bytes() < OUTPUT_PAUSE_BYTES && subscription.filter.passes_output(chunk) {
                self.outbox.tell(output_line(chunk, Some(&name_of(*number))));
            }
        }
    }

    fn note(&mut self, number: u64, note: Note) {
        self.catch_up_output();
        match note {
            Note::Answer(response) => {
                match self.subscriptions.get_mut(&number) {
                    Some(subscription) if response.success() => subscription.due = None,
                    _ => self.forget(number),
                }
                self.outbox.answer(response.to_json());
            }
            // What an ended subscription still had under way is not sent.
            Note::Line(_) | Note::Last(_) if !self.subscriptions.contains_key(&number) => {}
            Note::Line(line) => self.outbox.tell(line),
            Note::Last(line) => {
                self.outbox.tell(line);
                self.forget(number);
            }
        }
    }

    fn forget(&mut self, number: u64) {
        self.subscriptions.remove(&number);
        if self.subscriptions.is_empty() {
            self.output = None;
        }
    }

    fn asked(&mut self, ask: Ask, due: Due) {
        match ask {
            Ask::Unsubscribe(request) => self.unsubscribe(&request),
            Ask::Subscribe { request, .. } if self.subscriptions.len() >= SUBSCRIPTIONS_MAX => {
                let message = format!("expected at most {SUBSCRIPTIONS_MAX} subscriptions of one connection");
                let fault = Fault::new(ErrorCode::LimitExceeded, message);
                self.outbox.answer(refused(&request, fault).to_json());
            }
            Ask::Subscribe {
                request,
                live,
                output,
                head,
            } => {
                self.subscribed += 1;
                let number = self.subscribed;
                let payload = request.payload.to_value();
                let filter = Filter::of(&self.seat.grant.caller.tenant, &payload);
                let from = payload.get("fromIdx").and_then(serde_json::Value::as_u64);
                let carrier = Carrier {
                    name: name_of(number),
                    filter: filter.clone(),
                    feed: Feed::new(self.core.clone(), live, from.unwrap_or(head), from.is_some()),
                    notes: self.notes_in.clone(),
                    number,
                };
                let task = tokio::spawn(carrier.run(request)).abort_handle();
                let subscription = Subscription {
                    filter,
                    due: Some(due),
                    task,
                };
                self.subscriptions.insert(number, subscription);
                self.output.get_or_insert(output);
            }
        }
    }

    fn unsubscribe(&mut self, request: &Envelope) {
        let payload = request.payload.to_value();
        let name = payload
            .get("subscription")
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default();
        let known = self
            .subscriptions
            .iter()
            .find(|(number, subscription)| subscription.due.is_none() && name_of(**number) == name);
        let answer = match known.map(|(number, _)| *number) {
            Some(number) => {
                self.forget(number);
                answered(request, &json!({}))
            }
            None => {
                let message = format!(
                    "no subscription `{}` on this connection",
                    actum_model::json::shorten(name)
                );
                let hint = "it may have ended with a `gap`; subscribe again with `events.subscribe`";
                refused(request, Fault::new(ErrorCode::NotFound, message).with_hint(hint))
            }
        };
        self.outbox.answer(answer.to_json());
    }

    async fn look_at_clock(&mut self) -> Option<End> {
        let now = Instant::now();
        let timings = &self.seat.timings;
        if self.clock.drain.is_some_and(|drain| drain <= now) {
            return Some(DRAINED);
        }
        if self.clock.token_check <= now {
            self.clock.token_check = now + timings.token_check;
            let access = self.seat.access.as_ref();
            if access.is_some_and(|access| !access.still_good(&self.seat.grant)) {
                return Some((1008, "UNAUTHENTICATED: the token was revoked"));
            }
        }
        if self.clock.pong.is_some_and(|pong| pong <= now) {
            self.clock.pong = None;
            if !self.shared.heard.load(Ordering::Relaxed) && !self.shared.busy.load(Ordering::Relaxed) {
                return Some((1011, "no pong in time"));
            }
        }
        if self.clock.ping <= now {
            self.clock.ping = now + timings.ping;
            if self.clock.pong.is_none() {
                self.shared.heard.store(false, Ordering::Relaxed);
            }
            // A peer that takes no line takes no ping either; it is asked all the same.
            let taken = poll_fn(|cx| Poll::Ready(self.outbox.poll_ping(cx, self.outbound))).await;
            match taken {
                Poll::Ready(Err(_)) => return Some(LOST),
                Poll::Ready(Ok(false)) => {}
                // Where an answer is awaited already, its deadline stands.
                Poll::Ready(Ok(true)) | Poll::Pending => {
                    self.clock.pong.get_or_insert(now + timings.pong);
                }
            }
        }
        None
    }
}

fn name_of(number: u64) -> String {
    format!("s-{number}")
}

/// The next live output; never, while nobody subscribes.
async fn next_output(output: &mut Option<Output>) -> Option<Arc<OutputChunk>> {
    let Some(receiver) = output else {
        return std::future::pending().await;
    };
    loop {
        match receiver.recv().await {
            Ok(chunk) => return Some(chunk),
            Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => {
                *output = None;
                return None;
            }
        }
    }
}

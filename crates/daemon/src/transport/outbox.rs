//! What waits to be written to one connection: lines in order, their bytes counted, and the permits that bound
//! how many commands may be unanswered.
//!
//! A permit goes back when its response is handed to the socket, not when it was made: a peer that does not read
//! is not read from either.

use std::collections::VecDeque;
use std::task::{Context, Poll, ready};
use tokio::sync::Semaphore;

/// The peer is gone, or the socket failed; nothing more can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone;

/// The writing half of a connection.
pub(crate) trait Outbound: Send + Unpin {
    /// Whether one more line can be taken.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>>;
    /// Takes a line, without its end.
    fn write(&mut self, line: String) -> Result<(), Gone>;
    /// Writes out all that was taken.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>>;
    /// Takes a ping, where the transport has one. Called only when ready.
    fn ping(&mut self) -> Result<bool, Gone>;
    /// Says why the connection ends, where the transport can.
    fn close(&mut self, code: u16, reason: &'static str) -> impl Future<Output = ()> + Send;
}

#[derive(Debug)]
struct Line {
    text: String,
    /// It answers a command, whose permit goes back.
    answer: bool,
}

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct Outbox<'a> {
    lines: VecDeque<Line>,
    bytes: usize,
    unflushed: bool,
    permits: &'a Semaphore,
}

impl<'a> Outbox<'a> {
    pub(crate) fn new(permits: &'a Semaphore) -> Outbox<'a> {
        Outbox {
            lines: VecDeque::new(),
            bytes: 0,
            unflushed: false,
            permits,
        }
    }

    /// Queues an answer to a command.
    pub(crate) fn answer(&mut self, text: String) {
        self.queue(text, true);
    }

    /// Queues anything else.
    pub(crate) fn tell(&mut self, text: String) {
        self.queue(text, false);
    }

    fn queue(&mut self, text: String, answer: bool) {
        self.bytes += text.len();
        self.lines.push_back(Line { text, answer });
    }

    /// Bytes not yet handed to the socket.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether something is left to write or flush.
    pub(crate) fn is_dirty(&self) -> bool {
        self.unflushed || !self.lines.is_empty()
    }

    /// Hands everything to the socket and flushes once. Can be dropped and called again.
    pub(crate) fn poll_drain(
        &mut self,
        cx: &mut Context<'_>,
        outbound: &mut impl Outbound,
    ) -> Poll<Result<(), Gone>> {
        let mut answers = 0;
        let handed = self.poll_hand_over(cx, outbound, &mut answers);
        if answers > 0 {
            self.permits.add_permits(answers);
        }
        ready!(handed)?;
        ready!(outbound.poll_flush(cx))?;
        self.unflushed = false;
        Poll::Ready(Ok(()))
    }

    fn poll_hand_over(
        &mut self,
        cx: &mut Context<'_>,
        outbound: &mut impl Outbound,
        answers: &mut usize,
    ) -> Poll<Result<(), Gone>> {
        while !self.lines.is_empty() {
            ready!(outbound.poll_ready(cx))?;
            if let Some(line) = self.lines.pop_front() {
                self.bytes = self.bytes.saturating_sub(line.text.len());
                *answers += usize::from(line.answer);
                self.unflushed = true;
                outbound.write(line.text)?;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Hands over a ping.
    pub(crate) fn poll_ping(
        &mut self,
        cx: &mut Context<'_>,
        outbound: &mut impl Outbound,
    ) -> Poll<Result<bool, Gone>> {
        ready!(outbound.poll_ready(cx))?;
        self.unflushed = true;
        Poll::Ready(outbound.ping())
    }
}

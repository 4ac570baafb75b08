//! Standard input and output as one connection: `actum serve --stdio`. One JSON object per line, and nothing else
//! on standard output.
//!
//! When standard input ends, what is due is still answered. The caller is principal `stdio`.

use super::Timings;
use super::connection::{Heard, Inbound, LOST, Seat, run};
use super::lines::{Cut, LineBuffer};
use super::outbox::{Gone, Outbound};
use crate::access::Grant;
use crate::core::Core;
use bytes::{Buf, BytesMut};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

const READ_BYTES: usize = 64 * 1024;
/// Lines are gathered up to this before they are written.
const GATHER_BYTES: usize = 64 * 1024;

/// Serves standard input and output until the input ends or the daemon drains.
pub async fn serve(core: Core, timings: Timings) {
    serve_on(core, timings, tokio::io::stdin(), tokio::io::stdout()).await;
}

/// The same over any pair of streams.
pub async fn serve_on(
    core: Core,
    timings: Timings,
    input: impl AsyncRead + Send + Unpin,
    output: impl AsyncWrite + Send + Unpin,
) {
    let seat = Seat {
        grant: Grant::stdio(),
        access: None,
        timings,
    };
    let reading = Reading {
        input,
        buffer: LineBuffer::default(),
        ended: false,
    };
    let writing = Writing {
        output,
        gathered: BytesMut::new(),
    };
    run(core, seat, reading, writing).await;
}

struct Reading<R> {
    input: R,
    buffer: LineBuffer,
    ended: bool,
}

impl<R: AsyncRead + Send + Unpin> Inbound for Reading<R> {
    async fn hear(&mut self) -> Heard {
        loop {
            match self.buffer.cut() {
                Some(Cut::Lines(lines)) => return Heard::Lines(lines),
                Some(Cut::TooLong) => return Heard::TooLong,
                None if self.ended => return Heard::Finished,
                None => {}
            }
            match self.input.read_buf(self.buffer.room(READ_BYTES)).await {
                Ok(0) => {
                    self.ended = true;
                    if let Some(Cut::Lines(lines)) = self.buffer.finish() {
                        return Heard::Lines(lines);
                    }
                }
                Ok(_) => {}
                Err(_) => return Heard::Gone(LOST),
            }
        }
    }
}

struct Writing<W> {
    output: W,
    gathered: BytesMut,
}

impl<W: AsyncWrite + Send + Unpin> Writing<W> {
    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        while !self.gathered.is_empty() {
            match ready!(Pin::new(&mut self.output).poll_write(cx, &self.gathered)) {
                Ok(0) | Err(_) => return Poll::Ready(Err(Gone)),
                Ok(written) => self.gathered.advance(written),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<W: AsyncWrite + Send + Unpin> Outbound for Writing<W> {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        if self.gathered.len() < GATHER_BYTES {
            return Poll::Ready(Ok(()));
        }
        self.poll_write_out(cx)
    }

    fn write(&mut self, line: String) -> Result<(), Gone> {
        self.gathered.extend_from_slice(line.as_bytes());
        self.gathered.extend_from_slice(b"\n");
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        ready!(self.poll_write_out(cx))?;
        Pin::new(&mut self.output).poll_flush(cx).map_err(|_| Gone)
    }

    fn ping(&mut self) -> Result<bool, Gone> {
        Ok(false)
    }

    async fn close(&mut self, _code: u16, _reason: &'static str) {
        let _gone = std::future::poll_fn(|cx| self.poll_flush(cx)).await;
    }
}

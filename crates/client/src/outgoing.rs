//! The body of a request: one text, or lines as they come.

use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::sync::mpsc;

/// Lines are gathered up to this into one chunk.
const CHUNK_BYTES: usize = 64 * 1024;

#[derive(Debug)]
pub(crate) enum Outgoing {
    Whole(Option<Bytes>),
    Lines(mpsc::Receiver<Bytes>),
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let chunk = match self.get_mut() {
            Outgoing::Whole(whole) => whole.take().filter(|bytes| !bytes.is_empty()),
            Outgoing::Lines(lines) => ready!(lines.poll_recv(cx)).map(|first| gather(first, lines)),
        };
        Poll::Ready(chunk.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Outgoing::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Outgoing::Whole(whole) => SizeHint::with_exact(whole.as_ref().map_or(0, Bytes::len) as u64),
            Outgoing::Lines(_) => SizeHint::new(),
        }
    }
}

/// One chunk of what has come already: fewer, larger writes.
fn gather(first: Bytes, lines: &mut mpsc::Receiver<Bytes>) -> Bytes {
    let Ok(second) = lines.try_recv() else {
        return first;
    };
    let mut chunk = BytesMut::with_capacity(first.len() + second.len());
    chunk.extend_from_slice(&first);
    chunk.extend_from_slice(&second);
    while chunk.len() < CHUNK_BYTES {
        match lines.try_recv() {
            Ok(line) => chunk.extend_from_slice(&line),
            Err(_) => break,
        }
    }
    chunk.freeze()
}

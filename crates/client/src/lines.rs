//! Many commands in one request: lines out, responses in, both at the same time.

use crate::error::ClientError;
use bytes::{Buf, Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;
use tokio::sync::mpsc;

/// Sends commands. Dropping it ends the request; the responses still come.
#[derive(Clone, Debug)]
pub struct LineSender {
    lines: mpsc::Sender<Bytes>,
}

/// Receives responses in the order of the commands.
#[derive(Debug)]
pub struct LineReceiver {
    body: Incoming,
    lines: LineBuffer,
}

pub(crate) fn pair(lines: mpsc::Sender<Bytes>, body: Incoming) -> (LineSender, LineReceiver) {
    let receiver = LineReceiver {
        body,
        lines: LineBuffer::default(),
    };
    (LineSender { lines }, receiver)
}

impl LineSender {
    /// Sends one command. Waits while the daemon takes no more.
    ///
    /// # Errors
    /// Where the connection is gone.
    pub async fn send(&self, envelope: &Value) -> Result<(), ClientError> {
        self.send_text(envelope.to_string()).await
    }

    /// Sends text as it is, one command or several as lines; a newline is put at its end.
    ///
    /// # Errors
    /// Where the connection is gone.
    pub async fn send_text(&self, mut text: String) -> Result<(), ClientError> {
        text.push('\n');
        let sent = self.lines.send(Bytes::from(text)).await;
        sent.map_err(|_| ClientError::broken("the daemon takes no more lines"))
    }
}

impl LineReceiver {
    /// The next response; `None` after the last.
    ///
    /// # Errors
    /// Where the connection broke.
    pub async fn next(&mut self) -> Result<Option<Value>, ClientError> {
        match self.next_text().await? {
            None => Ok(None),
            Some(line) => serde_json::from_slice(&line)
                .map(Some)
                .map_err(|_| ClientError::protocol("a JSON line", &line)),
        }
    }

    /// The next response as it came.
    ///
    /// # Errors
    /// Where the connection broke.
    pub async fn next_text(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            if let Some(line) = self.lines.next() {
                return Ok(Some(line));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(frame) => {
                    if let Ok(data) = frame.map_err(ClientError::broken)?.into_data() {
                        self.lines.push(&data);
                    }
                }
            }
        }
    }
}

/// Bytes cut at newlines.
#[derive(Debug, Default)]
pub(crate) struct LineBuffer {
    held: BytesMut,
    /// Bytes of `held` known to hold no newline.
    searched: usize,
}

impl LineBuffer {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// The next whole line, without its end.
    pub(crate) fn next(&mut self) -> Option<Bytes> {
        let fresh = self.held.get(self.searched..)?;
        match fresh.iter().position(|byte| *byte == b'\n') {
            Some(at) => {
                let line = self.held.split_to(self.searched + at).freeze();
                self.held.advance(1);
                self.searched = 0;
                Some(line)
            }
            None => {
                self.searched = self.held.len();
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_wherever_the_chunks_end() {
        let mut buffer = LineBuffer::default();
        let mut seen = Vec::new();
        for chunk in ["a", "b\n", "\nc\nd", "e", "\n"] {
            buffer.push(chunk.as_bytes());
            while let Some(line) = buffer.next() {
                seen.push(line);
            }
        }
        assert_eq!(seen, ["ab", "", "c", "de"]);
    }
}

//! One connection on which commands are submitted while what they write comes as it is written. Output stands before
//! the answer there, which two connections could not promise.
//!
//! It shows nothing and decides nothing.

use crate::failure::Failure;
use crate::remote::{Remote, data_of};
use crate::shape::text;
use actum_client::{Receiver, Sender};
use actum_model::ErrorCode;
use serde_json::{Value, json};
use std::os::fd::{AsFd, OwnedFd};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// See the head of the file.
pub(crate) struct Live {
    sender: Sender,
    receiver: Receiver,
}

impl Live {
    /// Opens the connection.
    pub(crate) async fn open(remote: &Remote) -> Result<Live, Failure> {
        let (sender, receiver) = remote.client.socket().await?.split();
        Ok(Live { sender, receiver })
    }

    /// Asks for everything that happens in a session from now on; what comes before the answer to that is of others.
    pub(crate) async fn follow(&mut self, session: &str) -> Result<(), Failure> {
        let id = crate::mint::fresh("follow")?;
        self.send(&json!({"type": "events.subscribe", "id": id, "payload": {"sessionId": session}}))
            .await?;
        loop {
            let message = self.next().await?;
            if answers(&message, &id) {
                return data_of(message).map(drop);
            }
        }
    }

    /// Submits a command; its answer is one of the messages to come.
    pub(crate) async fn send(&mut self, envelope: &Value) -> Result<(), Failure> {
        self.sender.feed(envelope.to_string()).await?;
        Ok(self.sender.flush().await?)
    }

    /// The next message. A caller may drop the future that waits for it.
    pub(crate) async fn next(&mut self) -> Result<Value, Failure> {
        loop {
            let Some(message) = self.receiver.next().await? else {
                let message = "the daemon closed the connection; what runs goes on without it";
                return Err(Failure::new(ErrorCode::DaemonUnreachable, message));
            };
            if let Ok(message) = serde_json::from_str(&message) {
                return Ok(message);
            }
        }
    }
}

/// Whether a message is the answer to this command.
pub(crate) fn answers(message: &Value, id: &str) -> bool {
    text(message, "type") == "response" && text(message, "id") == id
}

/// Whoever reads standard output, as far as that can be known: of a pipe or a socket, not of a file.
pub(crate) struct OutputReader(Option<AsyncFd<OwnedFd>>);

impl OutputReader {
    pub(crate) fn new() -> OutputReader {
        let output = std::io::stdout().as_fd().try_clone_to_owned().ok();
        #[expect(
            deprecated,
            reason = "safe for a descriptor held meanwhile; its successor asks for unsafe to say so"
        )]
        let watched = output.and_then(|output| AsyncFd::with_interest(output, Interest::ERROR).ok());
        OutputReader(watched)
    }

    /// Returns when the reader is gone. Writing would tell as well, but while nothing is written nobody would notice.
    pub(crate) async fn gone(&self) {
        if let Some(output) = &self.0
            && let Ok(guard) = output.ready(Interest::ERROR).await
            && guard.ready().is_error()
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}

/// Ctrl-C and a request to end, from the moment this is made on.
pub(crate) struct Stops {
    interrupt: Signal,
    terminate: Signal,
}

impl Stops {
    pub(crate) fn new() -> Result<Stops, Failure> {
        let listen = |kind| {
            signal(kind)
                .map_err(|error| Failure::new(ErrorCode::Internal, format!("no signal handler: {error}")))
        };
        Ok(Stops {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    /// Returns when one came.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

//! Takes one stream from its pipe to where it is captured, for as long as its process may write.

use crate::output::{Capture, Captured};
use std::os::fd::OwnedFd;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Bytes taken from the pipe at once.
const READ_BYTES: usize = 32 * 1024;
/// Reads after the end, when the pipe may still be held: more than a pipe holds by default.
const LAST_READS: usize = 64;

/// Where the process is, for its pumps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Phase {
    /// It runs; a slow reader of live output slows it down.
    Running,
    /// It has ended: read on and wait for nobody.
    Exited,
    /// Take what is in the pipe and be done.
    Cut,
}

/// What a pump does next.
enum Next {
    Cut,
    Due,
    Read(usize),
}

/// Returns when the process has come to this phase or beyond, or its job is gone.
async fn reached(phase: &mut watch::Receiver<Phase>, wanted: Phase) {
    let _ = phase.wait_for(|phase| *phase >= wanted).await;
}

/// The pump of one stream.
pub(super) struct Pump {
    capture: Capture,
    phase: watch::Receiver<Phase>,
}

impl Pump {
    pub(super) fn new(capture: Capture, phase: watch::Receiver<Phase>) -> Pump {
        Pump { capture, phase }
    }

    /// Pumps until the pipe ends or is cut off.
    pub(super) async fn run(mut self, pipe: OwnedFd) -> Captured {
        match pipe::Receiver::from_owned_fd(pipe) {
            Ok(mut pipe) => self.read(&mut pipe).await,
            Err(error) => self.capture.lost(error.to_string()),
        }
        let mut phase = self.phase;
        self.capture.finish(reached(&mut phase, Phase::Exited)).await
    }

    async fn read(&mut self, pipe: &mut pipe::Receiver) {
        let mut buffer = vec![0; READ_BYTES];
        let mut phase = self.phase.clone();
        loop {
            let due = self.capture.due();
            let next = tokio::select! {
                biased;
                () = reached(&mut phase, Phase::Cut) => Next::Cut,
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => Next::Due,
                read = pipe.read(&mut buffer) => Next::Read(read.unwrap_or(0)),
            };
            // A process that has ended is not waited for: what it left in its pipe is little.
            let hurry = reached(&mut phase, Phase::Exited);
            match next {
                Next::Cut => break,
                Next::Due => self.capture.flush(hurry).await,
                Next::Read(0) => return,
                Next::Read(count) => {
                    let bytes = buffer.get(..count).unwrap_or_default();
                    self.capture.take(bytes, hurry).await;
                }
            }
        }
        for _ in 0..LAST_READS {
            match pipe.try_read(&mut buffer) {
                Ok(0) | Err(_) => return,
                Ok(count) => {
                    let bytes = buffer.get(..count).unwrap_or_default();
                    self.capture.take(bytes, std::future::ready(())).await;
                }
            }
        }
    }
}

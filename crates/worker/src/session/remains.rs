//! What a worker had written and not sent when it was killed: it lies in the pipes of its output, whose ends it handed over
//! with its introduction. Code that holds the interpreter keeps the worker from sending it.

use crate::limits::REMAINS_BYTES_MAX;
use crate::protocol::Stream;
use bytes::Bytes;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{Errno, read};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

/// Read at a time.
const PIECE_BYTES: usize = 64 * 1024;
/// Ends that are taken; others are closed.
const ENDS_MAX: usize = 2;

/// The reading ends of a worker's output, in the order standard output, standard error.
#[derive(Debug, Default)]
pub(super) struct Remains(Vec<OwnedFd>);

impl Remains {
    /// Reads bytes of the introduction, and the ends that come with them. 0 at the end of the socket.
    pub(super) fn receive(&mut self, socket: impl AsFd, bytes: &mut [u8]) -> io::Result<usize> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(ENDS_MAX))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let got = recvmsg(
            socket,
            &mut [IoSliceMut::new(bytes)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT,
        )?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(ends) = message {
                self.0.extend(ends.take(ENDS_MAX.saturating_sub(self.0.len())));
            }
        }
        Ok(got.bytes)
    }

    /// What lies in the pipes now, at most [`REMAINS_BYTES_MAX`] of each. It does not wait, whatever the worker did to them.
    pub(super) fn read(&self) -> Vec<(Stream, Bytes)> {
        let streams = [Stream::Stdout, Stream::Stderr].into_iter().zip(&self.0);
        streams
            .map(|(stream, end)| (stream, rest(end)))
            .filter(|(_, data)| !data.is_empty())
            .collect()
    }
}

fn rest(end: &OwnedFd) -> Bytes {
    let mut data = Vec::new();
    let unblocked = fcntl_getfl(end).and_then(|flags| fcntl_setfl(end, flags | OFlags::NONBLOCK));
    if unblocked.is_err() {
        return Bytes::new();
    }
    let mut piece = vec![0; PIECE_BYTES];
    while data.len() < REMAINS_BYTES_MAX {
        match read(end, &mut piece) {
            Ok(0) => break,
            Ok(count) => data.extend_from_slice(piece.get(..count).unwrap_or_default()),
            Err(Errno::INTR) => {}
            Err(_) => break,
        }
    }
    data.into()
}

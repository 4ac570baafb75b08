//! The socket to a worker.
//!
//! It waits for bytes to read, and for room to write only while it must: a UNIX socket that is watched for both wakes
//! its watcher each time the other side has read something, which for short messages doubles the wake-ups.

use crate::protocol::FrameBuffer;
use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};
use tokio::time::sleep;

/// Read at a time.
const READ_BYTES_MAX: usize = 64 * 1024;

thread_local! {
    /// Where bytes come first: one for each thread, so that a session that says nothing needs no room.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES_MAX]);
}

/// Between two looks at a socket that cannot be watched.
const PAUSE: Duration = Duration::from_millis(10);

/// A connected socket that never blocks.
#[derive(Debug)]
pub(super) struct Wire(AsyncFd<UnixStream>);

/// Bytes can be read, or the other side is gone.
pub(super) type Readable<'a> = AsyncFdReadyGuard<'a, UnixStream>;

impl Wire {
    /// # Errors
    /// The descriptor is no socket that can be watched.
    pub(super) fn new(socket: OwnedFd) -> io::Result<Wire> {
        let socket = UnixStream::from(socket);
        socket.set_nonblocking(true)?;
        watched(socket, Interest::READABLE).map(Wire)
    }

    /// Waits until there is something to read.
    pub(super) async fn readable(&self) -> io::Result<Readable<'_>> {
        self.0.readable().await
    }

    /// Waits until there is room to write.
    pub(super) async fn writable(&self) -> io::Result<()> {
        let twin = self
            .0
            .get_ref()
            .try_clone()
            .and_then(|twin| watched(twin, Interest::WRITABLE));
        let Ok(twin) = twin else {
            // Out of descriptors or watches: look now and then.
            sleep(PAUSE).await;
            return Ok(());
        };
        twin.writable().await.map(|mut ready| ready.retain_ready())
    }

    /// Writes what there is room for; nothing if there is none.
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<Option<usize>> {
        match self.0.get_ref().write(bytes) {
            Ok(count) => Ok(Some(count)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes all of it.
    pub(super) async fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        let mut written = 0;
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            match self.write(rest)? {
                Some(count) => written += count,
                None => self.writable().await?,
            }
        }
        Ok(())
    }

    /// Does something that reads, as often as it takes until it does not have to wait.
    pub(super) async fn read_with<T>(
        &self,
        mut read: impl FnMut(&UnixStream) -> io::Result<T>,
    ) -> io::Result<T> {
        self.0.async_io(Interest::READABLE, |socket| read(socket)).await
    }
}

fn watched(socket: UnixStream, interest: Interest) -> io::Result<AsyncFd<UnixStream>> {
    #[expect(
        deprecated,
        reason = "safe for a descriptor it owns; its successor asks for unsafe to say so"
    )]
    AsyncFd::with_interest(socket, interest)
}

/// Reads what there is, at most `READ_BYTES_MAX`, behind what is in `buffer`: how much; 0 at the end, nothing if there is
/// nothing after all.
pub(super) fn read(mut ready: Readable<'_>, buffer: &mut FrameBuffer) -> io::Result<Option<usize>> {
    SCRATCH.with_borrow_mut(|scratch| {
        let Ok(got) = ready.try_io(|socket| socket.get_ref().read(scratch)) else {
            return Ok(None);
        };
        let count = got?;
        if 0 < count && count < scratch.len() {
            // All that there was: asking again would only tell so. An end that came meanwhile is not forgotten by this.
            ready.clear_ready();
        }
        buffer.add(scratch.get(..count).unwrap_or_default());
        Ok(Some(count))
    })
}

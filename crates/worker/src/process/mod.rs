//! The process behind a session, as the driver needs it: a socket, a way to end it whole, and word of its end.
//!
//! Nothing here builds a cage. In production whoever forks a caged worker implements [`Process`]; [`direct`] starts
//! a plain child without one.

pub mod direct;
mod tree;

use std::fmt;
use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;

/// A future that is boxed, because [`Process`] is used as an object.
pub type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A worker that was started and is connected.
pub struct Running {
    /// This side of its UNIX stream socket.
    pub socket: OwnedFd,
    /// The process.
    pub process: Box<dyn Process>,
}

impl fmt::Debug for Running {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Running")
            .field("pid", &self.process.pid())
            .finish()
    }
}

/// A worker process and everything below it.
pub trait Process: Send + 'static {
    /// Its number, for people. May be 0 where it is not known.
    fn pid(&self) -> u32;

    /// Kills it and everything below it with SIGKILL, and does not wait. Killing what has ended is no error.
    ///
    /// # Errors
    /// What keeps it from being killed; the session then waits for its end in vain and says so.
    fn kill(&mut self) -> io::Result<()>;

    /// Resolves when it has ended. Asked once.
    fn ended(&mut self) -> Boxed<End>;
}

/// How a process ended, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct End {
    /// Its exit code, if it left by itself.
    pub code: Option<i32>,
    /// The number of the signal that ended it.
    pub signal: Option<i32>,
}

impl fmt::Display for End {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.signal) {
            (_, Some(signal)) => write!(formatter, "killed by signal {signal}"),
            (Some(code), None) => write!(formatter, "left with code {code}"),
            (None, None) => formatter.write_str("gone"),
        }
    }
}

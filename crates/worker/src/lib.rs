//! Sessions: the protocol between the daemon and a worker that runs code, the driver of one session over a connected
//! socket, the pool of warm ones, and the worker for Python and shell itself.
//!
//! It builds no cage and starts no process by itself: whoever does hands over a [`process::Running`]. It decides no
//! rule either; what code asks for arrives as an event and is answered from outside.

pub mod limits;
pub mod pool;
pub mod process;
pub mod protocol;
pub mod session;

/// The worker for Python and shell sessions: one file, standard library only, Python 3.9 or newer.
pub const PYTHON_WORKER: &str = include_str!("../python/worker.py");

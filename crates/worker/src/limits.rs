//! All bounds of sessions, with their reasons. Times that are settings stand in [`crate::session::Options`].

use std::time::Duration;

/// Version of the session protocol. Both sides name theirs in `hello`, and only equal ones go on.
pub const PROTOCOL: u32 = 1;
/// Largest frame, without its length, in bytes. The largest message of the wire API, so that one fits in the other.
pub const FRAME_BYTES_MAX: usize = 10 * 1024 * 1024;
/// Deepest nesting of a message. Values are at most 64 deep; the rest is the message around them.
pub const MESSAGE_DEPTH_MAX: usize = 72;
/// Deepest nesting of a value handed to a worker.
pub const VALUE_DEPTH_MAX: usize = 64;
/// What a frame costs of a credit beyond its data, in bytes: thousands of tiny frames must not be free.
pub const FRAME_COST_BYTES: u64 = 64;
/// Window of each stream of output, in bytes: what a consumer that does not read makes this side keep.
pub const WINDOW_BYTES_DEFAULT: u64 = 1024 * 1024;
/// Bytes that wait to be written to a worker that does not read; beyond, the session ends.
pub const UNSENT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Requests (executions, checkpoints, restores) queued in one session.
pub const QUEUE_MAX: usize = 1024;
/// Requests of a worker that are open at once. Far above what code awaits together; a flood ends the session.
pub const OPEN_REQUESTS_MAX: usize = 4096;
/// Events without a credit (progress) that wait for a consumer; more of them are dropped and counted.
pub const LOOSE_EVENTS_MAX: usize = 1024;
/// Longest id, in bytes.
pub const ID_BYTES_MAX: usize = 512;
/// Bytes of messages besides data that a worker makes this side keep for a consumer that does not read.
pub const KEPT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Bytes taken from each pipe of a dead worker: as much as it makes its pipes hold.
pub const REMAINS_BYTES_MAX: usize = 1024 * 1024;
/// How long a dead worker's remaining frames are read.
pub const LAST_WORDS: Duration = Duration::from_millis(200);

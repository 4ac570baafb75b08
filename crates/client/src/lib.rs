//! Typed client of the wire API of `docs/PROTOCOL.md`: HTTP with connections kept open, NDJSON in both directions at
//! once, server-sent events, and WebSocket.
//!
//! It does not retry commands: whether a command whose answer was lost has been carried out is asked by its id.
//! It speaks HTTP/1.1 without TLS, as the daemon does.

mod address;
mod error;
mod events;
mod http;
mod lines;
mod outgoing;
mod session;
mod socket;

pub use address::Address;
pub use error::{ClientError, Refusal};
pub use events::{Event, Events, EventsQuery};
pub use http::Client;
pub use lines::{LineReceiver, LineSender};
pub use session::Session;
pub use socket::{Receiver, Sender, Socket};

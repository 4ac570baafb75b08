//! The ways in: HTTP, server-sent events, WebSocket and standard input, all speaking the protocol of
//! `docs/PROTOCOL.md`.
//!
//! A transport reads, checks the shape, hands envelopes to the core and writes what comes back. It decides
//! nothing, keeps nothing, and never answers before the core did.

mod commands;
mod connection;
mod feed;
mod greeting;
mod http;
mod lines;
mod listener;
mod ndjson;
mod outbox;
mod pair;
mod problem;
mod pump;
mod reads;
mod sse;
pub mod stdio;
mod subscription;
mod websocket;

pub use greeting::PROTOCOL_VERSION;
pub use listener::{Listening, listen};

use crate::access::Access;
use actum_model::limits;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// What the GraphQL surface shares with the other ways in.
pub(crate) mod graphql {
    pub(crate) use super::commands::read_whole;
    pub(crate) use super::drained;
    pub(crate) use super::http::{App, Peer};
    pub(crate) use super::problem::{common_headers, problem, problem_as};
}

/// Where and how to listen.
#[derive(Debug)]
pub struct Options {
    /// The address. Port 0 takes a free one; [`Listening::address`] tells which.
    pub bind: SocketAddr,
    /// Who may call.
    pub access: Arc<Access>,
    /// How long things may take.
    pub timings: Timings,
    /// Whether GraphQL queries may ask for the schema.
    pub introspection: bool,
}

/// How long the transports wait for what.
#[derive(Clone, Debug)]
pub struct Timings {
    /// Between two pings of a WebSocket.
    pub ping: Duration,
    /// From a ping until the peer must have been heard of.
    pub pong: Duration,
    /// Between two looks at whether the token of an open connection is still good.
    pub token_check: Duration,
    /// Between two comments on a quiet event stream, so that proxies keep it open.
    pub keep_alive: Duration,
    /// For the head of a request, and for the next one on an open connection.
    pub head: Duration,
    /// For the body of a single command.
    pub body: Duration,
    /// For what a GraphQL query reads.
    pub query: Duration,
    /// From the opening of a GraphQL WebSocket until it says `connection_init`.
    pub init: Duration,
    /// For answers that are still due when the daemon drains.
    pub drain: Duration,
    /// For the last bytes of a connection that is closed.
    pub close: Duration,
}

impl Default for Timings {
    fn default() -> Timings {
        Timings {
            ping: Duration::from_millis(limits::PING_INTERVAL_MS),
            pong: Duration::from_millis(limits::PONG_TIMEOUT_MS),
            token_check: Duration::from_secs(5),
            keep_alive: Duration::from_secs(15),
            head: Duration::from_secs(60),
            body: Duration::from_secs(60),
            query: Duration::from_millis(limits::GRAPHQL_TIMEOUT_MS),
            init: Duration::from_millis(limits::GRAPHQL_INIT_TIMEOUT_MS),
            drain: Duration::from_secs(30),
            close: Duration::from_secs(2),
        }
    }
}

/// Waits until the daemon drains, or until nobody is left who could say so.
pub(crate) async fn drained(draining: &mut tokio::sync::watch::Receiver<bool>) {
    let _told_or_gone = draining.wait_for(|draining| *draining).await;
}

//! The daemon from outside: what travels over its transports, `/graphql`, and the process door.
//! One program for all of them: a file that is not named here is not run, and `cargo xtask tidy` says so.
#![allow(
    unreachable_pub,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a failed step of a test ends it, and a test may print what it measures"
)]

mod door;
mod graphql;
mod graphql_limits;
mod graphql_promises;
mod graphql_websocket;
mod protocol_examples;
mod transport_access;
mod transport_events;
mod transport_http;
mod transport_limits;
mod transport_ndjson;
mod transport_stdio;
mod transport_support;
mod transport_websocket;

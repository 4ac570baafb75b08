//! The daemon: clock, entropy, redaction, listeners, rate limits and the processes it starts. It feeds the
//! engine inputs and carries out what the engine releases; it decides nothing about commands itself.

pub mod access;
mod cage;
pub mod core;
pub mod door;
pub mod graphql;
pub mod output;
pub mod personal;
mod providers;
pub mod redact;
mod sessions;
pub mod transport;

//! The vocabulary of Actum: ids, envelopes, contracts, inputs, events, outcomes, error codes, canonical
//! bytes, hashes and **all limits**.
//!
//! The serde types of [`event`] and [`input`] *are* disk format v1 (architecture decision D4): a change of
//! their bytes needs a new format version. Nothing here reads a clock, draws a random number or does IO.

pub mod canonical;
pub mod config;
pub mod contract;
pub mod effect;
pub mod envelope;
pub mod error;
pub mod event;
pub mod graph;
pub mod hash;
pub mod ids;
pub mod input;
pub mod json;
pub mod limits;
pub mod marks;
pub mod outcome;
mod positional;
pub mod promise;
pub mod response;
pub mod restore;
pub mod time;
pub mod timer;
pub mod worker;

pub use config::RealmConfig;
pub use contract::Contract;
pub use effect::{EffectId, EffectRequest, Settlement};
pub use envelope::{Caller, Envelope, SessionVersion};
pub use error::{ErrorCode, Fault};
pub use event::Event;
pub use hash::Hash;
pub use ids::{CommandId, Lane, SessionId};
pub use input::{Input, Stamped};
pub use json::Json;
pub use outcome::{Outcome, OutcomeRow};
pub use response::{Body, Response};

//! The GraphQL surface: the graph of a realm read and changed by queries at `/graphql`, its rewrite log followed
//! by subscriptions.
//!
//! - the schema: [`scalars`], [`inputs`], [`types`], [`query`], [`mutation`], [`subscription`], [`time`];
//! - what one request sees: [`moment`], with the versions that readers were given in [`pins`];
//! - how a request comes in and is bounded: [`surface`], [`bounds`], [`http`], [`websocket`], [`explorer`].
//!
//! It decides nothing: reads are answered from one published state, and a mutation is a command like any other.
//! `docs/graph.md` tells how it is used; `docs/graphql/schema.graphql` is the schema as a client sees it.

mod bounds;
mod errors;
pub(crate) mod explorer;
pub(crate) mod http;
mod inputs;
mod moment;
mod mutation;
mod pins;
mod promise;
mod query;
mod scalars;
mod subscription;
mod surface;
mod time;
mod types;
mod websocket;

pub(crate) use surface::Surface;
pub use surface::sdl;

//! The commands of the command line, one file each.

pub(crate) mod blob;
pub(crate) mod call;
pub(crate) mod cancel;
pub(crate) mod completions;
pub(crate) mod daemon;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod events;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod graphql;
pub(crate) mod history;
pub(crate) mod journal;
pub(crate) mod kinds;
pub(crate) mod recovery;
pub(crate) mod replay;
pub(crate) mod resolve;
pub(crate) mod session;
pub(crate) mod show;
pub(crate) mod subject;
pub(crate) mod submit;
pub(crate) mod token;
pub(crate) mod verify;
pub(crate) mod wait;
pub(crate) mod why;

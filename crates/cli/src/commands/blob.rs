//! `actum blob`: a sealed body by its hash, from the data directory. What it writes is compared with the hash first.

use crate::context::Context;
use crate::failure::{Done, Exit, Failure};
use crate::offline;
use actum_journal::Blobs;
use actum_model::{ErrorCode, Hash};
use clap::Args as ClapArgs;
use std::sync::Arc;

/// Flags of `blob`.
#[derive(ClapArgs, Clone, Debug)]
#[command(
    after_help = "Example:\n  actum blob 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae > output.txt"
)]
pub(crate) struct Args {
    /// The hash, 64 hex digits, as a result names it
    hash: String,
}

pub(crate) fn run(args: &Args, context: &Context) -> Done {
    let hash: Hash = args
        .hash
        .parse()
        .map_err(|error| Failure::usage(format!("the hash of a blob: {error}")))?;
    let reading = offline::reading(context)?;
    let blobs = Blobs::new(Arc::new(reading.storage));
    match blobs.get(&hash)? {
        Some(bytes) => context.out.bytes(&bytes)?,
        None => {
            let message = format!("no blob {hash} is kept in `{}`", context.data.display());
            return Err(Failure::new(ErrorCode::NotFound, message)
                .hint("results name their blobs: see `actum show ID`"));
        }
    }
    Ok(Exit::Ok)
}

//! `actum graphql`: the GraphQL schema, printed from the code. It needs no daemon.

use crate::context::Context;
use crate::failure::{Done, Exit};
use clap::{Args as ClapArgs, Subcommand};
use serde_json::json;

/// Flags of `graphql`.
#[derive(ClapArgs, Clone, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Clone, Debug)]
enum What {
    /// Prints the schema in GraphQL's own language; works without a daemon
    #[command(after_help = "Example:\n  actum graphql schema > schema.graphql")]
    Schema,
}

pub(crate) fn run(args: &Args, context: &Context) -> Done {
    let What::Schema = args.what;
    let sdl = actum_daemon::graphql::sdl();
    if context.out.human() {
        context.out.line(sdl.trim_end())?;
    } else {
        context.out.json(&json!({"schema": sdl}))?;
    }
    Ok(Exit::Ok)
}

//! `actum cancel`: cancels a command; one that runs is stopped with its whole process tree.

use crate::context::Context;
use crate::failure::{Done, Exit};
use crate::mint;
use crate::remote::{Remote, block_on, data_of};
use crate::shape::text;
use clap::Args as ClapArgs;
use serde_json::json;

/// Flags of `cancel`.
#[derive(ClapArgs, Clone, Debug)]
#[command(after_help = "Example:\n  actum cancel build-1")]
pub(crate) struct Args {
    /// The command's id
    id: String,
}

pub(crate) fn run(args: &Args, context: &Context) -> Done {
    let own_id = mint::fresh("cancel")?;
    let answer = block_on(async {
        let envelope = json!({"type": "command.cancel", "id": own_id, "payload": {"id": args.id}});
        Remote::connect(context).await?.submit(&envelope).await
    })?;
    if !context.out.human() {
        context.out.json(&answer)?;
    }
    let data = data_of(answer)?;
    if context.out.human() {
        match text(&data, "state") {
            "stopping" => context.out.line(format_args!(
                "{} is being stopped; `actum wait {0}` tells its end",
                args.id
            ))?,
            state => context.out.line(format_args!("{} is {state}", args.id))?,
        }
    }
    Ok(Exit::Ok)
}

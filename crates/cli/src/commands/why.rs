//! `actum why`: why a command stands where it stands, and what can be done.

use crate::context::Context;
use crate::failure::{Done, Exit, Failure};
use crate::remote::{Remote, block_on};
use crate::shape::text;
use clap::Args as ClapArgs;
use serde_json::{Value, json};

/// Flags of `why`.
#[derive(ClapArgs, Clone, Debug)]
#[command(after_help = "Example:\n  actum why repair-09")]
pub(crate) struct Args {
    /// The command's id
    id: String,
}

pub(crate) fn run(args: &Args, context: &Context) -> Done {
    let why = block_on(async {
        Remote::connect(context)
            .await?
            .read("command.why", json!({"id": args.id}))
            .await
    })?;
    if context.out.human() {
        lines(&why, context)
            .into_iter()
            .try_for_each(|line| context.out.line(line))?;
    } else {
        context.out.json(&why)?;
    }
    Ok(Exit::Ok)
}

/// The explanation as lines; the demo shows the same.
pub(crate) fn lines(why: &Value, context: &Context) -> Vec<String> {
    let paint = context.out.paint;
    let state = text(why, "state");
    let id = text(why, "id");
    let mut lines = vec![format!(
        "{} is {}",
        paint.bold(id),
        paint.state(&state.replace('_', " "), state)
    )];
    let list = |name: &str| {
        why.get(name)
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    lines.extend(
        list("because")
            .iter()
            .filter_map(Value::as_str)
            .map(|reason| format!("  {reason}")),
    );
    for next in list("next").iter().filter_map(Value::as_str) {
        lines.push(format!("  {} {next}", paint.dim("next:")));
    }
    lines
}

/// The explanation of a command, from a daemon that is connected already.
pub(crate) async fn ask(remote: &Remote, id: &str) -> Result<Value, Failure> {
    remote.read("command.why", json!({"id": id})).await
}

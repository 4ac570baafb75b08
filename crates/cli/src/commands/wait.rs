//! `actum wait`: waits until a command has its outcome. A command in doubt is not waited for: only a person ends it.

use super::why;
use crate::context::Context;
use crate::failure::{Done, Exit, Failure, fault_of};
use crate::remote::{Remote, block_on};
use crate::shape::text;
use actum_client::EventsQuery;
use actum_model::ErrorCode;
use clap::Args as ClapArgs;
use serde_json::{Value, json};
use std::time::Duration;

/// Flags of `wait`.
#[derive(ClapArgs, Clone, Debug)]
#[command(
    after_help = "Example:\n  actum wait build-1 --timeout 60 && actum call shell.run -- make deploy\n\n\
    Ends with 0 where it succeeded, 1 where it did not, 3 where it is in doubt or still running."
)]
pub(crate) struct Args {
    /// The command's id
    id: String,
    /// Wait at most so long
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    timeout: u64,
}

pub(crate) fn run(args: &Args, context: &Context) -> Done {
    let found = block_on(async {
        let remote = Remote::connect(context).await?;
        let limit = Duration::from_secs(args.timeout);
        match tokio::time::timeout(limit, until_over(&remote, &args.id)).await {
            Ok(found) => found,
            Err(_) => {
                let message = format!("`{}` has not finished within {} s", args.id, args.timeout);
                Err(Failure::new(ErrorCode::WaitTimeout, message))
            }
        }
    })?;
    show(&found, context)
}

/// The command when it has its outcome or is in doubt.
pub(crate) async fn until_over(remote: &Remote, id: &str) -> Result<Value, Failure> {
    // The events first: what happens between them and the look is then seen.
    let mut events = remote.client.events(&EventsQuery::default()).await?;
    loop {
        let row = remote.read("command.get", json!({"id": id})).await?;
        if row.get("success").is_some() || text(&row, "state") == "in_doubt" {
            return Ok(row);
        }
        may_wait(remote, id).await?;
        loop {
            let Some(event) = events.next().await? else {
                return Err(Failure::new(
                    ErrorCode::ShuttingDown,
                    "the daemon ended before the command did",
                ));
            };
            let over = matches!(event.name.as_str(), "command_finished" | "command_in_doubt");
            if over && text(&event.data, "id") == id {
                break;
            }
        }
    }
}

/// A program inside a running command must not wait for that command: the daemon knows.
async fn may_wait(remote: &Remote, id: &str) -> Result<(), Failure> {
    let asked = remote.read("command.wait", json!({"id": id, "waitMs": 0})).await;
    match asked {
        Err(Failure::Fault(fault)) if fault.code == ErrorCode::WaitTimeout => Ok(()),
        Ok(_) => Ok(()),
        Err(failure) => Err(failure),
    }
}

fn show(row: &Value, context: &Context) -> Done {
    let out = &context.out;
    let state = text(row, "state");
    if !out.human() {
        out.json(row)?;
    }
    if state == "in_doubt" {
        if out.human() {
            let id = text(row, "id").to_owned();
            let explained = block_on(async { why::ask(&Remote::connect(context).await?, &id).await })?;
            why::lines(&explained, context)
                .into_iter()
                .try_for_each(|line| out.line(line))?;
        }
        return Ok(Exit::Waiting);
    }
    if let Some(fault) = fault_of(row) {
        return Err(fault.into());
    }
    if out.human() {
        out.line(format_args!(
            "{} {}",
            text(row, "id"),
            out.paint.state(state, state)
        ))?;
    }
    Ok(if state == "succeeded" {
        Exit::Ok
    } else {
        Exit::Failed
    })
}

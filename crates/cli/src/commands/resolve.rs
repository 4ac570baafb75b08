//! `actum resolve`: ends a command in doubt with what a person found out, on the record.

use crate::context::Context;
use crate::failure::{Done, Exit, Failure};
use crate::mint;
use crate::remote::{Remote, block_on, data_of};
use crate::shape::text;
use actum_model::json::parse_strict;
use clap::{Args as ClapArgs, ValueEnum};
use serde_json::{Value, json};

/// Flags of `resolve`.
#[derive(ClapArgs, Clone, Debug)]
#[command(
    after_help = "Examples:\n  actum resolve repair-08 --as landed --note \"postings.log has the line\"\n  \
    actum resolve deploy-3 --as retry --note \"the provider has no trace of it\""
)]
pub(crate) struct Args {
    /// The command in doubt
    id: String,
    /// What became of it
    #[arg(long = "as", value_enum)]
    resolution: Resolution,
    /// How you know
    #[arg(long)]
    note: String,
    /// With `landed`: the result, as JSON
    #[arg(long, value_name = "JSON")]
    result: Option<String>,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum Resolution {
    /// It happened: the command succeeded
    Landed,
    /// It did not happen: the command failed
    #[value(name = "did_not_happen", alias = "did-not-happen")]
    DidNotHappen,
    /// It is to be tried again, by a new command
    Retry,
}

pub(crate) fn run(args: &Args, context: &Context) -> Done {
    let how = match args.resolution {
        Resolution::Landed => "landed",
        Resolution::DidNotHappen => "did_not_happen",
        Resolution::Retry => "retry",
    };
    let mut payload = json!({"id": args.id, "as": how, "note": args.note});
    if let (Some(result), Value::Object(members)) = (&args.result, &mut payload) {
        let result = parse_strict(result.as_bytes())
            .map_err(|error| Failure::usage(format!("the result is no JSON: {error}")))?;
        members.insert("result".into(), result);
    }
    let own_id = mint::fresh("resolve")?;
    let answer = block_on(async {
        let envelope = json!({"type": "command.resolve", "id": own_id, "payload": payload});
        Remote::connect(context).await?.submit(&envelope).await
    })?;
    if !context.out.human() {
        context.out.json(&answer)?;
    }
    let data = data_of(answer)?;
    if context.out.human() {
        let ended = match text(&data, "retriedBy") {
            "" => format!(
                "{} is resolved as {}; its lane goes on",
                args.id,
                how.replace('_', " ")
            ),
            again => format!("{} is resolved; `{again}` tries it again", args.id),
        };
        context.out.line(ended)?;
    }
    Ok(Exit::Ok)
}

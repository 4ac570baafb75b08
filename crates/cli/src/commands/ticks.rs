//! `actum ticks`: the last ticks of the history.

use crate::context::Context;
use crate::failure::{Done, Exit};
use crate::remote::{Remote, block_on};
use crate::shape::{self, number, text};
use crate::table;
use clap::Args as ClapArgs;
use serde_json::{Value, json};

/// Flags of `ticks`.
#[derive(ClapArgs, Clone, Debug)]
#[command(after_help = "Examples:\n  actum ticks\n  actum ticks --after 41 --first 10")]
pub(crate) struct Args {
    /// Begin behind this tick
    #[arg(long, value_name = "TICK")]
    after: Option<u64>,
    /// Ticks of a page
    #[arg(long, value_name = "N", default_value_t = 100)]
    first: u64,
}

pub(crate) fn run(args: &Args, context: &Context) -> Done {
    let mut payload = json!({"first": args.first});
    if let (Some(after), Value::Object(members)) = (args.after, &mut payload) {
        members.insert("after".into(), after.into());
    }
    let page = block_on(async { Remote::connect(context).await?.read("time.ticks", payload).await })?;
    let out = &context.out;
    if !out.human() {
        out.json_rows(&page, "ticks")?;
        return Ok(Exit::Ok);
    }
    let ticks = page
        .get("ticks")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    if ticks.is_empty() {
        out.say("no ticks here: nothing was due; a daemon started with --tick-every-ms makes them regularly");
        return Ok(Exit::Ok);
    }
    let mut table = table::table(out, &["TICK", "RECORD", "AT", "RUN TIME", "FIRED"]);
    for tick in &ticks {
        table.add_row([
            number(tick, "tick").unwrap_or(0).to_string(),
            number(tick, "idx").unwrap_or(0).to_string(),
            shape::short_time(text(tick, "at")),
            shape::millis(number(tick, "elapsedMs").unwrap_or(0)),
            number(tick, "fired").unwrap_or(0).to_string(),
        ]);
    }
    table::lines(out, &table)
        .into_iter()
        .try_for_each(|line| out.line(line))?;
    let last = ticks.last().and_then(|tick| number(tick, "tick"));
    if let (Some(true), Some(last)) = (page.get("hasMore").and_then(Value::as_bool), last) {
        out.say(format_args!("there are more: --after {last}"));
    }
    Ok(Exit::Ok)
}

//! `actum now`: the time of the history, which stands still between records.

use crate::context::Context;
use crate::failure::{Done, Exit};
use crate::remote::{Remote, block_on};
use crate::shape::{self, number, text};
use crate::table;
use actum_model::time;
use clap::Args as ClapArgs;
use serde_json::{Value, json};

/// Flags of `now`.
#[derive(ClapArgs, Clone, Debug)]
#[command(after_help = "Example:\n  actum now --json")]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, context: &Context) -> Done {
    let now = block_on(async { Remote::connect(context).await?.read("time.now", json!({})).await })?;
    let out = &context.out;
    if !out.human() {
        out.json(&now)?;
        return Ok(Exit::Ok);
    }
    let ns = |name: &str| text(&now, name).parse::<u64>().unwrap_or(0);
    let value = match text(&now, "domain") {
        "unix" => time::rfc3339(ns("ns") / 1_000_000),
        "monotonic" => format!("{} of run time", shape::millis(ns("ns") / 1_000_000)),
        _ => "nobody knows yet".to_owned(),
    };
    out.line(out.paint.bold(value))?;
    let mut pairs = vec![
        ("nanoseconds", text(&now, "ns").to_owned()),
        (
            "give or take",
            shape::millis(ns("uncertaintyNs").div_ceil(1_000_000)),
        ),
        ("policy", text(&now, "policy").to_owned()),
        ("rests on", records(&now)),
        (
            "told at",
            format!("record {}", number(&now, "atIdx").unwrap_or(0)),
        ),
    ];
    if let Some(jump) = now.get("pending") {
        let wall: u64 = text(jump, "wallNs").parse().unwrap_or(0);
        let told = format!(
            "the wall clock says {} since record {}; history follows if it stays so for an hour",
            shape::short_time(&time::rfc3339(wall / 1_000_000)),
            number(jump, "idx").unwrap_or(0)
        );
        pairs.push(("pending", told));
    }
    table::pairs(out, &pairs)
        .into_iter()
        .try_for_each(|line| out.line(line))?;
    Ok(Exit::Ok)
}

fn records(now: &Value) -> String {
    let list = now.get("provenance").and_then(Value::as_array);
    let idxs: Vec<String> = list
        .into_iter()
        .flatten()
        .filter_map(Value::as_u64)
        .map(|idx| format!("record {idx}"))
        .collect();
    if idxs.is_empty() {
        return "nothing".to_owned();
    }
    idxs.join(", ")
}

//! `actum recovery`: what the last start of the daemon found, and how it took it up.

use crate::context::Context;
use crate::failure::{Done, Exit};
use crate::remote::{Remote, block_on};
use crate::shape::{self, number, text};
use crate::table;
use clap::Args as ClapArgs;
use serde_json::{Value, json};

/// Flags of `recovery`.
#[derive(ClapArgs, Clone, Debug)]
#[command(after_help = "Example:\n  actum recovery --json")]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, context: &Context) -> Done {
    let found = block_on(async {
        Remote::connect(context)
            .await?
            .read("server.recovery", json!({}))
            .await
    })?;
    let out = &context.out;
    if !out.human() {
        out.json(&found)?;
        return Ok(Exit::Ok);
    }
    table::pairs(out, &pairs(&found))
        .into_iter()
        .try_for_each(|line| out.line(line))?;
    let commands = found
        .get("commands")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    if !commands.is_empty() {
        out.line("")?;
        let mut table = table::table(out, &["ID", "KIND", "CLASS", "REASON"]);
        for command in &commands {
            let class = text(command, "class");
            table.add_row([
                comfy_table::Cell::new(text(command, "id")),
                comfy_table::Cell::new(text(command, "kind")),
                table::state_cell(class),
                comfy_table::Cell::new(text(command, "reason").replace('_', " ")),
            ]);
        }
        table::lines(out, &table)
            .into_iter()
            .try_for_each(|line| out.line(format_args!("  {line}")))?;
    }
    Ok(Exit::Ok)
}

/// The summary in short: `47 records read in 12 ms, 1 in doubt`.
pub(crate) fn sentence(found: &Value) -> String {
    let records = number(found, "recordsRead").unwrap_or(0);
    if number(found, "term") == Some(1) {
        return "a new history".to_owned();
    }
    let took = shape::millis(number(found, "durationMs").unwrap_or(0));
    let classes = classes(found);
    let ended = if found.get("cleanShutdown") == Some(&Value::Bool(true)) {
        ""
    } else {
        " after a crash"
    };
    format!(
        "{} read in {took}{ended}; {classes}",
        shape::count(records, "record")
    )
}

fn classes(found: &Value) -> String {
    let classes = found.get("classes").cloned().unwrap_or_default();
    let named: Vec<String> = ["queued", "recoverable", "interrupted", "probe", "in_doubt"]
        .into_iter()
        .filter_map(|name| Some((name, number(&classes, name)?)))
        .filter(|(_, n)| *n > 0)
        .map(|(name, n)| format!("{n} {}", name.replace('_', " ")))
        .collect();
    if named.is_empty() {
        "nothing was left unfinished".to_owned()
    } else {
        named.join(", ")
    }
}

fn pairs(found: &Value) -> Vec<(&'static str, String)> {
    let mut pairs = vec![("start", format!("number {}", number(found, "term").unwrap_or(0)))];
    let clean = found.get("cleanShutdown") == Some(&Value::Bool(true));
    let first = number(found, "term") == Some(1);
    pairs.push((
        "before it",
        match (first, clean) {
            (true, _) => "nothing: a new history".to_owned(),
            (false, true) => "an orderly end".to_owned(),
            (false, false) => "no orderly end: the daemon was killed, or the machine stopped".to_owned(),
        },
    ));
    pairs.push((
        "read",
        format!(
            "{} in {}",
            shape::count(number(found, "recordsRead").unwrap_or(0), "record"),
            shape::millis(number(found, "durationMs").unwrap_or(0))
        ),
    ));
    if let Some(idx) = number(found, "snapshotUsed") {
        pairs.push(("snapshot", format!("state after record {idx}")));
    }
    for unfit in found
        .get("snapshotsUnfit")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        pairs.push(("unfit snapshot", shape::plain(unfit)));
    }
    match number(found, "tornBytesCut").unwrap_or(0) {
        0 => {}
        n => pairs.push((
            "cut",
            format!("{} behind the head that nobody was told of", shape::bytes(n)),
        )),
    }
    pairs.push(("taken up", classes(found)));
    pairs
}

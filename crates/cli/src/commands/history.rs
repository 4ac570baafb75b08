//! `actum history`: what was done, with lane, sequence and outcome.

use crate::context::Context;
use crate::failure::{Done, Exit};
use crate::remote::{Remote, block_on};
use crate::shape::{self, number, text};
use crate::table;
use clap::{Args as ClapArgs, ValueEnum};
use comfy_table::Cell;
use serde_json::{Map, Value};

/// Flags of `history`.
#[derive(ClapArgs, Clone, Debug)]
#[command(
    after_help = "Examples:\n  actum history --session repair\n  actum history --outcome failed --newest --limit 20\n  \
    actum history --since 2026-11-01 --kind shell.run --output jsonl --all"
)]
pub(crate) struct Args {
    /// Only commands of this session
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// Only this command
    #[arg(long, value_name = "ID")]
    command: Option<String>,
    /// Only this chain of commands
    #[arg(long, value_name = "ID")]
    correlation: Option<String>,
    /// Only commands of this kind
    #[arg(long)]
    kind: Option<String>,
    /// Only commands that ended so
    #[arg(long, value_enum)]
    outcome: Option<Ended>,
    /// Accepted at this time or later, RFC 3339 or a date
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Accepted before this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Accepted at this journal position or later
    #[arg(long, value_name = "IDX")]
    from: Option<u64>,
    /// Accepted at this journal position or before
    #[arg(long, value_name = "IDX")]
    to: Option<u64>,
    /// The newest first
    #[arg(long)]
    newest: bool,
    /// Rows of a page
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// The page behind this cursor
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
    /// Every page, one after the other
    #[arg(long, conflicts_with = "after")]
    all: bool,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
#[value(rename_all = "snake_case")]
enum Ended {
    Succeeded,
    Failed,
    Rejected,
    TimedOut,
    Cancelled,
    Unfinished,
}

impl Ended {
    fn as_str(self) -> &'static str {
        match self {
            Ended::Succeeded => "succeeded",
            Ended::Failed => "failed",
            Ended::Rejected => "rejected",
            Ended::TimedOut => "timed_out",
            Ended::Cancelled => "cancelled",
            Ended::Unfinished => "unfinished",
        }
    }
}

pub(crate) fn run(args: &Args, context: &Context) -> Done {
    block_on(async {
        let remote = Remote::connect(context).await?;
        let mut payload = filters(args);
        let out = &context.out;
        let mut rows: Vec<Value> = Vec::new();
        let next = loop {
            let mut page = remote
                .read("server.history", Value::Object(payload.clone()))
                .await?;
            let next = page.get("nextCursor").and_then(Value::as_str).map(str::to_owned);
            if let Some(Value::Array(more)) = page.get_mut("commands").map(Value::take) {
                rows.extend(more);
            }
            match next {
                Some(next) if args.all => payload.insert("after".into(), next.into()),
                next => break next,
            };
        };
        if out.human() {
            print(&rows, next.as_deref(), context)?;
        } else {
            let mut page = Map::new();
            page.insert("commands".into(), rows.into());
            page.extend(next.map(|next| ("nextCursor".to_owned(), Value::from(next))));
            out.json_rows(&Value::Object(page), "commands")?;
        }
        Ok(Exit::Ok)
    })
}

fn filters(args: &Args) -> Map<String, Value> {
    let text = |value: &Option<String>| value.clone().map(Value::from);
    let all = [
        ("sessionId", text(&args.session)),
        ("commandId", text(&args.command)),
        ("correlationId", text(&args.correlation)),
        ("kind", text(&args.kind)),
        ("outcome", args.outcome.map(|ended| ended.as_str().into())),
        ("since", text(&args.since)),
        ("until", text(&args.until)),
        ("fromIdx", args.from.map(Value::from)),
        ("toIdx", args.to.map(Value::from)),
        ("order", args.newest.then(|| "newest".into())),
        ("limit", args.limit.map(Value::from)),
        ("after", text(&args.after)),
    ];
    all.into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

fn print(rows: &[Value], next: Option<&str>, context: &Context) -> Result<(), crate::failure::Failure> {
    let out = &context.out;
    if rows.is_empty() {
        out.say("no commands");
        return Ok(());
    }
    let mut table = table::table(
        out,
        &[
            "IDX", "ACCEPTED", "LANE", "KIND", "ID", "OUTCOME", "TOOK", "BY", "",
        ],
    );
    for row in rows {
        let state = match text(row, "state") {
            "" => text(row, "outcome"),
            state => state,
        };
        let took = shape::between(text(row, "acceptedAt"), text(row, "finishedAt"));
        let code = row
            .pointer("/error/code")
            .and_then(Value::as_str)
            .unwrap_or_default();
        table.add_row([
            Cell::new(
                number(row, "acceptedIdx")
                    .map(|idx| idx.to_string())
                    .unwrap_or_default(),
            ),
            Cell::new(shape::short_time(text(row, "acceptedAt"))),
            Cell::new(shape::lane(row)),
            Cell::new(text(row, "command")),
            Cell::new(text(row, "id")),
            table::state_cell(state),
            Cell::new(took.map(shape::millis).unwrap_or_default()),
            Cell::new(text(row, "principal")),
            Cell::new(code),
        ]);
    }
    table::lines(out, &table)
        .into_iter()
        .try_for_each(|line| out.line(line))?;
    if let Some(next) = next {
        out.say(format_args!("there are more: --after {next}, or --all"));
    }
    Ok(())
}

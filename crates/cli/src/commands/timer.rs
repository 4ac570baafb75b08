//! `actum timer`: set, list and cancel timers.

use crate::context::Context;
use crate::failure::{Done, Exit, Failure};
use crate::mint;
use crate::remote::{Remote, block_on, data_of};
use crate::shape::{self, number, text};
use crate::table;
use actum_model::{ErrorCode, Fault};
use clap::{ArgGroup, Args as ClapArgs, Subcommand};
use serde_json::{Map, Value, json};

/// Flags of `timer`.
#[derive(ClapArgs, Clone, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Clone, Debug)]
enum What {
    /// Sets a timer: it fires once or periodically, and may submit a command
    Set(SetArgs),
    /// Lists live timers by id: when each is due and what it will do
    List {
        /// Rows of a page
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: u64,
        /// Begin behind this timer
        #[arg(long, value_name = "ID")]
        after: Option<String>,
    },
    /// Cancels a live timer; what it submitted already goes on
    Cancel {
        /// The timer
        id: String,
    },
}

#[derive(ClapArgs, Clone, Debug)]
#[command(
    group = ArgGroup::new("when").args(["at", "after", "every"]).multiple(true).required(true),
    after_help = "Examples:\n  actum timer set tea --after 4m\n  actum timer set nightly --at 2027-01-16T02:00:00Z --every 1d \\\n    --command '{\"type\":\"shell.run\",\"sessionId\":\"ops\",\"payload\":{\"argv\":[\"./backup\"]}}'"
)]
struct SetArgs {
    /// Its id, unique among live timers; the daemon makes one where none is named
    id: Option<String>,
    /// When it fires first, RFC 3339; its period counts history time then
    #[arg(long, value_name = "TIME", conflicts_with = "after")]
    at: Option<String>,
    /// After how much run time it fires first, such as 500ms, 90s, 10m, 2h, 1d
    #[arg(long, value_name = "DURATION", value_parser = duration_ms)]
    after: Option<u64>,
    /// Its period; without --at and --after also its first wait
    #[arg(long, value_name = "DURATION", value_parser = duration_ms)]
    every: Option<u64>,
    /// The command it submits each time, JSON without an id
    #[arg(long, value_name = "JSON")]
    command: Option<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Done {
    block_on(async {
        let remote = Remote::connect(context).await?;
        match &args.what {
            What::Set(args) => set(&remote, args, context).await,
            What::List { limit, after } => list(&remote, *limit, after.as_deref(), context).await,
            What::Cancel { id } => cancel(&remote, id, context).await,
        }
    })?;
    Ok(Exit::Ok)
}

/// Reads `500ms`, `90s`, `10m`, `2h` or `1d`.
pub(super) fn duration_ms(text: &str) -> Result<u64, String> {
    let wrong = || "expected a number with a unit, such as `500ms`, `90s`, `10m`, `2h` or `1d`".to_owned();
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (digits, unit) = text.split_at(unit_at);
    let factor = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    let count: u64 = digits.parse().map_err(|_| wrong())?;
    count
        .checked_mul(factor)
        .ok_or_else(|| "that is too long".to_owned())
}

async fn set(remote: &Remote, args: &SetArgs, context: &Context) -> Result<(), Failure> {
    let own_id = mint::fresh("timer")?;
    let command = match &args.command {
        None => None,
        Some(text) => Some(serde_json::from_str::<Value>(text).map_err(|error| {
            Fault::new(
                ErrorCode::InvalidJson,
                format!("--command: expected JSON, got something else: {error}"),
            )
        })?),
    };
    let optional = [
        ("timerId", args.id.clone().map(Value::from)),
        ("dueAt", args.at.clone().map(Value::from)),
        ("afterMs", args.after.map(Value::from)),
        ("everyMs", args.every.map(Value::from)),
        ("command", command),
        ("note", args.note.clone().map(Value::from)),
    ];
    let payload: Map<String, Value> = optional
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect();
    let answer = remote
        .submit(&json!({"type": "timer.set", "id": own_id, "payload": payload}))
        .await?;
    if !context.out.human() {
        context.out.json(&answer)?;
    }
    let made = data_of(answer)?;
    if context.out.human() {
        // Only the id stands on standard output, so that a script can take it.
        context.out.say(format_args!("due {}", due(&made)));
        return context.out.line(text(&made, "timerId"));
    }
    Ok(())
}

async fn list(remote: &Remote, limit: u64, after: Option<&str>, context: &Context) -> Result<(), Failure> {
    let out = &context.out;
    let page = remote.page("timer.list", limit, after).await?;
    let none = "no live timers; set one with `actum timer set`";
    let table = table::folding(out, &["TIMER", "DUE", "EVERY", "FIRED", "SET BY", "DOES"]);
    table::page(out, &page, "timers", none, table, |timer| {
        let every = number(timer, "everyMs").map(shape::millis).unwrap_or_default();
        [
            text(timer, "timerId").to_owned(),
            due(timer),
            every,
            fired(timer),
            text(timer, "principal").to_owned(),
            does(timer),
        ]
    })
}

/// When a timer is due: a time of the history, or a wait of run time.
fn due(timer: &Value) -> String {
    match text(timer, "clock") {
        "history" => shape::short_time(text(timer, "dueAt")),
        _ => format!("in {}", shape::millis(number(timer, "inMs").unwrap_or(0))),
    }
}

fn fired(timer: &Value) -> String {
    let fires = number(timer, "fires").unwrap_or(0).to_string();
    let missed = number(timer, "missed").filter(|missed| *missed > 0);
    let late = timer.pointer("/last/late").and_then(Value::as_bool) == Some(true);
    let refused = timer.pointer("/last/error/code").and_then(Value::as_str);
    let mut words = vec![fires];
    words.extend(missed.map(|missed| format!("{missed} missed")));
    words.extend(late.then(|| "late".to_owned()));
    words.extend(refused.map(|code| format!("refused {code}")));
    words.join(", ")
}

fn does(timer: &Value) -> String {
    let command = timer.get("command").map(|command| {
        let session = text(command, "sessionId");
        let kind = text(command, "type");
        let payload = command.get("payload").map(shape::plain).unwrap_or_default();
        let place = if session.is_empty() {
            String::new()
        } else {
            format!(" in {session}")
        };
        format!("{kind}{place} {}", shape::brief(&payload, 80))
            .trim_end()
            .to_owned()
    });
    let note = Some(text(timer, "note")).filter(|note| !note.is_empty());
    let note = note.map(|note| shape::brief(note, 80));
    command.into_iter().chain(note).collect::<Vec<_>>().join("; ")
}

async fn cancel(remote: &Remote, id: &str, context: &Context) -> Result<(), Failure> {
    let own_id = mint::fresh("cancel")?;
    let envelope = json!({"type": "timer.cancel", "id": own_id, "payload": {"timerId": id}});
    let answer = remote.submit(&envelope).await?;
    if !context.out.human() {
        context.out.json(&answer)?;
    }
    data_of(answer)?;
    if context.out.human() {
        context.out.line(format_args!("timer {id} is cancelled"))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration_ms("500ms"), Ok(500));
        assert_eq!(duration_ms("90s"), Ok(90_000));
        assert_eq!(duration_ms("10m"), Ok(600_000));
        assert_eq!(duration_ms("2h"), Ok(7_200_000));
        assert_eq!(duration_ms("1d"), Ok(86_400_000));
        for bad in [
            "",
            "5",
            "s",
            "-1s",
            "1w",
            "1.5h",
            "99999999999999999999s",
            "9999999999999999999d",
        ] {
            assert!(duration_ms(bad).is_err(), "{bad}");
        }
    }
}

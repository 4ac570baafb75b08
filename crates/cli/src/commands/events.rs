//! `actum events`: follows what happens, from now or from a journal position on.

use crate::context::Context;
use crate::failure::{Done, Exit, Failure};
use crate::remote::{Remote, block_on};
use crate::shape::{self, number, text};
use crate::shown::progress_text;
use actum_client::{Event, EventsQuery};
use clap::Args as ClapArgs;
use serde_json::Value;

/// Flags of `events`.
#[derive(ClapArgs, Clone, Debug)]
#[command(
    after_help = "Examples:\n  actum events\n  actum events --session repair --from 0\n  actum events --output jsonl | jq .event"
)]
pub(crate) struct Args {
    /// Only events of this session
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// Only events of this chain of commands
    #[arg(long, value_name = "ID")]
    correlation: Option<String>,
    /// From this journal position on; from now on where absent
    #[arg(long, value_name = "IDX")]
    from: Option<u64>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Done {
    block_on(async {
        let remote = Remote::connect(context).await?;
        let query = EventsQuery {
            session_id: args.session.clone(),
            correlation_id: args.correlation.clone(),
            from_idx: args.from,
            last_event_id: None,
        };
        let mut events = remote.client.events(&query).await?;
        while let Some(event) = events.next().await? {
            show(&event, context)?;
        }
        context.out.say("the daemon ended the stream");
        Ok(Exit::Ok)
    })
}

fn show(event: &Event, context: &Context) -> Result<(), Failure> {
    show_named(&event.name, &event.data, context)
}

/// Shows a message of a connection that follows: an event, or something live.
pub(super) fn show_message(message: &Value, context: &Context) -> Result<(), Failure> {
    let name = match text(message, "type") {
        "event" => text(message, "event"),
        kind => kind,
    };
    show_named(name, message, context)
}

fn show_named(name: &str, data: &Value, context: &Context) -> Result<(), Failure> {
    let out = &context.out;
    if !out.human() {
        return out.line(data);
    }
    let paint = out.paint;
    if matches!(name, "display" | "progress") {
        let mark = format!("{} {name}", text(data, "id"));
        let shown = match name {
            "display" => display(data.get("data").unwrap_or(&Value::Null)),
            _ => progress_text(data),
        };
        return shown.lines().try_for_each(|line| {
            out.line(format_args!("{}  {line}", paint.dim(format_args!("{mark:>39}"))))
        });
    }
    if name == "output" {
        let mark = format!("{} {}", text(data, "id"), text(data, "stream"));
        return text(data, "data").lines().try_for_each(|line| {
            out.line(format_args!("{}  {line}", paint.dim(format_args!("{mark:>39}"))))
        });
    }
    let what = match name {
        "server_ready" => {
            format!(
                "{} {}",
                text(data, "serverVersion"),
                paint.dim(format_args!("realm {}", text(data, "realm")))
            )
        }
        "session_created" | "session_deleted" => text(data, "sessionId").to_owned(),
        "promise_created" | "promise_settled" => promise(data, paint),
        "timer_set" | "timer_fired" | "timer_cancelled" => timer(data),
        "tick" => format!("number {}", number(data, "tick").unwrap_or(0)),
        "server_booted" => format!("start number {}", number(data, "term").unwrap_or(0)),
        "startup_recovery_summary" => super::recovery::sentence(data),
        _ => command(data, out.paint),
    };
    let idx = number(data, "idx").map(|idx| idx.to_string()).unwrap_or_default();
    let at = shape::short_time(text(data, "at"));
    let line = format!(
        "{idx:>8}  {}  {:<20}  {what}",
        paint.dim(format_args!("{at:<19}")),
        name
    );
    out.line(line.trim_end())
}

/// A bundle as text, or what it is made of.
fn display(bundle: &Value) -> String {
    if let Some(plain) = bundle.get("text/plain").and_then(Value::as_str) {
        return plain.to_owned();
    }
    let types = bundle
        .as_object()
        .map(|members| members.keys().cloned().collect::<Vec<_>>());
    format!("<{}>", types.unwrap_or_default().join(", "))
}

fn promise(data: &Value, paint: crate::print::Paint) -> String {
    let state = text(data, "state");
    let prompt = data
        .pointer("/tags/prompt")
        .and_then(Value::as_str)
        .map(|prompt| shape::brief(prompt, 60));
    let line = format!(
        "{}  {}  {}",
        text(data, "promiseId"),
        paint.state(state, state),
        prompt.filter(|_| state == "pending").unwrap_or_default()
    );
    line.trim_end().to_owned()
}

fn timer(data: &Value) -> String {
    let late = data.get("late").and_then(Value::as_bool) == Some(true);
    let missed = number(data, "missed").filter(|missed| *missed > 0);
    let code = data.pointer("/error/code").and_then(Value::as_str);
    let mut words = vec![text(data, "timerId").to_owned()];
    words.extend(late.then(|| "late".to_owned()));
    words.extend(missed.map(|missed| format!("{missed} missed")));
    let submitted = Some(text(data, "commandId")).filter(|id| !id.is_empty());
    words.extend(submitted.map(|id| format!("submits {id}")));
    words.extend(code.map(|code| format!("refused {code}")));
    words.join("  ")
}

fn command(data: &Value, paint: crate::print::Paint) -> String {
    let outcome = match text(data, "outcome") {
        "" => text(data, "reason"),
        outcome => outcome,
    };
    let code = data
        .pointer("/error/code")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let lane = shape::lane(data);
    let (kind, id) = (text(data, "command"), text(data, "id"));
    let line = format!(
        "{lane:<20}  {kind:<16}  {id:<16}  {}  {code}",
        paint.state(outcome, outcome)
    );
    line.trim_end().to_owned()
}

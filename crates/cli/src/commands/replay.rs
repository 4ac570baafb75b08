//! `actum replay`: the state rebuilt from history, offline; with `--verify` every input is decided again and
//! compared. It never executes anything.

use crate::context::Context;
use crate::failure::{Done, Exit, Failure};
use crate::offline::walk::{BUILD, Next, Passing, Plan, Walked, walk};
use crate::offline::{self, rows, step};
use crate::{shape, table};
use actum_engine::{Drift, ReplayOutcome};
use actum_model::{ErrorCode, Event, Fault};
use clap::Args as ClapArgs;
use serde_json::{Value, json};
use std::io::{BufRead, IsTerminal};

/// Flags of `replay`.
#[derive(ClapArgs, Clone, Debug)]
#[command(
    after_help = "Examples:\n  actum replay --verify\n  actum replay --print --data copy/.actum\n  \
    actum replay --step --from 40 --to 44"
)]
pub(crate) struct Args {
    /// Decide every input again and compare with what was recorded
    #[arg(long)]
    verify: bool,
    /// List every terminal outcome with its lane and the place in it
    #[arg(long)]
    print: bool,
    /// Show every record with what it changed; waits for Enter on a terminal
    #[arg(long)]
    step: bool,
    /// With --step: the first record shown
    #[arg(long, value_name = "IDX", requires = "step")]
    from: Option<u64>,
    /// With --step: the last record shown
    #[arg(long, value_name = "IDX", requires = "step")]
    to: Option<u64>,
    /// Begin with the newest snapshot instead of record 0
    #[arg(long)]
    from_snapshot: bool,
}

/// What went past.
#[derive(Default)]
struct Seen {
    outcomes: Vec<Value>,
    different: Option<Difference>,
}

enum Difference {
    Drift(Box<Drift>),
    Unreadable { idx: u64, why: String },
}

pub(crate) fn run(args: &Args, context: &Context) -> Done {
    let reading = offline::reading(context)?;
    let plan = Plan {
        from_snapshot: args.from_snapshot,
        verify: args.verify,
    };
    let mut seen = Seen::default();
    let walked = walk(&reading, plan, &mut |passing| {
        pass(args, context, &mut seen, passing)
    })?;
    if let Some(different) = &seen.different {
        return Err(report(different, context)?.into());
    }
    if context.out.human() {
        print(args, context, &walked)?;
    } else {
        context.out.json(&to_json(args, &seen, &walked))?;
    }
    Ok(Exit::Ok)
}

fn pass(args: &Args, context: &Context, seen: &mut Seen, passing: &Passing<'_>) -> Result<Next, Failure> {
    let idx = passing.head.idx;
    let out = &context.out;
    let shown = args.step && args.from.is_none_or(|from| idx >= from) && args.to.is_none_or(|to| idx <= to);
    if shown && out.human() {
        step::lines(passing, out)
            .into_iter()
            .try_for_each(|line| out.line(line))?;
        if !pause() {
            return Ok(Next::Stop);
        }
    } else if shown {
        out.json(&step::to_json(passing))?;
    }
    if args.print {
        for row in step::outcomes(passing) {
            if out.human() {
                out.line(outcome_line(&row, context))?;
            } else {
                seen.outcomes.push(row);
            }
        }
    }
    seen.different = match &passing.outcome {
        ReplayOutcome::Same => return Ok(Next::Go),
        ReplayOutcome::Drift(drift) => Some(Difference::Drift(drift.clone())),
        ReplayOutcome::Unreadable(why) => Some(Difference::Unreadable {
            idx,
            why: why.clone(),
        }),
    };
    Ok(Next::Stop)
}

/// Waits for Enter where a person sits there; `q` ends.
fn pause() -> bool {
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return true;
    }
    let mut line = String::new();
    match std::io::stdin().lock().read_line(&mut line) {
        Ok(0) | Err(_) => false,
        Ok(_) => !line.trim().eq_ignore_ascii_case("q"),
    }
}

fn outcome_line(row: &Value, context: &Context) -> String {
    let outcome = shape::text(row, "outcome");
    let code = shape::text(row, "code");
    let line = format!(
        "{:>8}  {:<22}  {:<18}  {:<22}  {}  {}",
        row.get("idx").map(ToString::to_string).unwrap_or_default(),
        shape::lane(row),
        shape::text(row, "command"),
        shape::text(row, "id"),
        context.out.paint.state(&format!("{outcome:<9}"), outcome),
        context.out.paint.dim(code),
    );
    line.trim_end().to_owned()
}

fn print(args: &Args, context: &Context, walked: &Walked) -> Result<(), Failure> {
    let out = &context.out;
    let state = &walked.state;
    let verdict = match (&walked.looked, args.verify) {
        (None, _) => "stopped where you said".to_owned(),
        (Some(_), true) => out.paint.green("every record decided again, no difference"),
        (Some(_), false) => "state rebuilt from events".to_owned(),
    };
    if args.print || args.step {
        out.line("")?;
    }
    out.line(format_args!("{}: {verdict}", context.data.display()))?;
    let mut records = shape::grouped(walked.records);
    if let Some(idx) = walked.looked.as_ref().and_then(|looked| looked.report.snapshot) {
        records = format!("{records} behind the snapshot at record {idx}");
    }
    let unfinished = state.in_flight() as u64;
    let mut commands = shape::grouped(state.next_seq.saturating_sub(1));
    if unfinished > 0 {
        let in_doubt = state.in_doubt().count();
        commands = format!("{commands}, {unfinished} of them not finished, {in_doubt} in doubt");
    }
    let pairs = [
        ("records", records),
        ("commands", commands),
        ("sessions", shape::grouped(state.sessions.len() as u64)),
        ("version", BUILD.to_owned()),
        ("digest", walked.digest.to_string()),
    ];
    table::pairs(out, &pairs)
        .into_iter()
        .try_for_each(|line| out.line(line))
}

fn to_json(args: &Args, seen: &Seen, walked: &Walked) -> Value {
    let state = &walked.state;
    let mut whole = json!({
        "verified": args.verify && walked.looked.is_some(),
        "records": walked.records,
        "headIdx": state.next_idx.checked_sub(1),
        "snapshot": walked.looked.as_ref().and_then(|looked| looked.report.snapshot),
        "commands": state.next_seq.saturating_sub(1),
        "unfinished": state.in_flight(),
        "inDoubt": state.in_doubt().count(),
        "sessions": state.sessions.len(),
        "version": BUILD,
        "digest": walked.digest.to_string(),
    });
    if let (true, Value::Object(members)) = (args.print, &mut whole) {
        members.insert("outcomes".into(), seen.outcomes.clone().into());
    }
    whole
}

/// Shows the first difference and gives the fault that says what it means.
fn report(different: &Difference, context: &Context) -> Result<Fault, Failure> {
    let out = &context.out;
    let drift = match different {
        Difference::Unreadable { idx, why } => {
            let message = format!("the input of record {idx} cannot be read by version {BUILD}: {why}");
            return Ok(Fault::new(ErrorCode::JournalUnsupported, message));
        }
        Difference::Drift(drift) => drift,
    };
    let list = |events: &[Event]| events.iter().map(rows::event).collect::<Vec<Value>>();
    if out.human() {
        let side = |name: &str, events: &[Event]| {
            let lines: Vec<String> = list(events).iter().map(ToString::to_string).collect();
            let text = if lines.is_empty() {
                "nothing".to_owned()
            } else {
                lines.join("\n")
            };
            (name.to_owned(), text)
        };
        let sides = [
            side("recorded", &drift.recorded),
            side("decided now", &drift.decided),
        ];
        let sides: Vec<(&str, String)> = sides
            .iter()
            .map(|(name, text)| (name.as_str(), text.clone()))
            .collect();
        table::pairs(out, &sides)
            .into_iter()
            .try_for_each(|line| out.line(line))?;
    } else {
        out.json(&json!({
            "verified": false, "idx": drift.idx, "decidedBy": drift.decided_by, "version": BUILD,
            "otherVersion": drift.other_version, "recorded": list(&drift.recorded), "decided": list(&drift.decided),
        }))?;
    }
    Ok(if drift.other_version {
        let message = format!(
            "record {} was decided by another engine version ({}), and {BUILD} decides it otherwise",
            drift.idx, drift.decided_by
        );
        let hint = format!(
            "replay it with version {}; recovery is not touched by this",
            drift.decided_by
        );
        Fault::new(ErrorCode::ReplayDrift, message).with_hint(hint)
    } else {
        let message = format!(
            "record {} drifts: the same version {BUILD} decided it, and decides it otherwise now",
            drift.idx
        );
        Fault::new(ErrorCode::ReplayDrift, message)
            .with_hint("the program or the history was changed: compare them with a copy you trust")
    })
}

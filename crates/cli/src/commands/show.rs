//! `actum show`: one command, with its arguments, output and outcome.

use crate::answer;
use crate::context::Context;
use crate::failure::{Done, Exit, Failure, fault_of};
use crate::offline;
use crate::remote::{Remote, block_on};
use crate::shape::{self, number, text};
use crate::table;
use actum_daemon::personal;
use actum_journal::{Storage, reader};
use actum_model::{ErrorCode, Event, Input, Json};
use clap::Args as ClapArgs;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Flags of `show`.
#[derive(ClapArgs, Clone, Debug)]
#[command(after_help = "Examples:\n  actum show repair-03\n  actum show repair-03 --reveal")]
pub(crate) struct Args {
    /// The command's id
    id: String,
    /// Open the personal values in it; what was erased stays a marker
    #[arg(long)]
    reveal: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Done {
    let mut row = block_on(async {
        Remote::connect(context)
            .await?
            .read("command.get", json!({"id": args.id}))
            .await
    })?;
    if let Some(payload) = arguments(&row, context)
        && let Value::Object(members) = &mut row
    {
        members.entry("payload").or_insert(payload);
    }
    if args.reveal {
        let erased = block_on(reveal(&mut row, context))?;
        if erased > 0 {
            let values = shape::count(erased, "personal value");
            context.out.say(format_args!(
                "{values} erased (PERSONAL_DATA_ERASED): nothing can bring them back"
            ));
        }
    }
    if context.out.human() {
        print(&row, context)?;
    } else {
        context.out.json(&row)?;
    }
    Ok(Exit::Ok)
}

/// Puts personal values in the place of their markers, as the daemon gives them to this caller. Gives how many are
/// erased.
async fn reveal(row: &mut Value, context: &Context) -> Result<u64, Failure> {
    let mut named = BTreeSet::new();
    named.extend(personal::refs(&row.to_string()));
    let remote = Remote::connect(context).await?;
    let (mut values, mut erased) = (BTreeMap::new(), 0);
    for hash in named {
        let answer = remote
            .submit(&json!({"type": "personal.get", "payload": {"ref": hash.to_string()}}))
            .await?;
        match fault_of(&answer) {
            None => {
                let value = answer.get("data").and_then(|data| data.get("value"));
                values.insert(hash, value.cloned().unwrap_or_default());
            }
            Some(fault) if fault.code == ErrorCode::PersonalDataErased => erased += 1,
            // A program can write a marker that stands for nothing.
            Some(fault) if fault.code == ErrorCode::NotFound => {}
            Some(fault) => return Err(fault.into()),
        }
    }
    personal::put_in_place(row, &values);
    Ok(erased)
}

/// The arguments as they were journaled. The daemon keeps them for running commands only; where its data directory
/// can be read from here they are taken from the record that accepted the command.
fn arguments(row: &Value, context: &Context) -> Option<Value> {
    if row.get("payload").is_some() || !context.data_is_local() {
        return None;
    }
    let storage: Arc<dyn Storage> = Arc::new(offline::reading(context).ok()?.storage);
    let (_, reader) = reader(storage).ok()?;
    let record = reader.record(number(row, "acceptedIdx")?).ok()?;
    // What a timer or a resolution submits stands in no input: the acceptance holds its arguments.
    let own = |event: &Event| match event {
        Event::Accepted(accepted) if accepted.identity.public_id().as_str() == text(row, "id") => {
            accepted.payload.as_ref().map(Json::to_value)
        }
        _ => None,
    };
    if let Some(payload) = record.events.iter().find_map(own) {
        return Some(payload);
    }
    match serde_ipld_dagcbor::from_slice(&record.input).ok()? {
        Input::Submit(submit) => Some(submit.envelope.payload.to_value()),
        _ => None,
    }
}

fn print(row: &Value, context: &Context) -> Result<(), Failure> {
    let (out, paint) = (&context.out, context.out.paint);
    let state = text(row, "state");
    out.line(format_args!(
        "{}  {}  {}",
        paint.bold(text(row, "id")),
        text(row, "command"),
        paint.state(&state.replace('_', " "), state)
    ))?;
    let mut pairs: Vec<(&str, String)> = Vec::new();
    let mut push = |name: &'static str, value: String| {
        if !value.is_empty() {
            pairs.push((name, value));
        }
    };
    push("lane", shape::lane(row));
    push("principal", text(row, "principal").to_owned());
    push("accepted", at(row, "acceptedAt", "acceptedIdx"));
    if let Some(idx) = number(row, "startedIdx") {
        push("started", format!("record {idx}"));
    }
    push("finished", at(row, "finishedAt", "finishedIdx"));
    let took = shape::between(text(row, "acceptedAt"), text(row, "finishedAt"));
    push("from start to end", took.map(shape::millis).unwrap_or_default());
    if let Some(depends) = row.get("dependsOn").and_then(Value::as_array) {
        push(
            "depends on",
            depends.iter().map(shape::plain).collect::<Vec<_>>().join(", "),
        );
    }
    for (name, member) in [
        ("key", "idempotencyKey"),
        ("correlation", "correlationId"),
        ("caused by", "causationId"),
        ("retry of", "retryOf"),
        ("effect", "effectId"),
        ("in doubt since", "reason"),
    ] {
        let value = text(row, member);
        if member != "correlationId" || value != text(row, "id") {
            push(name, value.replace("_after_", " after "));
        }
    }
    if let Some(version) = number(row, "sessionVersion") {
        push("session version", version.to_string());
    }
    if let Some(Value::Object(payload)) = row.get("payload") {
        for (name, value) in payload {
            push(
                "argument",
                format!("{name} = {}", shape::brief(&shape::plain(value), 400)),
            );
        }
    }
    result(row, &mut push);
    table::pairs(out, &pairs)
        .into_iter()
        .try_for_each(|line| out.line(line))?;
    let data = row.get("data").unwrap_or(&Value::Null);
    for name in ["stdout", "stderr"] {
        if let Some((all, note)) = answer::stream(data, name) {
            out.line("")?;
            out.line(paint.dim(format_args!(
                "{name}{}",
                note.map(|note| format!(", {note}")).unwrap_or_default()
            )))?;
            all.lines()
                .try_for_each(|line| out.line(format_args!("  {line}")))?;
        }
    }
    Ok(())
}

fn at(row: &Value, when: &str, idx: &str) -> String {
    match (text(row, when), number(row, idx)) {
        ("", _) => String::new(),
        (when, Some(idx)) => format!("{} in record {idx}", shape::short_time(when)),
        (when, None) => shape::short_time(when),
    }
}

fn result(row: &Value, push: &mut dyn FnMut(&'static str, String)) {
    if let Some(Value::Object(data)) = row.get("data") {
        for (name, value) in data {
            match name.as_str() {
                "stdout" | "stderr" => {}
                "exitCode" => push("exit code", value.to_string()),
                "durationMs" => push("ran for", value.as_u64().map(shape::millis).unwrap_or_default()),
                _ => push(
                    "result",
                    format!("{name} = {}", shape::brief(&shape::plain(value), 400)),
                ),
            }
        }
    }
    if let Some(fault) = fault_of(row) {
        push("error", format!("{}: {}", fault.code, fault.message));
        push("hint", fault.hint_text().to_owned());
    }
}

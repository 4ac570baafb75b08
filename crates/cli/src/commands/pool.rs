//! `actum pool`: the interpreters that are kept warm and the sessions that live.

use crate::context::Context;
use crate::failure::{Done, Exit};
use crate::remote::{Remote, block_on};
use crate::shape::{self, number, text};
use crate::table;
use clap::Args as ClapArgs;
use serde_json::{Value, json};

/// Flags of `pool`.
#[derive(ClapArgs, Clone, Debug)]
#[command(after_help = "Examples:\n  actum pool\n  actum pool --json | jq .pool")]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, context: &Context) -> Done {
    let found = block_on(async {
        let remote = Remote::connect(context).await?;
        remote.read("server.pool", json!({})).await
    })?;
    let out = &context.out;
    if !out.human() {
        out.json_rows(&found, "sessions")?;
        return Ok(Exit::Ok);
    }
    let mut members = Vec::new();
    flatten("", found.get("pool").unwrap_or(&Value::Null), &mut members);
    if members.is_empty() {
        out.say("no interpreter is warm yet; the first Python session starts one");
    }
    let pairs: Vec<(&str, String)> = members
        .iter()
        .map(|(name, value)| (name.as_str(), value.clone()))
        .collect();
    table::pairs(out, &pairs)
        .into_iter()
        .try_for_each(|line| out.line(line))?;
    let sessions = found.get("sessions").and_then(Value::as_array);
    let mut rows = table::table(out, &["SESSION", "WORKER", "PID", "RESIDENT", "NAMES"]);
    for session in sessions.into_iter().flatten() {
        rows.add_row([
            text(session, "sessionId").to_owned(),
            text(session, "worker").to_owned(),
            number(session, "pid")
                .map(|pid| pid.to_string())
                .unwrap_or_default(),
            number(session, "residentBytes")
                .map(shape::bytes)
                .unwrap_or_default(),
            number(session, "names").map(shape::grouped).unwrap_or_default(),
        ]);
    }
    if sessions.is_none_or(Vec::is_empty) {
        out.say("no session has a process");
        return Ok(Exit::Ok);
    }
    table::lines(out, &rows)
        .into_iter()
        .try_for_each(|line| out.line(line))?;
    Ok(Exit::Ok)
}

/// Every number and word with the way to it, so that what a later daemon tells is shown as well.
fn flatten(path: &str, value: &Value, into: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                flatten(&path, value, into);
            }
        }
        Value::Null => {}
        Value::Array(items) => {
            for (at, value) in items.iter().enumerate() {
                flatten(&format!("{path}.{}", at + 1), value, into);
            }
        }
        value => into.push((path.to_owned(), shape::plain(value))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_told_of_a_pool_is_shown_in_the_same_order() {
        let mut rows = Vec::new();
        flatten(
            "",
            &json!({"hits": 3, "acquire": {"p50Us": 1.5}, "breaker": "closed", "none": null}),
            &mut rows,
        );
        let names: Vec<&str> = rows.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["acquire.p50Us", "breaker", "hits"]);
        assert_eq!(rows.first().map(|(_, value)| value.as_str()), Some("1.5"));
    }
}

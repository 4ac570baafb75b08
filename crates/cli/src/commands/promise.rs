//! `actum promise`: durable promises: values that are still to come and outlive whoever waits for them.

use crate::context::Context;
use crate::failure::{Done, Exit, Failure};
use crate::mint;
use crate::remote::{Remote, block_on, data_of};
use crate::shape::{self, text};
use crate::table::{self, state_cell};
use actum_model::json::parse_strict;
use actum_model::limits::WAIT_MS_MAX;
use clap::{Args as ClapArgs, Subcommand};
use comfy_table::Cell;
use serde_json::{Map, Value, json};

/// Flags of `promise`.
#[derive(ClapArgs, Clone, Debug)]
#[command(
    after_help = "Examples:\n  actum promise create approval --timeout 1h --tag for=deploy\n  \
    actum promise wait approval\n  actum promise resolve approval '{\"by\":\"ana\"}'\n  actum promise list --state pending"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Clone, Debug)]
enum What {
    /// Lists promises by id
    List {
        /// Only those that stand so
        #[arg(long, value_name = "STATE", value_parser = ["pending", "resolved", "rejected", "timed_out", "cancelled"])]
        state: Option<String>,
        /// Only those of this session
        #[arg(long, value_name = "ID")]
        session: Option<String>,
        /// Only those with this tag; may be repeated
        #[arg(long, value_name = "NAME=VALUE", value_parser = tag)]
        tag: Vec<(String, String)>,
        /// Only those whose id begins so
        #[arg(long, value_name = "TEXT")]
        prefix: Option<String>,
        /// Rows of a page
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: u64,
        /// Begin behind this one, as the page before said
        #[arg(long, value_name = "CURSOR")]
        after: Option<String>,
    },
    /// Shows one; `exec:ID` is the promise that every command is
    Show {
        /// The promise
        id: String,
    },
    /// Makes one
    Create {
        /// Its id; the daemon makes one where none is named
        id: Option<String>,
        /// After how much history time it is rejected, such as 90s, 10m, 1d
        #[arg(long, value_name = "DURATION", value_parser = super::timer::duration_ms)]
        timeout: Option<u64>,
        /// A word to find it by; may be repeated
        #[arg(long, value_name = "NAME=VALUE", value_parser = tag)]
        tag: Vec<(String, String)>,
        /// The session it belongs to
        #[arg(long, value_name = "ID")]
        session: Option<String>,
    },
    /// Settles one with its value
    Resolve {
        /// The promise
        id: String,
        /// JSON, or text where it is none; null if absent
        value: Option<String>,
    },
    /// Settles one with an error
    Reject {
        /// The promise
        id: String,
        /// What went wrong
        message: String,
    },
    /// Gives one up: whoever waits for it gets an error
    Cancel {
        /// The promise
        id: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Waits until one is settled and writes its value; ends with 1 where it was not resolved, 3 where it still pends
    Wait {
        /// The promise
        id: String,
        /// The longest wait; without end if absent
        #[arg(long, value_name = "DURATION", value_parser = super::timer::duration_ms)]
        timeout: Option<u64>,
    },
}

fn tag(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

pub(crate) fn run(args: &Args, context: &Context) -> Done {
    block_on(async {
        let remote = Remote::connect(context).await?;
        match &args.what {
            What::List {
                state,
                session,
                tag,
                prefix,
                limit,
                after,
            } => {
                let payload = given([
                    ("state", state.clone().map(Value::from)),
                    ("sessionId", session.clone().map(Value::from)),
                    ("tags", tags(tag)),
                    ("prefix", prefix.clone().map(Value::from)),
                    ("limit", Some((*limit).into())),
                    ("after", after.clone().map(Value::from)),
                ]);
                list(&remote, payload, context).await
            }
            What::Show { id } => {
                let promise = remote.read("promise.get", json!({"promiseId": id})).await?;
                show(&promise, context)?;
                Ok(Exit::Ok)
            }
            What::Create {
                id,
                timeout,
                tag,
                session,
            } => {
                let payload = given([
                    ("promiseId", id.clone().map(Value::from)),
                    ("timeoutMs", timeout.map(Value::from)),
                    ("tags", tags(tag)),
                ]);
                change(&remote, "promise.create", payload, session.as_deref(), context).await
            }
            What::Resolve { id, value } => {
                let value = value
                    .as_deref()
                    .map(|text| parse_strict(text.as_bytes()).unwrap_or_else(|_| text.into()));
                let payload = given([("promiseId", Some(id.as_str().into())), ("value", value)]);
                change(&remote, "promise.resolve", payload, None, context).await
            }
            What::Reject { id, message } => {
                let payload = json!({"promiseId": id, "message": message});
                change(&remote, "promise.reject", payload, None, context).await
            }
            What::Cancel { id, reason } => {
                let payload = given([
                    ("promiseId", Some(id.as_str().into())),
                    ("reason", reason.clone().map(Value::from)),
                ]);
                change(&remote, "promise.cancel", payload, None, context).await
            }
            What::Wait { id, timeout } => wait(&remote, id, *timeout, context).await,
        }
    })
}

fn given<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let members = members
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(members.collect())
}

fn tags(tags: &[(String, String)]) -> Option<Value> {
    let members: Map<String, Value> = tags
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().into()))
        .collect();
    (!members.is_empty()).then_some(Value::Object(members))
}

async fn list(remote: &Remote, payload: Value, context: &Context) -> Done {
    let out = &context.out;
    let page = remote.read("promise.search", payload).await?;
    let none = "no such promises; make one with `actum promise create`";
    let names = ["PROMISE", "STATE", "CREATED", "TIMES OUT", "SESSION", "SAYS"];
    table::page(
        out,
        &page,
        "promises",
        none,
        table::folding(out, &names),
        |promise| {
            [
                Cell::new(text(promise, "promiseId")),
                state_cell(text(promise, "state")),
                Cell::new(shape::short_time(text(promise, "createdAt"))),
                Cell::new(shape::short_time(text(promise, "timeoutAt"))),
                Cell::new(text(promise, "sessionId")),
                Cell::new(says(promise)),
            ]
        },
    )?;
    Ok(Exit::Ok)
}

/// Its value or error, else its tags, in short.
fn says(promise: &Value) -> String {
    let error = promise
        .pointer("/error/message")
        .and_then(Value::as_str)
        .map(str::to_owned);
    let value = promise.get("value").map(shape::plain);
    let tags = promise.get("tags").and_then(Value::as_object).map(|tags| {
        let tags: Vec<String> = tags
            .iter()
            .map(|(name, value)| format!("{name}={}", shape::plain(value)))
            .collect();
        tags.join(" ")
    });
    shape::brief(&error.or(value).or(tags).unwrap_or_default(), 80)
}

fn show(promise: &Value, context: &Context) -> Result<(), Failure> {
    let out = &context.out;
    if !out.human() {
        return out.json(promise);
    }
    out.line(out.paint.bold(text(promise, "promiseId")))?;
    let state = text(promise, "state");
    let mut pairs = vec![("state", out.paint.state(state, state))];
    for (name, label) in [
        ("createdAt", "created"),
        ("timeoutAt", "times out"),
        ("settledAt", "settled"),
    ] {
        pairs.extend(
            promise
                .get(name)
                .and_then(Value::as_str)
                .map(|at| (label, shape::short_time(at))),
        );
    }
    for (name, label) in [
        ("principal", "made by"),
        ("settledBy", "settled by"),
        ("sessionId", "session"),
        ("tags", "tags"),
        ("value", "value"),
        ("error", "error"),
    ] {
        pairs.extend(promise.get(name).map(|value| (label, shape::plain(value))));
    }
    table::pairs(out, &pairs)
        .into_iter()
        .try_for_each(|line| out.line(line))
}

async fn change(
    remote: &Remote,
    kind: &str,
    payload: Value,
    session: Option<&str>,
    context: &Context,
) -> Done {
    let own_id = mint::fresh("promise")?;
    let mut envelope = json!({"type": kind, "id": own_id, "payload": payload});
    if let (Some(session), Value::Object(members)) = (session, &mut envelope) {
        members.insert("sessionId".into(), session.into());
    }
    let answer = remote.submit(&envelope).await?;
    if !context.out.human() {
        context.out.json(&answer)?;
    }
    let made = data_of(answer)?;
    if context.out.human() {
        // Only the id stands on standard output where one was made, so that a script can take it.
        let id = text(&made, "promiseId");
        match kind {
            "promise.create" => context.out.line(id)?,
            _ => context
                .out
                .line(format_args!("{id} is {}", text(&made, "state")))?,
        }
    }
    Ok(Exit::Ok)
}

/// Waits in pieces that one read may last.
async fn wait(remote: &Remote, id: &str, timeout: Option<u64>, context: &Context) -> Done {
    let mut left = timeout;
    loop {
        let piece = left.unwrap_or(WAIT_MS_MAX).min(WAIT_MS_MAX);
        let answer = remote
            .submit(&json!({"type": "promise.await", "payload": {"promiseId": id, "waitMs": piece}}))
            .await?;
        let answer = data_of(answer);
        left = left.map(|left| left - piece);
        match answer {
            Err(Failure::Fault(fault))
                if fault.code == actum_model::ErrorCode::WaitTimeout && left != Some(0) => {}
            Err(failure) => return Err(failure),
            Ok(promise) => return settled(&promise, context),
        }
    }
}

fn settled(promise: &Value, context: &Context) -> Done {
    let out = &context.out;
    if !out.human() {
        out.json(promise)?;
    } else if text(promise, "state") == "resolved" {
        out.line(shape::plain(promise.get("value").unwrap_or(&Value::Null)))?;
    } else {
        let why = promise
            .pointer("/error/message")
            .and_then(Value::as_str)
            .unwrap_or_default();
        out.say(format_args!(
            "{} is {}: {why}",
            text(promise, "promiseId"),
            text(promise, "state")
        ));
    }
    Ok(if text(promise, "state") == "resolved" {
        Exit::Ok
    } else {
        Exit::Failed
    })
}

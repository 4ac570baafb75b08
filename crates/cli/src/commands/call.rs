//! `actum call`: one command from the command line.

use super::kinds::find;
use crate::answer::{self, Widths};
use crate::context::Context;
use crate::failure::{Done, Exit, Failure, fault_of};
use crate::mint;
use crate::remote::{Remote, block_on};
use crate::shape::text;
use crate::watch::{PATIENCE, Watch};
use actum_model::contract::{Admission, Contract, Shape};
use actum_model::json::parse_strict;
use clap::Args as ClapArgs;
use serde_json::{Map, Value, json};
use std::time::{Duration, Instant};

/// Flags of `call`.
#[derive(ClapArgs, Clone, Debug)]
#[command(after_help = "Examples:\n  actum call shell.run -- make test\n  \
    actum call session.annotate --session web key=owner value=ops\n  \
    actum call shell.run --session web '{\"argv\":[\"sh\",\"-c\",\"exit 3\"]}'\n  \
    actum call server.history limit=5 order=newest")]
pub(crate) struct Args {
    /// The kind of command: see `actum commands`
    kind: String,
    /// Arguments: one JSON object, or NAME=VALUE for each
    #[arg(value_name = "JSON | NAME=VALUE")]
    arguments: Vec<String>,
    /// What stands behind `--` is `argv`
    #[arg(last = true, value_name = "ARGV")]
    argv: Vec<String>,
    /// The session; one is made where the kind needs one
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// The command's id; the same id is never carried out twice
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// An idempotency key
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// A command that must have succeeded; may be repeated
    #[arg(long, value_name = "ID")]
    depends_on: Vec<String>,
    /// The session version it must find
    #[arg(long, value_name = "N")]
    if_version: Option<u64>,
    /// How long it may run
    #[arg(long, value_name = "MS")]
    timeout_ms: Option<u64>,
    /// Do not wait for the outcome
    #[arg(long)]
    detach: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Done {
    let contract = find(&args.kind)?;
    let payload = payload(contract, args)?;
    block_on(call(args, contract, payload, context))
}

async fn call(args: &Args, contract: &Contract, payload: Value, context: &Context) -> Done {
    let remote = Remote::connect(context).await?;
    let envelope = envelope(args, contract, payload, &remote, context).await?;
    let recorded = matches!(contract.admission, Admission::Queued | Admission::Control);
    let begun = Instant::now();
    let answer = if recorded && !args.detach {
        match watched(&remote, &envelope, context).await? {
            Some(answer) => answer,
            None => return Ok(Exit::Waiting),
        }
    } else {
        remote.submit(&envelope).await?
    };
    show(&answer, recorded, begun.elapsed(), context)
}

async fn envelope(
    args: &Args,
    contract: &Contract,
    payload: Value,
    remote: &Remote,
    context: &Context,
) -> Result<Value, Failure> {
    let mut members = Map::new();
    members.insert("type".into(), contract.kind.into());
    if matches!(contract.admission, Admission::Queued | Admission::Control) {
        // With an id of its own the command can be asked for even if this connection breaks.
        let id = args.id.clone().map_or_else(|| mint::fresh("call"), Ok)?;
        members.insert("id".into(), id.into());
    }
    let mut session = args.session.clone();
    if session.is_none() && mint::needs_session(contract.kind) {
        let made = mint::fresh("cli")?;
        mint::create(remote, &made).await?;
        context.out.say(format_args!("it goes to a new session, {made}"));
        session = Some(made);
    }
    let optional = [
        ("sessionId", session.map(Value::from)),
        ("idempotencyKey", args.key.clone().map(Value::from)),
        ("ifSessionVersion", args.if_version.map(Value::from)),
        ("timeoutMs", args.timeout_ms.map(Value::from)),
        ("detach", args.detach.then_some(Value::Bool(true))),
        (
            "dependsOn",
            (!args.depends_on.is_empty()).then(|| args.depends_on.clone().into()),
        ),
    ];
    members.extend(
        optional
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?))),
    );
    members.insert("payload".into(), payload);
    Ok(Value::Object(members))
}

/// Submits and waits; `None` where the command is in doubt, which only a person can end.
async fn watched(remote: &Remote, envelope: &Value, context: &Context) -> Result<Option<Value>, Failure> {
    let mut answer = std::pin::pin!(remote.submit(envelope));
    let mut watch = Watch::default();
    loop {
        match tokio::time::timeout(PATIENCE, &mut answer).await {
            Ok(answer) => return Ok(Some(answer?)),
            Err(_) if watch.in_doubt(remote, text(envelope, "id"), &context.out).await => return Ok(None),
            Err(_) => {}
        }
    }
}

fn show(answer: &Value, recorded: bool, took: Duration, context: &Context) -> Done {
    let out = &context.out;
    if !out.human() {
        out.json(answer)?;
    }
    if let Some(fault) = fault_of(answer) {
        if out.human()
            && let Some(data) = answer.get("data")
        {
            answer::write_streams(data, out)?;
        }
        let id = text(answer, "id");
        let named = (!id.is_empty()).then(|| fault.hint_text().replace(" ID`", &format!(" {id}`")));
        return Err(match named {
            Some(hint) => fault.with_hint(hint).into(),
            None => fault.into(),
        });
    }
    if !out.human() {
        return Ok(answer::exit(answer));
    }
    if recorded {
        out.say(answer::line(
            answer,
            Some(took),
            Widths {
                lane: 0,
                kind: 0,
                id: 0,
            },
            out,
        ));
    }
    match answer.get("data") {
        Some(data) if data.get("stdout").is_some() => answer::write_streams(data, out)?,
        Some(Value::Object(members)) if members.is_empty() => {}
        Some(Value::Null) | None => {}
        Some(data) => out.line(format_args!("{data:#}"))?,
    }
    Ok(answer::exit(answer))
}

/// The arguments as an object.
fn payload(contract: &Contract, args: &Args) -> Result<Value, Failure> {
    let mut members = Map::new();
    for argument in &args.arguments {
        if argument.trim_start().starts_with('{') {
            let parsed = parse_strict(argument.as_bytes())
                .map_err(|error| Failure::usage(format!("the arguments are no JSON object: {error}")))?;
            if let Value::Object(more) = parsed {
                members.extend(more);
            }
            continue;
        }
        let Some((name, value)) = argument.split_once('=') else {
            let message = format!(
                "expected NAME=VALUE or a JSON object, got `{}`",
                actum_model::json::shorten(argument)
            );
            return Err(Failure::usage(message).hint(format!("see `actum commands {}`", contract.kind)));
        };
        let shape = contract
            .input
            .iter()
            .find(|field| field.name == name)
            .map(|field| &field.shape);
        let value = value_of(shape, value);
        match (members.get_mut(name), value) {
            (Some(Value::Array(list)), Value::Array(more)) => list.extend(more),
            (_, value) => {
                members.insert(name.to_owned(), value);
            }
        }
    }
    if !args.argv.is_empty() {
        if !contract.input.iter().any(|field| field.name == "argv") {
            let message = format!(
                "`{}` takes no `argv`, so nothing may stand behind `--`",
                contract.kind
            );
            return Err(Failure::usage(message).hint(format!("see `actum commands {}`", contract.kind)));
        }
        members.insert("argv".into(), args.argv.clone().into());
    }
    Ok(Value::Object(members))
}

/// A value as the contract wants it. What does not fit is sent as text, so that the daemon says what is wrong.
fn value_of(shape: Option<&Shape>, value: &str) -> Value {
    let parsed = parse_strict(value.as_bytes()).ok();
    match shape {
        Some(
            Shape::Text(..)
            | Shape::Moment
            | Shape::TimerId
            | Shape::CommandId
            | Shape::SessionId
            | Shape::Choice(_),
        ) => value.into(),
        Some(Shape::Texts(..)) => match parsed {
            Some(Value::Array(list)) => list.into(),
            _ => json!([value]),
        },
        _ => parsed.unwrap_or_else(|| value.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(arguments: &[&str], argv: &[&str]) -> Args {
        let own = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        Args {
            kind: String::new(),
            arguments: own(arguments),
            argv: own(argv),
            session: None,
            id: None,
            key: None,
            depends_on: Vec::new(),
            if_version: None,
            timeout_ms: None,
            detach: false,
        }
    }

    fn given(kind: &str, arguments: &[&str], argv: &[&str]) -> Value {
        payload(find(kind).unwrap(), &args(arguments, argv)).unwrap()
    }

    #[test]
    fn values_take_the_type_of_the_contract() {
        assert_eq!(
            given("server.history", &["limit=5", "kind=5"], &[]),
            json!({"limit": 5, "kind": "5"})
        );
        assert_eq!(
            given("shell.run", &[], &["ls", "-l"]),
            json!({"argv": ["ls", "-l"]})
        );
        assert_eq!(
            given("shell.run", &["argv=ls", "argv=-l"], &[]),
            json!({"argv": ["ls", "-l"]})
        );
        assert_eq!(
            given("session.annotate", &["key=n", "value={\"a\":1}"], &[]),
            json!({"key": "n", "value": {"a": 1}})
        );
        assert_eq!(
            given("session.annotate", &["{\"key\":\"n\"}", "value=x"], &[]),
            json!({"key": "n", "value": "x"})
        );
    }

    #[test]
    fn what_is_no_argument_is_refused() {
        assert!(payload(find("session.get").unwrap(), &args(&["what"], &[])).is_err());
        assert!(payload(find("session.get").unwrap(), &args(&[], &["ls"])).is_err());
    }
}

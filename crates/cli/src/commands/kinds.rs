//! `actum commands`: the kinds of commands a daemon takes, from the contract table. `docs/commands.md` is written
//! by it.

use crate::context::Context;
use crate::failure::{Done, Exit, Failure};
use crate::shape::millis;
use crate::table;
use actum_model::contract::{self, Admission, CONTRACTS, Contract, Field, SessionUse, Shape};
use actum_model::json::shorten;
use actum_model::{ErrorCode, limits};
use clap::Args as ClapArgs;
use serde_json::{Value, json};
use std::fmt::Write;

/// Flags of `commands`.
#[derive(ClapArgs, Clone, Debug)]
#[command(after_help = "Examples:\n  actum commands\n  actum commands shell.run\n  \
    actum commands --markdown > docs/commands.md")]
pub(crate) struct Args {
    /// One kind, with all its arguments
    kind: Option<String>,
    /// Write the whole reference as Markdown
    #[arg(long, conflicts_with = "kind")]
    markdown: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Done {
    let out = &context.out;
    if args.markdown {
        out.bytes(markdown().as_bytes())?;
    } else if let Some(kind) = &args.kind {
        one(kind, context)?;
    } else if out.human() {
        let mut table = table::folding(out, &["KIND", "EFFECT", "ADMISSION", "SESSION", "WHAT IT DOES"]);
        for contract in CONTRACTS {
            table.add_row([
                contract.kind,
                contract.effect.as_str(),
                contract.admission.as_str(),
                session(contract),
                contract.about,
            ]);
        }
        table::lines(out, &table)
            .into_iter()
            .try_for_each(|line| out.line(line))?;
    } else {
        let all: Vec<Value> = CONTRACTS.iter().map(Contract::to_json).collect();
        out.json_rows(&json!({"commands": all}), "commands")?;
    }
    Ok(Exit::Ok)
}

/// The contract of a kind somebody named.
pub(crate) fn find(kind: &str) -> Result<&'static Contract, Failure> {
    contract::find(kind).ok_or_else(|| {
        let failure = Failure::new(
            ErrorCode::UnknownCommand,
            format!("no command kind is named `{}`", shorten(kind)),
        );
        let area = kind.split('.').next().unwrap_or_default();
        let near: Vec<&str> = CONTRACTS
            .iter()
            .map(|contract| contract.kind)
            .filter(|known| {
                !area.is_empty()
                    && (known.contains(area) || kind.contains(known.split('.').nth(1).unwrap_or("\0")))
            })
            .collect();
        if near.is_empty() {
            failure
        } else {
            failure.hint(format!("did you mean {}?", near.join(", ")))
        }
    })
}

fn session(contract: &Contract) -> &'static str {
    match contract.session {
        SessionUse::Required => "required",
        SessionUse::Optional => "optional",
        SessionUse::None => "–",
    }
}

fn one(kind: &str, context: &Context) -> Result<(), Failure> {
    let out = &context.out;
    let contract = find(kind)?;
    if !out.human() {
        return out.json(&contract.to_json());
    }
    out.line(out.paint.bold(contract.kind))?;
    out.line(contract.about)?;
    out.line("")?;
    let pairs: Vec<(&str, String)> = properties(contract);
    table::pairs(out, &pairs)
        .into_iter()
        .try_for_each(|line| out.line(line))?;
    for (title, fields) in [("arguments", contract.input), ("result", contract.output)] {
        out.line("")?;
        if fields.is_empty() {
            out.line(format_args!("no {title}"))?;
            continue;
        }
        let mut table = table::folding(out, &[&title.to_uppercase(), "", "TYPE", "WHAT IT IS"]);
        for field in fields {
            table.add_row([
                field.name,
                need(field),
                &field.shape.name().replace('`', ""),
                field.about,
            ]);
        }
        table::lines(out, &table)
            .into_iter()
            .try_for_each(|line| out.line(line))?;
    }
    out.line("")?;
    out.line(format_args!("{} {}", out.paint.dim("example"), example(contract)))
}

fn need(field: &Field) -> &'static str {
    if field.required { "required" } else { "optional" }
}

fn properties(contract: &Contract) -> Vec<(&'static str, String)> {
    let mut said = vec![
        ("effect", contract.effect.as_str().to_owned()),
        ("risk", contract.risk.to_owned()),
        ("admission", admission(contract.admission).to_owned()),
        ("session", session(contract).to_owned()),
    ];
    if contract.admission == Admission::Queued {
        said.push((
            "time limit",
            format!(
                "{}, at most {}",
                millis(contract.timeout_ms),
                millis(contract.timeout_ms_max)
            ),
        ));
    }
    let traits = [
        (contract.idempotent, "idempotent"),
        (
            contract.idempotent_where.is_some(),
            "idempotent for some arguments",
        ),
        (contract.compensable, "compensable"),
        (contract.contained, "contained"),
        (contract.probe, "can be probed"),
        (contract.mutates_session, "makes a new session version"),
    ];
    let traits: Vec<&str> = traits
        .into_iter()
        .filter(|(is, _)| *is)
        .map(|(_, name)| name)
        .collect();
    if !traits.is_empty() {
        said.push(("properties", traits.join(", ")));
    }
    said.push(("contract", format!("version {}", contract.version)));
    said
}

fn admission(admission: Admission) -> &'static str {
    match admission {
        Admission::Queued => "queued: takes its turn in a lane",
        Admission::Control => "control: takes no lane, works where a lane is held",
        Admission::Read => "read: answered from durable state, leaves no record",
        Admission::Connection => "connection: concerns the connection it came by",
    }
}

/// The smallest command of this kind, as it is sent.
fn example(contract: &Contract) -> String {
    let payload: serde_json::Map<String, Value> = contract
        .input
        .iter()
        .filter(|field| field.required)
        .map(|field| (field.name.to_owned(), sample(&field.shape)))
        .collect();
    let session = if contract.session == SessionUse::Required {
        "\"sessionId\": \"web\", "
    } else {
        ""
    };
    // Written by hand, so that the type stands first.
    format!(
        "{{\"type\": \"{}\", {session}\"payload\": {}}}",
        contract.kind,
        Value::Object(payload)
    )
}

fn sample(shape: &Shape) -> Value {
    match shape {
        // What must be so long is the text of a hash or an id.
        Shape::Text(min, _) if *min > 4 => "0".repeat(*min).into(),
        Shape::Any(_) | Shape::Text(..) => "text".into(),
        Shape::CommandId => "build-1".into(),
        Shape::SessionId => "web".into(),
        Shape::Integer(min, _) => (*min).into(),
        Shape::Boolean => true.into(),
        Shape::Moment => "2027-01-16T02:00:00Z".into(),
        Shape::TimerId => "nightly".into(),
        Shape::Command => json!({"type": "session.delete", "sessionId": "web"}),
        Shape::Choice(words) => words.first().copied().unwrap_or_default().into(),
        Shape::Texts(..) => json!(["make", "test"]),
        Shape::TextMap(..) | Shape::Object(_) => json!({}),
        Shape::Objects(_) => json!([]),
    }
}

/// The whole reference.
pub(crate) fn markdown() -> String {
    let mut text = String::from(
        "<!-- Written by `actum commands --markdown` from the contract table. Change the table, not this file. -->\n\n\
         # Commands\n\n\
         Every kind of command there is, from the one table that also drives validation and the help of the command line. What\n\
         all of them share, the envelope and the answers, is in the [protocol](PROTOCOL.md); what can go wrong is under\n\
         [errors](errors/README.md).\n\n\
         | kind | effect | admission | session | what it does |\n|---|---|---|---|---|\n",
    );
    // Writing to a String cannot fail.
    for contract in CONTRACTS {
        let _infallible = writeln!(
            text,
            "| [`{}`](#{}) | {} | {} | {} | {} |",
            contract.kind,
            contract.kind.replace('.', ""),
            contract.effect.as_str(),
            contract.admission.as_str(),
            session(contract),
            contract.about
        );
    }
    let _infallible = write!(
        text,
        "\nA page of a listing has {} rows unless `limit` says otherwise, and at most {}.\n",
        limits::PAGE_DEFAULT,
        limits::PAGE_MAX
    );
    for contract in CONTRACTS {
        section(&mut text, contract);
    }
    text
}

fn section(text: &mut String, contract: &Contract) {
    let _infallible = write!(text, "\n## {}\n\n{}\n\n", contract.kind, contract.about);
    for (name, value) in properties(contract) {
        let _infallible = writeln!(text, "- {name}: {value}");
    }
    for (title, fields) in [("argument", contract.input), ("result", contract.output)] {
        if fields.is_empty() {
            continue;
        }
        let _infallible = write!(text, "\n| {title} | | type | what it is |\n|---|---|---|---|\n");
        for field in fields {
            let shape = field.shape.name();
            let _infallible = writeln!(
                text,
                "| `{}` | {} | {shape} | {} |",
                field.name,
                need(field),
                field.about
            );
        }
    }
    let _infallible = write!(text, "\n```json\n{}\n```\n", example(contract));
}

#[cfg(test)]
mod tests {
    use super::*;
    use actum_model::Envelope;

    #[test]
    fn every_example_is_a_command_the_daemon_takes() {
        for contract in CONTRACTS {
            let parsed = Envelope::parse(example(contract).as_bytes());
            assert!(parsed.is_ok(), "{}: {:?}", contract.kind, parsed.err());
        }
    }

    #[test]
    fn the_reference_names_every_kind_and_every_argument() {
        let text = markdown();
        for contract in CONTRACTS {
            assert!(text.contains(&format!("\n## {}\n", contract.kind)));
            for field in contract.input {
                assert!(text.contains(&format!("| `{}` |", field.name)));
            }
        }
    }

    #[test]
    fn a_wrong_kind_gets_near_ones() {
        let Err(Failure::Fault(fault)) = find("session.make") else {
            panic!("expected a fault")
        };
        assert!(
            fault.hint_text().contains("session.create"),
            "{}",
            fault.hint_text()
        );
    }
}

//! `actum run`: a program in the cage, as if it ran here: its output on this terminal, its exit code as this one.

use crate::answer;
use crate::context::Context;
use crate::execution::{Ended, Stage, Watcher};
use crate::failure::{Done, Exit, Failure, fault_of};
use crate::folder::{Folder, FolderArgs, Made};
use crate::mint;
use crate::print::Format;
use crate::remote::{Remote, block_on};
use crate::shape::{self, number, text};
use actum_model::ErrorCode;
use actum_model::limits::STDIN_BYTES_MAX;
use clap::Args as ClapArgs;
use serde_json::{Map, Value, json};
use std::io::Read;
use std::time::{Duration, Instant};

/// Not the program failed but what should have run it, as `env` and `timeout` say it.
const NOT_RUN: Exit = Exit::Program(125);
const TIMED_OUT: Exit = Exit::Program(124);
const CANCELLED: Exit = Exit::Program(130);

/// Flags of `run`.
#[derive(ClapArgs, Clone, Debug)]
#[command(
    after_help = "Examples:\n  actum run -- make test\n  actum run --timeout 5m -- sh -c 'make && make install'\n  \
    actum run --env MODE=fast --env 'TOKEN=$secret:ci' -- ./deploy\n  echo hello | actum run --stdin -- tr a-z A-Z\n  \
    actum run --profile pure -- python3 -c 'print(1)'\n\n\
    Ctrl-C cancels the command, waits for its end and leaves the daemon alone; a second Ctrl-C does not wait.\n\
    In a folder that the daemon was granted (`actum dev` grants its own) the program sees that folder and writes there;\n\
    elsewhere it gets a private one, and the last line says where. Nothing else of the machine can be seen or changed.\n\n\
    Exit code: the program's own; 128 and the signal that ended it; 124 after its timeout; 130 where it was cancelled;\n\
    125 where it could not be run; 3 where nobody knows what came of it."
)]
pub(crate) struct Args {
    /// The program and its arguments
    #[arg(
        value_name = "ARGV",
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    argv: Vec<String>,
    /// Run it in this session, behind what runs there, with its folders
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    #[command(flatten)]
    folder: FolderArgs,
    /// How long it may run, such as 500ms, 90s, 10m
    #[arg(long, value_name = "DURATION", value_parser = super::timer::duration_ms)]
    timeout: Option<u64>,
    /// A variable of its environment, NAME=VALUE; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<(String, String)>,
    /// Give it what stands on standard input, to its end
    #[arg(long)]
    stdin: bool,
    /// The command's id; the same id is never carried out twice
    #[arg(long, value_name = "ID")]
    id: Option<String>,
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

pub(crate) fn run(args: &Args, context: &Context) -> Done {
    match block_on(run_in_cage(args, context)) {
        Err(Failure::Fault(fault)) => {
            context.out.fault(&fault);
            Ok(NOT_RUN)
        }
        done => done,
    }
}

async fn run_in_cage(args: &Args, context: &Context) -> Done {
    let payload = payload(args)?;
    let remote = Remote::connect(context).await?;
    let mut watcher = Watcher::new(&remote, &context.out).await?;
    if let Some(session) = &args.session {
        let mut payload = payload;
        if let Some(folder) = args.folder.choices()?.first().and_then(Folder::path)
            && args.folder.is_given()
        {
            payload.insert("cwd".into(), json!(folder));
        }
        watcher.live.follow(session).await?;
        let (envelope, begun) = (envelope(args, session, &payload)?, Instant::now());
        let ended = watcher.carry(&envelope, &[Stage::Cancel]).await?;
        return tell(&ended, &envelope, begun.elapsed(), "", context);
    }
    let mut choices = args.folder.choices()?.into_iter().peekable();
    while let Some(folder) = choices.next() {
        let made = Made::new(&remote, mint::fresh("run")?, "commands", &folder).await?;
        watcher.live.follow(&made.session).await?;
        let mut payload = payload.clone();
        if let Folder::ToRead(folder) = &folder {
            payload.insert("cwd".into(), json!(folder));
        }
        let (envelope, begun) = (envelope(args, &made.session, &payload)?, Instant::now());
        let ended = watcher.carry(&envelope, &[Stage::Cancel]).await?;
        if let Ended::Answered(answer) = &ended
            && choices.peek().is_some()
            && let Some(why) = folder.refused(answer)
        {
            context
                .out
                .say(format_args!("{why}, so it gets a private folder"));
            made.delete(&remote).await?;
            continue;
        }
        let mut place = folder.told(&made, context);
        if folder == Folder::Private {
            place.push_str(&format!(" (drop it with `actum session close {}`)", made.session));
        } else if matches!(ended, Ended::Answered(_)) {
            // It was no more than a lane.
            made.delete(&remote).await?;
        }
        return tell(&ended, &envelope, begun.elapsed(), &place, context);
    }
    Ok(NOT_RUN)
}

fn payload(args: &Args) -> Result<Map<String, Value>, Failure> {
    let mut payload = Map::new();
    payload.insert("argv".into(), args.argv.clone().into());
    if !args.env.is_empty() {
        let env: Map<String, Value> = args
            .env
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().into()))
            .collect();
        payload.insert("env".into(), env.into());
    }
    if args.stdin {
        payload.insert(
            "stdin".into(),
            all_of_stdin(STDIN_BYTES_MAX, "what the program reads")?.into(),
        );
    }
    Ok(payload)
}

/// Standard input to its end, as text.
pub(super) fn all_of_stdin(max: usize, what: &str) -> Result<String, Failure> {
    let mut text = String::new();
    let read = std::io::stdin()
        .lock()
        .take(max as u64 + 1)
        .read_to_string(&mut text);
    match read {
        Ok(bytes) if bytes > max => Err(Failure::new(
            ErrorCode::LimitExceeded,
            format!("standard input: expected at most {max} bytes for {what}, got more"),
        )),
        Ok(_) => Ok(text),
        Err(error) => Err(Failure::usage(format!(
            "standard input: expected text, got {error}"
        ))),
    }
}

fn envelope(args: &Args, session: &str, payload: &Map<String, Value>) -> Result<Value, Failure> {
    let id = args.id.clone().map_or_else(|| mint::fresh("run"), Ok)?;
    let mut envelope = json!({"type": "shell.run", "id": id, "sessionId": session, "payload": payload});
    if let (Some(ms), Value::Object(members)) = (args.timeout, &mut envelope) {
        members.insert("timeoutMs".into(), ms.into());
    }
    Ok(envelope)
}

/// Says how it ended, and gives the exit code.
fn tell(ended: &Ended, envelope: &Value, took: Duration, place: &str, context: &Context) -> Done {
    let out = &context.out;
    let id = text(envelope, "id");
    let answer = match ended {
        Ended::Answered(answer) => answer,
        Ended::InDoubt => return Ok(Exit::Waiting),
        Ended::Left => {
            out.say(format_args!("left; `actum wait {id}` tells how {id} ends"));
            return Ok(CANCELLED);
        }
    };
    if out.format != Format::Human {
        out.json(answer)?;
    }
    let data = answer.get("data").unwrap_or(&Value::Null);
    let ran = ["exitCode", "signal"].iter().any(|name| data.get(name).is_some());
    let fault = fault_of(answer).filter(|_| !ran);
    if out.human() {
        if let Some(fault) = &fault {
            out.fault(fault);
        }
        out.say(last_line(answer, took, place, context));
    }
    Ok(exit(answer))
}

/// `succeeded · exit code 0 · sandbox full · 12 ms · run-1 · wrote to /srv/x`.
pub(super) fn last_line(answer: &Value, took: Duration, place: &str, context: &Context) -> String {
    let paint = context.out.paint_err;
    let data = answer.get("data").unwrap_or(&Value::Null);
    let outcome = answer::outcome(answer);
    let mut words = vec![paint.state(outcome, outcome)];
    words.extend(number(data, "exitCode").map(|code| format!("exit code {code}")));
    words.extend(number(data, "signal").map(|signal| format!("signal {signal}")));
    let level = data.pointer("/sandbox/level").and_then(Value::as_str);
    words.extend(level.map(|level| format!("sandbox {level}")));
    words.push(answer::took(answer, Some(took)));
    words.push(text(answer, "id").to_owned());
    let left = number(data, "leftover").map(|n| format!("{} ended with it", shape::count(n, "process")));
    words.extend(left);
    words.extend(Some(place.to_owned()).filter(|place| !place.is_empty()));
    paint.dim("· ") + &words.join(&paint.dim(" · "))
}

fn exit(answer: &Value) -> Exit {
    let data = answer.get("data").unwrap_or(&Value::Null);
    let byte = |name: &str| number(data, name).and_then(|code| u8::try_from(code).ok());
    match (answer::outcome(answer), byte("exitCode"), byte("signal")) {
        ("succeeded", ..) => Exit::Ok,
        ("timed_out", ..) => TIMED_OUT,
        ("cancelled", ..) => CANCELLED,
        (_, Some(code), _) => Exit::Program(code),
        (_, _, Some(signal)) => Exit::Program(signal.saturating_add(128)),
        _ => NOT_RUN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_the_program() {
        let ended = |outcome: &str, data: Value| exit(&json!({"outcome": outcome, "data": data}));
        assert_eq!(ended("succeeded", json!({"exitCode": 0})), Exit::Ok);
        assert_eq!(ended("failed", json!({"exitCode": 3})), Exit::Program(3));
        assert_eq!(ended("failed", json!({"signal": 11})), Exit::Program(139));
        assert_eq!(ended("timed_out", json!({"signal": 9})), TIMED_OUT);
        assert_eq!(ended("cancelled", json!({"signal": 15})), CANCELLED);
        assert_eq!(ended("failed", Value::Null), NOT_RUN);
    }

    #[test]
    fn variables_have_a_name() {
        assert_eq!(variable("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        assert!(variable("A").is_err() && variable("=x").is_err());
    }
}

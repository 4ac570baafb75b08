//! `actum session`: list, show, make and close sessions, follow one, and what can be done with the code that runs there.

use crate::context::Context;
use crate::execution::asked;
use crate::failure::{Done, Exit, Failure, fault_of};
use crate::folder::FolderArgs;
use crate::keyboard::{Key, Keyboard};
use crate::live::{Live, Stops};
use crate::mint;
use crate::remote::{Remote, block_on, data_of};
use crate::shape::{self, number, text};
use crate::table;
use actum_model::ErrorCode;
use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Value, json};

/// Flags of `session`.
#[derive(ClapArgs, Clone, Debug)]
#[command(
    after_help = "Examples:\n  actum session create lab --kind python --workspace .\n  \
    actum py --session lab 'x = 1'\n  actum session show lab\n  actum session attach lab\n  \
    actum session restore lab $(actum session checkpoint lab)\n  actum session close lab"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Clone, Debug)]
enum What {
    /// Lists sessions by id
    List {
        /// Rows of a page
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: u64,
        /// Begin behind this session
        #[arg(long, value_name = "ID")]
        after: Option<String>,
    },
    /// Shows one session with its annotations
    Show {
        /// The session
        id: String,
    },
    /// Creates a session
    Create {
        /// Its id; the daemon makes one where none is named
        id: Option<String>,
        /// What it is for: commands one behind the other, or code in a process that keeps its names
        #[arg(long, value_parser = ["commands", "python", "shell"], default_value = "commands")]
        kind: String,
        #[command(flatten)]
        folder: FolderArgs,
    },
    /// Ends and deletes a session with its private folder; what is gone already is no failure
    #[command(visible_alias = "delete")]
    Close {
        /// The session
        id: String,
    },
    /// Follows what happens in a session from now on, and answers what its code asks; Ctrl-C leaves
    Attach {
        /// The session
        id: String,
    },
    /// Ends the process of a session: the next code starts in an empty namespace
    Reset {
        /// The session
        id: String,
    },
    /// Saves the names of a session as a blob, and writes its hash
    Checkpoint {
        /// The session
        id: String,
    },
    /// Takes up the names that a checkpoint saved
    Restore {
        /// The session
        id: String,
        /// The hash of the checkpoint, 64 hex digits
        checkpoint: String,
        /// Drop the names there are first
        #[arg(long)]
        clear: bool,
    },
    /// Cancels what runs in a session; the session goes on where it can
    Cancel {
        /// The session
        id: String,
    },
    /// Interrupts the code that runs in a session, as Ctrl-C does
    Interrupt {
        /// The session
        id: String,
    },
    /// Gives a line to code that asks for input
    Input {
        /// The session
        id: String,
        /// The line
        #[arg(required_unless_present = "eof")]
        line: Option<String>,
        /// There is no more input
        #[arg(long, conflicts_with = "line")]
        eof: bool,
    },
}

pub(crate) fn run(args: &Args, context: &Context) -> Done {
    block_on(async {
        let remote = Remote::connect(context).await?;
        match &args.what {
            What::List { limit, after } => list(&remote, *limit, after.as_deref(), context).await,
            What::Show { id } => show(&remote, id, context).await,
            What::Create { id, kind, folder } => create(&remote, id.as_deref(), kind, folder, context).await,
            What::Close { id } => close(&remote, id, context).await,
            What::Attach { id } => attach(&remote, id, context).await,
            What::Reset { id } => {
                let done = act(&remote, "session.reset", id, json!({}), context).await?;
                told(
                    &done,
                    |_| format!("session {id} is empty; the next code starts anew"),
                    context,
                )
            }
            What::Checkpoint { id } => checkpoint(&remote, id, context).await,
            What::Restore {
                id,
                checkpoint,
                clear,
            } => {
                let payload = json!({"checkpoint": checkpoint, "clear": clear});
                let done = act(&remote, "session.restore", id, payload, context).await?;
                told(
                    &done,
                    |data| format!("restored {}", names(data, "restored")),
                    context,
                )
            }
            What::Cancel { id } => {
                let done = act(&remote, "session.cancel", id, json!({}), context).await?;
                told(
                    &done,
                    |data| format!("{} is being stopped", text(data, "id")),
                    context,
                )
            }
            What::Interrupt { id } => {
                let done = act(&remote, "session.interrupt", id, json!({}), context).await?;
                told(
                    &done,
                    |data| format!("{} is interrupted", text(data, "id")),
                    context,
                )
            }
            What::Input { id, line, eof } => {
                let payload = match line {
                    Some(line) => json!({"data": line}),
                    None => json!({"eof": eof}),
                };
                let done = act(&remote, "session.input", id, payload, context).await?;
                told(
                    &done,
                    |data| format!("{} is answered", text(data, "promiseId")),
                    context,
                )
            }
        }
    })?;
    Ok(Exit::Ok)
}

async fn list(remote: &Remote, limit: u64, after: Option<&str>, context: &Context) -> Result<(), Failure> {
    let out = &context.out;
    let page = remote.page("session.list", limit, after).await?;
    let none = "no sessions; make one with `actum session create`";
    let table = table::table(
        out,
        &[
            "SESSION",
            "KIND",
            "PROCESS",
            "PROMISES",
            "VERSION",
            "GENERATION",
            "CREATED",
            "ANNOTATIONS",
        ],
    );
    table::page(out, &page, "sessions", none, table, |session| {
        let annotations = session
            .get("metadata")
            .and_then(Value::as_object)
            .map_or(0, serde_json::Map::len);
        [
            text(session, "sessionId").to_owned(),
            text(session, "kind").to_owned(),
            process(session),
            pending(session),
            number(session, "version").unwrap_or(0).to_string(),
            number(session, "generation").unwrap_or(0).to_string(),
            shape::short_time(text(session, "createdAt")),
            annotations.to_string(),
        ]
    })
}

async fn show(remote: &Remote, id: &str, context: &Context) -> Result<(), Failure> {
    let out = &context.out;
    let session = remote.read_session("session.get", id).await?;
    if !out.human() {
        return out.json(&session);
    }
    out.line(out.paint.bold(text(&session, "sessionId")))?;
    let mut pairs = vec![
        ("kind", text(&session, "kind").to_owned()),
        ("lane", format!("session:{id}")),
        ("version", number(&session, "version").unwrap_or(0).to_string()),
        (
            "generation",
            number(&session, "generation").unwrap_or(0).to_string(),
        ),
        ("created", shape::short_time(text(&session, "createdAt"))),
    ];
    let process = process(&session);
    if !process.is_empty() {
        pairs.push(("process", process));
    }
    pairs.extend(sandbox(&session));
    if let Some(promises) = session.get("promises").and_then(Value::as_object) {
        let said: Vec<String> = promises
            .iter()
            .map(|(name, count)| format!("{name} {}", shape::plain(count)))
            .collect();
        pairs.push(("promises", said.join(", ")));
    }
    if let Some(metadata) = session.get("metadata").and_then(Value::as_object) {
        let lines = metadata
            .iter()
            .map(|(key, value)| format!("{key} = {}", shape::brief(&shape::plain(value), 400)));
        pairs.extend(lines.map(|line| ("annotation", line)));
    }
    table::pairs(out, &pairs)
        .into_iter()
        .try_for_each(|line| out.line(line))
}

/// The state of its process: `live`, or why there is none any more.
fn process(session: &Value) -> String {
    let Some(worker) = session.get("worker") else {
        return String::new();
    };
    let reason = text(worker, "reason");
    match text(worker, "state") {
        state if reason.is_empty() => state.to_owned(),
        state => format!("{state}: {}", shape::brief(reason, 60)),
    }
}

fn pending(session: &Value) -> String {
    let pending = session.pointer("/promises/pending").and_then(Value::as_u64);
    pending.map(|pending| pending.to_string()).unwrap_or_default()
}

/// The cage of its process: level, layers, folders.
fn sandbox(session: &Value) -> Vec<(&'static str, String)> {
    let Some(sandbox) = session.pointer("/worker/sandbox") else {
        return Vec::new();
    };
    let list = |name: &str| sandbox.get(name).and_then(Value::as_array).into_iter().flatten();
    let layers = |wanted: bool| {
        let of =
            list("layers").filter(|layer| layer.get("in_force").and_then(Value::as_bool) == Some(wanted));
        of.map(|layer| text(layer, "layer")).collect::<Vec<_>>().join(" ")
    };
    let mut pairs = vec![
        ("sandbox", text(sandbox, "level").to_owned()),
        ("layers", layers(true)),
    ];
    let missing = layers(false);
    if !missing.is_empty() {
        pairs.push(("not in force", missing));
    }
    for folder in list("folders") {
        let write = folder.get("write").and_then(Value::as_bool) == Some(true);
        let how = if write { "to write" } else { "to read" };
        pairs.push((
            "folder",
            format!("{} is {}, {how}", text(folder, "path"), text(folder, "at")),
        ));
    }
    pairs
}

async fn create(
    remote: &Remote,
    id: Option<&str>,
    kind: &str,
    folder: &FolderArgs,
    context: &Context,
) -> Result<(), Failure> {
    let own_id = mint::fresh("create")?;
    let mut payload = if folder.is_given() {
        folder
            .choices()?
            .first()
            .map(crate::folder::Folder::arguments)
            .unwrap_or_default()
    } else {
        serde_json::Map::new()
    };
    if kind != "commands" {
        payload.insert("kind".into(), kind.into());
    }
    let mut envelope = json!({"type": "session.create", "id": own_id, "payload": payload});
    if let (Some(id), Value::Object(members)) = (id, &mut envelope) {
        members.insert("sessionId".into(), id.into());
    }
    let answer = remote.submit(&envelope).await?;
    if !context.out.human() {
        context.out.json(&answer)?;
    }
    let made = data_of(answer)?;
    // Only the id stands on standard output, so that a script can take it.
    if context.out.human() {
        context.out.line(text(&made, "sessionId"))
    } else {
        Ok(())
    }
}

async fn close(remote: &Remote, id: &str, context: &Context) -> Result<(), Failure> {
    let own_id = mint::fresh("close")?;
    let envelope = json!({"type": "session.delete", "id": own_id, "sessionId": id, "payload": {}});
    let answer = remote.submit(&envelope).await?;
    if !context.out.human() {
        context.out.json(&answer)?;
    }
    let said = match fault_of(&answer) {
        Some(fault) if fault.code == ErrorCode::SessionNotFound => format!("session {id} is gone already"),
        Some(fault) => return Err(fault.into()),
        None => format!("session {id} is closed"),
    };
    if context.out.human() {
        context.out.line(said)
    } else {
        Ok(())
    }
}

/// Submits a kind that is about a session; gives its data, which is written already where it is not for people.
async fn act(
    remote: &Remote,
    kind: &str,
    session: &str,
    payload: Value,
    context: &Context,
) -> Result<Value, Failure> {
    let own_id = mint::fresh("session")?;
    let answer = remote
        .submit(&json!({"type": kind, "id": own_id, "sessionId": session, "payload": payload}))
        .await?;
    if !context.out.human() {
        context.out.json(&answer)?;
    }
    data_of(answer)
}

fn told(data: &Value, say: impl FnOnce(&Value) -> String, context: &Context) -> Result<(), Failure> {
    if !context.out.human() {
        return Ok(());
    }
    for skipped in data
        .get("skipped")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        context.out.say(format_args!(
            "left out {}: {}",
            text(skipped, "name"),
            text(skipped, "reason")
        ));
    }
    context.out.line(say(data))
}

fn names(data: &Value, member: &str) -> String {
    let names = data.get(member).and_then(Value::as_array);
    let names: Vec<&str> = names.into_iter().flatten().filter_map(Value::as_str).collect();
    if names.is_empty() {
        "nothing".to_owned()
    } else {
        names.join(", ")
    }
}

async fn checkpoint(remote: &Remote, id: &str, context: &Context) -> Result<(), Failure> {
    let data = act(remote, "session.checkpoint", id, json!({}), context).await?;
    if context.out.human() {
        context.out.say(format_args!("saved {}", names(&data, "saved")));
    }
    // Only the hash stands on standard output, so that a script can take it.
    told(&data, |data| text(data, "checkpoint").to_owned(), context)
}

async fn attach(remote: &Remote, id: &str, context: &Context) -> Result<(), Failure> {
    let out = &context.out;
    let session = remote.read_session("session.get", id).await?;
    let (mut live, mut stops, mut keyboard) = (Live::open(remote).await?, Stops::new()?, Keyboard::default());
    live.follow(id).await?;
    if out.human() {
        let line = format!(
            "{} session {id} · {} · Ctrl-C leaves",
            text(&session, "kind"),
            process(&session)
        );
        out.say(out.paint_err.dim(line));
    }
    loop {
        let message = tokio::select! {
            biased;
            () = stops.next() => return Ok(()),
            message = live.next() => message?,
            key = keyboard.key(), if keyboard.is_asked() => {
                let payload = match key {
                    Key::Interrupted => return Ok(()),
                    Key::Line(line) => json!({"data": line}),
                    Key::Ended => json!({"eof": true}),
                };
                let own_id = mint::fresh("input")?;
                live.send(&json!({"type": "session.input", "id": own_id, "sessionId": id, "payload": payload})).await?;
                continue;
            }
        };
        if text(&message, "type") == "response" {
            if let Some(fault) = fault_of(&message) {
                out.fault(&fault);
            }
            continue;
        }
        super::events::show_message(&message, context)?;
        let promise = text(&message, "promiseId");
        let command = promise
            .strip_prefix("exec:")
            .and_then(|rest| rest.rsplit_once(":input:"));
        if let Some(prompt) = command.and_then(|(command, _)| asked(&message, command)) {
            keyboard.ask(prompt, false);
        }
        if text(&message, "event") == "session_deleted" {
            out.say(format_args!("session {id} is closed"));
            return Ok(());
        }
    }
}

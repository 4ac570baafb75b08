//! `actum session`: list, show, create and delete sessions.

use crate::context::Context;
use crate::failure::{Done, Exit, Failure};
use crate::mint;
use crate::remote::{Remote, block_on, data_of};
use crate::shape::{self, number, text};
use crate::table;
use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Value, json};

/// Flags of `session`.
#[derive(ClapArgs, Clone, Debug)]
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
    },
    /// Deletes a session; one made later under the same id is another
    Delete {
        /// The session
        id: String,
    },
}

pub(crate) fn run(args: &Args, context: &Context) -> Done {
    block_on(async {
        let remote = Remote::connect(context).await?;
        match &args.what {
            What::List { limit, after } => list(&remote, *limit, after.as_deref(), context).await,
            What::Show { id } => show(&remote, id, context).await,
            What::Create { id } => create(&remote, id.as_deref(), context).await,
            What::Delete { id } => delete(&remote, id, context).await,
        }
    })?;
    Ok(Exit::Ok)
}

async fn list(remote: &Remote, limit: u64, after: Option<&str>, context: &Context) -> Result<(), Failure> {
    let out = &context.out;
    let mut payload = json!({"limit": limit});
    if let (Some(after), Value::Object(members)) = (after, &mut payload) {
        members.insert("after".into(), after.into());
    }
    let page = remote.read("session.list", payload).await?;
    if !out.human() {
        return out.json_rows(&page, "sessions");
    }
    let sessions = page
        .get("sessions")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    if sessions.is_empty() {
        out.say("no sessions; make one with `actum session create`");
        return Ok(());
    }
    let mut table = table::table(
        out,
        &["SESSION", "VERSION", "GENERATION", "CREATED", "ANNOTATIONS"],
    );
    for session in &sessions {
        let annotations = session
            .get("metadata")
            .and_then(Value::as_object)
            .map_or(0, serde_json::Map::len);
        table.add_row([
            text(session, "sessionId").to_owned(),
            number(session, "version").unwrap_or(0).to_string(),
            number(session, "generation").unwrap_or(0).to_string(),
            shape::short_time(text(session, "createdAt")),
            annotations.to_string(),
        ]);
    }
    table::lines(out, &table)
        .into_iter()
        .try_for_each(|line| out.line(line))?;
    if let Some(next) = page.get("nextCursor").and_then(Value::as_str) {
        out.say(format_args!("there are more: --after {next}"));
    }
    Ok(())
}

async fn show(remote: &Remote, id: &str, context: &Context) -> Result<(), Failure> {
    let out = &context.out;
    let session = remote.read_session("session.get", id).await?;
    if !out.human() {
        return out.json(&session);
    }
    out.line(out.paint.bold(text(&session, "sessionId")))?;
    let mut pairs = vec![
        ("version", number(&session, "version").unwrap_or(0).to_string()),
        (
            "generation",
            number(&session, "generation").unwrap_or(0).to_string(),
        ),
        ("created", shape::short_time(text(&session, "createdAt"))),
    ];
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

async fn create(remote: &Remote, id: Option<&str>, context: &Context) -> Result<(), Failure> {
    let own_id = mint::fresh("create")?;
    let mut envelope = json!({"type": "session.create", "id": own_id, "payload": {}});
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

async fn delete(remote: &Remote, id: &str, context: &Context) -> Result<(), Failure> {
    let own_id = mint::fresh("delete")?;
    let envelope = json!({"type": "session.delete", "id": own_id, "sessionId": id, "payload": {}});
    let answer = remote.submit(&envelope).await?;
    if !context.out.human() {
        context.out.json(&answer)?;
    }
    data_of(answer)?;
    if context.out.human() {
        context.out.line(format_args!("session {id} is deleted"))
    } else {
        Ok(())
    }
}

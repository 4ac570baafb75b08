//! `actum sws`: shadow working sets, from their fork to their collapse.

use crate::context::Context;
use crate::failure::{Done, Exit, Failure};
use crate::mint;
use crate::remote::{Remote, block_on, data_of};
use crate::shape::{self, at, text};
use crate::table;
use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Value, json};

/// Flags of `sws`.
#[derive(ClapArgs, Clone, Debug)]
#[command(after_help = "Examples:\n  actum sws create\n  actum sws diff 0\n  actum sws collapse 0")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Clone, Debug)]
enum What {
    /// Forks System into a new one and prints its number
    Create {
        /// What you say of it, as JSON
        #[arg(long, value_name = "JSON")]
        meta: Option<String>,
    },
    /// Lists them by number
    List {
        /// Only those that are active
        #[arg(long)]
        active: bool,
        /// Rows of a page, up to 1000
        #[arg(long, value_name = "N", default_value_t = 200)]
        first: u64,
        /// Begin behind this number
        #[arg(long, value_name = "ID")]
        after: Option<String>,
    },
    /// Shows one
    Show {
        /// Its number
        id: String,
    },
    /// Lists what it changed since it forked System
    Diff {
        /// Its number
        id: String,
        /// Rows of a page, up to 1000
        #[arg(long, value_name = "N", default_value_t = 200)]
        first: u64,
        /// Begin behind this change
        #[arg(long, value_name = "CURSOR")]
        after: Option<String>,
    },
    /// Makes it part of System, whole or not at all
    Collapse {
        /// Its number
        id: String,
    },
    /// Moves it onto System as it is, if nothing is in conflict
    Rebase {
        /// Its number
        id: String,
    },
    /// Gives it up, on the record
    Discard {
        /// Its number
        id: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
}

const ROW: &str = "id state createdAt createdBy createdIdx digest parentSnapshotId parentDigest meta";
const DIFF: &str = "query($id: ID!, $page: PageInput) { diffSws(swsId: $id) { changes(page: $page) {
  nodes { sort id key change } pageInfo { endCursor hasNextPage } } } }";

pub(crate) fn run(args: &Args, context: &Context) -> Done {
    block_on(async {
        let remote = Remote::connect(context).await?;
        match &args.what {
            What::Create { meta } => create(&remote, meta.as_deref(), context).await,
            What::List { active, first, after } => {
                list(&remote, *active, json!({"first": first, "after": after}), context).await
            }
            What::Show { id } => show(&remote, id, context).await,
            What::Diff { id, first, after } => {
                diff(&remote, id, json!({"first": first, "after": after}), context).await
            }
            What::Collapse { id } => collapse(&remote, id, context).await,
            What::Rebase { id } => {
                let receipt = change(&remote, "rebase", json!({"swsId": id}), context).await?;
                said(
                    context,
                    format_args!(
                        "sws:{id} begins at System {}",
                        text(at(&receipt, "/base"), "snapshotId")
                    ),
                )
            }
            What::Discard { id, reason } => {
                let mut payload = json!({"swsId": id});
                if let Some(reason) = reason {
                    set(&mut payload, "reason", reason.as_str().into());
                }
                change(&remote, "discard", payload, context).await?;
                said(context, format_args!("sws:{id} is discarded"))
            }
        }
    })?;
    Ok(Exit::Ok)
}

/// Says something to people; programs were given the answer.
fn said(context: &Context, text: std::fmt::Arguments<'_>) -> Result<(), Failure> {
    if context.out.human() {
        context.out.line(text)
    } else {
        Ok(())
    }
}

/// Submits a change and gives its receipt. Programs get the whole answer.
async fn change(remote: &Remote, verb: &str, payload: Value, context: &Context) -> Result<Value, Failure> {
    let id = mint::fresh(verb)?;
    let kind = format!("sws.{verb}");
    let answer = remote
        .submit(&json!({"type": kind, "id": id, "payload": payload}))
        .await?;
    if !context.out.human() {
        context.out.json(&answer)?;
    }
    data_of(answer)
}

fn set(payload: &mut Value, name: &str, value: Value) {
    if let Value::Object(members) = payload {
        members.insert(name.to_owned(), value);
    }
}

async fn create(remote: &Remote, meta: Option<&str>, context: &Context) -> Result<(), Failure> {
    let mut payload = json!({});
    if let Some(meta) = meta {
        let meta = serde_json::from_str(meta)
            .map_err(|error| Failure::usage(format!("--meta is no JSON: {error}")))?;
        set(&mut payload, "meta", meta);
    }
    let receipt = change(remote, "create", payload, context).await?;
    // Only the number stands on standard output, so that a script can take it.
    said(context, format_args!("{}", text(&receipt, "swsId")))
}

async fn list(remote: &Remote, active: bool, page: Value, context: &Context) -> Result<(), Failure> {
    let out = &context.out;
    let query = format!(
        "query($state: SwsState, $page: PageInput) {{ swsConnection(state: $state, page: $page) {{
          nodes {{ {ROW} }} pageInfo {{ endCursor hasNextPage }} }} }}"
    );
    let state = active.then_some("ACTIVE");
    let data = remote
        .client
        .graphql(&query, &json!({"state": state, "page": page}))
        .await?;
    let page = at(&data, "/swsConnection");
    if !out.human() {
        return out.json_rows(page, "nodes");
    }
    let rows = at(page, "/nodes").as_array().cloned().unwrap_or_default();
    if rows.is_empty() {
        out.say("no shadow working sets; make one with `actum sws create`");
        return Ok(());
    }
    let mut table = table::table(out, &["SWS", "STATE", "FROM SYSTEM", "DIGEST", "CREATED", "BY"]);
    for row in &rows {
        table.add_row([
            text(row, "id").to_owned(),
            text(row, "state").to_lowercase(),
            text(row, "parentSnapshotId").to_owned(),
            text(row, "digest").chars().take(12).collect(),
            shape::short_time(text(row, "createdAt")),
            text(row, "createdBy").to_owned(),
        ]);
    }
    table::lines(out, &table)
        .into_iter()
        .try_for_each(|line| out.line(line))?;
    if at(page, "/pageInfo/hasNextPage") == true {
        out.say(format_args!(
            "there are more: --after {}",
            text(at(page, "/pageInfo"), "endCursor")
        ));
    }
    Ok(())
}

async fn show(remote: &Remote, id: &str, context: &Context) -> Result<(), Failure> {
    let out = &context.out;
    let query = format!("query($id: ID!) {{ sws(id: $id) {{ {ROW} }} }}");
    let data = remote.client.graphql(&query, &json!({"id": id})).await?;
    let sws = at(&data, "/sws");
    if !out.human() {
        return out.json(sws);
    }
    out.line(out.paint.bold(format_args!("sws:{}", text(sws, "id"))))?;
    let mut pairs = vec![
        ("state", text(sws, "state").to_lowercase()),
        ("from", format!("System {}", text(sws, "parentSnapshotId"))),
        ("digest", text(sws, "digest").to_owned()),
        (
            "created",
            format!(
                "{} by {}",
                shape::short_time(text(sws, "createdAt")),
                text(sws, "createdBy")
            ),
        ),
    ];
    if !at(sws, "/meta").is_null() {
        pairs.push(("meta", shape::brief(&shape::plain(at(sws, "/meta")), 400)));
    }
    table::pairs(out, &pairs)
        .into_iter()
        .try_for_each(|line| out.line(line))
}

async fn diff(remote: &Remote, id: &str, page: Value, context: &Context) -> Result<(), Failure> {
    let out = &context.out;
    let data = remote
        .client
        .graphql(DIFF, &json!({"id": id, "page": page}))
        .await?;
    let page = at(&data, "/diffSws/changes");
    if !out.human() {
        return out.json_rows(page, "nodes");
    }
    let rows = at(page, "/nodes").as_array().cloned().unwrap_or_default();
    if rows.is_empty() {
        out.say(format_args!("sws:{id} changed nothing"));
        return Ok(());
    }
    for row in &rows {
        let sign = match text(row, "change") {
            "ADDED" => out.paint.green("+"),
            "REMOVED" => out.paint.red("-"),
            _ => out.paint.yellow("~"),
        };
        let key = at(row, "/key")
            .as_str()
            .map_or(String::new(), |key| format!(" {key}"));
        let sort = text(row, "sort").to_lowercase();
        out.line(format_args!("{sign} {sort} {}{key}", text(row, "id")))?;
    }
    if at(page, "/pageInfo/hasNextPage") == true {
        out.say(format_args!(
            "there are more: --after {}",
            text(at(page, "/pageInfo"), "endCursor")
        ));
    }
    Ok(())
}

async fn collapse(remote: &Remote, id: &str, context: &Context) -> Result<(), Failure> {
    let out = &context.out;
    let own_id = mint::fresh("collapse")?;
    let payload = json!({"swsId": id});
    let answer = remote
        .submit(&json!({"type": "sws.collapse", "id": own_id, "payload": payload}))
        .await?;
    if !out.human() {
        out.json(&answer)?;
    } else if let Some(conflicts) = answer.pointer("/data/conflicts").and_then(Value::as_array) {
        for conflict in conflicts {
            let key = at(conflict, "/key")
                .as_str()
                .map_or(String::new(), |key| format!(" {key}"));
            let place = format!("{} {}{key}", text(conflict, "sort"), text(conflict, "id"));
            out.say(format_args!(
                "{}  {place}",
                out.paint_err.red(text(conflict, "code"))
            ));
        }
    }
    let receipt = data_of(answer)?;
    let after = at(&receipt, "/after");
    said(
        context,
        format_args!(
            "sws:{id} is part of System {}, digest {}",
            text(after, "snapshotId"),
            text(after, "digest")
        ),
    )
}

//! `actum rewrites`: the rewrite log of a view.

use super::graph::reference;
use crate::context::Context;
use crate::failure::{Done, Exit};
use crate::remote::{Remote, block_on};
use crate::shape::{self, at, text};
use crate::table;
use actum_model::graph::ViewName;
use clap::Args as ClapArgs;
use serde_json::{Value, json};

/// Flags of `rewrites`.
#[derive(ClapArgs, Clone, Debug)]
#[command(
    after_help = "Examples:\n  actum rewrites --view sws:0\n  actum rewrites --view system --after 41 --json"
)]
pub(crate) struct Args {
    /// The view: `system` or `sws:NUMBER`
    #[arg(long, value_name = "VIEW", default_value = "system")]
    view: ViewName,
    /// Rows of a page, up to 1000
    #[arg(long, value_name = "N", default_value_t = 200)]
    first: u64,
    /// Begin behind this place in the log
    #[arg(long, value_name = "IDX")]
    after: Option<u64>,
}

const QUERY: &str = "query($view: ViewRefInput!, $page: PageInput) { rewritesConnection(view: $view, page: $page) {
  nodes { idx viewIdx kind view swsId at digest ops meta reason recordIdx } pageInfo { endCursor hasNextPage } } }";

pub(crate) fn run(args: &Args, context: &Context) -> Done {
    let out = &context.out;
    let after = args.after.map(|after| after.to_string());
    let variables = json!({"view": reference(args.view), "page": {"first": args.first, "after": after}});
    let data = block_on(async {
        let remote = Remote::connect(context).await?;
        Ok(remote.client.graphql(QUERY, &variables).await?)
    })?;
    let page = at(&data, "/rewritesConnection");
    if !out.human() {
        out.json_rows(page, "nodes")?;
        return Ok(Exit::Ok);
    }
    let rows = at(page, "/nodes").as_array().cloned().unwrap_or_default();
    if rows.is_empty() {
        out.say(format_args!("no rewrites of {}", args.view));
        return Ok(Exit::Ok);
    }
    let mut table = table::table(
        out,
        &["IDX", "OF VIEW", "WHAT", "VIEW", "DIGEST", "AT", "OPERATIONS"],
    );
    for row in &rows {
        table.add_row([
            text(row, "idx").to_owned(),
            text(row, "viewIdx").to_owned(),
            text(row, "kind").to_lowercase(),
            at(row, "/swsId")
                .as_str()
                .map_or("system".to_owned(), |id| format!("sws:{id}")),
            text(row, "digest").chars().take(12).collect(),
            shape::short_time(text(row, "at")),
            operations(row),
        ]);
    }
    for line in table::lines(out, &table) {
        out.line(line)?;
    }
    if at(page, "/pageInfo/hasNextPage") == true {
        out.say(format_args!(
            "there are more: --after {}",
            text(at(page, "/pageInfo"), "endCursor")
        ));
    }
    Ok(Exit::Ok)
}

/// The operations in short: their names with how often each comes.
fn operations(row: &Value) -> String {
    let mut counted: Vec<(&str, usize)> = Vec::new();
    for op in at(row, "/ops").as_array().into_iter().flatten() {
        let name = text(op, "op");
        match counted.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += 1,
            None => counted.push((name, 1)),
        }
    }
    let shown: Vec<String> = counted
        .into_iter()
        .map(|(name, count)| {
            if count == 1 {
                name.to_owned()
            } else {
                format!("{count} × {name}")
            }
        })
        .collect();
    shown.join(", ")
}

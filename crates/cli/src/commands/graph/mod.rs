//! `actum graph`: a view of the graph, its digest and what is in it; export and import.

mod export;
mod import;
mod pages;

use crate::context::Context;
use crate::failure::{Done, Exit, Failure};
use crate::remote::{Remote, block_on};
use crate::shape::{self, at, text};
use crate::table;
use actum_model::graph::ViewName;
use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Value, json};

/// Flags of `graph`.
#[derive(ClapArgs, Clone, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  actum graph --view system --digest\n  actum graph --view sws:0 --nodes --kind task\n  \
    actum graph export --format dot | dot -Tsvg > graph.svg"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    show: Show,
}

#[derive(Subcommand, Clone, Debug)]
enum What {
    /// Writes a view as DOT, JSON or CBOR
    Export(export::Args),
    /// Reads an export into a shadow working set
    Import(import::Args),
}

#[derive(ClapArgs, Clone, Debug)]
struct Show {
    #[command(flatten)]
    of: Of,
    /// Print the digest alone
    #[arg(long, conflicts_with_all = ["nodes", "edges"])]
    digest: bool,
    /// List nodes
    #[arg(long)]
    nodes: bool,
    /// List edges
    #[arg(long)]
    edges: bool,
    /// Only nodes or edges of this kind; may be repeated
    #[arg(long, value_name = "KIND")]
    kind: Vec<String>,
    /// Rows of a page, up to 1000
    #[arg(long, value_name = "N", default_value_t = 200)]
    first: u64,
    /// Begin behind this id, within --snapshot
    #[arg(long, value_name = "ID")]
    after: Option<String>,
}

/// Which view, at which version.
#[derive(ClapArgs, Clone, Debug)]
pub(crate) struct Of {
    /// The view: `system` or `sws:NUMBER`
    #[arg(long, value_name = "VIEW", default_value = "system")]
    pub(crate) view: ViewName,
    /// A version of it that was shown before
    #[arg(long, value_name = "ID")]
    pub(crate) snapshot: Option<String>,
}

impl Of {
    /// The view as GraphQL takes it.
    pub(crate) fn reference(&self) -> Value {
        let mut view = reference(self.view);
        if let (Some(snapshot), Value::Object(members)) = (&self.snapshot, &mut view) {
            members.insert("snapshotId".into(), snapshot.as_str().into());
        }
        view
    }
}

/// A view as GraphQL takes it.
pub(crate) fn reference(view: ViewName) -> Value {
    match view {
        ViewName::System => json!({"kind": "SYSTEM"}),
        ViewName::Sws(id) => json!({"kind": "SWS", "swsId": id.to_string()}),
    }
}

const SUMMARY: &str = "query($view: ViewRefInput!) {
  graph(view: $view) { digest snapshotId counts { nodes edges attachments } } }";
const NODES: &str = "query($view: ViewRefInput!, $page: PageInput, $filter: NodeFilterInput) {
  graph(view: $view, nodesPage: $page, nodeFilter: $filter) { digest snapshotId
    nodes { nodes { id kind payloadBytes } pageInfo { endCursor hasNextPage } } } }";
const EDGES: &str = "query($view: ViewRefInput!, $page: PageInput, $filter: EdgeFilterInput) {
  graph(view: $view, edgesPage: $page, edgeFilter: $filter) { digest snapshotId
    edges { nodes { id kind from to } pageInfo { endCursor hasNextPage } } } }";

pub(crate) fn run(args: &Args, context: &Context) -> Done {
    block_on(async {
        let remote = Remote::connect(context).await?;
        match &args.what {
            Some(What::Export(args)) => export::run(&remote, args, context).await,
            Some(What::Import(args)) => import::run(&remote, args, context).await,
            None => show(&remote, &args.show, context).await,
        }
    })?;
    Ok(Exit::Ok)
}

async fn show(remote: &Remote, args: &Show, context: &Context) -> Result<(), Failure> {
    let view = args.of.reference();
    if !args.nodes && !args.edges {
        let data = remote.client.graphql(SUMMARY, &json!({"view": view})).await?;
        return summary(at(&data, "/graph"), args, context);
    }
    let filter = match args.kind.as_slice() {
        [] => Value::Null,
        kinds => json!({"kinds": kinds}),
    };
    let variables =
        json!({"view": view, "filter": filter, "page": {"first": args.first, "after": args.after}});
    if args.nodes {
        let data = remote.client.graphql(NODES, &variables).await?;
        rows(at(&data, "/graph"), "nodes", args, context)?;
    }
    if args.edges {
        let data = remote.client.graphql(EDGES, &variables).await?;
        rows(at(&data, "/graph"), "edges", args, context)?;
    }
    Ok(())
}

fn summary(graph: &Value, args: &Show, context: &Context) -> Result<(), Failure> {
    let out = &context.out;
    if !out.human() {
        return out.json(graph);
    }
    if args.digest {
        return out.line(text(graph, "digest"));
    }
    let count = |name: &str| {
        let n = graph.pointer(&format!("/counts/{name}")).and_then(Value::as_u64);
        shape::grouped(n.unwrap_or(0))
    };
    out.line(out.paint.bold(args.of.view))?;
    let pairs = [
        ("digest", text(graph, "digest").to_owned()),
        ("snapshot", text(graph, "snapshotId").to_owned()),
        ("nodes", count("nodes")),
        ("edges", count("edges")),
        ("attachments", count("attachments")),
    ];
    table::pairs(out, &pairs)
        .into_iter()
        .try_for_each(|line| out.line(line))
}

fn rows(graph: &Value, name: &str, args: &Show, context: &Context) -> Result<(), Failure> {
    let out = &context.out;
    let page = at(graph, &format!("/{name}"));
    if !out.human() {
        return out.json_rows(page, "nodes");
    }
    let list = at(page, "/nodes").as_array().cloned().unwrap_or_default();
    let mut table = match name {
        "nodes" => table::table(out, &["NODE", "KIND", "BYTES"]),
        _ => table::table(out, &["EDGE", "KIND", "FROM", "TO"]),
    };
    for row in &list {
        match name {
            "nodes" => table.add_row([
                text(row, "id").to_owned(),
                text(row, "kind").to_owned(),
                at(row, "/payloadBytes").to_string(),
            ]),
            _ => table.add_row(["id", "kind", "from", "to"].map(|name| text(row, name).to_owned())),
        };
    }
    if list.is_empty() {
        out.say(format_args!("no {name} in {}", args.of.view));
        return Ok(());
    }
    table::lines(out, &table)
        .into_iter()
        .try_for_each(|line| out.line(line))?;
    if at(page, "/pageInfo/hasNextPage") == true {
        out.say(format_args!(
            "there are more: --snapshot {} --after {}",
            text(graph, "snapshotId"),
            text(at(page, "/pageInfo"), "endCursor")
        ));
    }
    Ok(())
}

//! `actum graph export`: a view as DOT for drawing, or as JSON or CBOR for reading back.

use super::Of;
use super::pages::{self, Whole};
use crate::context::Context;
use crate::failure::Failure;
use crate::remote::Remote;
use crate::shape::{at, text};
use actum_model::ErrorCode;
use clap::{Args as ClapArgs, ValueEnum};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::PathBuf;

/// Version of the JSON and CBOR forms.
pub(super) const VERSION: u64 = 1;

/// Flags of `graph export`.
#[derive(ClapArgs, Clone, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    of: Of,
    /// The form
    #[arg(long, value_enum, default_value = "json")]
    format: Form,
    /// Write to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum Form {
    /// For Graphviz
    Dot,
    /// Canonical JSON
    Json,
    /// The same in CBOR
    Cbor,
}

pub(super) async fn run(remote: &Remote, args: &Args, context: &Context) -> Result<(), Failure> {
    let whole = pages::read(remote, &args.of.reference(), context).await?;
    let bytes = match args.format {
        Form::Dot => dot(&whole).into_bytes(),
        Form::Json => format!("{:#}\n", document(&whole)).into_bytes(),
        Form::Cbor => serde_ipld_dagcbor::to_vec(&document(&whole)).map_err(|error| {
            Failure::new(ErrorCode::Internal, format!("the view has no CBOR form: {error}"))
        })?,
    };
    match &args.out {
        Some(path) => std::fs::write(path, bytes).map_err(|error| Failure::io("write", path, &error)),
        None => context.out.bytes(&bytes),
    }
}

/// `{"actum": "graph", "version", "view", "snapshotId", "digest", "nodes", "edges", "attachments"}`.
fn document(whole: &Whole) -> Value {
    let head = &whole.head;
    json!({
        "actum": "graph", "version": VERSION, "view": at(head, "/view"), "swsId": at(head, "/swsId"),
        "snapshotId": at(head, "/snapshotId"), "digest": at(head, "/digest"),
        "nodes": whole.nodes, "edges": whole.edges, "attachments": whole.attachments,
    })
}

fn dot(whole: &Whole) -> String {
    let mut dot = String::from("digraph actum {\n  node [shape=box];\n");
    let short = |id: &str| id.get(..8).unwrap_or(id).to_owned();
    for node in &whole.nodes {
        let (id, kind) = (text(node, "id"), text(node, "kind"));
        // Ids are hex and kinds have no quotes, so nothing needs to be escaped.
        let _ = writeln!(dot, "  \"{id}\" [label=\"{kind}\\n{}\"];", short(id));
    }
    for edge in &whole.edges {
        let (from, to, kind) = (text(edge, "from"), text(edge, "to"), text(edge, "kind"));
        let _ = writeln!(dot, "  \"{from}\" -> \"{to}\" [label=\"{kind}\"];");
    }
    dot.push_str("}\n");
    dot
}

//! `actum graph import`: an export becomes rewrites of a shadow working set. Content decides ids, so what is there
//! already is not doubled, and an import that broke off is begun again without harm.

use super::export::VERSION;
use super::reference;
use crate::context::Context;
use crate::failure::Failure;
use crate::mint;
use crate::progress;
use crate::remote::{Remote, data_of};
use crate::shape::{self, at, text};
use actum_model::ErrorCode;
use actum_model::graph::ViewName;
use actum_model::limits::GRAPH_OPS_MAX;
use clap::Args as ClapArgs;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Bytes of operations in one rewrite, beyond which it ends.
const REWRITE_BYTES: usize = 1024 * 1024;

/// Flags of `graph import`.
#[derive(ClapArgs, Clone, Debug)]
pub(super) struct Args {
    /// An export in JSON or CBOR
    file: PathBuf,
    /// The shadow working set to write to; a new one if absent
    #[arg(long, value_name = "VIEW")]
    into: Option<ViewName>,
    /// Collapse it afterwards
    #[arg(long)]
    collapse: bool,
}

pub(super) async fn run(remote: &Remote, args: &Args, context: &Context) -> Result<(), Failure> {
    let out = &context.out;
    let bytes = std::fs::read(&args.file).map_err(|error| Failure::io("read", &args.file, &error))?;
    let document = parse(&bytes)?;
    let view = match args.into {
        Some(view) => view,
        None => fork(remote).await?,
    };
    let ops = operations(&document);
    let bar = progress::bar(Some(ops.len() as u64), out);
    for chunk in chunks(ops) {
        let count = chunk.len() as u64;
        let id = mint::fresh("import")?;
        let payload = json!({"view": view, "ops": chunk});
        data_of(
            remote
                .submit(&json!({"type": "graph.rewrite", "id": id, "payload": payload}))
                .await?,
        )?;
        bar.inc(count);
    }
    bar.finish_and_clear();
    let query = "query($view: ViewRefInput!) { graph(view: $view) { digest snapshotId } }";
    let data = remote
        .client
        .graphql(query, &json!({"view": reference(view)}))
        .await?;
    let mut said = json!({"view": view, "operations": bar.position(), "digest": at(&data, "/graph/digest")});
    if let (true, ViewName::Sws(sws)) = (args.collapse, view) {
        let id = mint::fresh("collapse")?;
        let payload = json!({"swsId": sws.to_string()});
        let answer = remote
            .submit(&json!({"type": "sws.collapse", "id": id, "payload": payload}))
            .await?;
        let receipt = data_of(answer)?;
        if let Value::Object(members) = &mut said {
            members.insert("collapse".into(), receipt);
        }
    }
    if !out.human() {
        return out.json(&said);
    }
    out.line(format_args!(
        "{} into {view}, digest {}",
        shape::count(bar.position(), "operation"),
        text(&said, "digest")
    ))?;
    match said.get("collapse") {
        Some(receipt) => out.line(format_args!(
            "collapsed: System is {}",
            text(at(receipt, "/after"), "snapshotId")
        )),
        None => {
            if let ViewName::Sws(sws) = view {
                out.say(format_args!(
                    "look with `actum sws diff {sws}`, then `actum sws collapse {sws}`"
                ));
            }
            Ok(())
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Value, Failure> {
    let json = serde_json::from_slice::<Value>(bytes).ok();
    let found = json.or_else(|| serde_ipld_dagcbor::from_slice(bytes).ok());
    let known =
        found.filter(|document| at(document, "/actum") == "graph" && at(document, "/version") == VERSION);
    known.ok_or_else(|| {
        let message = format!("the file is no graph export of version {VERSION}");
        Failure::new(ErrorCode::InvalidInput, message)
            .hint("make one with `actum graph export --format json`")
    })
}

async fn fork(remote: &Remote) -> Result<ViewName, Failure> {
    let id = mint::fresh("import")?;
    let made = data_of(
        remote
            .submit(&json!({"type": "sws.create", "id": id, "payload": {}}))
            .await?,
    )?;
    let id = text(&made, "swsId").parse().ok();
    id.map(ViewName::Sws)
        .ok_or_else(|| Failure::new(ErrorCode::Internal, "the daemon named no shadow working set"))
}

/// Nodes first, then edges, then attachments, so that nothing refers to what is not there yet.
fn operations(document: &Value) -> Vec<Value> {
    let rows = |name: &str| {
        at(document, &format!("/{name}"))
            .as_array()
            .cloned()
            .unwrap_or_default()
    };
    let op = |name: &str, data: Value| json!({"op": name, "data": data});
    let nodes = rows("nodes").into_iter().map(|row| {
        op(
            "AddNode",
            json!({"kind": at(&row, "/kind"), "payload_b64": at(&row, "/payloadB64")}),
        )
    });
    let edges = rows("edges").into_iter().map(|row| {
        let mut data = json!({"from": at(&row, "/from"), "to": at(&row, "/to"), "kind": at(&row, "/kind")});
        if let (Value::Object(members), payload @ Value::String(_)) = (&mut data, at(&row, "/payloadB64")) {
            members.insert("payload_b64".into(), payload.clone());
        }
        op("AddEdge", data)
    });
    let attachments = rows("attachments").into_iter().map(|row| {
        op(
            "SetAttachment",
            json!({"target": at(&row, "/target"), "key": at(&row, "/key"), "value": at(&row, "/value")}),
        )
    });
    nodes.chain(edges).chain(attachments).collect()
}

fn chunks(ops: Vec<Value>) -> Vec<Vec<Value>> {
    let mut chunks: Vec<Vec<Value>> = Vec::new();
    let mut bytes = 0;
    for op in ops {
        let more = op.to_string().len();
        match chunks.last_mut() {
            Some(chunk) if chunk.len() < GRAPH_OPS_MAX && bytes + more <= REWRITE_BYTES => {
                bytes += more;
                chunk.push(op);
            }
            _ => {
                bytes = more;
                chunks.push(vec![op]);
            }
        }
    }
    chunks
}

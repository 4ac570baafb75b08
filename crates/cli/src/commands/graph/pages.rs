//! Reading a whole view, page by page, at one version of it.

use crate::context::Context;
use crate::failure::Failure;
use crate::progress;
use crate::remote::Remote;
use crate::shape::at;
use indicatif::ProgressBar;
use serde_json::{Value, json};

/// Entries of a page: large enough to be quick, small enough for the bounds of a query.
const PAGE: u64 = 500;

const HEAD: &str = "query($view: ViewRefInput!) {
  graph(view: $view) { view swsId digest snapshotId counts { nodes edges attachments } } }";
const NODES: &str = "query($view: ViewRefInput!, $page: PageInput) { graph(view: $view, nodesPage: $page) {
  nodes { nodes { id kind payloadB64 } pageInfo { endCursor hasNextPage } } } }";
const EDGES: &str = "query($view: ViewRefInput!, $page: PageInput) { graph(view: $view, edgesPage: $page) {
  edges { nodes { id kind from to payloadB64 } pageInfo { endCursor hasNextPage } } } }";
const ATTACHMENTS: &str = "query($view: ViewRefInput!, $target: Hash!, $page: PageInput) {
  attachments(view: $view, target: $target, page: $page) {
    nodes { target key value version } pageInfo { endCursor hasNextPage } } }";

/// A view as it was at one version.
pub(super) struct Whole {
    /// Which view and version, its digest and counts.
    pub(super) head: Value,
    pub(super) nodes: Vec<Value>,
    pub(super) edges: Vec<Value>,
    pub(super) attachments: Vec<Value>,
}

/// Reads all of a view. What changes meanwhile is not seen.
pub(super) async fn read(remote: &Remote, view: &Value, context: &Context) -> Result<Whole, Failure> {
    let data = remote.client.graphql(HEAD, &json!({"view": view})).await?;
    let head = at(&data, "/graph").clone();
    let mut view = view.clone();
    if let Value::Object(members) = &mut view {
        members.insert("snapshotId".into(), at(&head, "/snapshotId").clone());
    }
    let count = |name: &str| at(&head, &format!("/counts/{name}")).as_u64().unwrap_or(0);
    let bar = progress::bar(Some(count("nodes") + count("edges")), &context.out);
    let nodes = all(remote, NODES, json!({"view": view}), "/graph/nodes", &bar).await?;
    let edges = all(remote, EDGES, json!({"view": view}), "/graph/edges", &bar).await?;
    let mut attachments = Vec::new();
    if count("attachments") > 0 {
        for target in nodes.iter().chain(&edges) {
            let variables = json!({"view": view, "target": at(target, "/id")});
            attachments.extend(all(remote, ATTACHMENTS, variables, "/attachments", &bar).await?);
        }
    }
    bar.finish_and_clear();
    Ok(Whole {
        head,
        nodes,
        edges,
        attachments,
    })
}

async fn all(
    remote: &Remote,
    query: &str,
    mut variables: Value,
    connection: &str,
    bar: &ProgressBar,
) -> Result<Vec<Value>, Failure> {
    let mut rows = Vec::new();
    let mut after = Value::Null;
    loop {
        if let Value::Object(members) = &mut variables {
            members.insert("page".into(), json!({"first": PAGE, "after": after}));
        }
        let mut data = remote.client.graphql(query, &variables).await?;
        let page = data.pointer_mut(connection).map(Value::take).unwrap_or_default();
        let found = at(&page, "/nodes").as_array().cloned().unwrap_or_default();
        bar.inc(found.len() as u64);
        rows.extend(found);
        if at(&page, "/pageInfo/hasNextPage") != true {
            return Ok(rows);
        }
        after = at(&page, "/pageInfo/endCursor").clone();
    }
}

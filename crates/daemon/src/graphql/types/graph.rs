//! A view at one of its versions.

use super::connection::Connection;
use super::content::{GraphEdge, GraphNode, connection};
use crate::graphql::inputs::{self, EdgeFilterInput, NodeFilterInput, PageInput, ViewKind, split};
use crate::graphql::moment::moment;
use crate::graphql::scalars::HexHash;
use actum_graph::{EdgeFilter, EdgeId, NodeFilter, NodeId, Page};
use actum_kernel::state::Version;
use actum_model::Fault;
use async_graphql::{Context, ID, Object, Result, SimpleObject};
use std::sync::Arc;

/// How much a view holds.
#[derive(SimpleObject, Clone, Copy, Debug)]
pub(crate) struct GraphCounts {
    /// Nodes.
    nodes: usize,
    /// Edges.
    edges: usize,
    /// Attachments.
    attachments: usize,
}

/// See the object below.
pub(crate) struct GraphSnapshot {
    version: Arc<Version>,
    nodes_page: Page<NodeId>,
    edges_page: Page<EdgeId>,
    node_filter: NodeFilter,
    edge_filter: EdgeFilter,
}

impl GraphSnapshot {
    pub(crate) fn new(
        version: Arc<Version>,
        nodes_page: Option<&PageInput>,
        edges_page: Option<&PageInput>,
        node_filter: Option<&NodeFilterInput>,
        edge_filter: Option<&EdgeFilterInput>,
    ) -> Result<GraphSnapshot, Fault> {
        Ok(GraphSnapshot {
            version,
            nodes_page: inputs::page(nodes_page, inputs::node_cursor)?,
            edges_page: inputs::page(edges_page, inputs::edge_cursor)?,
            node_filter: inputs::node_filter(node_filter)?,
            edge_filter: inputs::edge_filter(edge_filter)?,
        })
    }
}

/// A view at one of its versions. Everything below it is of that version.
#[Object]
impl GraphSnapshot {
    /// The sort of view.
    async fn view(&self) -> ViewKind {
        split(self.version.name).0
    }

    /// Number of the shadow working set; null for System.
    async fn sws_id(&self) -> Option<ID> {
        split(self.version.name).1
    }

    /// Hash over all entries. Two views with one content have one digest, whatever led to it.
    async fn digest(&self) -> HexHash {
        HexHash(self.version.digest)
    }

    /// The name of this version. It can be read under it, and paged through, for 15 minutes since it was last used.
    async fn snapshot_id(&self, ctx: &Context<'_>) -> Result<ID> {
        let id = self.version.snapshot();
        moment(ctx)?.pins.keep(id, &self.version);
        Ok(ID(id.to_string()))
    }

    /// How much it holds.
    async fn counts(&self) -> GraphCounts {
        let counts = self.version.view.counts();
        GraphCounts {
            nodes: counts.nodes,
            edges: counts.edges,
            attachments: counts.attachments,
        }
    }

    /// The nodes of `nodesPage` that pass `nodeFilter`, by id.
    async fn nodes(&self, ctx: &Context<'_>) -> Result<Connection<GraphNode>> {
        moment(ctx)?.breathe().await?;
        let found = self.version.view.nodes(&self.node_filter, &self.nodes_page);
        let behind = self.nodes_page.after.is_some();
        Ok(connection(found, behind, |(id, node)| {
            (id.to_string(), GraphNode::new(&self.version, id, node))
        }))
    }

    /// The edges of `edgesPage` that pass `edgeFilter`, by id.
    async fn edges(&self, ctx: &Context<'_>) -> Result<Connection<GraphEdge>> {
        moment(ctx)?.breathe().await?;
        let found = self.version.view.edges(&self.edge_filter, &self.edges_page);
        let behind = self.edges_page.after.is_some();
        Ok(connection(found, behind, |(id, edge)| {
            (id.to_string(), GraphEdge::new(&self.version, id, edge))
        }))
    }
}

//! What a view holds: nodes, edges, attachments, neighbours.

use super::connection::Connection;
use crate::graphql::inputs::{self, Direction, PageInput, cost};
use crate::graphql::moment::{Moment, moment};
use crate::graphql::scalars::{AnyJson, HexHash, Timestamp, U64};
use actum_graph::ids::TargetId;
use actum_graph::{AttachmentKey, EdgeId, KindName, NodeId, Paged, Payload};
use actum_kernel::state::Version;
use actum_model::Fault;
use async_graphql::{Context, Object, Result, SimpleObject};
use serde_json::json;
use std::sync::Arc;

/// A node of a view, seen there.
#[derive(Clone)]
pub(crate) struct GraphNode {
    version: Arc<Version>,
    id: NodeId,
    node: actum_graph::Node,
}

/// An edge of a view, seen there.
#[derive(Clone)]
pub(crate) struct GraphEdge {
    version: Arc<Version>,
    id: EdgeId,
    edge: actum_graph::Edge,
}

/// The node with this id.
pub(crate) fn node(version: &Arc<Version>, id: NodeId) -> Option<GraphNode> {
    let node = version.view.node(&id)?.clone();
    Some(GraphNode::new(version, id, node))
}

/// The edge with this id.
pub(crate) fn edge(version: &Arc<Version>, id: EdgeId) -> Option<GraphEdge> {
    let edge = version.view.edge(&id)?.clone();
    Some(GraphEdge::new(version, id, edge))
}

fn payload_b64(moment: &Moment, payload: &Payload) -> Result<String> {
    let text = payload.to_base64();
    moment.spend(text.len())?;
    Ok(text)
}

impl GraphNode {
    pub(crate) fn new(version: &Arc<Version>, id: NodeId, node: actum_graph::Node) -> GraphNode {
        GraphNode {
            version: Arc::clone(version),
            id,
            node,
        }
    }
}

impl GraphEdge {
    pub(crate) fn new(version: &Arc<Version>, id: EdgeId, edge: actum_graph::Edge) -> GraphEdge {
        GraphEdge {
            version: Arc::clone(version),
            id,
            edge,
        }
    }
}

/// A node: a kind and a payload. Its id is the hash of both, so two nodes with one content are one node.
#[Object]
impl GraphNode {
    /// Hash of its kind and payload.
    async fn id(&self) -> HexHash {
        HexHash(self.id.0)
    }

    /// Its kind.
    async fn kind(&self) -> &str {
        self.node.kind.as_str()
    }

    /// Its payload as the operation `AddNode` takes it: `{"payload_b64": …}`.
    async fn data(&self, ctx: &Context<'_>) -> Result<AnyJson> {
        let text = payload_b64(moment(ctx)?, &self.node.payload)?;
        Ok(AnyJson(json!({"payload_b64": text})))
    }

    /// Its payload in base64.
    async fn payload_b64(&self, ctx: &Context<'_>) -> Result<String> {
        payload_b64(moment(ctx)?, &self.node.payload)
    }

    /// Length of its payload.
    async fn payload_bytes(&self) -> usize {
        self.node.payload.as_bytes().len()
    }

    /// Always null: a node is its content, and content has no moment. The rewrites that added it have.
    async fn created_at(&self) -> Option<Timestamp> {
        None
    }

    /// Its attachments, by the hash of their keys.
    #[graphql(complexity = "cost(&page, child_complexity)")]
    async fn attachments(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which part of them.")] page: Option<PageInput>,
    ) -> Result<Connection<Attachment>> {
        attachments(moment(ctx)?, &self.version, &self.id.into(), page.as_ref()).await
    }

    /// The nodes its edges lead to, by the id of the edge.
    #[graphql(complexity = "cost(&page, child_complexity)")]
    async fn neighbors(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which edges count.", default_with = "Direction::Both")] direction: Direction,
        #[graphql(desc = "Only edges of these kinds.")] kinds: Option<Vec<String>>,
        #[graphql(desc = "Which part of them.")] page: Option<PageInput>,
    ) -> Result<Connection<Neighbor>> {
        let kinds = inputs::kinds("kinds", kinds.as_ref())?;
        Ok(neighbors(
            moment(ctx)?,
            &self.version,
            self.id,
            direction,
            &kinds,
            page.as_ref(),
        )
        .await?)
    }
}

/// An edge between two nodes. Its id is the hash of its ends, kind and payload.
#[Object]
impl GraphEdge {
    /// Hash of its ends, kind and payload.
    async fn id(&self) -> HexHash {
        HexHash(self.id.0)
    }

    /// Its kind.
    async fn kind(&self) -> &str {
        self.edge.kind.as_str()
    }

    /// The node it starts at.
    async fn from(&self) -> HexHash {
        HexHash(self.edge.from.0)
    }

    /// The node it ends at.
    async fn to(&self) -> HexHash {
        HexHash(self.edge.to.0)
    }

    /// Its payload as the operation `AddEdge` takes it, `{"payload_b64": …}`; null if it has none.
    async fn data(&self, ctx: &Context<'_>) -> Result<Option<AnyJson>> {
        let text = match &self.edge.payload {
            Some(payload) => Some(payload_b64(moment(ctx)?, payload)?),
            None => None,
        };
        Ok(text.map(|text| AnyJson(json!({"payload_b64": text}))))
    }

    /// Its payload in base64; null if it has none.
    async fn payload_b64(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        match &self.edge.payload {
            Some(payload) => Ok(Some(payload_b64(moment(ctx)?, payload)?)),
            None => Ok(None),
        }
    }

    /// Always null: an edge is its content, and content has no moment. The rewrites that added it have.
    async fn created_at(&self) -> Option<Timestamp> {
        None
    }

    /// The node it starts at, whole.
    async fn source(&self) -> Option<GraphNode> {
        node(&self.version, self.edge.from)
    }

    /// The node it ends at, whole.
    async fn target(&self) -> Option<GraphNode> {
        node(&self.version, self.edge.to)
    }

    /// Its attachments, by the hash of their keys.
    #[graphql(complexity = "cost(&page, child_complexity)")]
    async fn attachments(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which part of them.")] page: Option<PageInput>,
    ) -> Result<Connection<Attachment>> {
        attachments(moment(ctx)?, &self.version, &self.id.into(), page.as_ref()).await
    }
}

/// A value under a key of a node or edge: what can be changed in place.
#[derive(Clone)]
pub(crate) struct Attachment {
    target: TargetId,
    attachment: actum_graph::Attachment,
}

impl Attachment {
    pub(crate) fn new(target: TargetId, attachment: actum_graph::Attachment) -> Attachment {
        Attachment { target, attachment }
    }
}

/// A value under a key of a node or edge: what can be changed in place.
#[Object]
impl Attachment {
    /// The node or edge it hangs on.
    async fn target(&self) -> HexHash {
        HexHash(self.target.0)
    }

    /// Its key.
    async fn key(&self) -> &str {
        self.attachment.key().as_str()
    }

    /// Its value.
    async fn value(&self, ctx: &Context<'_>) -> Result<AnyJson> {
        moment(ctx)?.spend(self.attachment.value().as_str().len())?;
        Ok(self.attachment.value().into())
    }

    /// Its version, +1 with each change; give it as `expectedVersion` to change only what you have seen.
    async fn version(&self) -> U64 {
        U64(self.attachment.version())
    }
}

/// A neighbour of a node and the edge to it.
#[derive(SimpleObject, Clone)]
pub(crate) struct Neighbor {
    /// The edge.
    edge: GraphEdge,
    /// The node at its other end.
    node: Option<GraphNode>,
}

/// A page of the graph crate as a connection; the cursor of an entry is what `cursor` makes of it.
pub(crate) fn connection<E, K: ToString, T>(
    page: Paged<E, K>,
    behind: bool,
    mut convert: impl FnMut(E) -> (String, T),
) -> Connection<T> {
    let next = page.next.as_ref().map(K::to_string);
    let entries = page.items.into_iter().map(&mut convert).collect();
    Connection::new(entries, next, behind)
}

/// A page of the attachments of a node or edge.
pub(crate) async fn attachments(
    moment: &Moment,
    version: &Version,
    target: &TargetId,
    page: Option<&PageInput>,
) -> Result<Connection<Attachment>> {
    moment.breathe().await?;
    let page = inputs::page(page, |text| AttachmentKey::parse(text).ok())?;
    let found = version.view.attachments(target, &page);
    let next = found.next.map(|key| key.as_str().to_owned());
    let entries = found.items.into_iter().map(|attachment| {
        let cursor = attachment.key().as_str().to_owned();
        (cursor, Attachment::new(*target, attachment))
    });
    Ok(Connection::new(entries.collect(), next, page.after.is_some()))
}

/// A page of the neighbours of a node.
pub(crate) async fn neighbors(
    moment: &Moment,
    version: &Arc<Version>,
    id: NodeId,
    direction: Direction,
    kinds: &[KindName],
    page: Option<&PageInput>,
) -> Result<Connection<Neighbor>, Fault> {
    moment.breathe().await?;
    let direction = match direction {
        Direction::Outgoing => actum_graph::Direction::Outgoing,
        Direction::Incoming => actum_graph::Direction::Incoming,
        Direction::Both => actum_graph::Direction::Both,
    };
    let page = inputs::page(page, inputs::edge_cursor)?;
    let found = version.view.neighbors(&id, direction, kinds, &page);
    Ok(connection(found, page.after.is_some(), |neighbor| {
        let cursor = neighbor.edge_id.to_string();
        let neighbor = Neighbor {
            node: node(version, neighbor.node),
            edge: GraphEdge::new(version, neighbor.edge_id, neighbor.edge),
        };
        (cursor, neighbor)
    }))
}

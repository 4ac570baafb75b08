//! The queries. Every field of one request reads the same published state.

use super::inputs::{
    self, Direction, EdgeFilterInput, EntrySort, HistoryFilterInput, NodeFilterInput, PageInput, SwsState,
    ViewRefInput, cost,
};
use super::moment::moment;
use super::promise::PromiseQuery;
use super::scalars::{HexHash, U64};
use super::time::TimeQuery;
use super::types::{
    self, Attachment, Connection, GraphEdge, GraphNode, GraphSnapshot, HistoryCommand, KernelInfo, Neighbor,
    ProofOfEntry, Receipt, RewriteEvent, Sws, SwsDiff,
};
use actum_graph::ids::TargetId;
use actum_graph::{EdgeId, NodeId};
use actum_model::ids::CommandId;
use actum_model::{ErrorCode, Fault};
use async_graphql::{Context, ID, MergedObject, Object, Result};

/// What can be read.
#[derive(MergedObject, Default)]
pub(crate) struct Query(GraphQuery, RecordQuery, TimeQuery, PromiseQuery);

/// What can be read of the graph.
#[derive(Default)]
pub(crate) struct GraphQuery;

/// What can be read of the graph.
#[Object]
impl GraphQuery {
    /// The daemon, its rules and where its history stands.
    async fn kernel_info(&self, ctx: &Context<'_>) -> Result<KernelInfo> {
        Ok(KernelInfo::new(&moment(ctx)?.published))
    }

    /// A shadow working set. `NOT_FOUND` if there is none with this number.
    async fn sws(&self, ctx: &Context<'_>, #[graphql(desc = "Its number.")] id: ID) -> Result<Sws> {
        let moment = moment(ctx)?;
        let id = inputs::sws_number(&id)?;
        Ok(Sws::find(&moment.published, moment.tenant(), id)?)
    }

    /// Shadow working sets by number. A page that is not full is the last one; `swsConnection` says so itself.
    #[graphql(complexity = "cost(&page, child_complexity)")]
    async fn list_sws(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only those in this state.")] state: Option<SwsState>,
        #[graphql(desc = "Which part of them.")] page: Option<PageInput>,
    ) -> Result<Vec<Sws>> {
        Ok(types::all_sws(moment(ctx)?, state, page.as_ref())?.into_nodes())
    }

    /// Shadow working sets by number, with cursors.
    #[graphql(complexity = "cost(&page, child_complexity)")]
    async fn sws_connection(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only those in this state.")] state: Option<SwsState>,
        #[graphql(desc = "Which part of them.")] page: Option<PageInput>,
    ) -> Result<Connection<Sws>> {
        Ok(types::all_sws(moment(ctx)?, state, page.as_ref())?)
    }

    /// A view at one of its versions.
    #[graphql(
        complexity = "cost(&nodes_page, 1).max(cost(&edges_page, 1)).saturating_mul(child_complexity).min(1 << 40)"
    )]
    async fn graph(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which view, at which version.")] view: ViewRefInput,
        #[graphql(desc = "Which part of the nodes.")] nodes_page: Option<PageInput>,
        #[graphql(desc = "Which part of the edges.")] edges_page: Option<PageInput>,
        #[graphql(desc = "Which nodes.")] node_filter: Option<NodeFilterInput>,
        #[graphql(desc = "Which edges.")] edge_filter: Option<EdgeFilterInput>,
    ) -> Result<GraphSnapshot> {
        let version = moment(ctx)?.version(&view)?;
        Ok(GraphSnapshot::new(
            version,
            nodes_page.as_ref(),
            edges_page.as_ref(),
            node_filter.as_ref(),
            edge_filter.as_ref(),
        )?)
    }

    /// The node with this id; null if the view has none.
    async fn node(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which view, at which version.")] view: ViewRefInput,
        #[graphql(desc = "Its id.")] id: HexHash,
    ) -> Result<Option<GraphNode>> {
        Ok(types::node(&moment(ctx)?.version(&view)?, NodeId(id.0)))
    }

    /// The edge with this id; null if the view has none.
    async fn edge(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which view, at which version.")] view: ViewRefInput,
        #[graphql(desc = "Its id.")] id: HexHash,
    ) -> Result<Option<GraphEdge>> {
        Ok(types::edge(&moment(ctx)?.version(&view)?, EdgeId(id.0)))
    }

    /// The nodes that the edges of a node lead to, by the id of the edge; none if the view has no such node.
    #[graphql(complexity = "cost(&page, child_complexity)")]
    async fn neighbors(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which view, at which version.")] view: ViewRefInput,
        #[graphql(desc = "Id of the node.")] id: HexHash,
        #[graphql(desc = "Which edges count.", default_with = "Direction::Both")] direction: Direction,
        #[graphql(desc = "Only edges of these kinds.")] kinds: Option<Vec<String>>,
        #[graphql(desc = "Which part of them.")] page: Option<PageInput>,
    ) -> Result<Connection<Neighbor>> {
        let moment = moment(ctx)?;
        let version = moment.version(&view)?;
        let kinds = inputs::kinds("kinds", kinds.as_ref())?;
        let id = NodeId(id.0);
        Ok(types::neighbors(moment, &version, id, direction, &kinds, page.as_ref()).await?)
    }

    /// The attachments of a node or edge, by the hash of their keys; none if the view has no such node or edge.
    #[graphql(complexity = "cost(&page, child_complexity)")]
    async fn attachments(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which view, at which version.")] view: ViewRefInput,
        #[graphql(desc = "Id of the node or edge.")] target: HexHash,
        #[graphql(desc = "Which part of them.")] page: Option<PageInput>,
    ) -> Result<Connection<Attachment>> {
        let moment = moment(ctx)?;
        let version = moment.version(&view)?;
        types::attachments(moment, &version, &TargetId(target.0), page.as_ref()).await
    }

    /// What a shadow working set differs in from the System it rests on.
    async fn diff_sws(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its number.")] sws_id: ID,
        #[graphql(desc = "A version of it; the newest if it is not given.")] snapshot_id: Option<ID>,
    ) -> Result<SwsDiff> {
        Ok(SwsDiff::new(moment(ctx)?, &sws_id, snapshot_id)?)
    }

    /// The proof that an entry is, or is not, in a view.
    #[graphql(complexity = "100 + child_complexity")]
    async fn proof(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which view, at which version.")] view: ViewRefInput,
        #[graphql(desc = "Id of the node or edge; of an attachment, what it hangs on.")] id: HexHash,
        #[graphql(
            desc = "The sort of entry; what it is in the view if it is not given, a node if it is nothing."
        )]
        sort: Option<EntrySort>,
        #[graphql(desc = "Key of the attachment.")] key: Option<String>,
    ) -> Result<ProofOfEntry> {
        let moment = moment(ctx)?;
        moment.breathe().await?;
        let version = moment.version(&view)?;
        let make = move || types::proof(version, id.0, sort, key.as_deref());
        let made = tokio::task::spawn_blocking(make).await;
        let broken = |error: tokio::task::JoinError| Fault::new(ErrorCode::Internal, error.to_string());
        Ok(made.map_err(broken)??)
    }
}

/// What can be read of the records.
#[derive(Default)]
pub(crate) struct RecordQuery;

/// What can be read of the records.
#[Object]
impl RecordQuery {
    /// The entries of the rewrite log about a view, by `idx`. Go on behind the last `idx` until a page is empty: one may
    /// end early, after 4 MiB of operations. `RECORD_GONE` where entries behind `after` are no longer kept.
    #[graphql(complexity = "cost(&page, child_complexity)")]
    async fn rewrites(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which view; it takes no `snapshotId`.")] view: ViewRefInput,
        #[graphql(desc = "Which part of them.")] page: Option<PageInput>,
    ) -> Result<Vec<RewriteEvent>> {
        let moment = moment(ctx)?;
        moment.breathe().await?;
        Ok(types::rewrites(moment, &view, page.as_ref())?.into_nodes())
    }

    /// The same with cursors.
    #[graphql(complexity = "cost(&page, child_complexity)")]
    async fn rewrites_connection(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which view; it takes no `snapshotId`.")] view: ViewRefInput,
        #[graphql(desc = "Which part of them.")] page: Option<PageInput>,
    ) -> Result<Connection<RewriteEvent>> {
        let moment = moment(ctx)?;
        moment.breathe().await?;
        Ok(types::rewrites(moment, &view, page.as_ref())?)
    }

    /// The outcome of a command that changed the graph, by its place in the rewrite log or by its id. Null where it is
    /// not known or no longer kept.
    async fn receipt(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Place in the rewrite log.")] rewrite_idx: Option<U64>,
        #[graphql(desc = "Id of the command.")] command_id: Option<ID>,
    ) -> Result<Option<Receipt>> {
        let moment = moment(ctx)?;
        let state = &moment.published.state;
        let known = match (rewrite_idx, command_id) {
            (Some(idx), None) => {
                let row = state.graph.rewrite(idx.0);
                row.and_then(|row| state.known(row.seq))
            }
            (None, Some(id)) => {
                let id = CommandId::parse_any(id.as_str())
                    .map_err(|error| Fault::new(ErrorCode::InvalidInput, format!("commandId: {error}")))?;
                state.find(moment.tenant(), &id)
            }
            _ => {
                let message = "expected one of `rewriteIdx` and `commandId`";
                return Err(Fault::new(ErrorCode::InvalidInput, message).into());
            }
        };
        Ok(known.and_then(|known| Receipt::of_known(&moment.published.state, known, moment.tenant())))
    }

    /// The commands of the history that the caller may see.
    #[graphql(complexity = "cost(&page, child_complexity)")]
    async fn history(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which commands.")] filter: Option<HistoryFilterInput>,
        #[graphql(desc = "Which part of them.")] page: Option<PageInput>,
    ) -> Result<Connection<HistoryCommand>> {
        let filter = filter.unwrap_or_default();
        types::history(moment(ctx)?, &filter, page.as_ref()).await
    }
}

//! Entries of the rewrite log.

use super::connection::Connection;
use super::receipt::Receipt;
use crate::core::Published;
use crate::graphql::inputs::{self, EventKind, PageInput, ViewKind, ViewRefInput, split};
use crate::graphql::moment::{Moment, moment};
use crate::graphql::scalars::{AnyJson, HexHash, Timestamp, U32, U64};
use actum_model::Fault;
use actum_model::graph::{RewriteKind, RewriteRow, ViewName};
use actum_model::limits::GRAPH_PAGE_BYTES_MAX;
use actum_model::restore::RulesRow;
use async_graphql::{Context, ID, Object, Result};
use std::sync::Arc;

/// See the object below.
#[derive(Clone)]
pub(crate) struct RewriteEvent {
    row: Arc<RewriteRow>,
    view_idx: u64,
    /// The state it is looked up in.
    published: Arc<Published>,
    /// Whether the shadow working set is of the caller's tenant.
    own: bool,
}

impl RewriteEvent {
    pub(crate) fn new(
        moment: &Moment,
        published: &Arc<Published>,
        view_idx: u64,
        row: &Arc<RewriteRow>,
    ) -> RewriteEvent {
        RewriteEvent {
            own: moment.owns(published, row.sws),
            row: Arc::clone(row),
            view_idx,
            published: Arc::clone(published),
        }
    }

    fn rules(&self) -> Option<RulesRow> {
        self.published.state.rules_at(self.row.record)
    }

    /// The view it changed, or was about if it changed none.
    fn name(&self) -> ViewName {
        match self.row.kind {
            RewriteKind::Collapse => ViewName::System,
            _ => ViewName::Sws(self.row.sws),
        }
    }
}

/// What an entry of the rewrite log is called as an event.
pub(crate) fn event_kind(kind: RewriteKind) -> EventKind {
    match kind {
        RewriteKind::Rewrite => EventKind::RewriteApplied,
        RewriteKind::Collapse => EventKind::Collapse,
        RewriteKind::Conflict => EventKind::CollapseConflict,
        RewriteKind::Discard => EventKind::Discard,
        RewriteKind::Rebase => EventKind::Rebase,
    }
}

/// An entry of the rewrite log, which only grows.
#[Object]
impl RewriteEvent {
    /// `rewrite:` and its place.
    async fn id(&self) -> ID {
        ID(format!("rewrite:{}", self.row.idx))
    }

    /// Its place in the rewrite log of the realm, gap-free from 0. A listing of one view shows some of them, ascending.
    async fn idx(&self) -> U64 {
        U64(self.row.idx)
    }

    /// Its place among the entries of the view that is listed, gap-free from 0.
    async fn view_idx(&self) -> U64 {
        U64(self.view_idx)
    }

    /// What it did.
    async fn kind(&self) -> EventKind {
        event_kind(self.row.kind)
    }

    /// The sort of view it changed: `SYSTEM` for a collapse.
    async fn view(&self) -> ViewKind {
        split(self.name()).0
    }

    /// The shadow working set it is about; null where that is another tenant's.
    async fn sws_id(&self) -> Option<ID> {
        self.own.then(|| ID(self.row.sws.to_string()))
    }

    /// History time.
    async fn at(&self) -> Timestamp {
        Timestamp(self.row.at)
    }

    /// Journal position.
    async fn record_idx(&self) -> U64 {
        U64(self.row.record)
    }

    /// Number of the policy it was decided under; null once that is no longer known.
    async fn policy_id(&self) -> Option<U32> {
        self.rules().map(|rules| U32(rules.policy))
    }

    /// Hash over all that decided what an operation meant then; null with `policyId`.
    async fn rule_pack_id(&self) -> Option<HexHash> {
        self.rules().map(|rules| HexHash(rules.pack))
    }

    /// Digest of the view afterwards.
    async fn digest(&self) -> HexHash {
        HexHash(self.row.digest)
    }

    /// The operations, as they were sent; none for anything but a rewrite.
    async fn ops(&self, ctx: &Context<'_>) -> Result<Vec<AnyJson>> {
        let weight = usize::try_from(self.row.weight_bytes()).unwrap_or(usize::MAX);
        moment(ctx)?.spend(weight)?;
        Ok(self.row.ops.iter().map(|op| AnyJson(op.to_wire())).collect())
    }

    /// What the caller said of it.
    async fn meta(&self) -> Option<AnyJson> {
        let meta = self.row.meta.as_ref().filter(|_| self.own);
        meta.map(AnyJson::from)
    }

    /// Why a shadow working set was given up.
    async fn reason(&self) -> Option<&str> {
        self.row.reason.as_deref().filter(|_| self.own)
    }

    /// The receipt of the command; null where its outcome is no longer kept, or is another tenant's.
    async fn receipt(&self, ctx: &Context<'_>) -> Result<Option<Receipt>> {
        let tenant = moment(ctx)?.tenant();
        Ok(Receipt::of_command(&self.published, tenant, self.row.seq))
    }
}

/// A page of the entries of the rewrite log about one view, by place.
pub(crate) fn rewrites(
    moment: &Moment,
    view: &ViewRefInput,
    page: Option<&PageInput>,
) -> Result<Connection<RewriteEvent>, Fault> {
    let name = view.current("the rewrite log has no versions")?;
    let page = inputs::page(page, inputs::place_cursor)?;
    let published = &moment.published;
    let graph = &published.state.graph;
    let mut found = graph.rewrites_of(moment.tenant(), name, page.after)?;
    let (mut entries, mut bytes) = (Vec::new(), 0);
    while entries.len() < page.first && bytes < GRAPH_PAGE_BYTES_MAX as u64 {
        let Some((view_idx, row)) = found.next() else {
            return Ok(Connection::new(entries, None, page.after.is_some()));
        };
        bytes += row.weight_bytes();
        let event = RewriteEvent::new(moment, published, view_idx, row);
        entries.push((row.idx.to_string(), event));
    }
    let more = found.next().is_some();
    let next = entries.last().map(|(cursor, _)| cursor.clone()).filter(|_| more);
    Ok(Connection::new(entries, next, page.after.is_some()))
}

//! Shadow working sets.

use super::connection::Connection;
use crate::core::Published;
use crate::graphql::inputs::{self, PageInput, SwsState};
use crate::graphql::moment::Moment;
use crate::graphql::scalars::{AnyJson, HexHash, Timestamp, U64};
use actum_kernel::state::SnapshotId;
use actum_model::graph;
use actum_model::limits::GRAPH_PAGE_BYTES_MAX;
use actum_model::{Fault, ids::Tenant};
use async_graphql::{ID, Object};
use std::sync::Arc;

/// See the object below.
#[derive(Clone)]
pub(crate) struct Sws {
    sws: Arc<actum_kernel::state::Sws>,
}

impl Sws {
    pub(crate) fn find(published: &Published, tenant: &Tenant, id: u64) -> Result<Sws, Fault> {
        let sws = Arc::clone(published.state.graph.sws(tenant, id)?);
        Ok(Sws { sws })
    }

    fn is_active(&self) -> bool {
        self.sws.row.state == graph::SwsState::Active
    }
}

/// A shadow working set: an isolated overlay. What is written to it changes nothing else until it is collapsed.
#[Object]
impl Sws {
    /// Its number, gap-free from 0.
    async fn id(&self) -> ID {
        ID(self.sws.row.id.to_string())
    }

    /// The version of System it began at, or was moved to.
    async fn parent_snapshot_id(&self) -> ID {
        let row = &self.sws.row;
        ID(SnapshotId::new(row.base, &row.base_digest).to_string())
    }

    /// Digest of that version.
    async fn parent_digest(&self) -> HexHash {
        HexHash(self.sws.row.base_digest)
    }

    /// History time of its creation.
    async fn created_at(&self) -> Timestamp {
        Timestamp(self.sws.row.created_at)
    }

    /// Journal position of its creation.
    async fn created_idx(&self) -> U64 {
        U64(self.sws.row.created_idx)
    }

    /// Who made it.
    async fn created_by(&self) -> &str {
        self.sws.row.by.as_str()
    }

    /// `ACTIVE`, `COLLAPSED` or `DISCARDED`.
    async fn state(&self) -> &str {
        self.sws.row.state.as_str()
    }

    /// What its maker says of it.
    async fn meta(&self) -> Option<AnyJson> {
        self.sws.row.meta.as_ref().map(AnyJson::from)
    }

    /// Digest of its view as it is now; null once it is closed.
    async fn digest(&self) -> Option<HexHash> {
        self.is_active().then_some(HexHash(self.sws.branch.digest))
    }
}

/// A page of the shadow working sets of the caller's tenant, by number.
pub(crate) fn all_sws(
    moment: &Moment,
    state: Option<SwsState>,
    page: Option<&PageInput>,
) -> Result<Connection<Sws>, Fault> {
    let page = inputs::page(page, inputs::place_cursor)?;
    let wanted = state.map(|state| match state {
        SwsState::Active => graph::SwsState::Active,
        SwsState::Collapsed => graph::SwsState::Collapsed,
        SwsState::Discarded => graph::SwsState::Discarded,
    });
    let from = page.after.map_or(0, |after| after.saturating_add(1));
    let tenant = moment.tenant();
    let mut found = moment
        .published
        .state
        .graph
        .sws
        .range(from..)
        .map(|(_, sws)| sws)
        .filter(|sws| sws.row.tenant == *tenant && wanted.is_none_or(|wanted| sws.row.state == wanted));
    let (mut entries, mut bytes) = (Vec::new(), 0);
    while entries.len() < page.first && bytes < GRAPH_PAGE_BYTES_MAX {
        let Some(sws) = found.next() else {
            return Ok(Connection::new(entries, None, page.after.is_some()));
        };
        bytes += sws.row.meta.as_ref().map_or(0, |meta| meta.as_str().len());
        entries.push((sws.row.id.to_string(), Sws { sws: Arc::clone(sws) }));
    }
    let more = found.next().is_some();
    let next = entries.last().map(|(cursor, _)| cursor.clone()).filter(|_| more);
    Ok(Connection::new(entries, next, page.after.is_some()))
}

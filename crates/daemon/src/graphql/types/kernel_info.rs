//! What the daemon says of itself and its rules.

use crate::core::Published;
use crate::graphql::inputs::CommitStatus;
use crate::graphql::moment::moment;
use crate::graphql::scalars::{HexHash, Timestamp, U32, U64};
use actum_model::graph::RewriteKind;
use async_graphql::{Context, Object, Result};
use std::sync::Arc;

/// See the object below.
pub(crate) struct KernelInfo {
    published: Arc<Published>,
}

impl KernelInfo {
    pub(crate) fn new(published: &Arc<Published>) -> KernelInfo {
        KernelInfo {
            published: Arc::clone(published),
        }
    }
}

/// The daemon, its rules and where its history stands.
#[Object]
impl KernelInfo {
    /// Version of the daemon.
    async fn version(&self) -> &str {
        env!("CARGO_PKG_VERSION")
    }

    /// Hash over all that decides what an operation means: contracts, operations, kinds.
    async fn rule_pack_id(&self) -> HexHash {
        HexHash(self.published.state.rule_pack())
    }

    /// Number of the policy under which shadow working sets are collapsed.
    async fn policy_id(&self) -> U32 {
        U32(self.published.state.policy())
    }

    /// How the last collapse that the caller may know of ended; null if the rewrite log keeps none.
    async fn commit_status(&self, ctx: &Context<'_>) -> Result<Option<CommitStatus>> {
        let moment = moment(ctx)?;
        let graph = &self.published.state.graph;
        let newest_first = (0..graph.next_rewrite).rev();
        let mut kept = newest_first.map_while(|idx| graph.rewrite(idx));
        Ok(kept.find_map(|row| match row.kind {
            RewriteKind::Collapse => Some(CommitStatus::Committed),
            RewriteKind::Conflict if moment.owns(&self.published, row.sws) => Some(CommitStatus::Aborted),
            _ => None,
        }))
    }

    /// Id of the realm, 32 hex digits.
    async fn realm(&self, ctx: &Context<'_>) -> Result<String> {
        Ok(moment(ctx)?.core.realm_hex())
    }

    /// Records of the journal that are durable: all this query sees rests on them.
    async fn head(&self) -> U64 {
        U64(self.published.head)
    }

    /// History time of the last record.
    async fn history_time(&self) -> Timestamp {
        Timestamp(self.published.state.at)
    }

    /// Place of the next entry of the rewrite log.
    async fn next_rewrite_idx(&self) -> U64 {
        U64(self.published.state.graph.next_rewrite)
    }
}

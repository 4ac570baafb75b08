//! The subscriptions. A subscriber pulls entries of the rewrite log out of the published states, so nothing waits in
//! memory for one that is slow; when the log has been cut behind it, it is told so and the subscription ends.

use super::inputs::ViewRefInput;
use super::moment::{Moment, moment};
use super::promise::PromiseSubscription;
use super::scalars::U64;
use super::time::TimeSubscription;
use super::types::RewriteEvent;
use crate::core::Published;
use actum_model::graph::{SwsState, ViewName};
use actum_model::{ErrorCode, Fault};
use async_graphql::{Context, MergedSubscription, Result, Subscription};
use futures_util::Stream;
use serde_json::json;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::watch;

/// Entries taken out of a state at a time.
const TAKEN_MAX: usize = 64;

/// What can be followed.
#[derive(MergedSubscription, Default)]
pub(crate) struct Subscriptions(GraphSubscription, TimeSubscription, PromiseSubscription);

/// What can be followed of the graph.
#[derive(Default)]
pub(crate) struct GraphSubscription;

/// What can be followed of the graph.
#[Subscription]
impl GraphSubscription {
    /// The entries of the rewrite log about a view: what is kept from an `idx` on, then each as it becomes durable,
    /// without a gap or a repetition. It ends when the shadow working set is closed, and with `RECORD_GONE` where
    /// entries that come next are no longer kept; resume behind the last `idx` you have.
    async fn rewrites(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which view; it takes no `snapshotId`.")] view: ViewRefInput,
        #[graphql(desc = "The first `idx` wanted; only what is new if it is not given.")] from_idx: Option<
            U64,
        >,
    ) -> Result<impl Stream<Item = Result<RewriteEvent>> + use<>> {
        let follower = Follower::new(Arc::clone(moment(ctx)?), &view, from_idx.map(|idx| idx.0))?;
        Ok(futures_util::stream::unfold(Some(follower), |follower| async {
            let mut follower = follower?;
            match follower.next().await {
                Ok(Some(event)) => Some((Ok(event), Some(follower))),
                Ok(None) => None,
                Err(fault) => Some((Err(fault.into()), None)),
            }
        }))
    }
}

/// See the head of the file.
struct Follower {
    moment: Arc<Moment>,
    name: ViewName,
    heads: watch::Receiver<u64>,
    /// Entries from here on are wanted.
    next_idx: u64,
    /// Place of the next entry among those of the view, once one was given out or the beginning is known.
    next_view_idx: Option<u64>,
    taken: VecDeque<RewriteEvent>,
}

impl Follower {
    fn new(moment: Arc<Moment>, view: &ViewRefInput, from_idx: Option<u64>) -> Result<Follower, Fault> {
        let name = view.current("the rewrite log has no versions")?;
        // Before the state is looked at, so that no change in between is missed.
        let heads = moment.core.heads();
        let published = moment.core.published();
        let graph = &published.state.graph;
        let entries = graph.entries_of(moment.tenant(), name)?;
        let next_view_idx = match from_idx {
            Some(0) => Some(0),
            Some(_) => None,
            None => Some(entries),
        };
        let mut follower = Follower {
            name,
            heads,
            next_idx: from_idx.unwrap_or(graph.next_rewrite),
            next_view_idx,
            taken: VecDeque::new(),
            moment,
        };
        // A gap at the beginning is told at once.
        follower.take(&published)?;
        Ok(follower)
    }

    /// The next entry; nothing once there can be none.
    async fn next(&mut self) -> Result<Option<RewriteEvent>, Fault> {
        loop {
            if let Some(event) = self.taken.pop_front() {
                return Ok(Some(event));
            }
            self.heads.mark_unchanged();
            let published = self.moment.core.published();
            self.take(&published)?;
            if self.taken.is_empty() && (self.is_closed(&published) || self.heads.changed().await.is_err()) {
                return Ok(None);
            }
        }
    }

    fn take(&mut self, published: &Arc<Published>) -> Result<(), Fault> {
        let graph = &published.state.graph;
        let tenant = self.moment.tenant();
        let entries = graph.entries_of(tenant, self.name)?;
        if self.next_view_idx == Some(entries) {
            return Ok(());
        }
        let after = self.next_idx.checked_sub(1);
        let mut found: Vec<_> = match (graph.rewrites_of(tenant, self.name, after), self.next_view_idx) {
            (Ok(found), _) => found.take(TAKEN_MAX).collect(),
            // What is cut off is known exactly by the places in the view.
            (Err(_), Some(_)) => graph
                .rewrites_of(tenant, self.name, None)?
                .take(TAKEN_MAX)
                .collect(),
            (Err(fault), None) => return Err(fault),
        };
        found.retain(|(_, row)| row.idx >= self.next_idx);
        let first = found.first().map_or(entries, |(view_idx, _)| *view_idx);
        if self.next_view_idx.is_some_and(|wanted| wanted < first) {
            let kept = found.first().map(|(_, row)| row.idx);
            let message = format!(
                "entries of {} from {} on are no longer kept",
                self.name, self.next_idx
            );
            let details = json!({"firstIdx": kept.unwrap_or(graph.next_rewrite)});
            return Err(Fault::new(ErrorCode::RecordGone, message).with_details(&details));
        }
        for (view_idx, row) in found {
            self.next_idx = row.idx + 1;
            self.next_view_idx = Some(view_idx + 1);
            self.taken
                .push_back(RewriteEvent::new(&self.moment, published, view_idx, row));
        }
        Ok(())
    }

    fn is_closed(&self, published: &Published) -> bool {
        let ViewName::Sws(id) = self.name else {
            return false;
        };
        let sws = published.state.graph.sws(self.moment.tenant(), id);
        sws.is_ok_and(|sws| sws.row.state != SwsState::Active)
    }
}

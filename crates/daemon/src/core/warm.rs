//! Computes the digests of the current views once after a boot, off the engine's thread. Views share what they have
//! in common and keep what was computed, so the first rewrite over a large view does not have to do it.

use super::handle::Published;
use std::sync::Arc;

/// Starts the work and does not wait for it.
pub(crate) fn start(published: Arc<Published>) {
    let work = move || {
        let graph = &published.state.graph;
        let overlays = graph.sws.values().flat_map(|sws| [&sws.base, &sws.branch.view]);
        let digests = std::iter::once(&graph.system.view)
            .chain(overlays)
            .map(actum_graph::View::digest);
        tracing::debug!(
            views = digests.count(),
            "the digests of the current views are known"
        );
    };
    if let Err(error) = std::thread::Builder::new()
        .name("actum-warm".to_owned())
        .spawn(work)
    {
        tracing::warn!(%error, "digests are computed when they are first needed");
    }
}

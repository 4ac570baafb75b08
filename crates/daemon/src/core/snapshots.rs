//! Takes snapshots beside the engine: from a published state, on a thread of its own.

use super::handle::Published;
use super::inbox::WeakInbox;
use super::thread::Msg;
use actum_journal::{Keeper, SnapshotMeta, Tree, Writer};
use actum_kernel::{State, state_digest};
use actum_model::{Event, Hash, event::SnapshotTaken};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Records since the last snapshot that make one worth its time when the daemon ends.
const CLOSE_RECORDS_MIN: u64 = 20_000;

/// Decides when, and sees to it that only one is taken at a time.
pub(crate) struct Snapshots {
    pub(crate) keeper: Keeper,
    pub(crate) tree: Tree,
    pub(crate) every_records: u64,
    pub(crate) compact: bool,
    pub(crate) last_idx: u64,
    pub(crate) busy: Arc<AtomicBool>,
    pub(crate) inbox: WeakInbox,
}

impl Snapshots {
    /// Whether one can begin, and so much was recorded since the last one that it is time for it.
    pub(crate) fn is_due(&self, published: &Published) -> bool {
        let many = self.every_records > 0 && published.head >= self.last_idx + self.every_records;
        // What a boot has not classified yet is not part of a snapshot, so none is taken meanwhile.
        many && !published.state.has_more() && !self.busy.load(Ordering::Acquire)
    }

    /// Begins a snapshot of `published` if it is time for one. `head_hash` is the hash of its last record. All of
    /// its records are durable, and leaves.
    pub(crate) fn consider(&mut self, published: &Arc<Published>, head_hash: Hash) {
        if !self.is_due(published) || self.busy.swap(true, Ordering::AcqRel) {
            return;
        }
        self.last_idx = published.head;
        let (keeper, tree, compact) = (self.keeper.clone(), self.tree.clone(), self.compact);
        let (published, busy, inbox) = (Arc::clone(published), Arc::clone(&self.busy), self.inbox.clone());
        let work = move || {
            match take(&keeper, &tree, &published.state, head_hash) {
                Ok(taken) => {
                    if let Some(inbox) = inbox.upgrade() {
                        let _ended = inbox.post_blocking(Msg::SnapshotTaken(taken));
                    }
                    if compact && let Err(error) = keeper.compact() {
                        tracing::warn!(%error, "old segments could not be removed");
                    }
                }
                // A snapshot only saves time at the next boot, so its failure stops nothing.
                Err(error) => tracing::warn!(%error, "no snapshot was taken"),
            }
            busy.store(false, Ordering::Release);
        };
        if let Err(error) = std::thread::Builder::new().name("snapshot".into()).spawn(work) {
            self.busy.store(false, Ordering::Release);
            tracing::warn!(%error, "no thread for a snapshot");
        }
    }

    /// Takes a last snapshot where many records have come since the one before, so that the next boot is
    /// quick. Everything decided is durable. Fails silently but for a word in the log: it only saves time.
    pub(crate) fn before_close(&self, state: &State, writer: &Writer) -> Option<SnapshotTaken> {
        let worth_it = self.every_records > 0 && state.next_idx >= self.last_idx + CLOSE_RECORDS_MIN;
        let (_, head_hash) = writer
            .head()
            .filter(|_| worth_it && !self.busy.load(Ordering::Acquire))?;
        match take(&self.keeper, &self.tree, state, head_hash) {
            Ok(taken) => Some(taken),
            Err(error) => {
                tracing::warn!(%error, "no snapshot was taken");
                None
            }
        }
    }
}

/// Writes one snapshot of `state`, whose last record has the hash `head_hash`.
///
/// # Errors
/// When its frontier cannot be read or the file cannot be written. The journal is not touched.
pub(crate) fn take(
    keeper: &Keeper,
    tree: &Tree,
    state: &State,
    head_hash: Hash,
) -> Result<SnapshotTaken, Box<dyn std::error::Error + Send + Sync>> {
    let frontier = tree.frontier(state.next_idx)?;
    let tree_root = frontier.root();
    let (digest, _) = state_digest(state);
    let idx = state.next_idx.saturating_sub(1);
    let meta = SnapshotMeta {
        idx,
        term: state.term,
        hash: head_hash,
        frontier,
        state_digest: digest,
    };
    keeper.put_snapshot(&meta, state.pieces().map(|piece: Event| vec![piece]))?;
    Ok(SnapshotTaken {
        idx,
        digest,
        tree_root,
    })
}

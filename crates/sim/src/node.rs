//! One life of the daemon, without its sockets and threads: opens the journal, drives the engine, hands its
//! batches to the writer and opens what is committed. The order of these calls is the daemon's.

use crate::broken::{Broken, hold};
use crate::disk::Disk;
use actum_engine::{Clock, Engine, Pending, Recovery, Released, Replay, ReplayOutcome};
use actum_journal::{
    AppendError, Batch, Committed, Durability, Keeper, OpenError, Options, Reader, RealmId, RecoveryReport,
    SnapshotMeta, Tree, Writer, open,
};
use actum_kernel::{RecordHead, State, state_digest};
use actum_model::event::SnapshotTaken;
use actum_model::input::Boot;
use actum_model::{Event, Hash, Input, RealmConfig};
use std::collections::VecDeque;
use std::sync::Arc;

/// The realm of every simulated journal.
pub const REALM: RealmId = RealmId(*b"a simulated one!");
/// How often the fate of a batch is asked for before the node gives up.
const RESOLVES_MAX: usize = 4;

/// A record as it is kept: where it stands, its input, its events.
pub(crate) type Kept = (RecordHead, Vec<u8>, Vec<Event>);

pub(crate) struct Node {
    pub(crate) engine: Engine<u64>,
    pub(crate) clock: Clock,
    pub(crate) sealed: VecDeque<(Batch, Pending<u64>)>,
    /// Commands whose effect asks for its durable mark.
    pub(crate) dispatches: VecDeque<u64>,
    /// What readers see.
    pub(crate) published: State,
    pub(crate) head_hash: Hash,
    writer: Writer,
    reader: Reader,
    tree: Tree,
    keeper: Keeper,
}

/// Time as a node finds it when it starts.
#[derive(Clone, Copy)]
pub(crate) struct Now {
    pub(crate) wall: u64,
    pub(crate) monotonic: u64,
}

/// What opening came to.
pub(crate) struct Opened {
    pub(crate) state: State,
    pub(crate) report: RecoveryReport,
    pub(crate) journal: actum_journal::Opened,
}

/// Opens the journal on this disk.
pub(crate) fn open_disk(
    disk: &Disk,
    segment_bytes: u64,
    durability: Durability,
) -> Result<Opened, OpenError> {
    let options = Options {
        segment_bytes,
        durability,
        realm: Some(REALM),
        decode_threads: 0,
    };
    let mut recovery = Recovery::thorough();
    let journal = open(Arc::new(disk.clone()), &options, &mut recovery)?;
    Ok(Opened {
        state: recovery.finish().state,
        report: journal.report.clone(),
        journal,
    })
}

pub(crate) fn boot_input(config: &RealmConfig) -> Input {
    Input::Boot(Boot {
        realm: REALM.0.to_vec(),
        incarnation: vec![1; 16],
        node: "sim".to_owned(),
        build: "sim".to_owned(),
        contracts: Hash::ZERO,
        classes: None,
        config: config.clone(),
    })
}

impl Node {
    pub(crate) fn start(opened: Opened, now: Now) -> Node {
        let Opened { state, journal, .. } = opened;
        let mut writer = journal.writer;
        writer.set_term(state.term + 1);
        Node {
            clock: Clock::resume(state.at, state.elapsed, now.wall, now.monotonic),
            published: state.clone(),
            engine: Engine::new(state, journal.stager),
            sealed: VecDeque::new(),
            dispatches: VecDeque::new(),
            head_hash: writer.head().map_or(Hash::ZERO, |(_, hash)| hash),
            writer,
            reader: journal.reader,
            tree: journal.tree,
            keeper: journal.keeper,
        }
    }

    /// Closes the open batch.
    pub(crate) fn seal(&mut self) {
        if !self.engine.is_idle() {
            let sealed = self.engine.seal();
            self.sealed.push_back(sealed);
        }
    }

    /// Writes the oldest sealed batch and opens what it releases. None: there is none.
    pub(crate) fn flush(&mut self) -> Result<Option<(Released<u64>, Committed)>, AppendError> {
        let Some((batch, pending)) = self.sealed.pop_front() else {
            return Ok(None);
        };
        let mut committed = match self.writer.flush(batch) {
            Err(AppendError::Unknown(_)) => self.resolve()?,
            other => other?,
        };
        if pending.needs_sync() && !committed.durable() {
            committed = self.writer.sync_pending()?;
        }
        let released = pending.release(&committed);
        self.published = released.publish.state.clone();
        self.head_hash = committed.head_hash();
        Ok(Some((released, committed)))
    }

    fn resolve(&mut self) -> Result<Committed, AppendError> {
        let mut last = self.writer.resolve();
        for _ in 0..RESOLVES_MAX {
            if !matches!(last, Err(AppendError::Unknown(_))) {
                break;
            }
            last = self.writer.resolve();
        }
        last
    }

    /// Makes relaxed answers durable.
    pub(crate) fn sync(&mut self) -> Result<Committed, AppendError> {
        self.writer.sync_pending()
    }

    /// Writes a snapshot of what readers see, and removes what it makes superfluous.
    pub(crate) fn snapshot(&self) -> Result<SnapshotTaken, String> {
        let state = &self.published;
        let frontier = self
            .tree
            .frontier(state.next_idx)
            .map_err(|error| error.to_string())?;
        let tree_root = frontier.root();
        let (digest, _) = state_digest(state);
        let idx = state.next_idx.saturating_sub(1);
        let meta = SnapshotMeta {
            idx,
            term: state.term,
            hash: self.head_hash,
            frontier,
            state_digest: digest,
        };
        let pieces = state.pieces().map(|piece| vec![piece]);
        self.keeper
            .put_snapshot(&meta, pieces)
            .map_err(|error| error.to_string())?;
        Ok(SnapshotTaken {
            idx,
            digest,
            tree_root,
        })
    }

    pub(crate) fn compact(&self) -> Result<u64, String> {
        self.keeper
            .compact()
            .map(|done| done.segments)
            .map_err(|error| error.to_string())
    }

    /// Ends in order.
    pub(crate) fn close(self) -> Result<(), AppendError> {
        self.writer.close()
    }

    /// Every durable record with its input, from the first on.
    pub(crate) fn records(&self) -> Result<Vec<Kept>, Broken> {
        hold!(
            self.reader.first_idx() == 0,
            "the first records are compacted away"
        );
        let Some(last) = self.writer.durable_through() else {
            return Ok(Vec::new());
        };
        let records = self.reader.records(0, Some(last)).map(|record| {
            let record = record.map_err(|error| Broken(format!("a record cannot be read: {error}")))?;
            let head = RecordHead {
                idx: record.idx,
                at: record.at_ms,
                elapsed: record.elapsed_ms,
            };
            Ok((head, record.input.clone(), record.events))
        });
        records.collect()
    }

    /// Decides every kept record again and compares; gives the digest that history comes to. Only for a journal
    /// that still begins with its first record.
    pub(crate) fn replay(&self) -> Result<Option<Hash>, Broken> {
        if self.reader.first_idx() != 0 {
            return Ok(None);
        }
        let mut replay = Replay::new("sim", true);
        let last = self.writer.durable_through();
        if last.is_none() {
            return Ok(None);
        }
        for record in self.reader.records(0, last) {
            let record = record.map_err(|error| Broken(format!("a record cannot be read: {error}")))?;
            let head = RecordHead {
                idx: record.idx,
                at: record.at_ms,
                elapsed: record.elapsed_ms,
            };
            match replay.record(head, &record.input, record.events) {
                ReplayOutcome::Same => {}
                other => return Err(Broken(format!("record {} replays as {other:?}", record.idx))),
            }
        }
        Ok(Some(replay.digest()))
    }
}

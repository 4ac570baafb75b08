//! Writing a state as snapshot pieces, and taking it up again from them.

use super::{IdEntry, Key, KeyEntry, LaneState, Session, State};
use actum_model::hash::Fingerprint;
use actum_model::promise::PromiseRow;
use actum_model::restore::{CommandRow, LaneKey, LaneRow, MetaRow, PackedTable, Restore, SessionRow};
use actum_model::timer::TimerRow;
use actum_model::worker::Worker;
use actum_model::{Event, Outcome, OutcomeRow};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rows of one piece. Small enough to decode on several threads, large enough to cost nothing.
pub(super) const ROWS_PER_PIECE: usize = 2048;
/// Bytes of texts in one piece, beyond which it ends: a frame has a bound, and rows may be large.
pub(super) const TEXT_BYTES_PER_PIECE: usize = 1024 * 1024;
/// Rows of one packed piece.
const PACKED_PER_PIECE: usize = 16_384;

impl State {
    /// The pieces of this state in their fixed order, as events.
    pub fn pieces(&self) -> impl Iterator<Item = Event> + '_ {
        let sessions = self.session_rows().flat_map(session_parts);
        let lanes = self.lane_rows();
        let commands = self.commands.values().map(|row| (**row).clone());
        let outcomes = self.outcome_rows().map(|row| (**row).clone());
        std::iter::once(Restore::Meta(Box::new(self.meta_row())))
            .chain(runs(sessions, session_bytes).map(Restore::Sessions))
            .chain(runs(lanes, |row| row.queue.len() * 9).map(Restore::Lanes))
            .chain(self.timers.clock_row().map(|row| Restore::Clock(Box::new(row))))
            .chain(self.timers.ticks_row().map(Restore::Ticks))
            .chain(runs(self.timer_rows(), |row| row.weight_bytes() as usize).map(Restore::Timers))
            .chain(self.packed(PackedTable::Ids))
            .chain(self.packed(PackedTable::Tombstones))
            .chain(self.packed(PackedTable::Keys))
            .chain(self.packed(PackedTable::KeyExpiry))
            .chain(runs(outcomes, |row| row.weight_bytes() as usize).map(Restore::Outcomes))
            .chain(runs(commands, command_bytes).map(Restore::Commands))
            .chain(runs(self.promises.rows_in_order(), promise_bytes).map(Restore::Promises))
            .chain(self.graph.pieces().map(Restore::Graph))
            .map(|piece| Event::Restore(Box::new(piece)))
    }

    pub(super) fn meta_row(&self) -> MetaRow {
        let counts = Outcome::ALL.iter().zip(self.finished);
        MetaRow {
            realm: self.realm.to_vec(),
            incarnation: self.incarnation.to_vec(),
            term: self.term,
            next_idx: self.next_idx,
            next_seq: self.next_seq,
            at: self.at,
            elapsed: self.elapsed,
            closed: self.closed,
            finished: counts
                .map(|(outcome, count)| (outcome.as_str().to_owned(), count))
                .collect(),
            config: (*self.config).clone(),
            contracts: self.contracts,
            ready: self.ready.values().cloned().collect(),
        }
    }

    pub(super) fn session_rows(&self) -> impl Iterator<Item = SessionRow> + '_ {
        self.sessions.iter().map(|((tenant, id), session)| SessionRow {
            tenant: tenant.clone(),
            session: id.clone(),
            generation: session.generation,
            version: session.version,
            created_at: session.created_at,
            spec: session.spec.clone(),
            worker: session.worker.clone(),
            promises: session.promises,
            metadata: session
                .metadata
                .iter()
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
        })
    }

    pub(super) fn lane_rows(&self) -> impl Iterator<Item = LaneRow> + '_ {
        self.lanes.iter().map(|(key, lane)| LaneRow {
            key: key.clone(),
            generation: lane.generation,
            last_seq: lane.last_seq,
            queue: lane.queue.iter().copied().collect(),
        })
    }

    pub(super) fn timer_rows(&self) -> impl Iterator<Item = TimerRow> + '_ {
        self.timers().map(|row| (**row).clone())
    }

    pub(super) fn outcome_rows(&self) -> impl Iterator<Item = &Arc<OutcomeRow>> {
        self.finish_order.iter().filter_map(|seq| self.outcomes.get(seq))
    }

    /// The pieces of a compact table, each row as its fixed bytes.
    pub(super) fn packed(&self, table: PackedTable) -> Box<dyn Iterator<Item = Restore> + '_> {
        match table {
            PackedTable::Ids => pack(table, self.ids.iter(), |(key, entry), out| {
                out.extend(key);
                out.extend(entry.seq.to_be_bytes());
                out.extend(entry.fingerprint.0);
            }),
            PackedTable::Keys => pack(table, self.keys.iter(), |(key, entry), out| {
                out.extend(key);
                out.extend(entry.seq.to_be_bytes());
                out.extend(entry.fingerprint.0);
                out.extend(entry.finished_at.to_be_bytes());
            }),
            PackedTable::KeyExpiry => pack(table, self.key_expiry.iter(), |(at, key), out| {
                out.extend(at.to_be_bytes());
                out.extend(key);
            }),
            PackedTable::Tombstones => pack(table, self.tombstones.iter(), |key, out| out.extend(key)),
        }
    }

    pub(crate) fn restore(&mut self, piece: Restore) {
        match piece {
            Restore::Meta(meta) => self.restore_meta(*meta),
            Restore::Sessions(rows) => rows.into_iter().for_each(|row| self.restore_session(row)),
            Restore::Lanes(rows) => self.restore_lanes(rows),
            Restore::Commands(rows) => rows.into_iter().for_each(|row| self.file(Arc::new(row))),
            Restore::Outcomes(rows) => {
                for row in rows {
                    self.outcome_bytes += row.weight_bytes();
                    self.finish_order.push_back(row.identity.seq);
                    self.outcomes.insert(row.identity.seq, Arc::new(row));
                }
            }
            Restore::Graph(piece) => self.graph.restore(piece),
            Restore::Clock(row) => self.timers.clock = *row,
            Restore::Ticks(row) => (self.timers.next_tick, self.timers.ticks) = (row.next, row.kept.into()),
            Restore::Timers(rows) => rows.into_iter().for_each(|row| self.timers.insert(row)),
            Restore::Promises(rows) => rows.into_iter().for_each(|row| self.promises.insert(row)),
            Restore::Packed { table, rows } => self.restore_packed(table, &rows),
        }
    }

    fn restore_meta(&mut self, meta: MetaRow) {
        self.realm = meta.realm.as_slice().try_into().unwrap_or(self.realm);
        self.incarnation = meta.incarnation.as_slice().try_into().unwrap_or(self.incarnation);
        self.term = meta.term;
        self.closed = meta.closed;
        self.next_idx = meta.next_idx;
        self.next_seq = meta.next_seq;
        self.at = meta.at;
        self.elapsed = meta.elapsed;
        self.config = Arc::new(meta.config);
        self.contracts = meta.contracts;
        for (outcome, count) in Outcome::ALL.iter().zip(self.finished.iter_mut()) {
            *count = meta.finished.get(outcome.as_str()).copied().unwrap_or(0);
        }
        for key in meta.ready {
            self.ready.insert(self.next_ready, key);
            self.next_ready += 1;
        }
    }

    /// A session with much metadata comes in several rows.
    fn restore_session(&mut self, row: SessionRow) {
        let key = (row.tenant, row.session);
        if let Some(session) = self.sessions.get_mut(&key) {
            session.metadata.extend(row.metadata);
            return;
        }
        let session = Session {
            generation: row.generation,
            version: row.version,
            created_at: row.created_at,
            metadata: row.metadata.into_iter().collect(),
            spec: row.spec,
            worker: row.worker,
            promises: row.promises,
        };
        if matches!(session.worker, Some(Worker::Live(_))) {
            self.live_workers.insert(key.clone());
        }
        self.sessions.insert(key, session);
    }

    fn restore_lanes(&mut self, rows: Vec<LaneRow>) {
        let places: BTreeMap<LaneKey, u64> = self
            .ready
            .iter()
            .map(|(place, key)| (key.clone(), *place))
            .collect();
        for row in rows {
            let place = places.get(&row.key).copied();
            let lane = LaneState {
                generation: row.generation,
                last_seq: row.last_seq,
                queue: row.queue.into(),
                ready: place,
            };
            self.lanes.insert(row.key, lane);
        }
    }

    fn restore_packed(&mut self, table: PackedTable, rows: &[u8]) {
        match table {
            PackedTable::Ids => {
                for row in rows.chunks_exact(32) {
                    let fields = Fields(row);
                    let entry = IdEntry {
                        seq: fields.number(16),
                        fingerprint: fields.fingerprint(24),
                    };
                    self.ids.insert(fields.key(0), entry);
                }
            }
            PackedTable::Keys => {
                for row in rows.chunks_exact(40) {
                    let fields = Fields(row);
                    let entry = KeyEntry {
                        seq: fields.number(16),
                        fingerprint: fields.fingerprint(24),
                        finished_at: fields.number(32),
                    };
                    self.keys.insert(fields.key(0), entry);
                }
            }
            PackedTable::KeyExpiry => {
                let fields = rows.chunks_exact(24).map(Fields);
                self.key_expiry
                    .extend(fields.map(|row| (row.number(0), row.key(8))));
            }
            PackedTable::Tombstones => {
                self.tombstones
                    .extend(rows.chunks_exact(16).map(|row| Fields(row).key(0)));
            }
        }
    }
}

/// The fixed fields of a packed row.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn bytes<const N: usize>(&self, at: usize) -> [u8; N] {
        self.0
            .get(at..at + N)
            .and_then(|bytes| bytes.try_into().ok())
            .unwrap_or([0; N])
    }

    fn key(&self, at: usize) -> Key {
        self.bytes(at)
    }

    fn number(&self, at: usize) -> u64 {
        u64::from_be_bytes(self.bytes(at))
    }

    fn fingerprint(&self, at: usize) -> Fingerprint {
        Fingerprint(self.bytes(at))
    }
}

fn pack<'a, T: 'a>(
    table: PackedTable,
    rows: impl Iterator<Item = T> + 'a,
    write: fn(T, &mut Vec<u8>),
) -> Box<dyn Iterator<Item = Restore> + 'a> {
    let mut rows = rows;
    Box::new(std::iter::from_fn(move || {
        let mut out = Vec::new();
        rows.by_ref()
            .take(PACKED_PER_PIECE)
            .for_each(|row| write(row, &mut out));
        (!out.is_empty()).then_some(Restore::Packed { table, rows: out })
    }))
}

/// Rows in runs that one piece holds.
pub(super) fn runs<T>(
    rows: impl Iterator<Item = T>,
    text_bytes: fn(&T) -> usize,
) -> impl Iterator<Item = Vec<T>> {
    let mut rows = rows.peekable();
    std::iter::from_fn(move || {
        let mut run = vec![rows.next()?];
        let mut bytes = run.first().map_or(0, text_bytes);
        while run.len() < ROWS_PER_PIECE {
            let Some(row) = rows.next_if(|row| bytes + text_bytes(row) <= TEXT_BYTES_PER_PIECE) else {
                break;
            };
            bytes += text_bytes(&row);
            run.push(row);
        }
        Some(run)
    })
}

fn session_bytes(row: &SessionRow) -> usize {
    row.metadata
        .iter()
        .map(|(key, value)| key.len() + value.as_str().len())
        .sum()
}

fn promise_bytes(row: &PromiseRow) -> usize {
    row.weight_bytes() as usize
}

fn command_bytes(row: &CommandRow) -> usize {
    row.payload.as_ref().map_or(0, |payload| payload.as_str().len())
}

/// A session as rows none of which is too large for a piece: its metadata in parts.
fn session_parts(row: SessionRow) -> impl Iterator<Item = SessionRow> {
    let head = SessionRow {
        metadata: BTreeMap::new(),
        ..row.clone()
    };
    let parts: Vec<_> = runs(row.metadata.into_iter(), |(key, value)| {
        key.len() + value.as_str().len()
    })
    .collect();
    let parts = if parts.is_empty() { vec![Vec::new()] } else { parts };
    parts.into_iter().map(move |part| SessionRow {
        metadata: part.into_iter().collect(),
        ..head.clone()
    })
}

//! What the tests of the journal share: events, a recorder of what recovery hands out, journals on temporary
//! folders and on storage that fails on demand.

pub mod faulty;

use actum_journal::{
    FileStorage, OpenError, Opened, Options, RealmId, RecordRef, Recover, SnapshotMeta, Storage, open,
};
use actum_model::event::SessionAnnotated;
use actum_model::ids::Tenant;
use actum_model::{Event, Hash, Json, SessionId};
use std::path::Path;
use std::sync::Arc;

pub const REALM: RealmId = RealmId(*b"realm-of-a-test!");

/// Position, times, hash, input and events of a record.
pub type SeenRecord = (u64, u64, u64, Hash, Vec<u8>, Vec<Event>);

/// What recovery handed out.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Seen {
    pub resets: usize,
    pub restored: Option<u64>,
    pub restore_events: Vec<Event>,
    pub records: Vec<SeenRecord>,
}

impl Recover for Seen {
    fn reset(&mut self) {
        let resets = self.resets + 1;
        *self = Seen {
            resets,
            ..Seen::default()
        };
    }
    fn restore(&mut self, events: Vec<Event>) -> Result<(), String> {
        self.restore_events.extend(events);
        Ok(())
    }
    fn restored(&mut self, meta: &SnapshotMeta) -> Result<(), String> {
        self.restored = Some(meta.idx);
        Ok(())
    }
    fn record(&mut self, record: RecordRef<'_>) -> Result<(), String> {
        let RecordRef {
            idx,
            at_ms,
            elapsed_ms,
            hash,
            input,
            events,
        } = record;
        self.records
            .push((idx, at_ms, elapsed_ms, hash, input.to_vec(), events));
        Ok(())
    }
}

impl Seen {
    pub fn idxs(&self) -> Vec<u64> {
        self.records.iter().map(|record| record.0).collect()
    }
}

pub fn events(idx: u64) -> Vec<Event> {
    vec![
        Event::Started { seq: idx },
        Event::SessionAnnotated(SessionAnnotated {
            tenant: Tenant::main(),
            session: SessionId::parse(&format!("s-{}", idx % 7)).unwrap(),
            key: format!("key-{idx}").into(),
            value: Some(Json::from_canonical(&"x".repeat((60 + idx % 90) as usize))),
        }),
    ]
}

pub fn options(segment_bytes: u64) -> Options {
    Options {
        segment_bytes,
        realm: Some(REALM),
        ..Options::default()
    }
}

pub fn open_at(path: &Path, options: &Options) -> Result<(Opened, Seen), OpenError> {
    open_on(Arc::new(FileStorage::open(path).unwrap()), options)
}

pub fn open_on(storage: Arc<dyn Storage>, options: &Options) -> Result<(Opened, Seen), OpenError> {
    let mut seen = Seen::default();
    open(storage, options, &mut seen).map(|opened| (opened, seen))
}

/// Stages `count` records and flushes them, with what was staged before, as one batch.
pub fn append(opened: &mut Opened, count: u64) {
    for _ in 0..count {
        stage(opened);
    }
    let batch = opened.stager.seal();
    let len = batch.len() as u64;
    let committed = opened.writer.flush(batch).unwrap();
    assert_eq!((committed.count(), committed.durable()), (len, true));
}

pub fn stage(opened: &mut Opened) {
    let idx = opened.stager.next_idx();
    let input = format!("input {idx}");
    opened
        .stager
        .stage(1_000 + idx, idx, input.as_bytes(), &events(idx))
        .unwrap();
}

//! Measures the journal alone: staging, flushing beside the bare floor of the disk, recovery stage by stage.
//! Run: `cargo run --release -p actum-journal --example journal_bench -- [records] [folder]`.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a measuring program"
)]

use actum_journal::index::Index;
use actum_journal::{
    Durability, FileStorage, Opened, Options, RealmId, RecordRef, Recover, SnapshotMeta, open,
};
use actum_model::event::{Executed, SessionAnnotated};
use actum_model::ids::{IdempotencyKey, Kind, Principal, Tenant};
use actum_model::outcome::{Identity, LanePlace, Outcome};
use actum_model::restore::{PackedTable, Restore};
use actum_model::{CommandId, Event, Hash, Json, Lane, SessionId};
use actum_record::{body, frame};
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[derive(Default)]
struct Count {
    events: u64,
    records: u64,
    input: u64,
}

impl Recover for Count {
    fn reset(&mut self) {}
    fn restore(&mut self, events: Vec<Event>) -> Result<(), String> {
        self.events += events.len() as u64;
        Ok(())
    }
    fn restored(&mut self, _meta: &SnapshotMeta) -> Result<(), String> {
        Ok(())
    }
    fn record(&mut self, record: RecordRef<'_>) -> Result<(), String> {
        self.records += 1;
        self.input += record.input.len() as u64;
        self.events += record.events.len() as u64;
        Ok(())
    }
}

/// What `session.annotate` with an idempotency key leaves: two events.
fn annotate(seq: u64) -> (Vec<u8>, Vec<Event>) {
    let session = SessionId::parse(&format!("session-{}", seq % 1000)).unwrap();
    let identity = Identity {
        seq,
        id: Some(CommandId::parse(&format!("cmd-{seq:012}")).unwrap()),
        kind: Kind::new("session.annotate"),
        tenant: Tenant::main(),
        principal: Principal::parse("bench").unwrap(),
        lane: Some(LanePlace {
            lane: Lane::Session(session.clone()),
            generation: 1,
            seq,
        }),
        session: Some(session.clone()),
        fingerprint: Hash::of(&seq.to_be_bytes()).fingerprint(),
        key: Some(IdempotencyKey::parse(&format!("key-{seq:012}")).unwrap()),
        depends_on: Vec::new(),
        if_version: None,
        correlation: None,
        causation: None,
        retry_of: None,
    };
    let executed = Executed {
        identity: Arc::new(identity),
        outcome: Outcome::Succeeded,
        data: Some(Json::from_canonical("{\"version\":17}")),
        fault: None,
        session_version: Some(17),
        unstarted: false,
    };
    let value = Some(Json::from_canonical("\"a short value\""));
    let key = "note".to_owned();
    let annotated = Event::SessionAnnotated(SessionAnnotated {
        tenant: Tenant::main(),
        session,
        key: key.into(),
        value,
    });
    (vec![b'i'; 220], vec![annotated, Event::Executed(executed)])
}

fn opened(path: &Path, decode_threads: usize, durability: Durability) -> (Opened, Count, Duration) {
    let storage = Arc::new(FileStorage::open(path).unwrap());
    let options = Options {
        realm: Some(RealmId([7; 16])),
        decode_threads,
        durability,
        ..Options::default()
    };
    let mut count = Count::default();
    let start = Instant::now();
    let opened = open(storage, &options, &mut count).unwrap();
    (opened, count, start.elapsed())
}

/// CPU seconds of this process so far, all threads, user and system: steadier than wall time on a busy machine.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}

fn percentile(times: &mut [Duration], part: f64) -> f64 {
    times.sort();
    times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3
}

fn floor(path: &Path, bytes: usize) -> (f64, f64) {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
        .unwrap();
    for piece in 0..64 {
        file.write_all_at(&vec![0; 1 << 20], piece << 20).unwrap();
    }
    file.sync_all().unwrap();
    let data = vec![0x5a; bytes];
    let mut times: Vec<Duration> = (0..500u64)
        .map(|i| {
            let start = Instant::now();
            file.write_all_at(&data, (i * bytes as u64) % (63 << 20)).unwrap();
            file.sync_data().unwrap();
            start.elapsed()
        })
        .collect();
    std::fs::remove_file(path).unwrap();
    (percentile(&mut times, 0.5), percentile(&mut times, 0.99))
}

fn flushes(opened: &mut Opened, batches: u64, per_batch: u64) -> (f64, f64, f64) {
    let (mut times, mut staging) = (Vec::new(), Duration::ZERO);
    for _ in 0..batches {
        let records: Vec<_> = (0..per_batch)
            .map(|i| annotate(opened.stager.next_idx() + i))
            .collect();
        let start = Instant::now();
        for (input, events) in &records {
            opened.stager.stage(1_700_000_000_000, 5, input, events).unwrap();
        }
        let batch = opened.stager.seal();
        staging += start.elapsed();
        let start = Instant::now();
        let _ = opened.writer.flush(batch).unwrap();
        times.push(start.elapsed());
    }
    let each = staging.as_secs_f64() * 1e6 / (batches * per_batch) as f64;
    (percentile(&mut times, 0.5), percentile(&mut times, 0.99), each)
}

fn stages() {
    let (input, events) = annotate(123_456);
    let stamp = body::Stamp {
        idx: 9,
        at_ms: 1_700_000_000_000,
        elapsed_ms: 5,
        prev: Hash::of(b"x"),
    };
    let mut bytes = Vec::new();
    let start = frame::begin(&mut bytes);
    body::encode(&mut bytes, &stamp, &input, &events).unwrap();
    let body_len = frame::finish(&mut bytes, start).unwrap();
    frame::stamp(&mut bytes, 1, None);
    println!("an Event takes {} bytes in memory", size_of::<Event>());
    println!(
        "one record: body {body_len} bytes, frame {} bytes, {} events",
        bytes.len(),
        events.len()
    );
    let time = |what: &str, mut run: Box<dyn FnMut() -> u64 + '_>| {
        let start = Instant::now();
        let mut sum = 0;
        for _ in 0..300_000 {
            sum += run();
        }
        let each = start.elapsed().as_secs_f64() * 1e9 / 300_000.0;
        println!("  {what:<32} {each:>7.0} ns/record  ({sum})");
    };
    time(
        "frame parse (crc-32c)",
        Box::new(|| frame::parse(&bytes, 1).unwrap().body.len() as u64),
    );
    let frame = frame::parse(&bytes, 1).unwrap();
    time(
        "sha-256 of the body",
        Box::new(|| u64::from(Hash::of(frame.body).0[0])),
    );
    time(
        "decode head only",
        Box::new(|| body::decode_head(frame.body).unwrap().stamp.idx),
    );
    time(
        "decode body with events",
        Box::new(|| body::decode::<Event>(frame.body).unwrap().events.len() as u64),
    );
    let mut out = Vec::new();
    time(
        "encode body",
        Box::new(|| {
            out.clear();
            body::encode(&mut out, &stamp, &input, &events).unwrap();
            out.len() as u64
        }),
    );
    let mut frontier = actum_record::Frontier::default();
    let leaf = Hash::of(b"leaf");
    time(
        "merkle push",
        Box::new(|| {
            frontier.push(&leaf);
            1
        }),
    );
}

/// Closes the writer and drops the rest, so that the lock is free.
fn close(journal: Opened) {
    journal.writer.close().unwrap();
}

fn main() {
    let mut args = std::env::args().skip(1);
    let records: u64 = args
        .next()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1_000_000);
    let base = args
        .next()
        .unwrap_or_else(|| "/tmp/actum-journal-bench".to_owned());
    let base = Path::new(&base);
    let _ = std::fs::remove_dir_all(base);
    std::fs::create_dir_all(base).unwrap();
    stages();

    println!("flush, strict (ms)                     floor p50   p99 | journal p50   p99 | stage us/record");
    for per_batch in [1, 16, 256] {
        let dir = base.join(format!("flush-{per_batch}"));
        let (mut journal, ..) = opened(&dir, 0, Durability::Strict);
        let (p50, p99, each) = flushes(&mut journal, 500, per_batch);
        let (floor50, floor99) = floor(&base.join("floor"), (per_batch as usize * 752).max(4096));
        println!(
            "  {per_batch:>4} records per batch              {floor50:>9.3} {floor99:>5.3} | {p50:>11.3} {p99:>5.3} | {each:.2}"
        );
        drop(journal);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    let dir = base.join("recover");
    let (mut journal, ..) = opened(&dir, 0, Durability::Strict);
    let start = Instant::now();
    flushes(&mut journal, records / 500, 500);
    println!(
        "wrote {records} records in {:.2} s (strict, 500 per batch)",
        start.elapsed().as_secs_f64()
    );
    drop(journal);
    for threads in [0, 1, 2] {
        let before = cpu_seconds();
        let (journal, count, took) = opened(&dir, threads, Durability::Strict);
        let cpu = cpu_seconds() - before;
        let rate = count.records as f64 / took.as_secs_f64();
        println!(
            "recover, {threads} decode threads: {:.3} s, {:.0} records/s, {:.0} MB/s, {:.2} us cpu/record ({} events, {} rewritten)",
            took.as_secs_f64(),
            rate,
            journal.report.bytes_read as f64 / took.as_secs_f64() / 1e6,
            cpu * 1e6 / count.records as f64,
            count.events,
            journal.report.records_rewritten
        );
        if threads == 2 {
            let start = Instant::now();
            let read = journal
                .reader
                .records(0, Some(records - 1))
                .map(|record| record.unwrap().events.len())
                .sum::<usize>();
            println!(
                "reader, one thread: {:.3} s for {read} events",
                start.elapsed().as_secs_f64()
            );
            let (mut index, start) = (
                Index::open(&base.join("index.db"), &journal.reader, Some(records - 1)).unwrap(),
                Instant::now(),
            );
            index.catch_up(&journal.reader, Some(records - 1)).unwrap();
            println!(
                "index over {records} records built in {:.3} s",
                start.elapsed().as_secs_f64()
            );
            snapshot(&dir, journal, records);
        }
    }
    std::fs::remove_dir_all(base).unwrap();
}

fn snapshot(dir: &Path, journal: Opened, records: u64) {
    let start = Instant::now();
    let frontier = journal.tree.frontier(records).unwrap();
    println!(
        "tree frontier over {records} leaves: {:.3} s",
        start.elapsed().as_secs_f64()
    );
    let (idx, hash) = journal.writer.head().unwrap();
    let meta = SnapshotMeta {
        idx,
        term: 1,
        hash,
        frontier,
        state_digest: Hash::ZERO,
    };
    // Two million rows of 32 bytes as the packed tables hold them, and 100,000 full outcomes.
    let packed = (0..2_000_000 / 8192 + 1).map(|i| {
        let rows = vec![i as u8; 8192 * 32];
        vec![Event::Restore(Box::new(Restore::Packed {
            table: PackedTable::Ids,
            rows,
        }))]
    });
    let start = Instant::now();
    journal.keeper.put_snapshot(&meta, packed).unwrap();
    println!(
        "snapshot of 2,000,000 packed rows written in {:.3} s",
        start.elapsed().as_secs_f64()
    );
    close(journal);
    for threads in [0, 1] {
        let (journal, count, took) = opened(dir, threads, Durability::Strict);
        println!(
            "boot with snapshot, {threads} decode threads: {:.3} s ({} pieces, {} records)",
            took.as_secs_f64(),
            count.events,
            journal.report.records_read
        );
    }
}

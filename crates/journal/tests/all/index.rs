//! The index over history: it follows the journal, answers filters, and is rebuilt when it does not fit.

use crate::common::{open_at, options};
use actum_journal::index::{Filter, Index, IndexError, Order};
use actum_journal::{Opened, SnapshotMeta};
use actum_model::event::{Accepted, Executed, Finished};
use actum_model::ids::{Kind, Principal, Tenant};
use actum_model::outcome::{Identity, LanePlace, Outcome, OutcomeRow};
use actum_model::restore::Restore;
use actum_model::{CommandId, ErrorCode, Event, Fault, Hash, Lane, SessionId};
use std::path::Path;
use std::sync::Arc;

fn identity(seq: u64) -> Arc<Identity> {
    let session = SessionId::parse(&format!("s{}", seq % 3)).unwrap();
    Arc::new(Identity {
        seq,
        id: Some(CommandId::parse(&format!("c{seq}")).unwrap()),
        kind: Kind::new(if seq.is_multiple_of(2) {
            "session.annotate"
        } else {
            "shell.run"
        }),
        tenant: Tenant::main(),
        principal: Principal::parse("p").unwrap(),
        lane: Some(LanePlace {
            lane: Lane::Session(session.clone()),
            generation: 1,
            seq,
        }),
        session: Some(session),
        fingerprint: Hash::of(&seq.to_be_bytes()).fingerprint(),
        key: None,
        depends_on: Vec::new(),
        if_version: None,
        correlation: (seq % 10 != 1)
            .then(|| CommandId::parse(&format!("c{}", seq - (seq + 9) % 10)).unwrap()),
        causation: None,
        retry_of: None,
    })
}

fn accepted(seq: u64) -> Event {
    Event::Accepted(Accepted {
        identity: identity(seq),
        payload: None,
        deps: Vec::new(),
        if_generation: None,
        timeout_ms: 1,
        queue_timeout_ms: 1,
        redacted: false,
    })
}

fn finished(seq: u64) -> Event {
    let outcome = if seq.is_multiple_of(5) {
        Outcome::Failed
    } else {
        Outcome::Succeeded
    };
    let fault = seq
        .is_multiple_of(5)
        .then(|| Arc::new(Fault::new(ErrorCode::ALL[0], "no")));
    Event::Finished(Finished {
        seq,
        outcome,
        data: None,
        fault,
        session_version: Some(seq),
    })
}

/// Commands 1..=60: even ones in one record each, odd ones finished ten commands later, the last ones never.
fn history(root: &Path) -> Opened {
    let (mut opened, _) = open_at(root, &options(8192)).unwrap();
    for seq in 1..=60u64 {
        let mut events = vec![accepted(seq), Event::Started { seq }];
        if seq.is_multiple_of(2) {
            events.push(finished(seq));
        }
        if seq % 2 == 1 && seq > 10 {
            events.push(finished(seq - 10));
        }
        opened.stager.stage(1000 + seq * 10, seq, b"", &events).unwrap();
    }
    let batch = opened.stager.seal();
    assert!(opened.writer.flush(batch).unwrap().durable());
    opened
}

fn seqs(index: &Index, filter: &Filter) -> Vec<u64> {
    let mut found = Vec::new();
    let mut filter = filter.clone();
    loop {
        let page = index.query(&filter).unwrap();
        found.extend(page.rows.iter().map(|row| row.seq));
        filter.cursor = page.next_cursor;
        if page.next_cursor.is_none() {
            return found;
        }
    }
}

#[test]
fn it_follows_the_journal_and_answers_filters() {
    let dir = tempfile::tempdir().unwrap();
    let opened = history(dir.path());
    let path = dir.path().join("index.db");
    let mut index = Index::open(&path, &opened.reader, Some(59)).unwrap();
    // In steps, so that commands are accepted in one transaction and finished in another.
    for through in [3, 20, 20, 59] {
        index.catch_up(&opened.reader, Some(through)).unwrap();
        assert_eq!(index.applied_through(), Some(through));
    }
    let asked = Index::open_to_ask(&path).unwrap();
    let all: Vec<u64> = (1..=60).collect();
    assert_eq!(
        seqs(
            &asked,
            &Filter {
                limit: Some(7),
                ..Filter::default()
            }
        ),
        all
    );
    let newest = Filter {
        limit: Some(7),
        order: Order::Newest,
        ..Filter::default()
    };
    assert_eq!(
        seqs(&asked, &newest),
        all.iter().rev().copied().collect::<Vec<_>>()
    );
    let pick = |filter: Filter| {
        seqs(
            &asked,
            &Filter {
                limit: Some(4),
                ..filter
            },
        )
    };
    let those = |keep: fn(&u64) -> bool| all.iter().copied().filter(keep).collect::<Vec<_>>();
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        pick(Filter {
            session: text("s2"),
            ..Filter::default()
        }),
        those(|seq| seq % 3 == 2)
    );
    assert_eq!(
        pick(Filter {
            command: text("c17"),
            ..Filter::default()
        }),
        [17]
    );
    assert_eq!(
        pick(Filter {
            kind: text("shell.run"),
            ..Filter::default()
        }),
        those(|seq| seq % 2 == 1)
    );
    assert_eq!(
        pick(Filter {
            outcome: text("failed"),
            ..Filter::default()
        }),
        those(|seq| seq % 5 == 0 && (seq % 2 == 0 || *seq <= 50))
    );
    assert_eq!(
        pick(Filter {
            outcome: text("open"),
            ..Filter::default()
        }),
        [51, 53, 55, 57, 59]
    );
    assert_eq!(
        pick(Filter {
            correlation: text("c21"),
            ..Filter::default()
        }),
        (21..=30).collect::<Vec<_>>()
    );
    let window = Filter {
        from_at_ms: Some(1100),
        to_at_ms: Some(1200),
        ..Filter::default()
    };
    assert_eq!(pick(window), (10..20).collect::<Vec<_>>());
    let range = Filter {
        from_idx: Some(5),
        to_idx: Some(9),
        ..Filter::default()
    };
    assert_eq!(pick(range), (6..=10).collect::<Vec<_>>());
    assert_eq!(
        pick(Filter {
            tenant: text("other"),
            ..Filter::default()
        }),
        Vec::<u64>::new()
    );
    let row = asked
        .query(&Filter {
            command: text("c5"),
            ..Filter::default()
        })
        .unwrap()
        .rows
        .remove(0);
    assert_eq!(
        (row.accepted_idx, row.started_idx, row.finished_idx),
        (4, Some(4), Some(14))
    );
    assert_eq!((row.accepted_at_ms, row.finished_at_ms), (1050, Some(1150)));
    assert_eq!(
        (row.outcome.as_deref(), row.error_code.as_deref()),
        (Some("failed"), Some(ErrorCode::ALL[0].as_str()))
    );
    assert_eq!((row.lane.as_deref(), row.lane_seq), (Some("session:s2"), Some(5)));
}

#[test]
fn a_command_over_within_its_record_is_one_row() {
    let dir = tempfile::tempdir().unwrap();
    let (mut opened, _) = open_at(dir.path(), &options(8192)).unwrap();
    for seq in 1..=2 {
        let executed = Executed {
            identity: identity(seq),
            outcome: Outcome::Succeeded,
            data: None,
            fault: None,
            session_version: Some(9),
            unstarted: seq == 2,
        };
        opened
            .stager
            .stage(70 + seq, seq, b"", &[Event::Executed(executed)])
            .unwrap();
    }
    let batch = opened.stager.seal();
    assert!(opened.writer.flush(batch).unwrap().durable());
    let mut index = Index::open(&dir.path().join("index.db"), &opened.reader, Some(1)).unwrap();
    index.catch_up(&opened.reader, Some(1)).unwrap();
    let rows = index.query(&Filter::default()).unwrap().rows;
    assert_eq!(
        (rows[0].accepted_idx, rows[0].started_idx, rows[0].finished_idx),
        (0, Some(0), Some(0))
    );
    assert_eq!(
        (rows[0].finished_at_ms, rows[0].outcome.as_deref()),
        (Some(71), Some("succeeded"))
    );
    assert_eq!((rows[1].started_idx, rows[1].finished_idx), (None, Some(1)));
}

#[test]
fn an_index_that_does_not_fit_is_dropped_and_rebuilt() {
    let dir = tempfile::tempdir().unwrap();
    let opened = history(dir.path());
    let path = dir.path().join("index.db");
    let fed = |path: &Path| {
        let mut index = Index::open(path, &opened.reader, Some(59)).unwrap();
        let before = index.applied_through();
        index.catch_up(&opened.reader, Some(59)).unwrap();
        assert_eq!(seqs(&index, &Filter::default()).len(), 60);
        before
    };
    assert_eq!(fed(&path), None);
    assert_eq!(fed(&path), Some(59), "kept when it fits");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection
        .execute_batch("UPDATE applied SET head = zeroblob(32)")
        .unwrap();
    drop(connection);
    assert_eq!(fed(&path), None, "fed from another history");
    assert_eq!(
        Index::open(&path, &opened.reader, Some(30))
            .unwrap()
            .applied_through(),
        None,
        "ahead"
    );
    fed(&path);
    rusqlite::Connection::open(&path)
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    assert_eq!(fed(&path), None, "another version");
    std::fs::write(
        &path,
        b"not a database at all, but long enough to be looked at as one",
    )
    .unwrap();
    assert_eq!(fed(&path), None, "garbage");
}

#[test]
fn after_compaction_it_is_rebuilt_from_a_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let opened = history(dir.path());
    let row = |seq: u64| OutcomeRow {
        identity: identity(seq),
        outcome: Outcome::Succeeded,
        data: None,
        fault: None,
        session_version: None,
        accepted_idx: seq - 1,
        accepted_at: 1000,
        started_idx: Some(seq - 1),
        finished_idx: seq - 1,
        finished_at: 1001,
    };
    let piece = vec![Event::Restore(Box::new(Restore::Outcomes(
        (1..=50).map(row).collect(),
    )))];
    let hash = opened.reader.record(49).unwrap().hash;
    for idx in [48, 49] {
        let frontier = opened.tree.frontier(idx + 1).unwrap();
        let hash = opened.reader.record(idx).unwrap().hash;
        let meta = SnapshotMeta {
            idx,
            term: 1,
            hash,
            frontier,
            state_digest: Hash::ZERO,
        };
        opened
            .keeper
            .put_snapshot(&meta, std::iter::once(piece.clone()))
            .unwrap();
    }
    assert!(opened.keeper.compact().unwrap().segments > 0);
    let path = dir.path().join("index.db");
    let mut index = Index::open(&path, &opened.reader, Some(59)).unwrap();
    assert!(matches!(
        index.catch_up(&opened.reader, Some(59)),
        Err(IndexError::NeedsSnapshot { .. })
    ));
    index.seed(49, hash, std::iter::once(piece)).unwrap();
    assert_eq!(index.catch_up(&opened.reader, Some(59)).unwrap(), 10);
    assert_eq!(seqs(&index, &Filter::default()), (1..=60).collect::<Vec<_>>());
}

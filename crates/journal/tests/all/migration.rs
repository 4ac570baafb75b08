//! Every format version ever released has a fixture, a real data directory, that opens and replays to the
//! digest recorded beside it. A fixture is made once (`UPDATE=1` makes a missing one) and never changed.

use crate::common::{self, Seen, open_at, options};
use actum_journal::{FileStorage, SnapshotMeta, verify};
use actum_model::config::RealmConfig;
use actum_model::effect::{Doubt, ProbeAnswer, RecoveryClass, SettledAs, Settlement};
use actum_model::event::{
    Accepted, Booted, Executed, Finished, Resolution, Resolved, SessionAnnotated, SnapshotTaken, StopReason,
};
use actum_model::graph::{AttachmentKey, Edge, GraphEvent, KindName, Node, Op, TargetId};
use actum_model::ids::{IdempotencyKey, Kind, Principal, Tenant};
use actum_model::outcome::{Identity, LanePlace, Outcome};
use actum_model::promise::{PromiseRow, PromiseSettled, PromiseState};
use actum_model::restore::{PackedTable, Restore};
use actum_model::timer::{
    ClockSample, ClockSource, Due, LastFire, Standing, Ticked, TimerCancelled, TimerFired, TimerRow,
};
use actum_model::worker::{Live, Worker, WorkerChanged};
use actum_model::{CommandId, ErrorCode, Event, Fault, Hash, Json, Lane, SessionId};
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn fixture(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(version)
}

/// Every kind of event once, with every optional field filled at least once.
fn every_event() -> Vec<Event> {
    let (tenant, principal) = (Tenant::main(), Principal::parse("alice").unwrap());
    let session = SessionId::parse("work").unwrap();
    let command = |text: &str| CommandId::parse(text).unwrap();
    let identity = Identity {
        seq: 7,
        id: Some(command("fix-1")),
        kind: Kind::new("shell.run"),
        tenant: tenant.clone(),
        principal: principal.clone(),
        lane: Some(LanePlace {
            lane: Lane::Session(session.clone()),
            generation: 2,
            seq: 3,
        }),
        session: Some(session.clone()),
        fingerprint: Hash::of(b"fingerprint").fingerprint(),
        key: Some(IdempotencyKey::parse("key-1").unwrap()),
        depends_on: vec![command("fix-0")],
        if_version: Some(4),
        correlation: Some(command("root")),
        causation: Some(command("cause")),
        retry_of: Some(command("first")),
    };
    let identity = Arc::new(identity);
    let mut fault = Fault::new(ErrorCode::ALL[0], "a sentence");
    fault.hint = Some("a hint".to_owned());
    fault.details = Some(Json::from_canonical("{\"a\":1}"));
    let timer = TimerRow {
        tenant: tenant.clone(),
        timer: command("nightly"),
        principal: principal.clone(),
        set_seq: 5,
        set_by: command("set-1"),
        correlation: command("root"),
        set_idx: 4,
        set_at: 1_700_000_000_000,
        due: Due::At(1_700_000_060_000),
        every_ms: Some(60_000),
        command: Some(Json::from_canonical("{\"type\":\"session.delete\"}")),
        note: Some("each night".to_owned()),
        fires: 2,
        missed: 1,
        last: Some(LastFire {
            tick: 3,
            idx: 8,
            at: 1_700_000_000_001,
            late: true,
            command: Some(9),
            refused: Some(Fault::new(ErrorCode::Busy, "no room")),
        }),
    };
    let settlement = Settlement {
        settled: SettledAs::Failed,
        data: Some(Json::from_canonical("{\"exit\":1}")),
        fault: Some(fault.clone()),
    };
    vec![
        Event::Booted(Booted {
            realm: common::REALM.0.to_vec(),
            incarnation: vec![5; 16],
            term: 1,
            node: "host".to_owned(),
            build: "0.1.0".to_owned(),
            contracts: Hash::of(b"contracts"),
            policy: 1,
            rule_pack: Hash::of(b"rules"),
            classes: None,
            clean: true,
        }),
        Event::ConfigActivated {
            config: Box::new(RealmConfig::default()),
        },
        Event::Accepted(Accepted {
            identity: Arc::clone(&identity),
            payload: Some(Json::from_canonical("{\"argv\":[\"true\"]}")),
            deps: vec![6],
            if_generation: Some(2),
            timeout_ms: 120_000,
            queue_timeout_ms: 600_000,
            redacted: true,
        }),
        Event::Waiting { seq: 7, on: vec![6] },
        Event::Started { seq: 7 },
        Event::EffectRequested {
            effect: Hash::of(b"effect"),
            seq: 7,
            contained: true,
        },
        Event::EffectDispatching { seq: 7 },
        Event::OutputKept {
            seq: 7,
            stream: "stdout".to_owned(),
            offset: 9,
            data: "text\u{fffd}".to_owned(),
        },
        Event::Stopping {
            seq: 7,
            why: StopReason::Timeout,
        },
        Event::Stopping {
            seq: 7,
            why: StopReason::Cancel {
                by: principal.clone(),
                command: 8,
            },
        },
        Event::EffectSettled {
            seq: 7,
            settlement: Box::new(settlement.clone()),
        },
        Event::EffectLate {
            seq: 7,
            settlement: Box::new(settlement.clone()),
        },
        Event::ProbeRequested {
            seq: 7,
            timeout_ms: 30_000,
            lost: false,
        },
        Event::ProbeAnswered {
            seq: 7,
            answer: ProbeAnswer::Landed,
            settlement: Box::new(settlement.clone()),
        },
        Event::ProbeAnswered {
            seq: 7,
            answer: ProbeAnswer::DidNotHappen,
            settlement: Box::new(settlement.clone()),
        },
        Event::ProbeAnswered {
            seq: 7,
            answer: ProbeAnswer::Unknown("exit code 3".to_owned()),
            settlement: Box::new(settlement),
        },
        Event::InDoubt {
            seq: 7,
            reason: Doubt::CrashAfterDispatch,
        },
        Event::Recovered {
            seq: 7,
            class: RecoveryClass::Queued,
        },
        Event::Recovered {
            seq: 7,
            class: RecoveryClass::Probe,
        },
        Event::Resolved(Resolved {
            seq: 7,
            resolution: Resolution::DidNotHappen,
            by: principal,
            command: 9,
            note: Some("looked".to_owned()),
            retried_by: Some(command("again")),
        }),
        Event::Finished(Finished {
            seq: 7,
            outcome: Outcome::TimedOut,
            data: Some(Json::from_canonical("{}")),
            fault: Some(Arc::new(fault)),
            session_version: Some(5),
        }),
        Event::Executed(Executed {
            identity: Arc::clone(&identity),
            outcome: Outcome::Succeeded,
            data: Some(Json::from_canonical("{}")),
            fault: None,
            session_version: Some(6),
            unstarted: false,
        }),
        Event::Executed(Executed {
            identity,
            outcome: Outcome::Rejected,
            data: None,
            fault: Some(Arc::new(Fault::new(ErrorCode::ALL[0], "not now"))),
            session_version: None,
            unstarted: true,
        }),
        Event::SessionCreated {
            tenant: tenant.clone(),
            session: session.clone(),
            spec: Some(Json::from_canonical("{\"kind\":\"python\"}")),
        },
        Event::WorkerChanged(Box::new(WorkerChanged {
            tenant: tenant.clone(),
            session: session.clone(),
            worker: Some(Worker::Live(Live {
                incarnation: Hash::of(b"process"),
                term: 1,
                sandbox: Json::from_canonical("{\"level\":\"full\"}"),
            })),
        })),
        Event::Interrupted {
            seq: 7,
            by: Principal::parse("ci").unwrap(),
        },
        Event::PromiseCreated(Box::new(PromiseRow {
            tenant: tenant.clone(),
            promise: CommandId::parse("p").unwrap(),
            by: Principal::parse("ci").unwrap(),
            command: 7,
            session: Some(session.clone()),
            execution: Some(7),
            timeout_at: Some(1_700_000_000_500),
            tags: [("kind".into(), "test".into())].into_iter().collect(),
            created_idx: 4,
            created_at: 1_700_000_000_000,
            settled: None,
        })),
        Event::PromiseSettled(Box::new(PromiseSettled {
            tenant: tenant.clone(),
            promise: CommandId::parse("p").unwrap(),
            settled: PromiseState::Rejected,
            value: Some(Json::from_canonical("1")),
            fault: Some(Fault::new(ErrorCode::PromiseRejected, "no")),
            by: Some(Principal::parse("ci").unwrap()),
        })),
        Event::PromisesPruned { count: 1 },
        Event::SessionAnnotated(SessionAnnotated {
            tenant: tenant.clone(),
            session: session.clone(),
            key: "k".into(),
            value: Some(Json::from_canonical("\"v\"")),
        }),
        Event::SessionDeleted { tenant, session },
        Event::Graph(Box::new(GraphEvent::SwsCreated {
            seq: 9,
            sws: 0,
            tenant: Tenant::main(),
            by: Principal::parse("dev").unwrap(),
            meta: Some(Json::from_canonical("{}")),
        })),
        Event::Graph(Box::new(GraphEvent::Rewritten {
            seq: 10,
            idx: 0,
            sws: 0,
            digest: Hash::of(b"view"),
            ops: every_op(),
            meta: None,
        })),
        Event::Graph(Box::new(GraphEvent::Rebased {
            seq: 11,
            idx: 1,
            sws: 0,
            digest: Hash::of(b"view"),
            meta: None,
        })),
        Event::Graph(Box::new(GraphEvent::Conflicted {
            seq: 12,
            idx: 2,
            sws: 0,
            policy: 1,
            conflicts: 3,
            meta: None,
        })),
        Event::Graph(Box::new(GraphEvent::Collapsed {
            seq: 13,
            idx: 3,
            sws: 0,
            policy: 1,
            digest: Hash::of(b"system"),
            meta: None,
        })),
        Event::Graph(Box::new(GraphEvent::Discarded {
            seq: 14,
            idx: 4,
            sws: 1,
            reason: Some("not wanted".into()),
            meta: None,
        })),
        Event::OutcomesPruned { count: 1 },
        Event::TombstonesDropped { count: 2 },
        Event::KeysExpired { count: 3 },
        Event::Ticked(Ticked { tick: 4 }),
        Event::ClockSampled(ClockSample {
            source: ClockSource::Wall,
            value_ns: 1_700_000_000_000_000_000,
            uncertainty_ns: 1_000_000,
            standing: Standing::Pending,
        }),
        Event::TimerSet(Box::new(timer.clone())),
        Event::TimerFired(TimerFired {
            tenant: timer.tenant.clone(),
            timer: timer.timer.clone(),
            tick: 4,
            due: timer.due,
            fire: 3,
            late: true,
            missed: 2,
            next: Some(Due::Elapsed(9)),
            command: Some(10),
            refused: Some(Box::new(Fault::new(ErrorCode::Busy, "no room"))),
        }),
        Event::TimerCancelled(TimerCancelled {
            tenant: timer.tenant,
            timer: timer.timer,
            command: 11,
        }),
        Event::SnapshotTaken(SnapshotTaken {
            idx: 3,
            digest: Hash::of(b"d"),
            tree_root: Hash::of(b"r"),
        }),
        Event::Closed {},
    ]
}

fn every_op() -> Vec<Op> {
    let kind = KindName::parse("demo").unwrap();
    let node = Node {
        kind: kind.clone(),
        payload: b"hello".to_vec().into(),
    };
    let (from, target) = (node.id(), TargetId::from(node.id()));
    let key = AttachmentKey::parse("note").unwrap();
    let edge = Edge {
        from,
        to: from,
        kind: kind.clone(),
        payload: None,
    };
    vec![
        Op::AddNode {
            kind: kind.clone(),
            payload: node.payload,
        },
        Op::AddEdge {
            from,
            to: from,
            kind,
            payload: None,
        },
        Op::SetAttachment {
            target,
            key: key.clone(),
            value: Json::from_canonical("1"),
            expected_version: Some(0),
        },
        Op::ClearAttachment {
            target,
            key,
            expected_version: None,
        },
        Op::RemoveEdge { id: edge.id() },
        Op::RemoveNode { id: from },
    ]
}

/// Fails to compile when an event is added, so that whoever adds it thinks of the fixture: before a release the
/// fixture is made anew, after it a new version gets one of its own.
fn known(event: &Event) -> &'static str {
    match event {
        Event::Booted(_)
        | Event::ConfigActivated { .. }
        | Event::Accepted(_)
        | Event::Waiting { .. }
        | Event::Started { .. }
        | Event::Finished(_)
        | Event::Executed(_)
        | Event::EffectRequested { .. }
        | Event::EffectDispatching { .. }
        | Event::EffectSettled { .. }
        | Event::EffectLate { .. }
        | Event::Stopping { .. }
        | Event::InDoubt { .. }
        | Event::Recovered { .. }
        | Event::ProbeRequested { .. }
        | Event::ProbeAnswered { .. }
        | Event::Resolved(_)
        | Event::OutputKept { .. }
        | Event::SessionCreated { .. }
        | Event::SessionAnnotated(_)
        | Event::SessionDeleted { .. }
        | Event::WorkerChanged(_)
        | Event::Interrupted { .. }
        | Event::PromiseCreated(_)
        | Event::PromiseSettled(_)
        | Event::PromisesPruned { .. }
        | Event::Graph(_)
        | Event::OutcomesPruned { .. }
        | Event::TombstonesDropped { .. }
        | Event::KeysExpired { .. }
        | Event::Ticked(_)
        | Event::ClockSampled(_)
        | Event::TimerSet(_)
        | Event::TimerFired(_)
        | Event::TimerCancelled(_)
        | Event::SnapshotTaken(_)
        | Event::Closed {} => event.name(),
        Event::Restore(_) => "found in snapshots only",
    }
}

#[test]
fn the_fixture_holds_every_event() {
    let names: std::collections::BTreeSet<_> = every_event().iter().map(known).collect();
    assert_eq!(names.len(), 42, "{names:?}");
}

fn make(root: &Path) {
    let (mut opened, _) = open_at(root, &options(4096)).unwrap();
    for (n, event) in every_event().into_iter().enumerate() {
        let n = n as u64;
        let at = 1_700_000_000_000 + n;
        opened
            .stager
            .stage(at, n, format!("input {n}").as_bytes(), &[event])
            .unwrap();
        let batch = opened.stager.seal();
        assert!(opened.writer.flush(batch).unwrap().durable());
        if n == 10 {
            let (idx, hash) = opened.writer.head().unwrap();
            let frontier = opened.tree.frontier(idx + 1).unwrap();
            let meta = SnapshotMeta {
                idx,
                term: 1,
                hash,
                frontier,
                state_digest: Hash::of(b"state"),
            };
            let rows = (0..96u8).collect();
            let piece = Event::Restore(Box::new(Restore::Packed {
                table: PackedTable::Ids,
                rows,
            }));
            opened
                .keeper
                .put_snapshot(&meta, std::iter::once(vec![piece]))
                .unwrap();
        }
    }
    opened.blobs.put(b"a sealed body").unwrap();
    opened.writer.close().unwrap();
}

/// What a directory replays to: everything recovery hands out, and what verifying computes.
fn digest(root: &Path, seen: &Seen) -> String {
    let mut bytes = serde_ipld_dagcbor::to_vec(&seen.restore_events).unwrap();
    for (idx, at, elapsed, hash, input, events) in &seen.records {
        let part = (idx, at, elapsed, hash, input, events);
        bytes.extend(serde_ipld_dagcbor::to_vec(&part).unwrap());
    }
    let found = verify(&FileStorage::open_to_read(root).unwrap()).unwrap();
    assert!(found.whole, "{:?}", found.findings);
    format!(
        "events {}\nhead {}\nroot {}\nrecords {}\n",
        Hash::of(&bytes),
        found.head_hash,
        found.root,
        found.records
    )
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn version_1_opens_and_replays_to_its_digest() {
    let (data, recorded) = (fixture("v1/data"), fixture("v1/digest.txt"));
    if !data.exists() && std::env::var_os("UPDATE").is_some() {
        let made = tempfile::tempdir().unwrap();
        make(made.path());
        std::fs::remove_file(made.path().join("lock")).unwrap();
        copy(made.path(), &data);
        let (_, seen) = open_at(made.path(), &options(4096)).unwrap();
        std::fs::write(&recorded, digest(&data, &seen)).unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    copy(&data, dir.path());
    let expected = std::fs::read_to_string(recorded).unwrap();
    let found = {
        let (opened, seen) = open_at(dir.path(), &options(4096)).unwrap();
        assert!(opened.report.clean);
        assert_eq!(opened.report.snapshot, Some(10));
        seen
    };
    assert_eq!(digest(&data, &found), expected);
    // Its snapshot aside, the whole history reads back to the events that made it.
    std::fs::remove_dir_all(dir.path().join("snapshots")).unwrap();
    let (mut opened, seen) = open_at(dir.path(), &options(4096)).unwrap();
    let events: Vec<Event> = seen.records.iter().flat_map(|record| record.5.clone()).collect();
    assert_eq!(events, every_event());
    // And it goes on from there.
    common::append(&mut opened, 3);
}

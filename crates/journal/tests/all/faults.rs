//! A fault at every write and every sync, then a crash: nothing that was committed is ever lost, nothing that
//! was not staged ever appears, and after a failure nothing more is accepted.

use crate::common::faulty::{Failure, Faulty};
use crate::common::{self, open_on, options, stage};
use actum_journal::{AppendError, Durability, Opened, Options};

fn small(durability: Durability) -> Options {
    Options {
        decode_threads: 0,
        durability,
        ..options(4096)
    }
}

/// Six batches of growing size over several segments. Returns records committed durably, records staged, and
/// the error that ended it.
fn workload(opened: &mut Opened) -> (u64, u64, Option<AppendError>) {
    let mut durable = opened.writer.durable_through().map_or(0, |idx| idx + 1);
    for size in [1u64, 3, 8, 1, 40, 2] {
        for _ in 0..size {
            stage(opened);
        }
        let batch = opened.stager.seal();
        match opened.writer.flush(batch) {
            Ok(committed) => durable = committed.durable_through().map_or(0, |idx| idx + 1),
            Err(error) => return (durable, opened.stager.next_idx(), Some(error)),
        }
    }
    (durable, opened.stager.next_idx(), None)
}

fn calls_of_a_run(durability: Durability) -> usize {
    let disk = Faulty::default();
    let (mut opened, _) = open_on(disk.storage(), &small(durability)).unwrap();
    disk.fail_at(usize::MAX, Failure::Before);
    assert!(workload(&mut opened).2.is_none());
    let calls = disk.calls();
    assert!(
        calls.iter().filter(|call| call.starts_with("create")).count() >= 3,
        "{calls:?}"
    );
    calls.len()
}

#[test]
fn a_fault_at_every_call_loses_nothing_committed() {
    let failures = [Failure::Before, Failure::Torn, Failure::After, Failure::NoSpace];
    for durability in [Durability::Strict, Durability::Batched] {
        for call in 0..calls_of_a_run(durability) {
            for failure in failures {
                let what = format!("{durability:?}, call {call}, {failure:?}");
                let disk = Faulty::default();
                let (mut opened, _) = open_on(disk.storage(), &small(durability)).unwrap();
                disk.fail_at(call, failure);
                let (durable, staged, error) = workload(&mut opened);
                assert!(
                    matches!(error, Some(AppendError::Poisoned(_))),
                    "{what}: {error:?}"
                );
                assert!(
                    matches!(opened.writer.sync_pending(), Err(AppendError::Poisoned(_))),
                    "{what}"
                );
                stage(&mut opened);
                let batch = opened.stager.seal();
                assert!(
                    matches!(opened.writer.flush(batch), Err(AppendError::Poisoned(_))),
                    "{what}"
                );
                // Power fails, or only the process ends: in both cases what was durable is there.
                for after in [disk.crash(), disk.restart()] {
                    let (again, seen) = open_on(after.storage(), &small(durability))
                        .unwrap_or_else(|e| panic!("{what}: {e}"));
                    let found = seen.records.len() as u64;
                    assert!(
                        (durable..=staged).contains(&found),
                        "{what}: {durable} <= {found} <= {staged}"
                    );
                    drop(again);
                    let crashed = after.crash();
                    let (mut last, seen) = open_on(crashed.storage(), &small(durability)).unwrap();
                    assert_eq!(
                        seen.records.len() as u64,
                        found,
                        "{what}: opening made it durable"
                    );
                    assert_eq!(last.report.torn_bytes_cut, 0, "{what}");
                    assert!(workload(&mut last).2.is_none(), "{what}: the journal goes on");
                }
            }
        }
    }
}

/// A failure while opening heals a torn tail is healed by the next opening.
#[test]
fn a_fault_at_every_call_of_opening_is_healed_by_the_next() {
    let torn = || {
        let disk = Faulty::default();
        let (mut opened, _) = open_on(disk.storage(), &small(Durability::Strict)).unwrap();
        workload(&mut opened);
        for _ in 0..30 {
            stage(&mut opened);
        }
        let batch = opened.stager.seal();
        disk.fail_at(4, Failure::Torn);
        opened.writer.flush(batch).unwrap_err();
        disk.restart()
    };
    let disk = torn();
    let (opened, whole) = open_on(disk.storage(), &small(Durability::Strict)).unwrap();
    assert!(opened.report.records_rewritten > 0);
    let calls = disk.calls().len();
    assert!(calls > 2);
    for call in 0..calls {
        for failure in [Failure::Before, Failure::Torn, Failure::After] {
            let disk = torn();
            disk.fail_at(call, failure);
            open_on(disk.storage(), &small(Durability::Strict))
                .map(|_| ())
                .unwrap_err();
            for after in [disk.crash(), disk.restart()] {
                let (_, seen) = open_on(after.storage(), &small(Durability::Strict)).unwrap();
                assert!(
                    whole.records.starts_with(&seen.records),
                    "call {call}, {failure:?}"
                );
                assert!(seen.records.len() >= 35, "call {call}, {failure:?}");
            }
        }
    }
}

#[test]
fn fenced_is_told_apart_and_stays() {
    let disk = Faulty::default();
    let (mut opened, _) = open_on(disk.storage(), &small(Durability::Strict)).unwrap();
    disk.fail_at(3, Failure::Fenced);
    let (.., error) = workload(&mut opened);
    assert!(matches!(error, Some(AppendError::Fenced(_))), "{error:?}");
    assert!(matches!(
        opened.writer.sync_pending(),
        Err(AppendError::Fenced(_))
    ));
}

#[test]
fn a_write_of_unknown_fate_is_resolved_by_rereading() {
    for (failure, landed) in [(Failure::UnknownDone, true), (Failure::UnknownLost, false)] {
        let disk = Faulty::default();
        let (mut opened, _) = open_on(disk.storage(), &Options { ..options(1 << 20) }).unwrap();
        common::append(&mut opened, 3);
        stage(&mut opened);
        stage(&mut opened);
        let batch = opened.stager.seal();
        disk.fail_at(0, failure);
        assert!(matches!(opened.writer.flush(batch), Err(AppendError::Unknown(_))));
        stage(&mut opened);
        let early = opened.stager.seal();
        assert!(
            matches!(opened.writer.flush(early), Err(AppendError::Unknown(_))),
            "held until resolved"
        );
        match opened.writer.resolve() {
            Ok(committed) => {
                assert!(landed);
                assert_eq!(
                    (committed.first_idx(), committed.count(), committed.durable()),
                    (3, 2, true)
                );
                assert_eq!(
                    open_on(disk.crash().storage(), &options(1 << 20))
                        .unwrap()
                        .1
                        .records
                        .len(),
                    5
                );
            }
            Err(error) => {
                assert!(!landed && matches!(error, AppendError::Poisoned(_)), "{error:?}");
                assert_eq!(
                    open_on(disk.crash().storage(), &options(1 << 20))
                        .unwrap()
                        .1
                        .records
                        .len(),
                    3
                );
            }
        }
    }
}

#[test]
fn batched_durability_says_what_is_not_durable_yet() {
    let disk = Faulty::default();
    let (mut opened, _) = open_on(disk.storage(), &small(Durability::Batched)).unwrap();
    stage(&mut opened);
    let batch = opened.stager.seal();
    let committed = opened.writer.flush(batch).unwrap();
    assert!(!committed.durable());
    assert_eq!(committed.durable_through(), None);
    assert_eq!(
        open_on(disk.crash().storage(), &small(Durability::Batched))
            .unwrap()
            .1
            .records
            .len(),
        0
    );
    let synced = opened.writer.sync_pending().unwrap();
    assert_eq!(
        (synced.count(), synced.durable_through(), synced.durable()),
        (0, Some(0), true)
    );
    assert_eq!(
        open_on(disk.crash().storage(), &small(Durability::Batched))
            .unwrap()
            .1
            .records
            .len(),
        1
    );
}

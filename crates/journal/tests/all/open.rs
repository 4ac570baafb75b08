//! Writing, closing and opening again, on a real folder.

use crate::common::{self, append, open_at, options, stage};
use actum_journal::{AppendError, FileError, FileStorage, Options};
use std::os::unix::fs::PermissionsExt as _;

#[test]
fn what_was_committed_comes_back_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let mut head = None;
    for round in 0..4u64 {
        let (mut opened, seen) = open_at(dir.path(), &options(8192)).unwrap();
        assert_eq!(seen.idxs(), (0..round * 100).collect::<Vec<_>>());
        assert_eq!(opened.report.head, head);
        assert_eq!(opened.report.leaves_rewritten, 0);
        for _ in 0..10 {
            append(&mut opened, 10);
        }
        head = opened.writer.head();
        if round % 2 == 0 {
            opened.writer.close().unwrap();
        }
    }
    let (opened, seen) = open_at(dir.path(), &options(8192)).unwrap();
    assert_eq!(seen.records.len(), 400);
    assert_eq!(seen.records[399].5, common::events(399));
    assert_eq!(opened.report.torn_bytes_cut, 0);
    let again = opened
        .reader
        .records(0, Some(399))
        .collect::<Result<Vec<_>, _>>()
        .unwrap();
    assert_eq!(again.len(), 400);
    assert!(
        again
            .windows(2)
            .all(|pair| pair[1].prev == pair[0].hash && pair[1].idx == pair[0].idx + 1)
    );
    assert_eq!(opened.reader.record(250).unwrap().events, common::events(250));
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut opened, _) = open_at(dir.path(), &options(1 << 20)).unwrap();
    append(&mut opened, 5000);
    drop(opened);
    let seen_with = |decode_threads| {
        let options = Options {
            decode_threads,
            ..options(1 << 20)
        };
        open_at(dir.path(), &options)
            .map(|(opened, seen)| (opened.report, seen))
            .unwrap()
    };
    let (report, seen) = seen_with(0);
    assert_eq!(seen.records.len(), 5000);
    for threads in 1..4 {
        assert_eq!(
            seen_with(threads),
            (report.clone(), seen.clone()),
            "{threads} threads"
        );
    }
}

#[test]
fn an_empty_batch_commits_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut opened, _) = open_at(dir.path(), &options(8192)).unwrap();
    append(&mut opened, 0);
    append(&mut opened, 3);
    let committed = opened.writer.flush(opened.stager.seal()).unwrap();
    assert_eq!(
        (
            committed.first_idx(),
            committed.count(),
            committed.durable_through()
        ),
        (3, 0, Some(2))
    );
    assert!(committed.durable());
}

/// Answers go out between the two steps: nothing that was answered may depend on the second.
#[test]
fn leaves_may_be_written_after_the_records_and_are_made_again_if_they_were_not() {
    for dies_between in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let (mut opened, _) = open_at(dir.path(), &options(8192)).unwrap();
        append(&mut opened, 3);
        for _ in 0..2 {
            stage(&mut opened);
            let committed = opened.writer.flush_records(opened.stager.seal()).unwrap();
            assert!(committed.durable());
        }
        assert!(opened.tree.root(5).is_err(), "their leaves are not written yet");
        if !dies_between {
            opened.writer.write_leaves().unwrap();
            opened.tree.root(5).unwrap();
        }
        drop(opened);
        let (again, seen) = open_at(dir.path(), &options(8192)).unwrap();
        assert_eq!(seen.records.len(), 5);
        let made_again = if dies_between { 2 } else { 0 };
        assert_eq!(again.report.leaves_rewritten, made_again);
        again.tree.root(5).unwrap();
    }
}

#[test]
fn a_record_larger_than_a_segment_gets_one_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let (mut opened, _) = open_at(dir.path(), &options(8192)).unwrap();
    append(&mut opened, 2);
    opened.stager.stage(1, 1, &vec![7; 100_000], &[]).unwrap();
    append(&mut opened, 3);
    drop(opened);
    let (_, seen) = open_at(dir.path(), &options(8192)).unwrap();
    assert_eq!(seen.idxs(), (0..6).collect::<Vec<_>>());
    assert_eq!(seen.records[2].4.len(), 100_000);
}

#[test]
fn batches_must_come_in_the_order_in_which_they_were_sealed() {
    let dir = tempfile::tempdir().unwrap();
    let (mut opened, _) = open_at(dir.path(), &options(8192)).unwrap();
    stage(&mut opened);
    let first = opened.stager.seal();
    stage(&mut opened);
    let second = opened.stager.seal();
    assert!(matches!(
        opened.writer.flush(second),
        Err(AppendError::Poisoned(_))
    ));
    assert!(matches!(
        opened.writer.flush(first),
        Err(AppendError::Poisoned(_))
    ));
}

#[test]
fn a_second_holder_is_refused_and_told_who_has_the_lock() {
    let dir = tempfile::tempdir().unwrap();
    let held = FileStorage::open(dir.path()).unwrap();
    let refused = FileStorage::open(dir.path()).unwrap_err();
    assert!(matches!(refused, FileError::Locked { .. }));
    assert!(
        refused
            .to_string()
            .contains(&format!("lock held by pid {}", std::process::id())),
        "{refused}"
    );
    drop(held);
    FileStorage::open(dir.path()).unwrap();
}

#[test]
fn created_files_are_for_the_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("data");
    let (mut opened, _) = open_at(&root, &options(8192)).unwrap();
    append(&mut opened, 100);
    let blob = opened.blobs.put(b"sealed").unwrap();
    assert_eq!(opened.blobs.get(&blob).unwrap().unwrap(), b"sealed");
    opened.writer.close().unwrap();
    let mut folders = vec![root];
    while let Some(folder) = folders.pop() {
        assert_eq!(
            folder.metadata().unwrap().permissions().mode() & 0o777,
            0o700,
            "{folder:?}"
        );
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                assert_eq!(
                    path.metadata().unwrap().permissions().mode() & 0o777,
                    0o600,
                    "{path:?}"
                );
            }
        }
    }
}

/// Large segments are made ahead by a thread of their own; what it leaves is never taken for history.
#[test]
fn segments_made_ahead_are_used_and_leave_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let segment_bytes = 1 << 20;
    let (mut opened, _) = open_at(dir.path(), &options(segment_bytes)).unwrap();
    for _ in 0..50 {
        opened.stager.stage(1, 1, &vec![3; 60_000], &[]).unwrap();
        append(&mut opened, 1);
    }
    let head = opened.writer.head();
    drop(opened);
    let names: Vec<String> = std::fs::read_dir(dir.path().join("journal"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(
        names.iter().filter(|name| name.ends_with(".seg")).count(),
        3,
        "{names:?}"
    );
    assert!(!names.iter().any(|name| name.ends_with(".tmp")), "{names:?}");
    for name in names.iter().filter(|name| name.ends_with(".seg")) {
        let bytes = dir.path().join("journal").join(name).metadata().unwrap().len();
        assert_eq!(bytes, segment_bytes);
    }
    // A crash leaves the one being made; it is removed, and a half one is never used.
    std::fs::write(dir.path().join("journal/spare.tmp"), b"half").unwrap();
    let (mut opened, seen) = open_at(dir.path(), &options(segment_bytes)).unwrap();
    assert_eq!((seen.records.len(), opened.writer.head()), (100, head));
    append(&mut opened, 1);
    drop(opened);
    assert!(!dir.path().join("journal/spare.tmp").exists());
}

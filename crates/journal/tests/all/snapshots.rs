//! Snapshots, falling back, compaction, and what stays the same after it.

use crate::common::faulty::{Failure, Faulty};
use crate::common::{self, append, open_on, options};
use actum_journal::{Area, OpenError, Opened, Options, ReadError, SnapshotError, SnapshotMeta, verify};
use actum_model::restore::{PackedTable, Restore};
use actum_model::{Event, Hash};
use actum_record::merkle;
use std::collections::BTreeSet;

fn small() -> Options {
    Options {
        decode_threads: 1,
        ..options(4096)
    }
}

fn pieces(idx: u64) -> Vec<Vec<Event>> {
    (0..5u8)
        .map(|n| {
            let rows = vec![n ^ idx as u8; 1000];
            vec![Event::Restore(Box::new(Restore::Packed {
                table: PackedTable::Ids,
                rows,
            }))]
        })
        .collect()
}

fn meta(opened: &Opened) -> SnapshotMeta {
    let (idx, hash) = opened.writer.head().unwrap();
    let frontier = opened.tree.frontier(idx + 1).unwrap();
    SnapshotMeta {
        idx,
        term: 3,
        hash,
        frontier,
        state_digest: Hash::of(b"state"),
    }
}

fn snapshot(opened: &Opened) -> u64 {
    let meta = meta(opened);
    opened
        .keeper
        .put_snapshot(&meta, pieces(meta.idx).into_iter())
        .unwrap();
    meta.idx
}

/// Records 0..=59 with snapshots at 19 and 39.
fn with_two() -> Faulty {
    let disk = Faulty::default();
    let (mut opened, _) = open_on(disk.storage(), &small()).unwrap();
    for round in 0..3 {
        append(&mut opened, 20);
        if round < 2 {
            snapshot(&opened);
        }
    }
    disk
}

#[test]
fn boot_uses_the_newest_snapshot_and_the_records_behind_it() {
    let disk = with_two();
    let (opened, seen) = open_on(disk.storage(), &small()).unwrap();
    assert_eq!(opened.report.snapshot, Some(39));
    assert_eq!(seen.restored, Some(39));
    assert_eq!(seen.restore_events, pieces(39).concat());
    assert_eq!(seen.idxs(), (40..60).collect::<Vec<_>>());
    // The tree goes on from the snapshot's frontier to the same root.
    let (whole, _) = open_on(disk.restart().storage(), &small()).unwrap();
    assert_eq!(opened.tree.root(60).unwrap(), whole.tree.root(60).unwrap());
    let hashes: Vec<Hash> = opened
        .reader
        .records(0, Some(59))
        .map(|r| r.unwrap().hash)
        .collect();
    let proof = opened.tree.inclusion_proof(7, 60).unwrap();
    merkle::verify_inclusion(&hashes[7], 7, 60, &proof, &opened.tree.root(60).unwrap()).unwrap();
    let proof = opened.tree.consistency_proof(40, 60).unwrap();
    let (old, new) = (opened.tree.root(40).unwrap(), opened.tree.root(60).unwrap());
    merkle::verify_consistency(40, 60, &old, &new, &proof).unwrap();
}

#[test]
fn an_unfit_snapshot_is_passed_over_and_said() {
    let whole = with_two();
    let newest = actum_journal::layout::snapshot_name(39);
    let len = whole.bytes(Area::Snapshots, &newest).len();
    for at in (0..len).step_by(37).chain([len - 1]) {
        let disk = whole.restart();
        disk.damage(Area::Snapshots, &newest, |bytes| bytes[at] ^= 0x10);
        let (opened, seen) = open_on(disk.storage(), &small()).unwrap();
        assert_eq!(
            (opened.report.snapshot, seen.restored),
            (Some(19), Some(19)),
            "byte {at}"
        );
        assert_eq!(seen.resets, 1);
        assert_eq!(opened.report.snapshots_unfit.len(), 1);
        assert_eq!(seen.restore_events, pieces(19).concat());
        assert_eq!(seen.idxs(), (20..60).collect::<Vec<_>>());
    }
    for cut in (0..len).step_by(61) {
        let disk = whole.restart();
        disk.damage(Area::Snapshots, &newest, |bytes| bytes.truncate(cut));
        assert_eq!(
            open_on(disk.storage(), &small()).unwrap().0.report.snapshot,
            Some(19),
            "cut at {cut}"
        );
    }
    // Both unfit: the whole journal is there, so it is read.
    let disk = whole.restart();
    for idx in [19, 39] {
        disk.damage(
            Area::Snapshots,
            &actum_journal::layout::snapshot_name(idx),
            |bytes| bytes[120] ^= 1,
        );
    }
    let (opened, seen) = open_on(disk.storage(), &small()).unwrap();
    assert_eq!((opened.report.snapshot, seen.records.len()), (None, 60));
}

#[test]
fn a_snapshot_proves_the_records_it_rests_on() {
    let disk = with_two();
    // All segments behind the first are gone: record 39 was durable, so this is damage, never a cut.
    let names = disk.storage().list(Area::Journal).unwrap();
    for name in names.iter().filter(|name| name.ends_with(".seg")).skip(1) {
        disk.storage().remove(Area::Journal, name).unwrap();
    }
    let error = open_on(disk.storage(), &small()).map(|_| ()).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
}

#[test]
fn no_snapshot_rests_on_what_is_not_durable() {
    let disk = Faulty::default();
    let batched = Options {
        durability: actum_journal::Durability::Batched,
        ..small()
    };
    let (mut opened, _) = open_on(disk.storage(), &batched).unwrap();
    common::stage(&mut opened);
    let batch = opened.stager.seal();
    assert!(!opened.writer.flush(batch).unwrap().durable());
    let (idx, hash) = opened.writer.head().unwrap();
    let frontier = actum_record::Frontier::default();
    let meta = SnapshotMeta {
        idx,
        term: 1,
        hash,
        frontier,
        state_digest: Hash::ZERO,
    };
    let refused = opened.keeper.put_snapshot(&meta, std::iter::empty());
    assert!(matches!(refused, Err(SnapshotError::NotDurable { idx: 0 })));
}

#[test]
fn compaction_removes_whole_segments_below_the_older_snapshot_and_changes_nothing_else() {
    let disk = with_two();
    let root = open_on(disk.restart().storage(), &small())
        .unwrap()
        .0
        .tree
        .root(60)
        .unwrap();
    let (mut opened, before) = open_on(disk.storage(), &small()).unwrap();
    let done = opened.keeper.compact().unwrap();
    assert!(
        done.segments > 0 && done.first_idx > 0 && done.first_idx <= 20,
        "{done:?}"
    );
    assert_eq!(opened.reader.first_idx(), done.first_idx);
    assert!(matches!(
        opened.reader.record(0),
        Err(ReadError::RecordGone { idx: 0, .. })
    ));
    assert!(matches!(
        opened.reader.records(0, Some(59)).next(),
        Some(Err(ReadError::RecordGone { idx: 0, .. }))
    ));
    assert_eq!(opened.reader.record(20).unwrap().idx, 20);
    assert_eq!(opened.keeper.compact().unwrap().segments, 0, "nothing more to do");
    append(&mut opened, 5);
    drop(opened);
    let (opened, after) = open_on(disk.storage(), &small()).unwrap();
    assert_eq!(
        (after.restored, &after.restore_events),
        (before.restored, &before.restore_events)
    );
    assert_eq!(after.records[..20], before.records[..]);
    assert_eq!(opened.tree.root(60).unwrap(), root);
    let verified = verify(disk.storage().as_ref()).unwrap();
    assert!(verified.whole, "{:?}", verified.findings);
    assert_eq!((verified.first_idx, verified.records), (done.first_idx, 65));
    assert_eq!(verified.root, opened.tree.root(65).unwrap());
    drop(opened);
    // The older snapshot still carries a boot.
    disk.damage(
        Area::Snapshots,
        &actum_journal::layout::snapshot_name(39),
        |bytes| bytes[200] ^= 1,
    );
    let (opened, seen) = open_on(disk.storage(), &small()).unwrap();
    assert_eq!(
        (opened.report.snapshot, seen.idxs().first()),
        (Some(19), Some(&20))
    );
    assert_eq!(
        opened.keeper.compact().unwrap().segments,
        0,
        "one whole snapshot is not enough"
    );
}

#[test]
fn two_snapshots_are_kept() {
    let disk = with_two();
    let (mut opened, _) = open_on(disk.storage(), &small()).unwrap();
    append(&mut opened, 1);
    snapshot(&opened);
    let kept: Vec<u64> = opened
        .keeper
        .snapshots()
        .unwrap()
        .into_iter()
        .map(|(_, idx)| idx)
        .collect();
    assert_eq!(kept, [39, 60]);
}

#[test]
fn a_fault_at_every_call_of_a_snapshot_and_a_compaction_leaves_a_journal_that_opens() {
    let prepared = || {
        let disk = with_two();
        let (mut opened, _) = open_on(disk.storage(), &small()).unwrap();
        append(&mut opened, 20);
        disk.fail_at(usize::MAX, Failure::Before);
        (disk, opened)
    };
    let run = |opened: &Opened| {
        let meta = meta(opened);
        let made = opened
            .keeper
            .put_snapshot(&meta, pieces(meta.idx).into_iter())
            .is_ok();
        made && opened.keeper.compact().is_ok()
    };
    let (disk, opened) = prepared();
    assert!(run(&opened));
    for call in 0..disk.calls().len() {
        for failure in [Failure::Before, Failure::Torn, Failure::After] {
            let (disk, opened) = prepared();
            disk.fail_at(call, failure);
            assert!(!run(&opened), "call {call}");
            for after in [disk.crash(), disk.restart()] {
                let (opened, _) = open_on(after.storage(), &small()).unwrap();
                assert_eq!(opened.report.head.unwrap().0, 79, "call {call}, {failure:?}");
                assert!(
                    verify(after.storage().as_ref()).unwrap().whole,
                    "call {call}, {failure:?}"
                );
                assert!(run(&opened), "call {call}, {failure:?}: it can be done again");
            }
        }
    }
}

#[test]
fn blobs_not_marked_are_swept() {
    let disk = Faulty::default();
    let (opened, _) = open_on(disk.storage(), &small()).unwrap();
    let kept = opened.blobs.put(b"kept").unwrap();
    let gone = opened.blobs.put(b"gone").unwrap();
    assert_eq!(opened.keeper.sweep_blobs(&BTreeSet::from([kept])).unwrap(), 1);
    assert_eq!(
        opened.blobs.get(&kept).unwrap().as_deref(),
        Some(b"kept".as_slice())
    );
    assert_eq!(opened.blobs.get(&gone).unwrap(), None);
    let name = actum_journal::layout::blob_name(&kept);
    disk.damage(Area::Blobs, &name, |bytes| bytes[0] ^= 1);
    assert!(matches!(opened.blobs.get(&kept), Err(ReadError::Damaged { .. })));
}

/// A disk that failed to sync the leaves may answer the next sync with success and still not have them.
#[test]
fn after_a_failed_sync_of_the_leaves_no_snapshot_is_made() {
    let disk = with_two();
    let (mut opened, _) = open_on(disk.storage(), &small()).unwrap();
    append(&mut opened, 1);
    disk.fail_at(0, Failure::NoSpace);
    let meta = meta(&opened);
    for _ in 0..2 {
        let refused = opened.keeper.put_snapshot(&meta, pieces(meta.idx).into_iter());
        assert!(matches!(refused, Err(SnapshotError::Storage(_))), "{refused:?}");
    }
    append(&mut opened, 1);
    drop(opened);
    let (opened, _) = open_on(disk.storage(), &small()).unwrap();
    snapshot(&opened);
}

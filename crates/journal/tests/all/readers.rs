//! Readers beside the writer, and the offline tools.

use crate::common::faulty::Faulty;
use crate::common::{self, append, open_at, open_on, options, stage};
use actum_journal::{Area, FileStorage, OpenError, ReadError, RepairError, Storage, inspect, repair, verify};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const SEGMENT: &str = "00000000000000000000.seg";

#[test]
fn readers_see_every_committed_record_while_the_writer_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (mut opened, _) = open_at(dir.path(), &options(64 * 1024)).unwrap();
    append(&mut opened, 1);
    let durable = AtomicU64::new(0);
    let last = 3000;
    std::thread::scope(|scope| {
        for start in [0u64, 500, 1700] {
            let (reader, durable) = (opened.reader.clone(), &durable);
            scope.spawn(move || {
                let mut next = start;
                while next <= last {
                    let through = durable.load(Ordering::Acquire);
                    if through < next {
                        std::thread::yield_now();
                        continue;
                    }
                    for record in reader.records(next, Some(through)) {
                        let record = record.unwrap();
                        assert_eq!((record.idx, record.events), (next, common::events(next)));
                        next += 1;
                    }
                    assert_eq!(next, through + 1);
                    assert_eq!(reader.record(start.min(through)).unwrap().idx, start.min(through));
                }
            });
        }
        for size in (1..).map(|n| n % 17 + 1) {
            let left = last + 1 - opened.stager.next_idx();
            if left == 0 {
                break;
            }
            append(&mut opened, left.min(size));
            durable.store(opened.writer.durable_through().unwrap(), Ordering::Release);
        }
    });
    let reader = &opened.reader;
    assert!(matches!(reader.record(last + 1), Err(ReadError::NotYet { .. })));
    assert!(matches!(
        reader.records(last, Some(last + 5)).nth(1),
        Some(Err(ReadError::NotYet { .. }))
    ));
    assert_eq!(reader.records(5, None).count(), 0);
}

#[test]
fn a_reader_names_damage_after_the_whole_records_before_it() {
    let disk = Faulty::default();
    let (mut opened, _) = open_on(disk.storage(), &options(1 << 16)).unwrap();
    append(&mut opened, 10);
    let bytes = disk.bytes(Area::Journal, SEGMENT);
    let mut at = actum_record::limits::FILE_HEADER_BYTES;
    for _ in 0..6 {
        at += actum_record::frame::peek(&bytes[at..]).unwrap();
    }
    disk.damage(Area::Journal, SEGMENT, |bytes| bytes[at + 50] ^= 1);
    let read: Vec<_> = opened.reader.records(2, Some(9)).collect();
    assert_eq!(read.len(), 5);
    assert!(read[..4].iter().all(Result::is_ok));
    match &read[4] {
        Err(ReadError::Damaged { place, .. }) => assert_eq!((place.offset, place.idx), (at as u64, 6)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn verify_and_inspect_find_nothing_wrong_with_a_running_journal() {
    let dir = tempfile::tempdir().unwrap();
    let (mut opened, _) = open_at(dir.path(), &options(8192)).unwrap();
    append(&mut opened, 100);
    // Beside the running journal, without its lock.
    let storage = FileStorage::open_to_read(dir.path()).unwrap();
    let found = verify(&storage).unwrap();
    assert!(found.whole && !found.torn, "{:?}", found.findings);
    assert_eq!((found.records, found.head_hash), (100, opened.stager.head_hash()));
    assert_eq!(found.root, opened.tree.root(100).unwrap());
    let view = inspect(&storage).unwrap();
    assert_eq!(
        view.segments.iter().map(|segment| segment.frames).sum::<u64>(),
        100
    );
    assert!(view.problems.is_empty());
}

#[test]
fn verify_sees_every_flipped_byte_that_matters() {
    let disk = Faulty::default();
    let (mut opened, _) = open_on(disk.storage(), &options(1 << 14)).unwrap();
    append(&mut opened, 2);
    append(&mut opened, 1);
    drop(opened);
    let bytes = disk.bytes(Area::Journal, SEGMENT);
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    for at in 0..=end {
        let broken = disk.restart();
        broken.damage(Area::Journal, SEGMENT, |bytes| bytes[at] ^= 4);
        let found = verify(broken.storage().as_ref()).unwrap();
        // The last record is proven by its leaf only.
        assert!(!found.whole, "byte {at}");
    }
    for at in 0..96 {
        let broken = disk.restart();
        broken.damage(Area::Journal, "leaves", |bytes| {
            bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1);
        });
        assert!(
            !verify(broken.storage().as_ref()).unwrap().whole,
            "leaf byte {at}"
        );
    }
}

#[test]
fn repair_is_explicit_keeps_a_copy_and_lets_the_journal_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let (mut opened, _) = open_at(dir.path(), &options(8192)).unwrap();
    for _ in 0..10 {
        append(&mut opened, 10);
    }
    drop(opened);
    // A flipped byte in the middle of the second segment.
    let storage: Arc<dyn Storage> = Arc::new(FileStorage::open(dir.path()).unwrap());
    let names = storage.list(Area::Journal).unwrap();
    let second = names
        .iter()
        .filter(|name| name.ends_with(".seg"))
        .nth(1)
        .unwrap()
        .clone();
    let mut byte = [0];
    storage.read(Area::Journal, &second, 3000, &mut byte).unwrap();
    storage.write(&second, 3000, &[byte[0] ^ 1]).unwrap();
    let error = open_on(Arc::clone(&storage), &options(8192))
        .map(|_| ())
        .unwrap_err();
    let OpenError::Damaged { place, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(place.file, format!("journal/{second}"));
    let view = inspect(storage.as_ref()).unwrap();
    assert_eq!(view.problems[0].place, place);
    assert!(view.problems[0].acknowledged);

    let refused = repair(storage.as_ref(), place.idx).unwrap_err();
    assert!(
        matches!(&refused, RepairError::Damaged { place: found, .. } if *found == place),
        "{refused:?}"
    );
    assert!(matches!(
        repair(storage.as_ref(), 5000),
        Err(RepairError::Damaged { .. } | RepairError::OutOfRange { .. })
    ));
    let done = repair(storage.as_ref(), place.idx - 1).unwrap();
    assert!(done.bytes_cut > 0 && done.copies.len() >= 2, "{done:?}");
    let (mut opened, seen) = open_on(Arc::clone(&storage), &options(8192)).unwrap();
    assert_eq!(seen.idxs(), (0..place.idx).collect::<Vec<_>>());
    assert_eq!(
        (opened.report.torn_bytes_cut, opened.report.leaves_beyond_head),
        (0, 0)
    );
    append(&mut opened, 10);
    assert!(verify(storage.as_ref()).unwrap().whole);
    // The copies hold what was cut, and a second repair does not overwrite them.
    let copies = storage
        .list(Area::Journal)
        .unwrap()
        .into_iter()
        .filter(|name| name.starts_with("repair-"));
    assert_eq!(copies.count(), done.copies.len());
    let again = repair(storage.as_ref(), 3).unwrap();
    assert!(
        again
            .copies
            .iter()
            .all(|copy| copy.starts_with("journal/repair-0002-")),
        "{again:?}"
    );
}

#[test]
fn a_disk_that_is_full_acknowledges_nothing_it_did_not_keep() {
    let disk = Faulty::default();
    let (mut opened, _) = open_on(disk.storage(), &options(4096)).unwrap();
    append(&mut opened, 3);
    for _ in 0..60 {
        stage(&mut opened);
    }
    let batch = opened.stager.seal();
    disk.fail_at(2, common::faulty::Failure::NoSpace);
    let error = opened.writer.flush(batch).unwrap_err().to_string();
    assert!(error.contains("poisoned"), "{error}");
    let (_, seen) = open_on(disk.crash().storage(), &options(4096)).unwrap();
    assert!(seen.records.len() >= 3);
}

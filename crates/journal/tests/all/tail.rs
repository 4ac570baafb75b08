//! The tail rule: what is cut, what is refused, and that opening can be repeated.

use crate::common::faulty::Faulty;
use crate::common::{self, append, open_on, options, stage};
use actum_journal::storage::read_whole;
use actum_journal::{Area, OpenError, Options};
use actum_record::{frame, limits::FILE_HEADER_BYTES};

const SEGMENT: &str = "00000000000000000000.seg";
const SEGMENT_BYTES: u64 = 16 * 1024;

fn small() -> Options {
    Options {
        decode_threads: 0,
        ..options(SEGMENT_BYTES)
    }
}

/// A journal of five records in batches of 2, 1, 2: records 0..=2 are proven durable by the last batch.
fn five() -> Faulty {
    let disk = Faulty::default();
    let (mut opened, _) = open_on(disk.storage(), &small()).unwrap();
    for count in [2, 1, 2] {
        append(&mut opened, count);
    }
    disk
}

/// Start and end of every frame of the first segment.
fn frames(disk: &Faulty) -> Vec<(usize, usize)> {
    let bytes = disk.bytes(Area::Journal, SEGMENT);
    let mut at = FILE_HEADER_BYTES;
    let mut found = Vec::new();
    while let Ok(len) = frame::peek(&bytes[at..]) {
        found.push((at, at + len));
        at += len;
    }
    found
}

fn damaged_at(error: OpenError) -> (u64, u64) {
    match error {
        OpenError::Damaged { place, .. } => {
            assert_eq!(place.file, format!("journal/{SEGMENT}"));
            (place.offset, place.idx)
        }
        error => panic!("expected damage, got {error:?}"),
    }
}

/// Opens twice: the second opening must find what the first left, and nothing to cut.
fn opens_to(disk: &Faulty, records: u64, cut: impl Fn(u64) -> bool, what: &str) {
    let (opened, seen) = open_on(disk.storage(), &small()).unwrap_or_else(|e| panic!("{what}: {e}"));
    assert_eq!(seen.idxs(), (0..records).collect::<Vec<_>>(), "{what}");
    assert!(
        cut(opened.report.torn_bytes_cut),
        "{what}: cut {}",
        opened.report.torn_bytes_cut
    );
    drop(opened);
    let (mut opened, again) = open_on(disk.storage(), &small()).unwrap();
    assert_eq!(
        (again.idxs(), opened.report.torn_bytes_cut),
        (seen.idxs(), 0),
        "{what}"
    );
    append(&mut opened, 2);
    drop(opened);
    for _ in 0..2 {
        let (_, last) = open_on(disk.storage(), &small()).unwrap();
        assert_eq!(last.idxs(), (0..records + 2).collect::<Vec<_>>(), "{what}");
    }
}

#[test]
fn a_cut_at_every_byte_of_the_last_batch_loses_only_what_was_cut() {
    let whole = five();
    let frames = frames(&whole);
    for at in frames[3].0..=frames[4].1 {
        let disk = whole.restart();
        disk.damage(Area::Journal, SEGMENT, |bytes| bytes[at..].fill(0));
        // A frame whose last bytes are zeros anyway is whole before its end is reached.
        let records = whole_frames(&disk, &frames);
        assert!(records >= 3 && (at < frames[4].1 || records == 5));
        opens_to(&disk, records, |_| true, &format!("zeros from {at}"));
        // The same with a file that really is shorter.
        let disk = whole.restart();
        disk.damage(Area::Journal, SEGMENT, |bytes| bytes.truncate(at));
        opens_to(
            &disk,
            whole_frames(&disk, &frames),
            |_| true,
            &format!("file cut at {at}"),
        );
    }
}

fn whole_frames(disk: &Faulty, frames: &[(usize, usize)]) -> u64 {
    let bytes = disk.bytes(Area::Journal, SEGMENT);
    let seed = actum_record::Header::decode(actum_record::FileKind::Segment, &bytes)
        .unwrap()
        .seed();
    let whole = |start: usize| {
        bytes
            .get(start..)
            .is_some_and(|bytes| frame::parse(bytes, seed).is_ok())
    };
    frames.iter().take_while(|(start, _)| whole(*start)).count() as u64
}

#[test]
fn a_flipped_byte_anywhere_in_an_acknowledged_record_is_refused() {
    let whole = five();
    let frames = frames(&whole);
    for (idx, (start, end)) in frames.iter().take(3).enumerate() {
        for at in *start..*end {
            for flip in [0x01, 0x80] {
                let disk = whole.restart();
                disk.damage(Area::Journal, SEGMENT, |bytes| bytes[at] ^= flip);
                let before = disk.bytes(Area::Journal, SEGMENT);
                let error = open_on(disk.storage(), &small()).map(|_| ()).unwrap_err();
                assert_eq!(
                    damaged_at(error),
                    (*start as u64, idx as u64),
                    "byte {at} of record {idx}"
                );
                assert_eq!(
                    disk.bytes(Area::Journal, SEGMENT),
                    before,
                    "a refused journal is not changed"
                );
            }
        }
    }
}

#[test]
fn a_zeroed_length_or_a_zeroed_frame_that_was_acknowledged_is_refused() {
    let whole = five();
    let frames = frames(&whole);
    for (idx, (start, end)) in frames.iter().take(3).enumerate() {
        for range in [start + 4..start + 8, *start..*start + 16, *start..*end] {
            let disk = whole.restart();
            disk.damage(Area::Journal, SEGMENT, |bytes| bytes[range.clone()].fill(0));
            let error = open_on(disk.storage(), &small()).map(|_| ()).unwrap_err();
            assert_eq!(damaged_at(error), (*start as u64, idx as u64), "{range:?}");
        }
    }
}

#[test]
fn a_flipped_byte_in_the_file_header_is_refused() {
    let whole = five();
    for at in 0..FILE_HEADER_BYTES {
        let disk = whole.restart();
        disk.damage(Area::Journal, SEGMENT, |bytes| bytes[at] ^= 1);
        let error = open_on(disk.storage(), &small()).map(|_| ()).unwrap_err();
        assert!(matches!(error, OpenError::Header { .. }), "byte {at}: {error:?}");
    }
}

/// Only the later frames of an unsynced batch reached the disk: that batch was never acknowledged.
#[test]
fn later_frames_of_an_unsynced_batch_are_cut_not_refused() {
    let disk = five();
    let (mut opened, _) = open_on(disk.storage(), &small()).unwrap();
    for _ in 0..4 {
        stage(&mut opened);
    }
    let batch = opened.stager.seal();
    // Rewriting, if any, came before; the batch is the next write, and its sync fails.
    disk.fail_at(1, common::faulty::Failure::Before);
    opened.writer.flush(batch).unwrap_err();
    let all = frames(&disk);
    assert_eq!(all.len(), 9);
    // Every way in which whole frames of the batch landed or did not.
    for landed in 0..16u32 {
        let disk = disk.restart();
        disk.damage(Area::Journal, SEGMENT, |bytes| {
            for (n, (start, end)) in all[5..]
                .iter()
                .enumerate()
                .filter(|(n, _)| landed & (1 << n) == 0)
            {
                assert!(n < 4);
                bytes[*start..*end].fill(0);
            }
        });
        let kept = 5 + u64::from(landed.trailing_ones());
        opens_to(
            &disk,
            kept,
            |cut| (cut > 0) == (landed >> landed.trailing_ones() != 0),
            "landed {landed:04b}",
        );
    }
}

/// The same across a segment boundary: the first segment lost its end, the next holds only unacknowledged
/// frames and goes.
#[test]
fn segments_of_unacknowledged_frames_are_removed() {
    let disk = Faulty::default();
    let (mut opened, _) = open_on(disk.storage(), &small()).unwrap();
    append(&mut opened, 10);
    for _ in 0..150 {
        stage(&mut opened);
    }
    append(&mut opened, 0);
    drop(opened);
    let names = disk.storage().list(Area::Journal).unwrap();
    let segments: Vec<_> = names.iter().filter(|name| name.ends_with(".seg")).collect();
    assert!(segments.len() >= 3, "{segments:?}");
    // Take the last frame of the second last segment away, and every proof behind it: the frames of the last
    // segment all say that the record was durable, so this is damage.
    let name = segments[segments.len() - 2].clone();
    let broken = disk.restart();
    broken.damage(Area::Journal, &name, |bytes| {
        let last = bytes.iter().rposition(|byte| *byte != 0).unwrap();
        bytes[last] ^= 1;
    });
    let error = open_on(broken.storage(), &small()).map(|_| ()).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
    // An empty last segment in that place proves nothing, so the frame is cut and the segment goes.
    let last = segments[segments.len() - 1].clone();
    broken.damage(Area::Journal, &last, |bytes| bytes[FILE_HEADER_BYTES..].fill(0));
    let (opened, seen) = open_on(broken.storage(), &small()).unwrap();
    assert_eq!(opened.report.segments_removed, 1);
    assert!(opened.report.torn_bytes_cut > 0);
    assert!(
        opened.report.leaves_beyond_head > 0,
        "the leaves remember what is gone"
    );
    let count = seen.records.len() as u64;
    drop(opened);
    opens_to(&broken, count, |cut| cut == 0, "after removal");
}

#[test]
fn half_a_frame_at_the_end_then_new_records_then_two_more_boots() {
    let whole = five();
    let end = frames(&whole)[4].1;
    let disk = whole.restart();
    let garbage = disk.bytes(Area::Journal, SEGMENT)[frames(&whole)[4].0..][..100].to_vec();
    disk.damage(Area::Journal, SEGMENT, |bytes| {
        bytes[end..end + 100].copy_from_slice(&garbage);
    });
    opens_to(&disk, 5, |cut| (85..=100).contains(&cut), "half a frame");
}

#[test]
fn after_an_orderly_end_nothing_may_be_missing() {
    let disk = Faulty::default();
    let (mut opened, _) = open_on(disk.storage(), &small()).unwrap();
    append(&mut opened, 5);
    opened.writer.close().unwrap();
    let whole = disk.restart();
    let (opened, _) = open_on(whole.restart().storage(), &small()).unwrap();
    assert!(opened.report.clean);
    assert_eq!(opened.report.records_rewritten, 0);
    let (start, _) = frames(&disk)[4];
    let broken = whole.restart();
    broken.damage(Area::Journal, SEGMENT, |bytes| bytes[start + 40] ^= 1);
    let error = open_on(broken.storage(), &small()).map(|_| ()).unwrap_err();
    assert_eq!(damaged_at(error), (start as u64, 4));
    // Bytes behind the head are a torn batch all the same.
    let end = frames(&disk)[4].1;
    whole.damage(Area::Journal, SEGMENT, |bytes| bytes[end..end + 7].fill(9));
    opens_to(&whole, 5, |cut| cut == 7, "garbage behind an orderly end");
}

#[test]
fn a_missing_segment_is_damage_and_a_missing_first_one_is_said() {
    let disk = Faulty::default();
    let (mut opened, _) = open_on(disk.storage(), &small()).unwrap();
    for _ in 0..30 {
        append(&mut opened, 10);
    }
    drop(opened);
    let names = disk.storage().list(Area::Journal).unwrap();
    let segments: Vec<_> = names
        .iter()
        .filter(|name| name.ends_with(".seg"))
        .cloned()
        .collect();
    assert!(segments.len() > 3);
    let broken = disk.restart();
    broken.storage().remove(Area::Journal, &segments[1]).unwrap();
    let error = open_on(broken.storage(), &small()).map(|_| ()).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
    let broken = disk.restart();
    broken.storage().remove(Area::Journal, &segments[0]).unwrap();
    let error = open_on(broken.storage(), &small()).map(|_| ()).unwrap_err();
    assert!(matches!(error, OpenError::Missing { idx: 0 }), "{error:?}");
}

type Change = &'static dyn Fn(&mut Vec<u8>);

#[test]
fn leaves_are_put_right_whatever_happened_to_them() {
    let whole = five();
    let leaves = whole.bytes(Area::Journal, "leaves");
    assert_eq!(leaves.len(), 5 * 32);
    let changes: [Change; 5] = [
        &|bytes| bytes.clear(),
        &|bytes| bytes.truncate(70),
        &|bytes| bytes.iter_mut().skip(40).take(1).for_each(|byte| *byte ^= 1),
        &|bytes| bytes.extend_from_slice(&[7; 64]),
        &|bytes| bytes.fill(0),
    ];
    for (number, change) in changes.iter().enumerate() {
        let disk = whole.restart();
        disk.damage(Area::Journal, "leaves", change);
        let (opened, _) = open_on(disk.storage(), &small()).unwrap();
        assert_eq!(disk.bytes(Area::Journal, "leaves"), leaves, "change {number}");
        assert_eq!(opened.report.leaves_beyond_head, if number == 3 { 2 } else { 0 });
    }
    let disk = whole.restart();
    disk.storage().remove(Area::Journal, "leaves").unwrap();
    open_on(disk.storage(), &small()).unwrap();
    assert_eq!(
        read_whole(disk.storage().as_ref(), Area::Journal, "leaves").unwrap(),
        leaves
    );
}

#[test]
fn another_realm_and_garbage_are_refused() {
    let disk = five();
    let other = Options {
        realm: Some(actum_journal::RealmId([9; 16])),
        ..small()
    };
    assert!(matches!(
        open_on(disk.storage(), &other).map(|_| ()).unwrap_err(),
        OpenError::Realm { .. }
    ));
    let nameless = Options {
        realm: None,
        ..small()
    };
    assert_eq!(open_on(disk.storage(), &nameless).unwrap().0.realm, common::REALM);
    let empty = Faulty::default();
    assert!(matches!(
        open_on(empty.storage(), &nameless).map(|_| ()).unwrap_err(),
        OpenError::NoRealm
    ));
    for garbage in [vec![], vec![0xff; 50], vec![0; 100_000], b"ACTUMSEG".repeat(1000)] {
        let disk = five();
        disk.storage()
            .create("00000000000000000005.seg", &garbage, garbage.len() as u64)
            .unwrap();
        let error = open_on(disk.storage(), &small()).map(|_| ()).unwrap_err();
        assert!(matches!(error, OpenError::Header { idx: 5, .. }), "{error:?}");
        // Files of other names are none of ours.
        let disk = five();
        disk.storage()
            .create("notes.txt", &garbage, garbage.len() as u64)
            .unwrap();
        open_on(disk.storage(), &small()).unwrap();
    }
}

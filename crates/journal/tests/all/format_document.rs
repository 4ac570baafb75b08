//! Holds `docs/format.md` to the code: its constants are the code's, and a verifier written from it alone
//! agrees with the Rust one on a directory the journal wrote, whole and damaged.

use crate::common::{append, open_at, options};
use actum_journal::{FileStorage, SNAPSHOTS_KEPT, SnapshotMeta, verify};
use actum_model::restore::{PackedTable, Restore};
use actum_model::{Event, Hash};
use actum_record::{FileKind, frame, limits};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_constants_of_the_document_are_those_of_the_code() {
    let text = std::fs::read_to_string(repository().join("docs/format.md")).unwrap();
    let rows: [(&str, u64); 8] = [
        ("format version", limits::FORMAT_VERSION.into()),
        ("body version", limits::BODY_VERSION),
        ("file header bytes", limits::FILE_HEADER_BYTES as u64),
        ("frame header bytes", limits::FRAME_HEADER_BYTES as u64),
        ("frame alignment bytes", limits::FRAME_ALIGN_BYTES as u64),
        ("largest body bytes", limits::BODY_BYTES_MAX as u64),
        ("usual segment bytes", actum_model::limits::SEGMENT_BYTES),
        ("snapshots kept", SNAPSHOTS_KEPT as u64),
    ];
    for (name, value) in rows {
        let row = format!("| {name} | {value} |");
        assert!(text.contains(&row), "docs/format.md has no row `{row}`");
    }
    let table = text
        .split("## Limits")
        .nth(1)
        .unwrap()
        .split("##")
        .next()
        .unwrap();
    assert_eq!(
        table.matches("\n| ").count(),
        rows.len() + 1,
        "a row of the document is not compared"
    );
    let hex: Vec<String> = frame::FRAME_MAGIC
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    assert!(text.contains(&format!("`{}`", hex.join(" "))));
    for kind in [FileKind::Segment, FileKind::Snapshot] {
        let magic = kind.magic();
        assert!(text.contains(&format!("`{}`", std::str::from_utf8(&magic).unwrap())));
    }
}

fn python(root: &Path) -> Option<(i32, Value)> {
    let script = repository().join("tools/verify_history.py");
    let output = Command::new("python3")
        .arg(script)
        .arg(root)
        .arg("--json")
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    let value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text} {error}"));
    Some((output.status.code().unwrap(), value))
}

/// A journal with a roll, a snapshot and, if asked, compaction; not closed in order.
fn written(root: &Path, compacted: bool) {
    let (mut opened, _) = open_at(root, &options(8192)).unwrap();
    for round in 0..8 {
        append(&mut opened, 13);
        if round % 3 == 2 {
            let (idx, hash) = opened.writer.head().unwrap();
            let frontier = opened.tree.frontier(idx + 1).unwrap();
            let meta = SnapshotMeta {
                idx,
                term: 1,
                hash,
                frontier,
                state_digest: Hash::of(b"state"),
            };
            let rows = vec![7; 100];
            let piece = Event::Restore(Box::new(Restore::Packed {
                table: PackedTable::Ids,
                rows,
            }));
            opened
                .keeper
                .put_snapshot(&meta, vec![vec![piece.clone()], vec![piece]].into_iter())
                .unwrap();
        }
    }
    if compacted {
        assert!(opened.keeper.compact().unwrap().segments > 0);
    }
}

#[test]
fn a_verifier_written_from_the_document_agrees_with_this_one() {
    for compacted in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        written(dir.path(), compacted);
        let found = verify(&FileStorage::open_to_read(dir.path()).unwrap()).unwrap();
        assert!(found.whole, "{:?}", found.findings);
        // The verifier is for people who have Python; without it there is nothing to compare.
        let (code, value) = python(dir.path()).expect("python3 is needed by this test");
        assert_eq!((code, &value["whole"]), (0, &Value::Bool(true)), "{value}");
        assert_eq!(value["records"], found.records);
        assert_eq!(value["firstIdx"], found.first_idx);
        assert_eq!(value["head"], found.head_hash.to_string());
        assert_eq!(value["root"], found.root.to_string());
        assert_eq!(value["realm"], found.realm.unwrap().to_string());
        assert_eq!(
            value["snapshots"].as_array().unwrap().len(),
            found.snapshots.len()
        );
    }
}

#[test]
fn both_verifiers_see_the_same_damage() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), false);
    let files = [
        "journal/00000000000000000000.seg",
        "journal/leaves",
        "snapshots/00000000000000000038.snap",
    ];
    for file in files {
        let path = dir.path().join(file);
        let whole = std::fs::read(&path).unwrap();
        for at in [8, 90, 130, 700] {
            let mut bytes = whole.clone();
            bytes[at] ^= 2;
            std::fs::write(&path, bytes).unwrap();
            let found = verify(&FileStorage::open_to_read(dir.path()).unwrap()).unwrap();
            let (code, value) = python(dir.path()).unwrap();
            assert!(!found.whole, "{file} byte {at}");
            assert_eq!(
                (code, &value["whole"]),
                (1, &Value::Bool(false)),
                "{file} byte {at}: {value}"
            );
        }
        std::fs::write(&path, whole).unwrap();
    }
    assert_eq!(python(dir.path()).unwrap().0, 0);
}

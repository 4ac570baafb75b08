//! Golden bytes: written once, compared for ever. A difference is a new format version, never an update.

use actum_model::{Event, Hash};
use actum_record::body::{self, Stamp};
use actum_record::limits::FILE_HEADER_BYTES;
use actum_record::{FileKind, Frontier, Header, RealmId, frame, scan};
use std::path::Path;

/// Compares with the file, which is made when it does not exist and `UPDATE=1` says so.
fn check(name: &str, bytes: &[u8]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if !path.exists() && std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, bytes).unwrap();
    }
    let golden = std::fs::read(&path).unwrap_or_else(|e| panic!("{name}: {e}; UPDATE=1 makes a new one"));
    assert!(
        golden == bytes,
        "{name} differs from its golden bytes: that is a new format version"
    );
}

fn header() -> Header {
    Header {
        kind: FileKind::Segment,
        realm: RealmId(*b"0123456789abcdef"),
        term: 3,
        first_idx: 500,
        prev: Hash::of(b"record 499"),
        file_bytes: 64 * 1024 * 1024,
    }
}

fn bodies() -> Vec<Vec<u8>> {
    let stamps = [
        (500, 1_700_000_000_000, 86_400_000),
        (501, 1_700_000_000_017, 86_400_017),
    ];
    let mut prev = header().prev;
    let mut out = Vec::new();
    for (idx, at_ms, elapsed_ms) in stamps {
        let mut bytes = Vec::new();
        let stamp = Stamp {
            idx,
            at_ms,
            elapsed_ms,
            prev,
        };
        let events = [
            Event::Started { seq: idx },
            Event::OutcomesPruned { count: 24 },
            Event::Closed {},
        ];
        body::encode(&mut bytes, &stamp, b"an encoded input", &events).unwrap();
        prev = Hash::of(&bytes);
        out.push(bytes);
    }
    out
}

fn segment() -> Vec<u8> {
    let mut out = header().encode().to_vec();
    for (body, durable) in bodies().iter().zip([None, Some(500)]) {
        let start = frame::begin(&mut out);
        out.extend_from_slice(body);
        frame::finish(&mut out, start).unwrap();
        frame::stamp(&mut out[start..], header().seed(), durable);
    }
    out
}

#[test]
fn header_body_and_frames_have_their_golden_bytes() {
    check("header.bin", &header().encode());
    check("body.bin", &bodies()[0]);
    check("segment.bin", &segment());
}

#[test]
fn golden_bytes_read_back_to_what_was_written() {
    let bytes = segment();
    assert_eq!(Header::decode(FileKind::Segment, &bytes).unwrap(), header());
    let mut frames = scan::Frames::new(&bytes[FILE_HEADER_BYTES..], header().seed());
    for (expected, durable) in bodies().iter().zip([None, Some(500)]) {
        let (_, frame) = frames.next_frame().unwrap();
        assert_eq!(
            (frame.body, frame.durable_through),
            (expected.as_slice(), durable)
        );
        let whole = body::decode::<Event>(frame.body).unwrap();
        let head = body::decode_head(frame.body).unwrap();
        assert_eq!((whole.stamp, whole.input), (head.stamp, head.input));
        assert_eq!(whole.events, body::take_values::<Event>(head.events).unwrap());
    }
}

#[test]
fn the_frontier_has_its_golden_bytes_and_root() {
    let mut frontier = Frontier::default();
    for n in 0..11u8 {
        frontier.push(&Hash::of(&[n]));
    }
    check("frontier.bin", &serde_ipld_dagcbor::to_vec(&frontier).unwrap());
    check("root.bin", &frontier.root().0);
}

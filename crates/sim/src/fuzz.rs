//! What any bytes must withstand, for fuzzers: the targets in `fuzz/` feed these from coverage, the tests of this
//! crate from mutations of a small corpus. Nothing here may panic but by a promise that is broken.

use crate::disk::Disk;
use crate::node;
use crate::prng::Prng;
use actum_graph::{Op, ParseError, View, parse_ops};
use actum_journal::{Area, Durability, OpenError, Storage};
use actum_kernel::{State, apply_event, state_digest};
use actum_model::graph::{GraphPiece, ViewName};
use actum_model::ids::Tenant;
use actum_model::limits::{FAULTS_LISTED_MAX, GRAPH_OPS_MAX};
use actum_model::restore::Restore;
use actum_model::{Body, Envelope, ErrorCode, Event};
use actum_record::limits::{FILE_HEADER_BYTES, FRAME_ALIGN_BYTES};
use actum_record::scan::{Frames, find_frame};
use actum_record::{FileKind, Header, body};
use std::sync::Arc;

/// Any bytes as frames: each found is whole, aligned and within them; each body decodes or says why not.
///
/// # Panics
/// When a promise is broken.
pub fn frames(bytes: &[u8], seed: u32) {
    let mut frames = Frames::new(bytes, seed);
    let mut end = 0;
    while let Ok((at, frame)) = frames.next_frame() {
        assert_eq!(at, end, "a gap between whole frames");
        assert_eq!(frame.len % FRAME_ALIGN_BYTES, 0);
        end = at + frame.len;
        assert!(end <= bytes.len() && frames.offset() == end);
        record(frame.body);
    }
    let mut from = 0;
    while let Some((at, frame)) = find_frame(bytes, from, seed) {
        assert!(at >= from && at % FRAME_ALIGN_BYTES == 0);
        from = at + frame.len;
        assert!(from <= bytes.len());
    }
}

/// Any bytes as a record body.
fn record(bytes: &[u8]) {
    let head = body::decode_head(bytes);
    let whole = body::decode::<Event>(bytes);
    if let Ok(whole) = whole {
        let head = head.as_ref().ok();
        assert_eq!(
            head.map(|head| (head.stamp, head.input)),
            Some((whole.stamp, whole.input))
        );
        let mut again = Vec::new();
        let encoded = body::encode(&mut again, &whole.stamp, whole.input, &whole.events);
        assert!(encoded.is_ok() && again == bytes, "a record has two encodings");
    }
}

/// Any bytes as an envelope: read whole, or refused with a code and a hint.
///
/// # Panics
/// When a promise is broken.
pub fn envelope(bytes: &[u8]) {
    match Envelope::parse(bytes) {
        Ok(envelope) => {
            let contract = envelope.contract();
            assert!(contract.is_some(), "an envelope without a contract");
            let payload = envelope.payload.to_value();
            let canonical = actum_model::Json::from_value(&payload).ok();
            assert_eq!(
                canonical.as_ref(),
                Some(&envelope.payload),
                "two texts for one payload"
            );
        }
        Err(response) => {
            let json = response.to_json();
            assert!(
                serde_json::from_str::<serde_json::Value>(&json).is_ok(),
                "no JSON: {json}"
            );
            assert!(!json.contains('\n'), "an answer of two lines");
            let Body::Refused(fault) = &response.body else {
                unreachable!("a refusal that is none: {json}");
            };
            assert!(!fault.hint_text().is_empty() && fault.code != ErrorCode::Internal);
        }
    }
}

/// Any bytes as the frames of the one segment of a journal: it opens or is refused; what opens once opens again,
/// with the same records and nothing left to cut.
///
/// # Panics
/// When a promise is broken.
pub fn segment(bytes: &[u8]) {
    let disk = Disk::new(Prng::new(0));
    let header = Header {
        kind: FileKind::Segment,
        realm: node::REALM,
        term: 1,
        first_idx: 0,
        prev: actum_model::Hash::ZERO,
        file_bytes: (FILE_HEADER_BYTES + bytes.len()) as u64,
    };
    let file = [&header.encode()[..], bytes].concat();
    let name = actum_journal::layout::segment_name(0);
    let storage: Arc<dyn Storage> = Arc::new(disk.clone());
    assert!(storage.create(&name, &file, file.len() as u64).is_ok());
    let first = match node::open_disk(&disk, 4096, Durability::Strict) {
        Ok(opened) => opened,
        Err(OpenError::Storage(error)) => unreachable!("the disk failed: {error}"),
        Err(_refused) => {
            let left = storage.size(Area::Journal, &name).ok().flatten();
            assert_eq!(left, Some(file.len() as u64), "a refused journal was changed");
            return;
        }
    };
    let records = first.report.records_read;
    drop(first);
    let Ok(second) = node::open_disk(&disk, 4096, Durability::Strict) else {
        unreachable!("what opened once does not open again");
    };
    assert_eq!(
        (second.report.records_read, second.report.torn_bytes_cut),
        (records, 0)
    );
}

/// Any bytes as the operations of a rewrite: read whole, in a form that reads back as the same and does all or
/// nothing to a view; or refused with faults that are short, on one line, and not too many.
///
/// # Panics
/// When a promise is broken.
pub fn operations(bytes: &[u8]) {
    let Ok(list) = serde_json::from_slice::<serde_json::Value>(bytes) else {
        return;
    };
    let ops = match parse_ops(&list, "/ops") {
        Ok(ops) => ops,
        Err(ParseError::NotImplemented { name, .. }) => {
            assert!(one_short_line(&name), "{name:?}");
            return;
        }
        Err(ParseError::InvalidInput { faults, count }) => {
            assert!(!faults.is_empty() && faults.len() <= FAULTS_LISTED_MAX && faults.len() <= count);
            for fault in faults {
                assert!(one_short_line(&fault.message), "{fault:?}");
                assert!(fault.pointer.starts_with("/ops"), "{fault:?}");
            }
            return;
        }
    };
    assert!(
        (1..=GRAPH_OPS_MAX).contains(&ops.len()),
        "{} operations",
        ops.len()
    );
    let wire = serde_json::Value::Array(ops.iter().map(Op::to_wire).collect());
    assert_eq!(parse_ops(&wire, "/ops").as_ref(), Ok(&ops), "another reading");
    let mut stored = Vec::new();
    assert!(body::put_values(&mut stored, &ops).is_ok());
    let read = body::take_values::<Op>(&stored);
    assert_eq!(read.ok().as_ref(), Some(&ops), "the journal reads another");
    let mut view = View::default();
    let before = view.digest();
    if view.apply(&ops).is_err() {
        assert_eq!(view.digest(), before, "a refused rewrite changed something");
    }
    assert_eq!(view.check(), Ok(()));
}

fn one_short_line(text: &str) -> bool {
    text.len() < 1000 && !text.chars().any(char::is_control)
}

/// Any bytes as the graph in a snapshot: from a list of pieces a state is built that can be read, hashed and written
/// again, whatever they say.
///
/// # Panics
/// When a promise is broken.
pub fn graph_pieces(bytes: &[u8]) {
    let Ok(pieces) = body::take_values::<GraphPiece>(bytes) else {
        return;
    };
    // The library also reads a variant that stands without its map, so bytes may have a second form here; what is
    // hashed and checked is always the bytes that were written.
    let mut again = Vec::new();
    assert!(body::put_values(&mut again, &pieces).is_ok());
    let read = body::take_values::<GraphPiece>(&again);
    assert_eq!(read.ok().as_ref(), Some(&pieces), "written otherwise than read");
    let state = restored(
        pieces
            .into_iter()
            .map(|piece| Event::Restore(Box::new(Restore::Graph(piece)))),
    );
    let (tenant, graph) = (Tenant::main(), &state.graph);
    let names = graph.sws.keys().map(|id| ViewName::Sws(*id));
    for name in names.chain([ViewName::System]) {
        let current = graph.current(&tenant, name);
        assert!(
            current.is_ok_and(|version| version.view.counts().nodes < bytes.len())
                || name != ViewName::System
        );
        for after in [None, Some(0), Some(u64::MAX)] {
            if let Ok(rows) = graph.rewrites_of(&tenant, name, after) {
                assert!(rows.count() <= bytes.len());
            }
        }
    }
    assert!(graph.active_count() <= graph.sws.len());
    // What contradicts itself need not come back as it is, but what was once written and read does.
    let once = restored(state.pieces());
    let twice = restored(once.pieces());
    if state_digest(&once) == state_digest(&state) {
        assert_eq!(state_digest(&twice), state_digest(&once));
    }
}

fn restored(pieces: impl Iterator<Item = Event>) -> State {
    let mut state = State::default();
    pieces.for_each(|piece| apply_event(&mut state, piece));
    state
}

/// The header from which the frames given to [`frames`] take their seed, where they are to be found at all.
#[must_use]
pub fn header() -> Header {
    Header {
        kind: FileKind::Segment,
        realm: node::REALM,
        term: 1,
        first_idx: 0,
        prev: actum_model::Hash::ZERO,
        file_bytes: 0,
    }
}

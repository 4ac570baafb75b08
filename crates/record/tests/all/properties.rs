//! Properties of the bytes: nothing panics, nothing damaged passes, everything written reads back. A failing
//! case prints its input and leaves a line in `proptest-regressions` that repeats it.

use actum_model::{Event, Hash};
use actum_record::body::{self, Stamp};
use actum_record::merkle::{self, LeafSource, OutOfRange};
use actum_record::redact::{ByName, Class, Redact, marker, parse_marker};
use actum_record::{FileKind, FrameError, Frontier, Header, RealmId, cbor, frame, scan};
use proptest::prelude::*;
use serde_json::{Value, json};

fn any_hash() -> impl Strategy<Value = Hash> {
    any::<[u8; 32]>().prop_map(Hash)
}

fn any_stamp() -> impl Strategy<Value = Stamp> {
    (any::<u64>(), any::<u64>(), any::<u64>(), any_hash()).prop_map(|(idx, at_ms, elapsed_ms, prev)| Stamp {
        idx,
        at_ms,
        elapsed_ms,
        prev,
    })
}

fn any_events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        any::<u64>().prop_map(|seq| Event::Started { seq }),
        any::<u64>().prop_map(|count| Event::KeysExpired { count }),
        (any::<u64>(), ".{0,40}", any::<u64>()).prop_map(|(seq, data, offset)| Event::OutputKept {
            seq,
            stream: "stdout".into(),
            offset,
            data
        }),
        Just(Event::Closed {}),
    ];
    prop::collection::vec(event, 0..6)
}

fn framed(body: &[u8], seed: u32, durable: Option<u64>) -> Vec<u8> {
    let mut out = Vec::new();
    let start = frame::begin(&mut out);
    out.extend_from_slice(body);
    frame::finish(&mut out, start).unwrap();
    frame::stamp(&mut out, seed, durable);
    out
}

proptest! {
    #[test]
    fn a_body_reads_back(
        stamp in any_stamp(),
        input in prop::collection::vec(any::<u8>(), 0..300),
        events in any_events(),
    ) {
        let mut bytes = b"before".to_vec();
        body::encode(&mut bytes, &stamp, &input, &events).unwrap();
        let bytes = &bytes[6..];
        let back = body::decode::<Event>(bytes).unwrap();
        prop_assert_eq!(back.stamp, stamp);
        prop_assert_eq!(back.input, &input[..]);
        prop_assert_eq!(&back.events, &events);
        let head = body::decode_head(bytes).unwrap();
        prop_assert_eq!((head.stamp, head.input), (stamp, &input[..]));
        // The reader is strict: encoding what was read gives the same bytes.
        let mut again = Vec::new();
        body::encode(&mut again, &back.stamp, back.input, &back.events).unwrap();
        prop_assert_eq!(&again[..], bytes);
        // Neither a piece of it nor more than it is a body.
        for cut in 0..bytes.len() {
            prop_assert!(body::decode::<Event>(&bytes[..cut]).is_err());
            prop_assert!(body::decode_head(&bytes[..cut]).is_err());
        }
        again.push(0);
        prop_assert!(body::decode::<Event>(&again).is_err());
        prop_assert!(body::decode_head(&again).is_err());
    }

    #[test]
    fn any_bytes_are_a_value_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..400), seed: u32) {
        let _ = body::decode::<Event>(&bytes);
        let _ = body::decode_head(&bytes);
        let _ = cbor::Cursor::new(&bytes).skip();
        let _ = frame::parse(&bytes, seed);
        let _ = Header::decode(FileKind::Segment, &bytes);
        let _ = scan::find_frame(&bytes, 0, seed);
        let mut frames = scan::Frames::new(&bytes, seed);
        while frames.next_frame().is_ok() {}
    }

    #[test]
    fn a_body_with_a_changed_byte_is_another_body_or_none(
        stamp in any_stamp(), events in any_events(), at: prop::sample::Index, flip in 1u8..,
    ) {
        let mut bytes = Vec::new();
        body::encode(&mut bytes, &stamp, b"input", &events).unwrap();
        let at = at.index(bytes.len());
        let before = bytes.clone();
        bytes[at] ^= flip;
        if let Ok(other) = body::decode::<Event>(&bytes) {
            let mut again = Vec::new();
            body::encode(&mut again, &other.stamp, other.input, &other.events).unwrap();
            prop_assert_eq!(&again, &bytes);
            prop_assert_ne!(again, before);
        }
    }

    #[test]
    fn a_frame_reads_back_and_no_changed_byte_passes(
        body in prop::collection::vec(any::<u8>(), 1..200),
        seed: u32,
        durable in prop::option::of(0..u64::MAX),
        flip in 1u8..,
    ) {
        let mut bytes = framed(&body, seed, durable);
        prop_assert_eq!(bytes.len() % 16, 0);
        let found = frame::parse(&bytes, seed).unwrap();
        prop_assert_eq!((found.body, found.durable_through, found.len), (&body[..], durable, bytes.len()));
        prop_assert!(frame::parse(&bytes, seed ^ 1).is_err());
        for at in 0..bytes.len() {
            bytes[at] ^= flip;
            prop_assert!(frame::parse(&bytes, seed).is_err(), "byte {}", at);
            bytes[at] ^= flip;
            prop_assert!(frame::parse(&bytes[..at], seed).is_err());
        }
    }

    #[test]
    fn a_scan_finds_whole_frames_behind_any_garbage(
        garbage in prop::collection::vec(any::<u8>(), 0..100),
        zeros in 0usize..10_000,
        body in prop::collection::vec(any::<u8>(), 1..100),
        seed: u32,
    ) {
        let mut bytes = garbage;
        bytes.resize((bytes.len() + zeros).next_multiple_of(16), 0);
        let at = bytes.len();
        bytes.extend_from_slice(&framed(&body, seed, Some(7)));
        let (found, frame) = scan::find_frame(&bytes, 0, seed).unwrap();
        prop_assert_eq!((found, frame.body, frame.durable_through), (at, &body[..], Some(7)));
    }

    #[test]
    fn a_header_reads_back_and_no_changed_byte_passes(
        realm: [u8; 16], term: u64, first_idx: u64, prev in any_hash(), file_bytes: u64, flip in 1u8..,
    ) {
        for kind in [FileKind::Segment, FileKind::Snapshot] {
            let header = Header { kind, realm: RealmId(realm), term, first_idx, prev, file_bytes };
            let mut bytes = header.encode();
            prop_assert_eq!(Header::decode(kind, &bytes).unwrap(), header);
            for at in 0..bytes.len() {
                bytes[at] ^= flip;
                prop_assert!(Header::decode(kind, &bytes).is_err(), "byte {}", at);
                bytes[at] ^= flip;
            }
        }
    }

    #[test]
    fn redaction_leaves_no_named_value_and_is_stable(
        secret in "[a-z]{8,20}", other in "[A-Z]{1,8}", depth in 0usize..4,
    ) {
        let mut value = json!({"Password": secret, "list": [{"password": {"deep": secret}}, other], "note": other});
        for _ in 0..depth {
            value = json!({"in": [value]});
        }
        let rule = ByName::new([("password".to_owned(), Class::Secret), ("note".to_owned(), Class::Internal)], Class::Internal);
        rule.redact(&mut value);
        let text = value.to_string();
        prop_assert!(!text.contains(&secret));
        prop_assert!(text.contains(&other));
        let once = value.clone();
        rule.redact(&mut value);
        prop_assert_eq!(once, value);
    }
}

struct List(Vec<Hash>);

impl LeafSource for List {
    type Error = OutOfRange;

    fn record_hash(&mut self, idx: u64) -> Result<Hash, OutOfRange> {
        let size = self.0.len() as u64;
        self.0
            .get(idx as usize)
            .copied()
            .ok_or(OutOfRange { from: idx, size })
    }
}

/// The definition of RFC 6962, section 2.1, word for word.
fn naive(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => merkle::empty_root(),
        [leaf] => merkle::leaf_hash(leaf),
        _ => {
            let mut k = 1;
            while k * 2 < leaves.len() {
                k *= 2;
            }
            merkle::node_hash(&naive(&leaves[..k]), &naive(&leaves[k..]))
        }
    }
}

#[test]
fn every_proof_of_every_small_tree_holds_and_no_other_does() {
    let leaves: Vec<Hash> = (0..40u8).map(|n| Hash::of(&[n])).collect();
    let mut source = List(leaves.clone());
    let mut frontier = Frontier::default();
    let mut roots = vec![frontier.root()];
    for (count, leaf) in leaves.iter().enumerate() {
        frontier.push(leaf);
        roots.push(frontier.root());
        assert_eq!(frontier.root(), naive(&leaves[..=count]));
        assert_eq!(
            merkle::root(&mut source, count as u64 + 1).unwrap(),
            frontier.root()
        );
        let bytes = serde_ipld_dagcbor::to_vec(&frontier).unwrap();
        assert_eq!(
            serde_ipld_dagcbor::from_slice::<Frontier>(&bytes).unwrap(),
            frontier
        );
    }
    for size in 1..=leaves.len() as u64 {
        let root = roots[size as usize];
        for idx in 0..size {
            let proof = merkle::inclusion_proof(&mut source, idx, size).unwrap();
            let leaf = leaves[idx as usize];
            merkle::verify_inclusion(&leaf, idx, size, &proof, &root).unwrap();
            assert!(merkle::verify_inclusion(&leaf, idx + 1, size, &proof, &root).is_err());
            assert!(merkle::verify_inclusion(&Hash::of(b"no"), idx, size, &proof, &root).is_err());
            for cut in 0..proof.len() {
                assert!(merkle::verify_inclusion(&leaf, idx, size, &proof[..cut], &root).is_err());
            }
        }
        for old in 1..=size {
            let proof = merkle::consistency_proof(&mut source, old, size).unwrap();
            let old_root = roots[old as usize];
            merkle::verify_consistency(old, size, &old_root, &root, &proof).unwrap();
            if old < size {
                assert!(merkle::verify_consistency(old, size, &root, &root, &proof).is_err());
                assert!(merkle::verify_consistency(old, size, &old_root, &old_root, &proof).is_err());
                assert!(merkle::verify_consistency(old, size, &old_root, &root, &proof[1..]).is_err());
            }
        }
    }
    assert!(merkle::inclusion_proof(&mut source, 40, 40).is_err());
    assert!(merkle::consistency_proof(&mut source, 0, 40).is_err());
}

/// The empty tree and one leaf, against values computed with another tool:
/// `printf '' | sha256sum` and `python3 -c "import hashlib;print(hashlib.sha256(b'\0'+bytes(32)).hexdigest())"`.
#[test]
fn the_smallest_trees_have_known_roots() {
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(Frontier::default().root().to_string(), empty);
    let mut one = Frontier::default();
    one.push(&Hash::ZERO);
    assert_eq!(
        one.root().to_string(),
        "7f9c9e31ac8256ca2f258583df262dbc7d6f68f2a03043d5c99a4ae5a7396ce9"
    );
}

#[test]
fn impossible_frames_are_told_apart() {
    assert_eq!(frame::parse(&[0; 64], 0), Err(FrameError::Zeros));
    assert_eq!(
        frame::parse(&[], 0),
        Err(FrameError::Short { needed: 24, found: 0 })
    );
    assert_eq!(frame::parse(&[7; 64], 0), Err(FrameError::Magic));
    let mut huge = framed(&[1; 8], 0, None);
    huge[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(frame::parse(&huge, 0), Err(FrameError::Header));
    let mut out = Vec::new();
    let start = frame::begin(&mut out);
    assert_eq!(
        (frame::finish(&mut out, start), out.len()),
        (None, 0),
        "an empty body is no record"
    );
}

#[test]
fn markers_are_recognised_and_only_markers() {
    let value = marker(Class::Secret, "/a/b");
    assert_eq!(parse_marker(&value), Some((Class::Secret, "/a/b")));
    for other in [
        json!({"$redacted": "secret"}),
        json!({"$redacted": "x", "ref": ""}),
        Value::Null,
    ] {
        assert_eq!(parse_marker(&other), None);
    }
}

#[test]
fn deep_nesting_is_refused_without_using_the_stack() {
    let mut bytes = vec![0x81; 100_000];
    bytes.push(0);
    assert_eq!(cbor::Cursor::new(&bytes).skip(), Err(cbor::CborError::TooDeep));
}

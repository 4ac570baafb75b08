//! What any bytes must withstand, for fuzzers: the targets in `fuzz/` feed these from coverage, the tests of this
//! crate from mutations of a small corpus. Nothing here may panic but by a promise that is broken.

use crate::disk::Disk;
use crate::node;
use crate::prng::Prng;
use actum_journal::{Area, Durability, OpenError, Storage};
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

//! A short run of the fuzz targets on a stable toolchain: a small corpus, mutated from printed seeds. The same
//! functions are fed by coverage from `fuzz/`.

use crate::common::{self, annotate, shell};
use actum_model::Event;
use actum_model::graph::GraphPiece;
use actum_model::restore::Restore;
use actum_record::limits::FILE_HEADER_BYTES;
use actum_record::{FileKind, Header};
use actum_sim::{Crash, Prng, fuzz};

const ENVELOPES: &[&str] = &[
    r#"{"type":"session.annotate","id":"a","sessionId":"s","payload":{"key":"k","value":[1,{"b":null}]}}"#,
    r#"{"type":"shell.run","sessionId":"s","payload":{"argv":["x"],"env":{"A":"b"}},"dependsOn":["a","anon:4"],"ifSessionVersion":{"version":3,"generation":9},"idempotencyKey":"k1","timeoutMs":5,"detach":true}"#,
    r#"{"type":"command.resolve","payload":{"id":"a","as":"landed","note":"n","result":1e-7}}"#,
    r#"{"type":"events.subscribe","payload":{"fromIdx":9007199254740991}}"#,
    "{\"type\":\"session.create\",\"id\":\"\u{0}\",\"payload\":{\"metadata\":{\"\\ud83d\\ude00\":\"\\u0000\"}}}",
    "[[[[[[[[",
    r#"{"a":1,"a":2}"#,
    "",
];

const OPERATIONS: &[&str] = &[
    r#"[{"op":"AddNode","data":{"kind":"k","payload_b64":"aGVsbG8="}},{"op":"RemoveNode","data":{"id":"356589bbc5720c8ebd3a8fbb49843f3fe117842df71da94b03aa2cecbbec6a50"}}]"#,
    r#"[{"op":"AddEdge","data":{"from":"356589bbc5720c8ebd3a8fbb49843f3fe117842df71da94b03aa2cecbbec6a50","to":"0000000000000000000000000000000000000000000000000000000000000000","kind":"a.b:c-d_e","payload_b64":""}}]"#,
    r#"[{"op":"SetAttachment","data":{"target":"0000000000000000000000000000000000000000000000000000000000000000","key":"k","value":{"a":[1e-7,null,"\u0000"]},"expectedVersion":9007199254740991}}]"#,
    r#"[{"op":"ClearAttachment","data":{"target":"0000000000000000000000000000000000000000000000000000000000000000","key":"k"}},{"op":"Explode"}]"#,
    r#"[{"op":"RemoveEdge","data":{"id":3,"a/b~c":"\u001b[31m"}},7,{"data":{},"op":null}]"#,
    "[]",
    "{}",
];

fn rounds(quick: u64) -> u64 {
    let seeds = std::env::var("ACTUM_SIM_SEEDS").ok();
    seeds.map_or(quick, |seeds| seeds.parse::<u64>().unwrap() * 100)
}

/// A few changes of bytes: flipped, set, taken out, doubled, cut.
fn mutate(rng: &mut Prng, bytes: &mut Vec<u8>) {
    for _ in 0..=rng.below(4) {
        let len = bytes.len() as u64;
        let at = usize::try_from(rng.below(len + 1)).unwrap();
        let byte = u8::try_from(rng.below(256)).unwrap();
        match rng.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << (byte & 7),
            1 if at < bytes.len() => bytes[at] = *rng.pick(b"\"{}[],:\\0u9\x00\xff").unwrap(),
            2 if at < bytes.len() => drop(bytes.remove(at)),
            3 => bytes.insert(at, byte),
            4 => bytes.truncate(at),
            _ => {
                let end = (at + usize::from(byte)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
}

fn corpus_of_frames() -> Vec<u8> {
    let mut world = common::up();
    for n in 0..6 {
        world.submit(&annotate(&format!("a{n}"), n)).unwrap();
    }
    world.submit(&shell("r")).unwrap();
    world.settle_all().unwrap();
    world.crash(Crash::Kill);
    let (_, mut bytes) = common::first_segment(&world);
    bytes.truncate(common::end_of_frames(&bytes) + 64);
    bytes
}

#[test]
fn any_bytes_as_an_envelope() {
    for text in ENVELOPES {
        fuzz::envelope(text.as_bytes());
    }
    fuzz::envelope("[".repeat(100_000).as_bytes());
    fuzz::envelope(&b"{\"a\":".repeat(100_000));
    for seed in 0..rounds(2000) {
        let mut rng = Prng::new(seed);
        let mut bytes = rng.pick(ENVELOPES).unwrap().as_bytes().to_vec();
        mutate(&mut rng, &mut bytes);
        fuzz::envelope(&bytes);
    }
}

#[test]
fn any_bytes_as_operations() {
    for text in OPERATIONS {
        fuzz::operations(text.as_bytes());
    }
    for seed in 0..rounds(2000) {
        let mut rng = Prng::new(seed);
        let mut bytes = rng.pick(OPERATIONS).unwrap().as_bytes().to_vec();
        mutate(&mut rng, &mut bytes);
        fuzz::operations(&bytes);
    }
}

/// The graph of a small realm as a snapshot writes it.
fn corpus_of_pieces() -> Vec<GraphPiece> {
    let mut world = common::up();
    let add = |n: u64| {
        format!(
            r#"{{"op":"AddNode","data":{{"kind":"k","payload_b64":"AAA{}"}}}}"#,
            ["A", "B", "C"][n as usize]
        )
    };
    for n in 0..3 {
        for text in [
            r#"{"type":"sws.create","payload":{"meta":{"n":1}}}"#.to_owned(),
            format!(
                r#"{{"type":"graph.rewrite","payload":{{"view":"sws:{n}","ops":[{}]}}}}"#,
                add(n)
            ),
        ] {
            world.submit(&text).unwrap();
        }
    }
    world
        .submit(r#"{"type":"sws.collapse","payload":{"swsId":"1"}}"#)
        .unwrap();
    world.settle_all().unwrap();
    let pieces = world.state().unwrap().pieces().filter_map(|piece| match piece {
        Event::Restore(piece) => match *piece {
            Restore::Graph(piece) => Some(piece),
            _ => None,
        },
        _ => None,
    });
    pieces.collect()
}

#[test]
fn any_bytes_as_graph_pieces() {
    let pieces = corpus_of_pieces();
    let encode = |pieces: &[GraphPiece]| {
        let mut bytes = Vec::new();
        actum_record::body::put_values(&mut bytes, pieces).unwrap();
        bytes
    };
    fuzz::graph_pieces(&encode(&pieces));
    for seed in 0..rounds(300) {
        let mut rng = Prng::new(seed);
        // Whole pieces lost, doubled and out of order, and changed bytes.
        let mut pieces = pieces.clone();
        for _ in 0..rng.below(4) {
            let at = rng.below(pieces.len() as u64) as usize;
            let piece = pieces[at].clone();
            match rng.below(3) {
                0 => drop(pieces.remove(at)),
                1 => pieces.insert(0, piece),
                _ => pieces.push(piece),
            }
        }
        let mut bytes = encode(&pieces);
        fuzz::graph_pieces(&bytes);
        mutate(&mut rng, &mut bytes);
        fuzz::graph_pieces(&bytes);
    }
}

#[test]
fn any_bytes_as_frames() {
    let bytes = corpus_of_frames();
    let crc = Header::decode(FileKind::Segment, &bytes).unwrap().seed();
    let frames = &bytes[FILE_HEADER_BYTES..];
    fuzz::frames(frames, crc);
    for cut in (0..frames.len()).step_by(31) {
        fuzz::frames(&frames[cut..], crc);
    }
    for seed in 0..rounds(120) {
        let mut rng = Prng::new(seed);
        let mut bytes = frames.to_vec();
        mutate(&mut rng, &mut bytes);
        fuzz::frames(&bytes, crc);
    }
}

#[test]
fn any_bytes_as_a_segment() {
    // The header is made anew by the target, so its checksum, from which those of the frames start, is another:
    // whole frames are made by reframing the bodies.
    let bytes = corpus_of_frames();
    let old = Header::decode(FileKind::Segment, &bytes).unwrap().seed();
    let frames = bytes[FILE_HEADER_BYTES..].to_vec();
    for seed in 0..rounds(100) {
        let mut rng = Prng::new(seed);
        let file_bytes = (FILE_HEADER_BYTES + frames.len()) as u64;
        let new = Header {
            file_bytes,
            ..fuzz::header()
        }
        .seed();
        let mut bytes = reframe(&frames, old, new);
        if seed > 0 {
            let len = bytes.len();
            mutate(&mut rng, &mut bytes);
            bytes.resize(len, 0);
        }
        fuzz::segment(&bytes);
    }
}

fn reframe(frames: &[u8], old: u32, new: u32) -> Vec<u8> {
    let mut out = Vec::new();
    let mut scan = actum_record::scan::Frames::new(frames, old);
    while let Ok((_, found)) = scan.next_frame() {
        let start = actum_record::frame::begin(&mut out);
        out.extend_from_slice(found.body);
        actum_record::frame::finish(&mut out, start).unwrap();
        actum_record::frame::stamp(&mut out[start..], new, found.durable_through);
    }
    out.resize(frames.len(), 0);
    out
}

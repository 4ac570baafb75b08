//! What the tests of the simulator share: short texts of commands, worlds in a known place, bytes of segments.

use actum_model::effect::SettledAs;
use actum_model::{ErrorCode, Outcome};
use actum_record::{FileKind, Header, limits::FILE_HEADER_BYTES, scan::Frames};
use actum_sim::{Crash, Options, World};

/// A node that is up, with a session `s`.
pub fn up() -> World {
    with(Options::default())
}

pub fn with(options: Options) -> World {
    let mut world = World::up(options).unwrap();
    session(&mut world);
    world
}

pub fn session(world: &mut World) {
    world
        .submit(r#"{"type":"session.create","id":"c","sessionId":"s"}"#)
        .unwrap();
    world.settle_all().unwrap();
}

pub fn annotate(id: &str, value: u64) -> String {
    format!(
        r#"{{"type":"session.annotate","id":"{id}","sessionId":"s","payload":{{"key":"k","value":{value}}}}}"#
    )
}

pub fn shell(id: &str) -> String {
    format!(r#"{{"type":"shell.run","id":"{id}","sessionId":"s","payload":{{"argv":["true"]}}}}"#)
}

pub fn reboot(world: &mut World, how: Crash) {
    world.crash(how);
    assert!(world.boot().unwrap());
    assert!(world.settle_all().unwrap());
    world.compare().unwrap();
}

pub fn code(world: &World, number: usize) -> Option<ErrorCode> {
    world.answer(number)?.fault().map(|fault| fault.code)
}

pub fn outcome(world: &World, number: usize) -> Option<Outcome> {
    match &world.answer(number)?.body {
        actum_model::Body::Finished { outcome, .. } => Some(*outcome),
        _ => None,
    }
}

/// Generation, last place and version of every session with its lane.
pub fn places(world: &mut World) -> Vec<(u64, u64, u64)> {
    let state = world.state().unwrap();
    let lanes = state.lanes.values().zip(state.sessions.values());
    lanes
        .map(|(lane, session)| (lane.generation, lane.last_seq, session.version))
        .collect()
}

/// A world with history, something in doubt, something queued, keys and retired outcomes, whose first segments
/// were compacted away.
pub fn compacted() -> World {
    let config = actum_model::RealmConfig {
        outcomes_max: 50,
        tombstones_max: 40,
        ..Default::default()
    };
    let mut world = with(Options {
        segment_bytes: 4096,
        config,
        ..Options::default()
    });
    world
        .submit(r#"{"type":"session.create","id":"c2","sessionId":"t"}"#)
        .unwrap();
    world
        .submit(r#"{"type":"shell.run","id":"r","sessionId":"t","payload":{"argv":["x"]},"idempotencyKey":"key"}"#)
        .unwrap();
    world.settle_all().unwrap();
    let seq = world.seq("r").unwrap();
    world.settle(seq, SettledAs::Unconfirmed).unwrap();
    world
        .submit(r#"{"type":"session.annotate","id":"held","sessionId":"t","payload":{"key":"k","value":1}}"#)
        .unwrap();
    world.settle_all().unwrap();
    for round in 0..4 {
        for n in 0..30 {
            world.submit(&annotate(&format!("a{round}-{n}"), n)).unwrap();
            world.settle_all().unwrap();
        }
        world.snapshot().unwrap();
        world.settle_all().unwrap();
    }
    let kept = world.disk().journal_bytes();
    assert!(
        !kept
            .iter()
            .any(|(name, _)| name.starts_with("00000000000000000000.")),
        "nothing was compacted"
    );
    world
}

/// The first segment: its name and its bytes.
pub fn first_segment(world: &World) -> (String, Vec<u8>) {
    let objects = world.disk().journal_bytes();
    objects
        .into_iter()
        .find(|(name, _)| name.ends_with(".seg"))
        .unwrap()
}

/// Where the whole frames of a segment start.
pub fn frames(bytes: &[u8]) -> Vec<usize> {
    walk(bytes).0
}

/// Where they end.
pub fn end_of_frames(bytes: &[u8]) -> usize {
    walk(bytes).1
}

fn walk(bytes: &[u8]) -> (Vec<usize>, usize) {
    let seed = Header::decode(FileKind::Segment, bytes).unwrap().seed();
    let mut frames = Frames::new(&bytes[FILE_HEADER_BYTES..], seed);
    let mut starts = Vec::new();
    while let Ok((at, _)) = frames.next_frame() {
        starts.push(FILE_HEADER_BYTES + at);
    }
    (starts, FILE_HEADER_BYTES + frames.offset())
}

//! Coming up again: the same state and the same classes however often, with and without a snapshot; and known
//! bugs of recovery, put back, are seen.

use crate::common::{self, annotate, code, outcome, reboot, shell};
use actum_model::effect::SettledAs;
use actum_model::graph::{KindName, Node, Payload};
use actum_model::{Outcome, RealmConfig};
use actum_sim::{Crash, Flaw, Options, World};

#[test]
fn a_second_boot_says_the_same() {
    let mut world = common::up();
    world
        .submit(r#"{"type":"session.create","id":"c2","sessionId":"t"}"#)
        .unwrap();
    world.submit(&shell("r")).unwrap();
    world.settle_all().unwrap();
    world.submit(&annotate("queued", 1)).unwrap();
    world
        .submit(r#"{"type":"session.annotate","id":"w","sessionId":"t","payload":{"key":"k","value":1},"dependsOn":["r"]}"#)
        .unwrap();
    world.settle_all().unwrap();
    let mut told = Vec::new();
    for how in [Crash::Power, Crash::Kill, Crash::Power] {
        reboot(&mut world, how);
        let doubtful: Vec<u64> = world.model().in_doubt().map(|command| command.seq).collect();
        told.push((doubtful, world.model().unfinished().count()));
    }
    assert!(told.iter().all(|boot| *boot == told[0]), "{told:?}");
    assert_eq!((told[0].0.len(), told[0].1), (1, 3));
}

#[test]
fn not_dispatched_goes_out_once_dispatched_never_again() {
    for durable_batches in 1..4 {
        let mut world = common::up();
        world.submit(&shell("r")).unwrap();
        // 1: requested; 2: marked, and so it leaves; 3: nothing more.
        for _ in 0..durable_batches {
            world.dispatch().unwrap();
            world.seal().unwrap();
            assert!(world.flush().unwrap());
        }
        let left = world.effects();
        assert_eq!(left, usize::from(durable_batches > 1));
        reboot(&mut world, Crash::Power);
        assert_eq!(world.effects(), 1);
        assert_eq!(
            world.model().in_doubt().count(),
            left,
            "{durable_batches} batches"
        );
    }
}

#[test]
fn snapshot_and_tail_are_the_whole_history() {
    // The world compares what recovery gives, by digest and row by row, with the state that was decided.
    let mut world = common::compacted();
    let doubtful = world.model().in_doubt().count();
    for how in [Crash::Power, Crash::Kill] {
        world.submit(&annotate(&format!("tail-{how:?}"), 1)).unwrap();
        world.settle_all().unwrap();
        reboot(&mut world, how);
        let report = world.reports.last().unwrap();
        assert!(report.snapshot.is_some() && report.snapshots_unfit.is_empty());
        assert_eq!(world.model().in_doubt().count(), doubtful);
    }
}

#[test]
fn compaction_changes_no_answer() {
    let mut world = common::compacted();
    // A kept outcome, a retired one, a key in doubt, a command that is held.
    let mut answers = Vec::new();
    for round in 0..2 {
        let texts = [
            annotate("a3-29", 29),
            annotate("a3-29", 30),
            annotate("a1-29", 29),
            r#"{"type":"session.create","id":"c2","sessionId":"t"}"#.to_owned(),
        ];
        let numbers: Vec<usize> = texts.iter().map(|text| world.submit(text).unwrap()).collect();
        world.settle_all().unwrap();
        let told = numbers.iter().map(|n| (outcome(&world, *n), code(&world, *n)));
        answers.push(told.collect::<Vec<_>>());
        if round == 0 {
            reboot(&mut world, Crash::Power);
        }
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0][0].0, Some(Outcome::Succeeded));
    assert!(answers[0][1].1.is_some() && answers[0][2].1.is_some());
    let keyed = r#"{"type":"shell.run","sessionId":"t","payload":{"argv":["x"]},"idempotencyKey":"key"}"#;
    let joined = world.submit(keyed).unwrap();
    world
        .submit(r#"{"type":"command.resolve","payload":{"id":"r","as":"landed","note":"saw it"}}"#)
        .unwrap();
    world.settle_all().unwrap();
    assert!(world.answer(joined).unwrap().replayed);
    assert_eq!(world.effects(), 1);
    assert_eq!(world.model().unfinished().count(), 0, "what was held goes on");
}

#[test]
fn a_damaged_snapshot_falls_back_on_the_older_one() {
    let mut world = common::compacted();
    world.crash(Crash::Kill);
    let newest = world
        .disk()
        .image()
        .into_iter()
        .rev()
        .find(|(name, _)| name.starts_with("snapshots/"));
    let name = newest.unwrap().0.trim_start_matches("snapshots/").to_owned();
    world
        .disk()
        .damage(actum_journal::Area::Snapshots, &name, |bytes| bytes[200] ^= 1);
    assert!(world.boot().unwrap());
    let report = world.reports.last().unwrap();
    assert_eq!(report.snapshots_unfit.len(), 1);
    assert!(report.snapshot.is_some());
    world.settle_all().unwrap();
    world.compare().unwrap();
}

#[test]
fn history_decided_again_is_the_same() {
    let mut world = common::up();
    for n in 0..40 {
        world.submit(&annotate(&format!("a{n}"), n)).unwrap();
        world.submit(&shell(&format!("r{n}"))).unwrap();
        world.settle_all().unwrap();
        let seq = world.seq(&format!("r{n}")).unwrap();
        world
            .settle(
                seq,
                if n % 3 == 0 {
                    SettledAs::Failed
                } else {
                    SettledAs::Succeeded
                },
            )
            .unwrap();
        world.settle_all().unwrap();
    }
    world.replay().unwrap();
    reboot(&mut world, Crash::Power);
    world.replay().unwrap();
}

#[test]
fn an_orderly_end_is_told_from_a_crash() {
    let mut world = common::up();
    assert!(world.close().unwrap());
    assert!(world.boot().unwrap());
    assert!(world.reports.last().unwrap().clean);
    world.settle_all().unwrap();
    reboot(&mut world, Crash::Kill);
    assert!(!world.reports.last().unwrap().clean);
}

fn flawed(flaw: Option<Flaw>) -> World {
    common::with(Options {
        flaw,
        config: RealmConfig::default(),
        ..Options::default()
    })
}

#[test]
fn a_recovery_that_takes_a_rejection_for_an_outcome_is_seen() {
    // The bug of a peer: its recovery rebuilt the table of outcomes from all answers ever given, so after a
    // restart the rejection of a conflicting duplicate stood in the place of the success it had conflicted with.
    for flaw in [None, Some(Flaw::RejectionsAreOutcomes)] {
        let mut world = flawed(flaw);
        world.submit(&annotate("a", 1)).unwrap();
        world.settle_all().unwrap();
        world.submit(&annotate("a", 2)).unwrap();
        world.settle_all().unwrap();
        world.crash(Crash::Kill);
        match (flaw, world.boot()) {
            (None, come_up) => assert_eq!(come_up, Ok(true)),
            (Some(_), seen) => {
                let seen = seen.unwrap_err().to_string();
                assert!(
                    seen.contains("invariants 1, 3, 6") && seen.contains("Rejected"),
                    "{seen}"
                );
            }
        }
    }
}

#[test]
fn a_recovery_that_forgets_a_dispatch_is_seen() {
    // The bug of many: recovery does not know that an effect may have left, and lets it leave again.
    for flaw in [None, Some(Flaw::DispatchesAreForgotten)] {
        let mut world = flawed(flaw);
        world.submit(&shell("r")).unwrap();
        world.settle_all().unwrap();
        world.crash(Crash::Kill);
        match (flaw, world.boot()) {
            (None, come_up) => assert_eq!(come_up, Ok(true)),
            (Some(_), seen) => {
                let seen = seen.unwrap_err().to_string();
                assert!(seen.contains("history does not know"), "{seen}");
            }
        }
    }
}

#[test]
fn a_collapse_that_ignores_what_system_removed_is_seen() {
    // The bug of merges made of two sides only: what one side removed and the other still has comes back.
    for flaw in [None, Some(Flaw::RemovalsComeBack)] {
        let mut world = flawed(flaw);
        let node = Node {
            kind: KindName::parse("k").unwrap(),
            payload: Payload::default(),
        };
        let add = r#"{"op":"AddNode","data":{"kind":"k","payload_b64":""}}"#.to_owned();
        let remove = format!(r#"{{"op":"RemoveNode","data":{{"id":"{}"}}}}"#, node.id());
        let other = r#"{"op":"AddNode","data":{"kind":"k","payload_b64":"AQ=="}}"#.to_owned();
        for (id, op) in [(0, add), (1, remove), (2, other)] {
            let texts = [
                r#"{"type":"sws.create"}"#.to_owned(),
                format!(r#"{{"type":"graph.rewrite","payload":{{"view":"sws:{id}","ops":[{op}]}}}}"#),
                format!(r#"{{"type":"sws.collapse","payload":{{"swsId":"{id}"}}}}"#),
            ];
            for text in texts {
                let number = world.submit(&text).unwrap();
                world.settle_all().unwrap();
                assert_eq!(outcome(&world, number), Some(Outcome::Succeeded), "{text}");
            }
        }
        world.crash(Crash::Kill);
        match (flaw, world.boot()) {
            (None, come_up) => assert_eq!(come_up, Ok(true)),
            (Some(_), seen) => {
                let seen = seen.unwrap_err().to_string();
                assert!(seen.contains("invariants 2 and 8: system holds"), "{seen}");
            }
        }
    }
}

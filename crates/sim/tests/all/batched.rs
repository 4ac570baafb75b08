//! Batched durability loosens answers of commands that the kernel carries out, and nothing else. The world fails at
//! an effect that leaves, or is answered, before it is durable.

use crate::common::{self, annotate, outcome, reboot, shell};
use actum_journal::Durability;
use actum_model::Outcome;
use actum_model::effect::SettledAs;
use actum_sim::{Crash, Options, World};

fn world() -> World {
    common::with(Options {
        durability: Durability::Batched,
        ..Options::default()
    })
}

#[test]
fn an_effect_is_answered_only_when_its_outcome_is_durable() {
    // The bug: what an effect came to was answered under batched durability as loosely as an annotation. After a
    // power cut the same command was in doubt, though somebody had been told that it succeeded.
    let mut world = world();
    let run = world.submit(&shell("r")).unwrap();
    world.settle_all().unwrap();
    let seq = world.seq("r").unwrap();
    world.settle(seq, SettledAs::Succeeded).unwrap();
    world.settle_all().unwrap();
    assert_eq!(outcome(&world, run), Some(Outcome::Succeeded));
    reboot(&mut world, Crash::Power);
    assert_eq!(world.model().in_doubt().count(), 0);
    let again = world.submit(&shell("r")).unwrap();
    world.settle_all().unwrap();
    assert_eq!(outcome(&world, again), Some(Outcome::Succeeded));
    assert_eq!(world.effects(), 1);
}

#[test]
fn a_relaxed_answer_survives_a_kill_and_what_was_synced_survives_all() {
    let mut world = world();
    let relaxed = world.submit(&annotate("a", 1)).unwrap();
    world.settle_all().unwrap();
    assert_eq!(outcome(&world, relaxed), Some(Outcome::Succeeded));
    reboot(&mut world, Crash::Kill);
    let again = world.submit(&annotate("a", 1)).unwrap();
    world.settle_all().unwrap();
    assert!(world.answer(again).unwrap().replayed);
    world.submit(&annotate("b", 2)).unwrap();
    world.settle_all().unwrap();
    assert!(world.sync().unwrap());
    reboot(&mut world, Crash::Power);
    let again = world.submit(&annotate("b", 2)).unwrap();
    world.settle_all().unwrap();
    assert!(world.answer(again).unwrap().replayed);
}

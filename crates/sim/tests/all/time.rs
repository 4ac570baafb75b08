//! Time: ticks, timers and the time of the history, through crashes, snapshots, compaction and clock jumps.

use crate::common::{reboot, up, with};
use actum_model::RealmConfig;
use actum_model::ids::{CommandId, Tenant};
use actum_model::timer::Due;
use actum_sim::{Crash, Options, Plan, World, run};

const YEAR_MS: i64 = 365 * 86_400_000;

fn set(id: &str, arguments: &str) -> String {
    format!(r#"{{"type":"timer.set","id":"set-{id}","payload":{{"timerId":"{id}",{arguments}}}}}"#)
}

fn annotating(session: &str) -> String {
    format!(
        r#""command":{{"type":"session.annotate","sessionId":"{session}","payload":{{"key":"k","value":1}}}}"#
    )
}

fn version(world: &mut World) -> u64 {
    world.state().unwrap().sessions.values().next().unwrap().version
}

/// A history with ticks of every kind: timers of both clocks, timeouts, a cadence, crashes, jumps.
fn eventful() -> World {
    let config = RealmConfig {
        tick_cadence_ms: 500,
        ..RealmConfig::default()
    };
    let mut world = with(Options {
        config,
        ..Options::default()
    });
    world
        .submit(&set("beat", &format!(r#""everyMs":300,{}"#, annotating("s"))))
        .unwrap();
    world
        .submit(&set("hour", r#""dueAt":"1970-01-01","everyMs":3600000"#))
        .unwrap();
    for round in 0..30u64 {
        world
            .submit(&set(
                &format!("once{round}"),
                &format!(r#""afterMs":{}"#, round * 37),
            ))
            .unwrap();
        world.pass(110);
        world.tick().unwrap();
        world.settle_all().unwrap();
        match round {
            10 => {
                world.jump(7_200_000);
                reboot(&mut world, Crash::Power);
            }
            15 => world.jump(YEAR_MS),
            20 => world.jump(-YEAR_MS),
            _ => {}
        }
    }
    world
}

#[test]
fn recorded_and_replayed_tick_streams_are_equal() {
    let mut world = eventful();
    let recorded = world.ticks_recorded().unwrap();
    let (decided, _) = world.ticks_decided_again().unwrap();
    assert_eq!(recorded, decided);
    let numbers: Vec<u64> = recorded.iter().map(|tick| tick.0).collect();
    assert_eq!(
        numbers,
        (0..recorded.len() as u64).collect::<Vec<_>>(),
        "ids have gaps"
    );
    assert!(recorded.len() > 20, "{} ticks are few", recorded.len());
    let fired: usize = recorded.iter().map(|tick| tick.4.len()).sum();
    assert!(fired > 35 && fired as u64 == world.fired(), "{fired} fired");
    world.replay().unwrap();
}

#[test]
fn now_is_a_pure_function_of_the_journal() {
    let mut world = eventful();
    let recorded = world.times_recorded().unwrap();
    let (_, decided) = world.ticks_decided_again().unwrap();
    assert_eq!(recorded, decided);
    let live = actum_kernel::read::now(world.state().unwrap());
    assert_eq!(recorded.last(), Some(&live));
    for (before, after) in recorded.iter().zip(recorded.iter().skip(1)) {
        assert!(before.ns <= after.ns && before.provenance <= after.provenance);
        let sampled = before.provenance != after.provenance;
        assert!(sampled || before == after, "time flowed between samples");
    }
    // It is the same for ever, whenever it is asked for.
    world.pass(1_000_000_000);
    assert_eq!(world.times_recorded().unwrap(), recorded);
}

#[test]
fn run_time_timers_do_not_fire_early_whatever_the_wall_clock_does() {
    let mut world = up();
    world.submit(&set("run", r#""afterMs":10000"#)).unwrap();
    for jump in [YEAR_MS, -2 * YEAR_MS, YEAR_MS] {
        world.jump(jump);
        world.pass(3000);
        world.tick().unwrap();
        assert_eq!(world.fired(), 0);
    }
    world.pass(999);
    world.tick().unwrap();
    assert_eq!(world.fired(), 0);
    world.pass(1);
    world.tick().unwrap();
    assert_eq!(world.fired(), 1);
}

#[test]
fn calendar_timers_follow_a_jump_of_the_wall_clock_only_after_an_hour() {
    let mut world = up();
    let due = actum_model::time::rfc3339(world.state().unwrap().at + 86_400_000);
    world
        .submit(&set("tomorrow", &format!(r#""dueAt":"{due}""#)))
        .unwrap();
    world.jump(YEAR_MS);
    for minute in 0..59 {
        world.pass(60_000);
        world.tick().unwrap();
        assert_eq!(world.fired(), 0, "minute {minute}");
        let pending = world.state().unwrap().clock().pending;
        assert!(pending.is_some(), "the jump is on the record");
    }
    world.pass(120_000);
    world.tick().unwrap();
    assert_eq!(world.fired(), 1);
    assert_eq!(world.state().unwrap().clock().pending, None);
    // Behind, it stops nothing.
    let due = actum_model::time::rfc3339(world.state().unwrap().at + 5000);
    world
        .submit(&set("soon", &format!(r#""dueAt":"{due}""#)))
        .unwrap();
    world.jump(-YEAR_MS);
    world.pass(4999);
    world.tick().unwrap();
    assert_eq!(world.fired(), 1);
    world.pass(1);
    world.tick().unwrap();
    assert_eq!(world.fired(), 2);
}

#[test]
fn a_stop_over_a_due_timer_fires_it_once_and_its_command_leaves_once() {
    for how in [Crash::Kill, Crash::Power] {
        let mut world = up();
        let due = actum_model::time::rfc3339(world.state().unwrap().at + 1000);
        let arguments = format!(r#""dueAt":"{due}",{}"#, annotating("s"));
        world.submit(&set("once", &arguments)).unwrap();
        world.settle_all().unwrap();
        world.jump(3_600_000);
        reboot(&mut world, how);
        world.tick().unwrap();
        // Decided and not durable: the crash takes it back, and the next life fires it again.
        reboot(&mut world, how);
        world.tick().unwrap();
        world.settle_all().unwrap();
        assert_eq!(version(&mut world), 1);
        reboot(&mut world, how);
        world.tick().unwrap();
        world.settle_all().unwrap();
        assert_eq!(version(&mut world), 1);
        assert_eq!(world.ticks_recorded().unwrap().len(), 1);
    }
}

#[test]
fn live_timers_and_tick_numbers_survive_snapshots_and_compaction() {
    let mut world = with(Options {
        segment_bytes: 4096,
        ..Options::default()
    });
    world
        .submit(&set("beat", &format!(r#""everyMs":1000,{}"#, annotating("s"))))
        .unwrap();
    for n in 0..20 {
        world
            .submit(&set(&format!("far{n}"), &format!(r#""afterMs":{}"#, 500_000 + n)))
            .unwrap();
    }
    for _ in 0..4 {
        for _ in 0..30 {
            world.pass(1000);
            world.tick().unwrap();
            world.settle_all().unwrap();
        }
        world.snapshot().unwrap();
        world.settle_all().unwrap();
    }
    assert!(world.ticks_recorded().is_err(), "nothing was compacted");
    let digest = world.digest().unwrap();
    world.crash(Crash::Power);
    assert!(world.boot().unwrap());
    world.compare().unwrap();
    assert_ne!(world.digest().unwrap(), digest, "a boot is a record");
    let state = world.state().unwrap();
    assert_eq!((state.timers_live(), state.next_tick()), (21, 120));
    let id = CommandId::parse("far3").unwrap();
    assert_eq!(
        state.timer(&Tenant::main(), &id).unwrap().due,
        Due::Elapsed(500_003)
    );
    world.pass(400_000);
    world.tick().unwrap();
    world.settle_all().unwrap();
    assert_eq!(world.state().unwrap().timers_live(), 1);
    world.compare().unwrap();
}

#[test]
fn ten_thousand_timers_due_at_once_fire_in_order_in_bounded_records() {
    let mut world = up();
    for n in 0..10_000 {
        let arguments = format!(r#""afterMs":{}"#, n % 7);
        world.submit(&set(&format!("t{n:05}"), &arguments)).unwrap();
    }
    world.pass(60_000);
    world.tick().unwrap();
    assert!(world.settle_all().unwrap());
    assert_eq!(world.fired(), 10_000);
    let fired: Vec<CommandId> = world
        .ticks_recorded()
        .unwrap()
        .into_iter()
        .flat_map(|tick| tick.4)
        .collect();
    let mut expected: Vec<(u64, CommandId)> = (0..10_000)
        .map(|n| (n % 7, CommandId::parse(&format!("t{n:05}")).unwrap()))
        .collect();
    expected.sort();
    let expected: Vec<CommandId> = expected.into_iter().map(|(_, id)| id).collect();
    assert_eq!(fired, expected);
}

#[test]
fn random_schedules_fire_timers() {
    let reports: Vec<_> = (1..=8)
        .map(|seed| {
            let plan = Plan {
                seed,
                steps: 400,
                verbose: false,
            };
            run(&plan, &mut Vec::new()).unwrap()
        })
        .collect();
    let fired: u64 = reports.iter().map(|report| report.fired).sum();
    let ticks: u64 = reports.iter().map(|report| report.ticks).sum();
    assert!(fired > 20 && ticks > 20, "{fired} fired in {ticks} ticks");
}

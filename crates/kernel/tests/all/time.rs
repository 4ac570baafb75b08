//! Reads of time: pages of ticks and timers, and what belongs to whom.

use actum_kernel::lifecycle::Lifecycle;
use actum_kernel::{Decision, State, advance, read, state_digest};
use actum_model::envelope::Caller;
use actum_model::ids::{CommandId, Principal, Tenant};
use actum_model::input::{Boot, OverRate, Submit};
use actum_model::limits::TICKS_KEPT_MAX;
use actum_model::{Envelope, ErrorCode, Hash, Input, RealmConfig, Stamped};

const START: u64 = 1_800_000_000_000;

fn at(state: &mut State, elapsed: u64, input: Input) -> Decision {
    let at = START + elapsed;
    advance(state, &Stamped { at, elapsed, input })
}

fn booted() -> State {
    let mut state = State::default();
    let boot = Boot {
        realm: vec![1; 16],
        incarnation: vec![2; 16],
        node: String::new(),
        build: String::new(),
        contracts: Hash::ZERO,
        classes: None,
        config: RealmConfig {
            tick_cadence_ms: 100,
            ..RealmConfig::default()
        },
    };
    at(&mut state, 0, Input::Boot(boot));
    state
}

fn set(state: &mut State, tenant: &str, timer: &str, more: &str) -> Decision {
    let text = format!(r#"{{"type":"timer.set","payload":{{"timerId":"{timer}",{more}}}}}"#);
    let input = Input::Submit(Submit {
        caller: Caller {
            tenant: Tenant::parse(tenant).unwrap(),
            principal: Principal::parse("alice").unwrap(),
            exec: None,
        },
        envelope: Envelope::parse(text.as_bytes()).unwrap(),
        fingerprint: Hash::of(text.as_bytes()),
        redacted: false,
        limited: OverRate::default(),
    });
    at(state, 0, input)
}

#[test]
fn the_ring_of_ticks_is_bounded_and_pages_without_gap_or_repetition() {
    let mut state = booted();
    let ticks = TICKS_KEPT_MAX as u64 + 100;
    for n in 1..=ticks {
        at(&mut state, n * 100, Input::Tick);
    }
    assert_eq!(
        (state.next_tick(), state.ticks().count()),
        (ticks, TICKS_KEPT_MAX)
    );
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let (page, more) = read::ticks(&state, after, 77);
        seen.extend(page.iter().map(|row| row.tick));
        after = seen.last().copied();
        if !more {
            break;
        }
    }
    assert_eq!(seen, (100..ticks).collect::<Vec<_>>());
    let page = read::ticks_json(&state, Some(ticks), 10);
    assert_eq!(page["ticks"].as_array().unwrap().len(), 0);
    assert_eq!((&page["oldest"], &page["next"]), (&100.into(), &ticks.into()));
}

#[test]
fn timers_of_another_tenant_do_not_exist() {
    let mut state = booted();
    let (main, other) = (Tenant::main(), Tenant::parse("other").unwrap());
    for n in 0..5 {
        set(&mut state, "main", &format!("x{n}"), r#""afterMs":50"#);
    }
    set(&mut state, "other", "x1", r#""afterMs":50"#);
    let id = CommandId::parse("x0").unwrap();
    assert!(read::timer(&state, &main, &id).is_ok());
    let fault = read::timer(&state, &other, &id).unwrap_err();
    assert_eq!(fault.code, ErrorCode::TimerNotFound);
    let first = read::timers(&state, &main, None, 3);
    let cursor = first["nextCursor"].as_str().unwrap();
    let second = read::timers(&state, &main, Some(cursor), 3);
    let ids = |page: &serde_json::Value| -> Vec<String> {
        let timers = page["timers"].as_array().unwrap();
        timers
            .iter()
            .map(|row| row["timerId"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        (ids(&first), ids(&second)),
        (
            vec!["x0".into(), "x1".into(), "x2".into()],
            vec!["x3".into(), "x4".into()]
        )
    );
    assert!(second.get("nextCursor").is_none());
    assert_eq!(ids(&read::timers(&state, &other, None, 10)), ["x1"]);
    // Of the same time they fire by id, then by tenant, and each tenant is told of its own.
    let decision = at(&mut state, 50, Input::Tick);
    let told = Lifecycle::default().record(decision.head, &decision.events, &state);
    let fired: Vec<(String, String)> = told
        .iter()
        .filter(|event| event.json["event"] == "timer_fired")
        .map(|event| {
            let tenant = event.tenant.as_ref().unwrap();
            (
                tenant.to_string(),
                event.json["timerId"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    let expected = [
        ("main", "x0"),
        ("main", "x1"),
        ("other", "x1"),
        ("main", "x2"),
        ("main", "x3"),
        ("main", "x4"),
    ];
    assert!(
        fired
            .iter()
            .map(|(tenant, id)| (tenant.as_str(), id.as_str()))
            .eq(expected),
        "{fired:?}"
    );
    assert!(
        told.iter()
            .any(|event| event.json["event"] == "tick" && event.tenant.is_none())
    );
}

#[test]
fn a_history_without_time_has_no_component_of_it() {
    let (_, components) = state_digest(&State::default());
    let named = |name: &str| components.iter().any(|part| part.name == name);
    assert!(!named("timers/1") && !named("ticks/1") && !named("clock/1"));
    let mut state = booted();
    set(&mut state, "main", "x", r#""afterMs":50"#);
    at(&mut state, 100, Input::Tick);
    let (_, components) = state_digest(&state);
    let named = |name: &str| components.iter().any(|part| part.name == name);
    // It fired, so no timer lives; the ticks and the clocks are there.
    assert!(!named("timers/1") && named("ticks/1") && named("clock/1"));
}

//! A snapshot of any state can be written: no piece is larger than a frame of the journal may be.

use actum_kernel::{State, advance, apply_event, state_digest};
use actum_model::envelope::Caller;
use actum_model::ids::{CommandId, Principal, Tenant};
use actum_model::input::{Boot, Submit};
use actum_model::limits::{ANNOTATION_VALUE_BYTES_MAX, ANNOTATIONS_MAX, TIMERS_BYTES_MAX};
use actum_model::timer::TimerRow;
use actum_model::{Envelope, ErrorCode, Event, Hash, Input, RealmConfig, Stamped};

/// Largest body of a frame (`actum_record::limits`), and what JSON adds to CBOR stays well below the rest.
const PIECE_BYTES_MAX: usize = 16 * 1024 * 1024;

fn submit(state: &mut State, text: &str) {
    let envelope = Envelope::parse(text.as_bytes()).unwrap();
    let fingerprint = Hash::of(text.as_bytes());
    let caller = Caller {
        tenant: Tenant::main(),
        principal: Principal::parse("alice").unwrap(),
        exec: None,
    };
    let input = Input::Submit(Submit {
        caller,
        envelope,
        fingerprint,
        redacted: false,
        limited: actum_model::input::OverRate::default(),
    });
    let _ = advance(
        state,
        &Stamped {
            at: 1,
            elapsed: 1,
            input,
        },
    );
}

fn booted() -> State {
    let boot = Boot {
        realm: vec![1; 16],
        incarnation: vec![2; 16],
        node: String::new(),
        build: String::new(),
        contracts: Hash::ZERO,
        classes: None,
        config: RealmConfig {
            outcome_bytes_max: u64::MAX,
            ..RealmConfig::default()
        },
    };
    let mut state = State::default();
    let _ = advance(
        &mut state,
        &Stamped {
            at: 1,
            elapsed: 1,
            input: Input::Boot(boot),
        },
    );
    submit(
        &mut state,
        r#"{"type":"session.create","id":"c","sessionId":"s"}"#,
    );
    state
}

fn check(state: &State) {
    let mut again = State::default();
    for piece in state.pieces() {
        let bytes = serde_json::to_vec(&piece).unwrap().len();
        assert!(bytes < PIECE_BYTES_MAX, "a piece of {bytes} bytes");
        apply_event(&mut again, piece);
    }
    assert_eq!(state_digest(&again), state_digest(state));
}

#[test]
fn a_session_full_of_annotations_can_be_written() {
    // The bug: pieces were counted in rows. One session may hold 256 annotations of 64 KiB, which is more than a
    // frame, so one client could make every later snapshot fail, and with it every compaction.
    let mut state = booted();
    let value = "x".repeat(ANNOTATION_VALUE_BYTES_MAX - 2);
    for n in 0..ANNOTATIONS_MAX {
        submit(
            &mut state,
            &format!(
                r#"{{"type":"session.annotate","id":"a{n}","sessionId":"s","payload":{{"key":"k{n}","value":"{value}"}}}}"#
            ),
        );
    }
    assert_eq!(
        state
            .sessions
            .values()
            .next()
            .map(|session| session.metadata.len()),
        Some(ANNOTATIONS_MAX)
    );
    check(&state);
}

#[test]
fn waiting_commands_with_large_arguments_can_be_written() {
    // The same bug in another table: 2048 waiting commands of 64 KiB are 128 MiB.
    let mut state = booted();
    submit(
        &mut state,
        r#"{"type":"shell.run","id":"r","sessionId":"s","payload":{"argv":["x"]}}"#,
    );
    let value = "x".repeat(60_000);
    for n in 0..400 {
        submit(
            &mut state,
            &format!(
                r#"{{"type":"session.annotate","id":"a{n}","sessionId":"s","payload":{{"key":"k","value":"{value}"}}}}"#
            ),
        );
    }
    assert_eq!(state.in_flight(), 401);
    check(&state);
}

#[test]
fn outcomes_with_much_output_can_be_written() {
    // The same bug where it would have been met first: 2048 outcomes of `shell.run` with 16 KiB of output each.
    let mut state = booted();
    for n in 0..600 {
        submit(
            &mut state,
            &format!(r#"{{"type":"shell.run","id":"r{n}","sessionId":"s","payload":{{"argv":["x"]}}}}"#),
        );
        let data = format!(r#"{{"stdout":"{}"}}"#, "x".repeat(32 * 1024));
        let settlement = actum_model::Settlement {
            settled: actum_model::effect::SettledAs::Succeeded,
            data: Some(actum_model::Json::from_canonical(&data)),
            fault: None,
        };
        let input = Input::Outcome {
            seq: n + 2,
            settlement: Box::new(settlement),
        };
        let decision = advance(
            &mut state,
            &Stamped {
                at: 1,
                elapsed: 1,
                input,
            },
        );
        assert!(matches!(
            decision.events.last(),
            Some(Event::Finished(_) | Event::Executed(_))
        ));
    }
    check(&state);
}

#[test]
fn live_timers_with_large_commands_can_be_written() {
    let mut state = booted();
    let value = "x".repeat(15_000);
    for n in 0..400 {
        submit(
            &mut state,
            &format!(
                r#"{{"type":"timer.set","id":"a{n}","payload":{{"timerId":"x{n}","afterMs":{n},"command":{{"type":"session.annotate","sessionId":"s","payload":{{"key":"k","value":"{value}"}}}}}}}}"#
            ),
        );
    }
    assert_eq!(state.timers_live(), 400);
    check(&state);
}

#[test]
fn timers_are_bounded_in_bytes() {
    let mut state = booted();
    let value = "x".repeat(16_000);
    let set = |state: &mut State, id: &str| {
        submit(
            state,
            &format!(
                r#"{{"type":"timer.set","id":"set-{id}","payload":{{"timerId":"{id}","afterMs":1,"command":{{"type":"session.annotate","sessionId":"s","payload":{{"key":"k","value":"{value}"}}}}}}}}"#
            ),
        );
        let last = state.outcomes.values().next_back();
        last.and_then(|row| row.fault.as_ref().map(|fault| fault.code))
    };
    assert_eq!(set(&mut state, "first"), None);
    let first = state.timers().next().unwrap().as_ref().clone();
    let bound = TIMERS_BYTES_MAX / first.weight_bytes();
    for n in 1..bound {
        let row = TimerRow {
            timer: CommandId::parse(&format!("x{n}")).unwrap(),
            ..first.clone()
        };
        apply_event(&mut state, Event::TimerSet(Box::new(row)));
    }
    assert_eq!(set(&mut state, "more"), Some(ErrorCode::LimitExceeded));
    assert_eq!(state.timers_live() as u64, bound);
}

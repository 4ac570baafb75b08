//! How commands of every effect class are stopped, timed out and taken up at boot. Some classes are played
//! by kinds that never reach a worker: `session.annotate` is contained, `server.health` is read-only, `shell.run` has
//! no cage. Their rows come from snapshot pieces.

use actum_kernel::{Decision, State, advance, apply_event, decide};
use actum_model::effect::{Doubt, ProbeAnswer, RecoveryClass, SettledAs, Settlement};
use actum_model::event::StopReason;
use actum_model::hash::Fingerprint;
use actum_model::ids::{Kind, Principal, Tenant};
use actum_model::input::Boot;
use actum_model::limits::PROBE_TIMEOUT_MS;
use actum_model::outcome::Identity;
use actum_model::restore::{CommandRow, Phase, Restore, Running};
use actum_model::{ErrorCode, Event, Hash, Input, Json, Outcome, RealmConfig, Stamped};
use std::sync::Arc;

const SEQ: u64 = 1;

/// A command of a kind, which may be followed by its arguments.
fn state(kind: &str, dispatching: bool, stopping: Option<StopReason>) -> State {
    let (kind, payload) = match kind.split_once(' ') {
        Some((kind, payload)) => (kind, Some(Json::from_canonical(payload))),
        None => (kind, None),
    };
    let identity = Identity {
        seq: SEQ,
        id: None,
        kind: Kind::new(kind),
        tenant: Tenant::main(),
        principal: Principal::parse("alice").unwrap(),
        lane: None,
        session: None,
        fingerprint: Fingerprint::default(),
        key: None,
        depends_on: Vec::new(),
        if_version: None,
        correlation: None,
        causation: None,
        retry_of: None,
    };
    let running = Running {
        contained: identity.kind.as_str() == "session.annotate",
        started_idx: 0,
        due: if stopping.is_some() { u64::MAX } else { 1000 },
        effect: Hash::ZERO,
        dispatching,
        stopping,
        doubt: None,
        probe: None,
        lost: false,
    };
    let row = CommandRow {
        identity: Arc::new(identity),
        payload,
        deps: Vec::new(),
        pending: Vec::new(),
        failed_dep: None,
        if_generation: None,
        timeout_ms: 1000,
        queue_due: 0,
        redacted: false,
        accepted_idx: 0,
        accepted_at: 0,
        phase: Phase::Running(running),
    };
    let mut state = State::default();
    state.next_seq = SEQ + 1;
    state.term = 1;
    apply_event(&mut state, Event::Restore(Box::new(Restore::Commands(vec![row]))));
    state
}

fn boot_input() -> Stamped {
    let boot = Boot {
        realm: vec![0; 16],
        incarnation: vec![0; 16],
        node: String::new(),
        build: String::new(),
        contracts: Hash::ZERO,
        classes: None,
        config: RealmConfig::default(),
    };
    Stamped {
        at: 0,
        elapsed: 0,
        input: Input::Boot(boot),
    }
}

fn boot(state: &State) -> Decision {
    decide(state, &boot_input())
}

fn at(state: &State, elapsed: u64, input: Input) -> Decision {
    decide(
        state,
        &Stamped {
            at: 0,
            elapsed,
            input,
        },
    )
}

fn class(decision: &Decision) -> Option<RecoveryClass> {
    decision.events.iter().find_map(|event| match event {
        Event::Recovered { class, .. } => Some(*class),
        _ => None,
    })
}

fn finished(decision: &Decision) -> Option<(Outcome, ErrorCode)> {
    decision.events.iter().find_map(|event| match event {
        Event::Finished(finished) => {
            let code = finished
                .fault
                .as_ref()
                .map_or(ErrorCode::Internal, |fault| fault.code);
            Some((finished.outcome, code))
        }
        _ => None,
    })
}

fn doubt(decision: &Decision) -> Option<Doubt> {
    decision.events.iter().find_map(|event| match event {
        Event::InDoubt { reason, .. } => Some(*reason),
        _ => None,
    })
}

fn cancel() -> StopReason {
    StopReason::Cancel {
        by: Principal::parse("bob").unwrap(),
        command: 9,
    }
}

#[test]
fn every_class_is_taken_up_as_it_must() {
    use RecoveryClass::{InDoubt, Interrupted, Probe, Recoverable};
    let cases = [
        (
            r#"shell.run {"probe":{"argv":["x"]}}"#,
            false,
            Recoverable,
            None,
            None,
        ),
        (r#"shell.run {"probe":{"argv":["x"]}}"#, true, Probe, None, None),
        (r#"shell.run {"$blob":"0","probe":true}"#, true, Probe, None, None),
        (
            r#"shell.run {"argv":["probe"]}"#,
            true,
            InDoubt,
            None,
            Some(Doubt::CrashAfterDispatch),
        ),
        (
            r#"session.annotate {"probe":{"argv":["x"]}}"#,
            true,
            Interrupted,
            Some((Outcome::Failed, ErrorCode::Interrupted)),
            None,
        ),
        ("shell.run", false, Recoverable, None, None),
        ("shell.run", true, InDoubt, None, Some(Doubt::CrashAfterDispatch)),
        ("session.annotate", false, Recoverable, None, None),
        (
            "session.annotate",
            true,
            Interrupted,
            Some((Outcome::Failed, ErrorCode::Interrupted)),
            None,
        ),
        ("server.health", false, Recoverable, None, None),
        ("server.health", true, Recoverable, None, None),
        // A kind this program no longer has.
        ("gone.kind", false, InDoubt, None, Some(Doubt::CrashAfterDispatch)),
    ];
    for (kind, dispatching, expected, outcome, reason) in cases {
        let decision = boot(&state(kind, dispatching, None));
        assert_eq!(class(&decision), Some(expected), "{kind} {dispatching}");
        assert_eq!(finished(&decision), outcome, "{kind} {dispatching}");
        assert_eq!(doubt(&decision), reason, "{kind} {dispatching}");
    }
}

#[test]
fn what_was_being_stopped_is_over_after_a_crash() {
    // The bug: a read-only command that was being stopped when the daemon died was dispatched again, and as its
    // limit had been taken off when the stop was asked for, it could run for ever.
    let stopped = boot(&state("server.health", true, Some(cancel())));
    assert_eq!(
        finished(&stopped),
        Some((Outcome::Cancelled, ErrorCode::Cancelled))
    );
    let stopped = boot(&state("server.health", true, Some(StopReason::Timeout)));
    assert_eq!(finished(&stopped), Some((Outcome::TimedOut, ErrorCode::TimedOut)));
    // Outside, nobody can say what the stop found.
    let stopped = boot(&state("shell.run", true, Some(cancel())));
    assert_eq!(
        (finished(&stopped), doubt(&stopped)),
        (None, Some(Doubt::CrashAfterDispatch))
    );
}

#[test]
fn what_was_being_stopped_and_has_a_probe_is_asked_for_with_a_time_of_its_own() {
    let state = state(r#"shell.run {"probe":{"argv":["x"]}}"#, true, Some(cancel()));
    let mut after = state.clone();
    let booted = advance(&mut after, &boot_input());
    assert_eq!(class(&booted), Some(RecoveryClass::Probe));
    let row = after.command(SEQ).unwrap();
    let Phase::Running(running) = &row.phase else {
        unreachable!("it runs");
    };
    assert!(running.is_probed() && running.stopping.is_none());
    assert_eq!(running.due, PROBE_TIMEOUT_MS);
}

#[test]
fn only_two_exit_codes_of_a_probe_tell() {
    let answers = |settled, data: Option<&str>| {
        let mut state = state(r#"shell.run {"probe":{"argv":["x"]}}"#, true, None);
        let _booted = advance(&mut state, &boot_input());
        let settlement = Box::new(Settlement {
            settled,
            data: data.map(Json::from_canonical),
            fault: None,
        });
        let decision = at(&state, 5, Input::Outcome { seq: SEQ, settlement });
        let answer = decision.events.iter().find_map(|event| match event {
            Event::ProbeAnswered { answer, .. } => Some(answer.clone()),
            _ => None,
        });
        (answer.unwrap(), doubt(&decision))
    };
    let crash = Some(Doubt::CrashAfterDispatch);
    let unknown = |why: &str| (ProbeAnswer::Unknown(why.to_owned()), crash);
    assert_eq!(
        answers(SettledAs::Succeeded, Some(r#"{"exitCode":0}"#)),
        (ProbeAnswer::Landed, None)
    );
    assert_eq!(
        answers(SettledAs::Failed, Some(r#"{"exitCode":1}"#)),
        (ProbeAnswer::DidNotHappen, None)
    );
    assert_eq!(
        answers(SettledAs::Failed, Some(r#"{"exitCode":2}"#)),
        unknown("it failed")
    );
    assert_eq!(
        answers(SettledAs::Failed, Some(r#"{"signal":1}"#)),
        unknown("it failed")
    );
    assert_eq!(answers(SettledAs::Failed, None), unknown("it failed"));
    // A program that was stopped may end with any code.
    assert_eq!(
        answers(SettledAs::Stopped, Some(r#"{"exitCode":1}"#)),
        unknown("it was stopped")
    );
    assert_eq!(answers(SettledAs::Unconfirmed, None), unknown("it was stopped"));
}

#[test]
fn a_confirmed_stop_times_out_only_what_is_contained_or_repeatable() {
    let outcome = |kind, settled| {
        let settlement = Settlement {
            settled,
            data: None,
            fault: None,
        };
        let input = Input::Outcome {
            seq: SEQ,
            settlement: Box::new(settlement),
        };
        let decision = at(&state(kind, true, Some(StopReason::Timeout)), 5, input);
        (finished(&decision), doubt(&decision))
    };
    let timed_out = (Some((Outcome::TimedOut, ErrorCode::TimedOut)), None);
    let in_doubt = (None, Some(Doubt::TimeoutAfterDispatch));
    assert_eq!(outcome("session.annotate", SettledAs::Stopped), timed_out);
    assert_eq!(outcome("server.health", SettledAs::Stopped), timed_out);
    assert_eq!(outcome("shell.run", SettledAs::Stopped), in_doubt);
    for kind in ["session.annotate", "server.health", "shell.run"] {
        assert_eq!(outcome(kind, SettledAs::Unconfirmed), in_doubt, "{kind}");
    }
}

#[test]
fn time_that_runs_out_asks_for_a_stop_only_where_something_left() {
    let tick = |kind, dispatching| {
        let decision = at(&state(kind, dispatching, None), 1000, Input::Tick);
        let stops = decision
            .events
            .iter()
            .any(|event| matches!(event, Event::Stopping { .. }));
        (stops, finished(&decision).map(|(outcome, _)| outcome))
    };
    assert_eq!(tick("shell.run", true), (true, None));
    assert_eq!(tick("shell.run", false), (false, Some(Outcome::TimedOut)));
    assert_eq!(tick("session.annotate", false), (false, Some(Outcome::TimedOut)));
    // A repeatable effect leaves without a mark, so it may have left.
    assert_eq!(tick("server.health", false), (true, None));
    let early = at(&state("shell.run", true, None), 999, Input::Tick);
    assert!(early.events.is_empty());
}

#[test]
fn a_limit_of_a_kind_this_program_lacks_does_not_hang_the_tick() {
    // The bug: running out had no effect on a kind that is not in the table, so the tick went round for ever.
    let decision = at(&state("gone.kind", true, None), 1000, Input::Tick);
    assert!(decision.events.is_empty());
}

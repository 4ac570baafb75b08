//! The rules that a record was decided under, as events, ticks and receipts name them: `policyId` and `rulePackId`.

use actum_kernel::lifecycle::{Lifecycle, PublicEvent};
use actum_kernel::{Decision, Known, State, advance, apply_event, read, state_digest};
use actum_model::envelope::Caller;
use actum_model::ids::{CommandId, Principal, Tenant};
use actum_model::input::{Boot, OverRate, Submit};
use actum_model::limits::RULES_KEPT_MAX;
use actum_model::{Envelope, Hash, Input, RealmConfig, Stamped};
use serde_json::{Value, json};

fn at(state: &mut State, elapsed: u64, input: Input) -> Decision {
    let at = 1_800_000_000_000 + elapsed;
    advance(state, &Stamped { at, elapsed, input })
}

/// Takes the history up with a program of this contract table.
fn boot(state: &mut State, contracts: &str) -> Decision {
    let boot = Boot {
        realm: vec![1; 16],
        incarnation: vec![2; 16],
        node: String::new(),
        build: String::new(),
        contracts: Hash::of(contracts.as_bytes()),
        classes: None,
        config: RealmConfig::default(),
    };
    let elapsed = state.elapsed;
    at(state, elapsed, Input::Boot(boot))
}

fn submit(state: &mut State, command: &Value) -> Decision {
    let text = command.to_string();
    let submit = Submit {
        caller: Caller {
            tenant: Tenant::main(),
            principal: Principal::parse("alice").unwrap(),
            exec: None,
        },
        envelope: Envelope::parse(text.as_bytes()).unwrap(),
        fingerprint: Hash::of(text.as_bytes()),
        redacted: false,
        limited: OverRate::default(),
    };
    let elapsed = state.elapsed;
    at(state, elapsed, Input::Submit(submit))
}

fn told(decision: &Decision, state: &State) -> Vec<PublicEvent> {
    let told = Lifecycle::default().record(decision.head, &decision.events, state);
    assert!(!told.is_empty());
    told
}

/// The pins of all of these events, which are the same.
fn pins(events: &[PublicEvent]) -> (Value, Value) {
    let of = |event: &PublicEvent| (event.json["policyId"].clone(), event.json["rulePackId"].clone());
    let first = of(&events[0]);
    assert!(events.iter().all(|event| of(event) == first), "{events:?}");
    first
}

fn receipt(state: &State, id: &str) -> Value {
    let known = state.find(&Tenant::main(), &CommandId::parse(id).unwrap());
    let Some(Known::Finished(row)) = known else {
        unreachable!("the command has finished")
    };
    row.data.as_ref().unwrap().to_value()
}

#[test]
fn every_event_names_the_rules_of_its_own_time_as_its_receipt_does() {
    let mut state = State::default();
    let mut decisions = vec![(vec!["server_booted"], boot(&mut state, "old"))];
    let all = ["command_accepted", "command_started", "command_finished"];
    let create = json!({"type": "sws.create", "id": "fork"});
    decisions.push((all.to_vec(), submit(&mut state, &create)));
    let session = json!({"type": "session.create", "id": "s", "sessionId": "s"});
    decisions.push((
        vec![all[0], all[1], "session_created", all[2]],
        submit(&mut state, &session),
    ));
    let set = json!({"type": "timer.set", "id": "t", "payload": {"timerId": "beat", "everyMs": 100,
        "command": {"type": "sws.create"}}});
    decisions.push((
        vec![all[0], all[1], "timer_set", all[2]],
        submit(&mut state, &set),
    ));
    decisions.push((
        vec!["tick", "timer_fired", all[0], all[1], all[2]],
        at(&mut state, 100, Input::Tick),
    ));
    let old = (json!(1), json!(state.rule_pack().to_string()));
    assert_eq!(receipt(&state, "fork")["policyId"], old.0);
    assert_eq!(receipt(&state, "fork")["rulePackId"], old.1);

    // The same program again changes nothing, another one does.
    boot(&mut state, "old");
    let upgraded = boot(&mut state, "new");
    let conflict = submit(
        &mut state,
        &json!({"type": "sws.discard", "id": "d", "payload": {"swsId": "0"}}),
    );
    let cancelled = submit(
        &mut state,
        &json!({"type": "timer.cancel", "id": "c", "payload": {"timerId": "beat"}}),
    );
    let new = (json!(1), json!(state.rule_pack().to_string()));
    assert_ne!(new, old);
    for (names, decision) in &decisions {
        let events = told(decision, &state);
        let mut found: Vec<&str> = events
            .iter()
            .map(|event| event.json["event"].as_str().unwrap())
            .collect();
        let mut names = names.clone();
        found.sort_unstable();
        names.sort_unstable();
        assert_eq!(found, names);
        assert_eq!(pins(&events), old);
    }
    for decision in [&upgraded, &conflict, &cancelled] {
        assert_eq!(pins(&told(decision, &state)), new);
    }
    assert_eq!(receipt(&state, "fork")["rulePackId"], old.1);
    assert_eq!(receipt(&state, "d")["rulePackId"], new.1);
    // Ticks too, as they are read.
    let ticks = read::ticks_json(&state, None, 10);
    assert_eq!(ticks["ticks"][0]["policyId"], old.0);
    assert_eq!(ticks["ticks"][0]["rulePackId"], old.1);
}

#[test]
fn a_snapshot_keeps_the_rules_of_all_times() {
    let mut state = State::default();
    for contracts in ["a", "b", "a"] {
        boot(&mut state, contracts);
        submit(&mut state, &json!({"type": "sws.create"}));
    }
    let mut restored = State::default();
    state.pieces().for_each(|piece| apply_event(&mut restored, piece));
    assert_eq!(state_digest(&restored).0, state_digest(&state).0);
    let rules = |state: &State| {
        (0..state.next_idx)
            .map(|idx| state.rules_at(idx).unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(rules(&restored), rules(&state));
    let begins: Vec<u64> = rules(&state).iter().map(|row| row.from_idx).collect();
    assert_eq!(begins, [0, 0, 2, 2, 4, 4]);
    assert_eq!(restored.rule_pack(), rules(&state)[0].pack);
}

#[test]
fn what_is_too_old_to_be_known_is_not_made_up() {
    let mut state = State::default();
    assert_eq!(state.rules_at(0), None);
    let first = boot(&mut state, "0");
    for number in 1..=RULES_KEPT_MAX {
        boot(&mut state, &number.to_string());
    }
    assert_eq!(state.rules_at(0), None);
    assert_eq!(state.rules_at(1).unwrap().from_idx, 1);
    let events = told(&first, &state);
    assert!(events[0].json.get("policyId").is_none());
    assert!(events[0].json.get("rulePackId").is_none());
}

#[test]
fn the_tick_that_submitted_a_command_is_known_and_no_tick_stands_for_what_a_caller_asked_for() {
    let mut state = State::default();
    boot(&mut state, "a");
    submit(&mut state, &json!({"type": "sws.create", "id": "own"}));
    submit(
        &mut state,
        &json!({"type": "timer.set", "payload": {"timerId": "beat", "everyMs": 100,
            "command": {"type": "sws.create"}}}),
    );
    let mut fired = Vec::new();
    for elapsed in [100, 200, 300] {
        let decision = at(&mut state, elapsed, Input::Tick);
        fired.extend(told(&decision, &state).into_iter().filter_map(|event| {
            let json = event.json;
            (json["event"] == "timer_fired").then(|| (json["commandId"].clone(), json["tick"].clone()))
        }));
    }
    let tick = |id: &str| {
        let known = state.find(&Tenant::main(), &CommandId::parse_any(id).unwrap());
        let Some(Known::Finished(row)) = known else {
            unreachable!("`{id}` has finished")
        };
        read::tick_of(&state, &row)
    };
    assert_eq!(fired.len(), 3);
    for (id, wanted) in &fired {
        assert_eq!(json!(tick(id.as_str().unwrap())), *wanted);
    }
    assert_eq!(tick("own"), None);
}

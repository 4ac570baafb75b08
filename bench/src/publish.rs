//! What publishing a state of 500,000 rows costs: the copy, and the first changes after it.

use crate::spread::Spread;
use crate::table::{Row, Table};
use actum_kernel::{State, advance};
use actum_model::envelope::{Caller, Envelope};
use actum_model::ids::{Principal, Tenant};
use actum_model::input::{Boot, OverRate, Submit};
use actum_model::{Hash, Input, RealmConfig, Stamped, contract};
use std::hint::black_box;
use std::time::Instant;

const ROWS: usize = 500_000;

/// The first input of a realm of the bench.
pub(crate) fn boot(config: RealmConfig) -> Input {
    Input::Boot(Boot {
        realm: vec![1; 16],
        incarnation: vec![2; 16],
        node: "bench".into(),
        build: "bench".into(),
        contracts: contract::table_hash(),
        classes: None,
        config,
    })
}

pub(crate) fn rung(table: &mut Table) {
    let mut state = State::default();
    let config = RealmConfig {
        outcomes_max: ROWS as u64,
        outcome_bytes_max: u64::MAX,
        ..RealmConfig::default()
    };
    step(&mut state, boot(config));
    for i in 0..ROWS {
        submit(
            &mut state,
            &format!(r#"{{"type":"session.create","sessionId":"s{i}","id":"c{i}"}}"#),
        );
    }
    let mut copies = Vec::new();
    let mut changes = Vec::new();
    for i in 0..2000 {
        let begun = Instant::now();
        let copy = black_box(state.clone());
        copies.push(begun.elapsed());
        let begun = Instant::now();
        let session = i * 197 % ROWS;
        let text = format!(
            r#"{{"type":"session.annotate","sessionId":"s{session}","payload":{{"key":"k","value":1}}}}"#
        );
        submit(&mut state, &text);
        changes.push(begun.elapsed());
        drop(copy);
    }
    let rows = state.sessions.len() + state.outcomes.len();
    for (name, spread) in [
        ("publish: copy of a state", Spread::new(copies)),
        (
            "publish: first command decided after a copy",
            Spread::new(changes),
        ),
    ] {
        let mut row = Row::new(
            format!("{name}, {rows} rows"),
            format!("{:.2} µs", spread.p50().as_secs_f64() * 1e6),
        );
        row.p50 = Some(spread.p50());
        row.p99 = Some(spread.p99());
        table.add(row);
    }
}

fn submit(state: &mut State, text: &str) {
    let Ok(envelope) = Envelope::parse(text.as_bytes()) else {
        return;
    };
    let Ok(principal) = Principal::parse("bench") else {
        return;
    };
    let caller = Caller {
        tenant: Tenant::main(),
        principal,
        exec: None,
    };
    let fingerprint = Hash::of(text.as_bytes());
    step(
        state,
        Input::Submit(Submit {
            caller,
            envelope,
            fingerprint,
            redacted: false,
            limited: OverRate::default(),
        }),
    );
}

fn step(state: &mut State, input: Input) {
    black_box(advance(
        state,
        &Stamped {
            at: 1,
            elapsed: 1,
            input,
        },
    ));
}

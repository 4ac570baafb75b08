//! What the core owes whoever waits, and its snapshots: tried on a core of its own, without transports.

use super::thread::ReadRequest;
use super::{Core, CoreOptions, ReplyTo, open, reads};
use actum_journal::Durability;
use actum_model::ids::{Principal, Tenant};
use actum_model::{Caller, Envelope, Response};
use serde_json::{Value, json};
use std::path::Path;

fn caller() -> Caller {
    Caller {
        tenant: Tenant::main(),
        principal: Principal::parse("tester").unwrap(),
        exec: None,
    }
}

fn envelope(command: &Value) -> Envelope {
    Envelope::parse(command.to_string().as_bytes()).unwrap()
}

async fn call(core: &Core, command: Value) -> Response {
    core.call(&caller(), envelope(&command)).await
}

/// The bug: the state that a wait was given was looked at behind a subscription that had passed it already.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_sees_an_end_that_was_released_between_its_request_and_its_first_look() {
    let data = tempfile::tempdir().unwrap();
    let core = open(&CoreOptions::new(data.path())).unwrap();
    call(
        &core,
        json!({"type": "promise.create", "payload": {"promiseId": "p"}}),
    )
    .await;
    let old = core.shared.published.load_full();
    call(
        &core,
        json!({"type": "promise.resolve", "payload": {"promiseId": "p", "value": 7}}),
    )
    .await;
    let (outbox, mut answers) = tokio::sync::mpsc::unbounded_channel();
    let waits = json!({"type": "promise.await", "payload": {"promiseId": "p", "waitMs": 500}});
    let request = ReadRequest {
        caller: caller(),
        envelope: envelope(&waits),
        reply: ReplyTo { outbox, tag: 0 },
    };
    reads::spawn(&tokio::runtime::Handle::current(), &core.shared, old, request);
    let (_, answer) = answers.recv().await.unwrap();
    let answer: Value = serde_json::from_str(&answer.to_json()).unwrap();
    assert_eq!(answer["data"]["value"], 7, "{answer}");
    core.close().await;
}

/// The bug: under batched durability a snapshot was begun before its records were durable, failed for want of their
/// leaves, and was put off for a whole period.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_is_taken_when_it_is_due_although_nothing_was_synced_for_it() {
    let data = tempfile::tempdir().unwrap();
    let options = CoreOptions {
        durability: Durability::Batched,
        // Nobody else syncs meanwhile.
        sync_interval_ms: 3_600_000,
        snapshot_every_records: 20,
        ..CoreOptions::new(data.path())
    };
    let core = open(&options).unwrap();
    for number in 0..30 {
        let id = format!("p{number}");
        call(
            &core,
            json!({"type": "promise.create", "payload": {"promiseId": id}}),
        )
        .await;
    }
    // It is made beside the engine.
    while !has_snapshot(&data.path().join("snapshots")) {
        tokio::task::yield_now().await;
    }
    core.close().await;
}

fn has_snapshot(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .into_iter()
        .any(|entry| entry.path().extension().is_none_or(|end| end != "tmp"))
}

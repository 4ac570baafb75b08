//! What is promised to callers, held against the real binary: limits of submissions and the links in events.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a failed step of a test ends it"
)]

mod common;

use actum_client::{Client, Session};
use common::{Daemon, block_on, web};
use serde_json::{Value, json};

fn annotate(id: &str, value: Value) -> Value {
    json!({"type": "session.annotate", "id": id, "sessionId": "web", "payload": {"key": "n", "value": value}})
}

async fn get(client: &Client, id: &str) -> Value {
    client
        .submit(&json!({"type": "command.get", "payload": {"id": id}}))
        .await
        .unwrap()
}

#[test]
fn a_burst_beyond_the_rate_is_refused_and_its_ids_stay_free() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &["dev", "--listen", "127.0.0.1:0", "--rate", "1"]);
    let refused = block_on(async {
        let client = daemon.client().await;
        client.submit(&web()).await.unwrap();
        for n in 0.. {
            let command = annotate(&format!("a-{n}"), n.into());
            let (status, body) = client.submit_text(command.to_string().into()).await.unwrap();
            let body: Value = serde_json::from_slice(&body).unwrap();
            if status == 200 {
                // Two in a burst, one a second: ten more would take ten seconds.
                assert!(n < 10, "the limit is not kept");
                continue;
            }
            assert_eq!(status, 429, "{body}");
            assert_eq!(body["error"]["code"], "RATE_LIMITED", "{body}");
            assert_eq!(body["error"]["retryable"], true, "{body}");
            let wait_ms = body["error"]["details"]["retryAfterMs"].as_u64().unwrap();
            assert!((1..=1000).contains(&wait_ms), "{body}");
            return command;
        }
        unreachable!("the loop has no end")
    });
    daemon.kill();
    let daemon = Daemon::dev(folder.path());
    block_on(async {
        let client = daemon.client().await;
        let id = refused["id"].as_str().unwrap();
        assert_eq!(get(&client, id).await["error"]["code"], "COMMAND_NOT_FOUND");
        let answer = client.submit(&refused).await.unwrap();
        assert_eq!(answer["outcome"], "succeeded", "{answer}");
        assert_eq!(answer["replayed"], Value::Null, "{answer}");
    });
}

#[test]
fn events_of_a_command_carry_its_links() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::dev(folder.path());
    block_on(async {
        let client = daemon.client().await;
        let session = Session::over(client.socket().await.unwrap(), "test");
        let mut events = session.events().unwrap();
        let done = session
            .submit(json!({"type": "events.subscribe", "payload": {}}))
            .await
            .unwrap();
        assert_eq!(done["success"], true, "{done}");
        session.submit(web()).await.unwrap();
        let mut linked = annotate("linked", 1.into());
        linked["dependsOn"] = json!(["web-create"]);
        linked["idempotencyKey"] = "key-1".into();
        linked["causationId"] = "web-create".into();
        linked["correlationId"] = "chain-1".into();
        let answer = session.submit(linked).await.unwrap();
        assert_eq!(answer["outcome"], "succeeded", "{answer}");
        let mut seen = Vec::new();
        while seen.len() < 3 {
            let event = events.recv().await.unwrap();
            if event["id"] != "linked" {
                continue;
            }
            assert_eq!(event["dependsOn"], json!(["web-create"]), "{event}");
            assert_eq!(event["idempotencyKey"], "key-1", "{event}");
            assert_eq!(event["causationId"], "web-create", "{event}");
            assert_eq!(event["correlationId"], "chain-1", "{event}");
            seen.push(event["event"].as_str().unwrap().to_owned());
        }
        assert_eq!(seen, ["command_accepted", "command_started", "command_finished"]);
    });
}

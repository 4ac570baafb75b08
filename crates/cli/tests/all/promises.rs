//! What is promised to callers, held against the real binary: durability, limits, identity, recovery, secrets, retention.

use crate::common::{Daemon, block_on, follow, over, until, web};
use actum_client::{Client, Session};
use serde_json::{Value, json};
use std::path::Path;

fn shell(id: &str, argv: &[&str]) -> Value {
    json!({"type": "shell.run", "id": id, "sessionId": "web", "payload": {"argv": argv}})
}

fn annotate(id: &str, value: impl Into<Value>) -> Value {
    let value: Value = value.into();
    json!({"type": "session.annotate", "id": id, "sessionId": "web", "payload": {"key": "n", "value": value}})
}

async fn get(client: &Client, id: &str) -> Value {
    client
        .submit(&json!({"type": "command.get", "payload": {"id": id}}))
        .await
        .unwrap()
}

#[test]
fn an_answer_under_batched_durability_says_so_unless_the_world_was_changed() {
    let folder = tempfile::tempdir().unwrap();
    let args = [
        "dev",
        "--sandbox",
        "none",
        "--listen",
        "127.0.0.1:0",
        "--durability",
        "batched",
    ];
    let daemon = Daemon::start(folder.path(), &args);
    block_on(async {
        let client = daemon.client().await;
        let answer = client.submit(&web()).await.unwrap();
        assert_eq!(answer["durability"], "batched", "{answer}");
        for n in 0..10 {
            let answer = client.submit(&annotate(&format!("a-{n}"), n)).await.unwrap();
            assert_eq!(answer["durability"], "batched", "{answer}");
            let answer = client
                .submit(&shell(&format!("run-{n}"), &["echo", "done"]))
                .await
                .unwrap();
            assert_eq!(answer["outcome"], "succeeded", "{answer}");
            assert_eq!(answer["durability"], Value::Null, "{answer}");
        }
    });
}

#[test]
fn a_burst_beyond_the_rate_is_refused_and_its_ids_stay_free() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(
        folder.path(),
        &[
            "dev",
            "--sandbox",
            "none",
            "--listen",
            "127.0.0.1:0",
            "--rate",
            "1",
        ],
    );
    let refused = block_on(async {
        let client = daemon.client().await;
        client.submit(&web()).await.unwrap();
        for n in 0.. {
            let command = annotate(&format!("a-{n}"), n);
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
fn another_principal_learns_nothing_by_repeating_an_id() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let token = |name: &str| {
        over(data, &["token", "create", name])
            .ended(0)
            .out
            .trim()
            .to_owned()
    };
    let (a, b) = (token("a"), token("b"));
    let daemon = Daemon::start(data, &["serve", "--listen", "127.0.0.1:0", "--allow-uncaged"]);
    block_on(async {
        let a = Client::connect(&daemon.url(), Some(&a)).await.unwrap();
        let b = Client::connect(&daemon.url(), Some(&b)).await.unwrap();
        a.submit(&web()).await.unwrap();
        let first = shell("shared", &["echo", "words of a"]);
        assert_eq!(a.submit(&first).await.unwrap()["outcome"], "succeeded");
        let stored = get(&a, "shared").await;
        for again in [&first, &shell("shared", &["echo", "words of b"])] {
            let answer = b.submit(again).await.unwrap();
            assert_eq!(answer["error"]["code"], "IDENTITY_CONFLICT", "{answer}");
            assert_eq!(answer["error"]["details"], Value::Null, "{answer}");
            for member in [
                "data",
                "outcome",
                "lane",
                "laneSeq",
                "idx",
                "sessionVersion",
                "replayed",
            ] {
                assert_eq!(answer[member], Value::Null, "{member} in {answer}");
            }
            assert!(!answer.to_string().contains("words of a"), "{answer}");
        }
        assert_eq!(get(&a, "shared").await, stored);
        let replayed = a.submit(&first).await.unwrap();
        assert_eq!(replayed["replayed"], true, "{replayed}");
        assert_eq!(replayed["data"], stored["data"]["data"], "{replayed}");
    });
}

#[test]
fn after_a_kill_a_client_is_told_what_was_taken_up() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::dev(folder.path());
    block_on(async {
        let client = daemon.client().await;
        let mut events = follow(&client).await;
        client.submit(&web()).await.unwrap();
        let mut command = shell("lost", &["sh", "-c", "echo up; exec sleep 60"]);
        command["detach"] = true.into();
        client.submit(&command).await.unwrap();
        // Started is not yet dispatched; once it speaks, it was.
        until(&mut events, "output", "lost").await;
    });
    daemon.kill();
    let daemon = Daemon::dev(folder.path());
    block_on(async {
        let client = daemon.client().await;
        let (_sender, mut receiver) = client.socket().await.unwrap().split();
        let text = receiver.next().await.unwrap().unwrap();
        let by_socket: Value = serde_json::from_str(&text).unwrap();
        let mut events = follow(&client).await;
        let first = events.next().await.unwrap().unwrap();
        assert_eq!(first.name, "server_ready");
        let second = events.next().await.unwrap().unwrap();
        assert_eq!(second.name, "startup_recovery_summary");
        for summary in [&by_socket, &second.data] {
            assert_eq!(summary["event"], "startup_recovery_summary", "{summary}");
            assert_eq!(summary["unfinished"], 1, "{summary}");
            assert_eq!(summary["classes"]["in_doubt"], 1, "{summary}");
            assert_eq!(summary["cleanShutdown"], false, "{summary}");
            assert!(summary["durationMs"].is_u64(), "{summary}");
            assert_eq!(
                summary["commands"],
                Value::Null,
                "they may be another tenant's: {summary}"
            );
        }
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
        let mut linked = annotate("linked", 1);
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

/// A secret, and its base64.
const SECRET: &str = "s3cr3t-kQ7vWz2mXp9";
const ENCODED: &str = "czNjcjN0LWtRN3ZXejJtWHA5";

#[track_caller]
fn hold_no_secret(place: &str, bytes: &[u8]) {
    for form in [SECRET, ENCODED] {
        let found = bytes.windows(form.len()).any(|window| window == form.as_bytes());
        assert!(!found, "`{form}` is in {place}");
    }
}

/// Looks into every file below a folder; gives how many there are.
fn search(folder: &Path) -> usize {
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files += search(&path);
        } else {
            hold_no_secret(&path.display().to_string(), &std::fs::read(&path).unwrap());
            files += 1;
        }
    }
    files
}

#[test]
fn a_known_secret_is_in_no_byte_of_data_log_or_export() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (daemon, log) = Daemon::talkative(&data);
    let print = "echo $API_TOKEN; echo got $API_TOKEN >&2; printf %s $API_TOKEN | base64";
    let print_much = "yes \"again $API_TOKEN\" | head -n 5000";
    let with_env = |id: &str, argv: &[&str]| {
        let mut command = shell(id, argv);
        command["payload"]["env"] = json!({"API_TOKEN": SECRET});
        command
    };
    let commands = [
        web(),
        with_env("small", &["sh", "-c", print]),
        with_env("large", &["sh", "-c", print_much]),
        with_env("fails", &["sh", "-c", "echo $API_TOKEN; exit 3"]),
        with_env("no-program", &["/no/such/program", SECRET]),
        shell("argument", &["echo", "--password", SECRET]),
        annotate(
            "named",
            json!({"password": SECRET, "note": format!("it is {SECRET}")}),
        ),
        // Refused: a member nobody knows.
        json!({"type": "shell.run", "id": "bad", "sessionId": "web", "payload": {"argv": ["true"], "env": {"API_TOKEN": SECRET}, "no": 1}}),
    ];
    block_on(async {
        let client = daemon.client().await;
        let mut answers = Vec::new();
        for command in &commands {
            let answer = client.submit(command).await.unwrap();
            hold_no_secret("an answer", answer.to_string().as_bytes());
            answers.push(answer);
        }
        let text = answers[1]["data"]["stdout"]["text"].as_str().unwrap();
        assert!(
            text.starts_with("[redacted:secret:"),
            "the program had it: {text}"
        );
        assert!(answers[2]["data"]["stdout"]["blob"].is_string(), "{}", answers[2]);
        assert_eq!(answers[7]["error"]["code"], "INVALID_INPUT");
    });
    for args in [
        &["history", "--all", "--json"][..],
        &["history"],
        &["export"],
        &["export", "--redact"],
        &["replay", "--step"],
        &["show", "small"],
        &["show", "large", "--json"],
        &["show", "fails"],
        &["show", "no-program"],
        &["show", "argument"],
        &["show", "named", "--json"],
    ] {
        let said = daemon.run(args).ended(0);
        assert!(!said.out.is_empty(), "{args:?}");
        hold_no_secret(&format!("{args:?}"), said.out.as_bytes());
        hold_no_secret(&format!("{args:?}"), said.err.as_bytes());
    }
    search(&data);
    daemon.signal(rustix::process::Signal::TERM);
    let log = log.join().unwrap();
    assert!(
        log.ends_with(b"ended in order\n"),
        "{}",
        String::from_utf8_lossy(&log)
    );
    hold_no_secret("the log", &log);
    assert!(search(&data) > 5, "journal, snapshot, blob, index, keys");
    // Nor does an offline pass over it bring anything to light or leave anything behind.
    over(&data, &["journal", "compact"]).ended(0);
    hold_no_secret("an export", over(&data, &["export"]).ended(0).out.as_bytes());
    search(&data);
}

#[test]
fn outcomes_beyond_the_bytes_to_keep_expire_and_later_ones_are_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let args = [
        "dev",
        "--sandbox",
        "none",
        "--listen",
        "127.0.0.1:0",
        "--keep-outcome-mib",
        "1",
    ];
    let daemon = Daemon::start(folder.path(), &args);
    // About 12 KB each: some 85 of them are a MiB.
    let run = |n: usize| {
        shell(
            &format!("run-{n}"),
            &["sh", "-c", "head -c 12000 /dev/zero | tr '\\0' x"],
        )
    };
    block_on(async {
        let client = daemon.client().await;
        client.submit(&web()).await.unwrap();
        for n in 0..110 {
            let answer = client.submit(&run(n)).await.unwrap();
            assert_eq!(answer["outcome"], "succeeded", "{answer}");
            if n == 50 {
                let early = client.submit(&run(0)).await.unwrap();
                assert_eq!(early["replayed"], true, "there is room: {early}");
            }
        }
        for early in [0, 20] {
            let answer = client.submit(&run(early)).await.unwrap();
            assert_eq!(answer["error"]["code"], "OUTCOME_EXPIRED", "{early}: {answer}");
        }
        for late in [60, 109] {
            let answer = client.submit(&run(late)).await.unwrap();
            assert_eq!(answer["replayed"], true, "{late}: {answer}");
            assert_eq!(answer["data"]["stdout"]["bytes"], 12_000, "{late}: {answer}");
        }
    });
}

//! Time through the real binary: timers, ticks and the time of the history.

use crate::common::{self, Daemon, block_on, follow, until};
use serde_json::{Value, json};

/// Waits for the firing of a timer. `from` is the journal position to look from.
async fn fired(daemon: &Daemon, timer: &str, from: u64) -> Value {
    let client = daemon.client().await;
    let query = actum_client::EventsQuery {
        from_idx: Some(from),
        ..Default::default()
    };
    let mut events = client.events(&query).await.unwrap();
    loop {
        let event = events.next().await.unwrap().expect("the daemon ended the stream");
        if event.name == "timer_fired" && event.data["timerId"] == timer {
            return event.data;
        }
    }
}

/// A moment that many milliseconds from now by this machine's clock, as the daemon reads it too.
fn moment(ahead_ms: u64) -> String {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    actum_model::time::rfc3339(u64::try_from(now.as_millis()).unwrap() + ahead_ms)
}

fn shell(log: &std::path::Path) -> String {
    let append = format!("echo once >> {}", log.display());
    json!({"type": "shell.run", "sessionId": "ops", "payload": {"argv": ["sh", "-c", append]}}).to_string()
}

#[test]
fn a_timer_runs_a_program_once_and_history_says_who_ordered_it() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let daemon = Daemon::dev(&folder.path().join("data"));
    daemon.run(&["session", "create", "ops"]).ended(0);
    let command = shell(&log);
    let set = daemon
        .run(&[
            "timer",
            "set",
            "job",
            "--after",
            "50ms",
            "--command",
            &command,
            "--json",
        ])
        .ended(0);
    let set = set.json();
    assert_eq!(set["data"]["timerId"], "job");
    let event = block_on(fired(&daemon, "job", 0));
    let id = event["commandId"].as_str().unwrap().to_owned();
    assert_eq!(
        id,
        format!("timer:job:{}.1", set["laneSeq"].as_u64().unwrap() + 1)
    );
    assert_eq!((&event["late"], &event["missed"]), (&json!(false), &json!(0)));
    assert_eq!(
        daemon.run(&["wait", &id, "--json"]).ended(0).json()["state"],
        "succeeded"
    );
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "once\n");
    let why = daemon.run(&["why", &id]).ended(0);
    assert!(why.out.contains("Timer `job` submitted it"), "{}", why.out);
    let history = daemon.run(&["history", "--output", "jsonl"]).ended(0);
    let row = history
        .out
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .find(|row| row["id"] == id.as_str())
        .unwrap();
    assert_eq!(row["causationId"], set["id"]);
    assert_eq!(row["principal"], "dev");
    let shown = daemon.run(&["show", &id, "--json"]).ended(0).json();
    assert_eq!(
        shown["payload"]["argv"][0], "sh",
        "its arguments stand in the record of the firing"
    );
    assert_eq!(row["outcome"], "succeeded");
    // It is gone, and what is gone cannot be cancelled.
    let gone = daemon.run(&["timer", "cancel", "job"]).ended(1);
    assert!(gone.err.contains("TIMER_NOT_FOUND"), "{}", gone.err);
    let ticks = daemon.run(&["ticks", "--json"]).ended(0);
    assert!(ticks.out.contains("\"fired\":1"), "{}", ticks.out);
    let now = daemon.run(&["now", "--json"]).ended(0).json();
    assert_eq!(now["policy"], "trustMonotonicLatest");
    assert_eq!(now["domain"], "monotonic");
}

#[test]
fn a_daemon_killed_over_a_due_timer_fires_it_once_at_its_next_start_and_says_it_is_late() {
    let folder = tempfile::tempdir().unwrap();
    let (log, data) = (folder.path().join("log"), folder.path().join("data"));
    let daemon = Daemon::dev(&data);
    daemon.run(&["session", "create", "ops"]).ended(0);
    let (due, command) = (moment(1500), shell(&log));
    daemon
        .run(&["timer", "set", "once", "--at", &due, "--command", &command])
        .ended(0);
    daemon
        .run(&["timer", "set", "beat", "--at", &due, "--every", "100ms"])
        .ended(0);
    let listed = daemon.run(&["timer", "list", "--json"]).ended(0);
    assert!(
        listed.out.contains("once") && listed.out.contains("beat"),
        "{}",
        listed.out
    );
    daemon.kill();
    // Until it is due: the time of this test, not a guess about the daemon's.
    while moment(0) <= due {
        std::thread::yield_now();
    }
    let daemon = Daemon::dev(&data);
    let event = block_on(fired(&daemon, "once", 0));
    assert_eq!(event["late"], true);
    let id = event["commandId"].as_str().unwrap().to_owned();
    daemon.run(&["wait", &id]).ended(0);
    let beat = block_on(fired(&daemon, "beat", 0));
    assert_eq!(beat["late"], true);
    daemon.run(&["timer", "cancel", "beat"]).ended(0);
    daemon.end();
    let daemon = Daemon::dev(&data);
    let firings = daemon
        .run(&["history", "--kind", "shell.run", "--output", "jsonl"])
        .ended(0);
    assert_eq!(firings.out.lines().count(), 1, "{}", firings.out);
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "once\n");
    daemon.end();
    let verified = common::over(&data, &["replay", "--verify"]);
    verified.ended(0);
}

#[test]
fn a_cadence_makes_ticks_that_can_be_followed_and_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let daemon = Daemon::start(
        &data,
        &[
            "dev",
            "--sandbox",
            "none",
            "--listen",
            "127.0.0.1:0",
            "--tick-every-ms",
            "100",
        ],
    );
    block_on(async {
        let client = daemon.client().await;
        let mut events = follow(&client).await;
        let mut seen = Vec::new();
        while seen.len() < 3 {
            let event = events.next().await.unwrap().expect("the daemon ended the stream");
            if event.name == "tick" {
                seen.push(event.data["tick"].as_u64().unwrap());
            }
        }
        assert!(seen.windows(2).all(|pair| pair[1] == pair[0] + 1), "{seen:?}");
    });
    daemon.end();
    common::over(&data, &["replay", "--verify"]).ended(0);
    let refused = common::over(&data, &["dev", "--tick-every-ms", "5"]);
    refused.ended(1);
}

#[test]
fn what_a_timer_must_not_carry_is_refused_when_it_is_set() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::dev(&folder.path().join("data"));
    let refused = |arguments: &[&str]| {
        let whole = [&["timer", "set", "x"], arguments].concat();
        daemon.run(&whole).ended(1).err
    };
    let secret = r#"{"type":"shell.run","sessionId":"s","payload":{"argv":["x"],"env":{"API_TOKEN":"ghp_0123456789abcdefghijABCDEFGHIJ012345"}}}"#;
    assert!(refused(&["--after", "1h", "--command", secret]).contains("SECRET_UNAVAILABLE"));
    let wrong = r#"{"type":"shell.run","sessionId":"s","payload":{"argv":[]}}"#;
    assert!(refused(&["--after", "1h", "--command", wrong]).contains("/payload/command/payload/argv"));
    assert!(refused(&["--after", "1h", "--command", "{"]).contains("INVALID_JSON"));
    assert!(refused(&["--after", "1h", "--at", "2027-01-01"]).contains("INVALID_INPUT"));
    assert!(refused(&["--after", "soon"]).contains("INVALID_INPUT"));
    assert!(refused(&[]).contains("INVALID_INPUT"));
    daemon.run(&["timer", "set", "x", "--after", "1h"]).ended(0);
    assert!(refused(&["--after", "1h"]).contains("TIMER_EXISTS"));
}

#[test]
fn a_timer_set_under_a_daemon_without_a_cage_runs_in_the_cage_of_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let (log, data) = (folder.path().join("log"), folder.path().join("data"));
    let daemon = Daemon::dev(&data);
    daemon.run(&["session", "create", "ops"]).ended(0);
    let (due, command) = (moment(1000), shell(&log));
    daemon
        .run(&["timer", "set", "job", "--at", &due, "--command", &command])
        .ended(0);
    daemon.kill();
    let token = common::over(&data, &["token", "create", "ci", "--json"])
        .ended(0)
        .json();
    let token = token["token"].as_str().unwrap().to_owned();
    let daemon = Daemon::start(&data, &["serve", "--listen", "127.0.0.1:0"]);
    let id = block_on(async {
        let client = actum_client::Client::connect(&daemon.url(), Some(&token))
            .await
            .unwrap();
        let query = actum_client::EventsQuery {
            from_idx: Some(0),
            ..Default::default()
        };
        let mut events = client.events(&query).await.unwrap();
        let done = loop {
            let event = events.next().await.unwrap().expect("the daemon ended the stream");
            let timed = event.data["id"]
                .as_str()
                .is_some_and(|id| id.starts_with("timer:"));
            if event.name == "command_finished" && timed {
                break event.data;
            }
        };
        // In the cage there is no such folder to append to.
        assert_eq!(done["error"]["code"], "COMMAND_FAILED");
        done["id"].as_str().unwrap().to_owned()
    });
    assert!(id.starts_with("timer:job:"));
    assert!(!log.exists(), "it reached out of the cage");
}

#[test]
fn the_events_of_a_timer_come_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::dev(&folder.path().join("data"));
    daemon.run(&["session", "create", "s"]).ended(0);
    block_on(async {
        let client = daemon.client().await;
        let mut events = follow(&client).await;
        let command = r#"{"type":"session.annotate","sessionId":"s","payload":{"key":"k","value":1}}"#;
        let data = daemon.data.clone();
        let arguments = ["timer", "set", "note", "--every", "100ms", "--command", command];
        common::over(&data, &arguments).ended(0);
        let first = until(&mut events, "command_finished", "timer:note:2.1").await;
        assert_eq!(first["success"], true);
        let second = until(&mut events, "command_finished", "timer:note:2.2").await;
        assert_eq!(second["sessionVersion"], 2);
        common::over(&data, &["timer", "cancel", "note"]).ended(0);
    });
}

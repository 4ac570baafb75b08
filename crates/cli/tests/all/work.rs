//! Work through the command line: submitting, asking, following.

use crate::common::{Daemon, actum, block_on, follow, ran, until};
use serde_json::Value;
use std::io::Write;
use std::process::Stdio;

#[test]
fn a_file_is_submitted_and_submitting_it_again_does_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::dev(&folder.path().join("data"));
    let file = folder.path().join("f.jsonl");
    let log = folder.path().join("log");
    let append = format!("echo once >> {}", log.display());
    let line =
        serde_json::json!({"type": "shell.run", "id": "w-1", "payload": {"argv": ["sh", "-c", append]}});
    std::fs::write(&file, format!("{line}\n\n")).unwrap();
    let file = file.to_str().unwrap();
    let first = daemon.run(&["submit", file, "--json"]).ended(0);
    assert!(first.err.contains("go to session submit-"), "{}", first.err);
    assert_eq!(first.json()["outcome"], "succeeded");
    let again = daemon.run(&["submit", file, "--json"]).ended(0);
    assert_eq!(again.json()["replayed"], true);
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "once\n");
}

#[test]
fn a_bad_line_is_told_and_the_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::dev(folder.path());
    let mut command = actum();
    command
        .arg("--data")
        .arg(folder.path())
        .args(["submit", "-", "--output", "jsonl"])
        .stdin(Stdio::piped());
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let create =
        |id: &str| format!("{{\"type\":\"session.create\",\"id\":\"{id}\",\"sessionId\":\"{id}\"}}\n");
    for line in [
        create("a"),
        "nonsense\n".to_owned(),
        "{\"type\":\"no.such\"}\n".to_owned(),
        create("b"),
    ] {
        input.write_all(line.as_bytes()).unwrap();
    }
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 4, "{said}");
    assert_eq!(lines[1]["error"]["code"], "INVALID_JSON");
    assert_eq!(lines[2]["error"]["code"], "UNKNOWN_COMMAND");
    assert_eq!(
        (&lines[0]["success"], &lines[3]["success"]),
        (&true.into(), &true.into())
    );
    daemon.kill();
}

#[test]
fn what_was_done_can_be_looked_up() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::dev(folder.path());
    daemon.run(&["session", "create", "web"]).ended(0);
    let said = daemon.run(&[
        "call",
        "shell.run",
        "--session",
        "web",
        "--id",
        "run-1",
        "--",
        "sh",
        "-c",
        "echo out; echo err >&2; exit 3",
    ]);
    let said = said.ended(1);
    assert_eq!(said.out, "out\n");
    assert!(
        said.err.contains("err") && said.err.contains("error[COMMAND_FAILED]"),
        "{}",
        said.err
    );
    assert!(said.err.contains("actum show run-1"), "{}", said.err);
    let shown = daemon.run(&["show", "run-1", "--json"]).ended(0).json();
    assert_eq!(shown["payload"]["argv"][0], "sh");
    assert_eq!(shown["data"]["exitCode"], 3);
    let shown = daemon.run(&["show", "run-1"]).ended(0).out;
    for word in ["argv = [\"sh\"", "exit code", "COMMAND_FAILED", "stderr"] {
        assert!(shown.contains(word), "`{word}` is missing in {shown}");
    }
    let rows = daemon
        .run(&["history", "--session", "web", "--json"])
        .ended(0)
        .json();
    assert_eq!(rows["commands"].as_array().unwrap().len(), 2, "{rows}");
    let said = daemon.run(&["history", "--outcome", "failed"]).ended(0).out;
    assert!(
        said.contains("run-1") && said.contains("session:web #2") && !said.contains("session.create"),
        "{said}"
    );
    let page = daemon.run(&["history", "--limit", "1", "--json"]).ended(0).json();
    assert!(page["nextCursor"].is_string(), "{page}");
    let all = daemon
        .run(&["history", "--limit", "1", "--all", "--output", "jsonl"])
        .ended(0)
        .out;
    assert!(all.lines().count() >= 2, "{all}");
    assert!(
        daemon
            .run(&["why", "run-1"])
            .ended(0)
            .out
            .contains("run-1 is failed")
    );
    daemon.run(&["wait", "run-1"]).ended(1);
    daemon.run(&["show", "nobody"]).ended(1);
}

#[test]
fn a_running_command_is_cancelled_and_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::dev(folder.path());
    block_on(async {
        let mut events = follow(&daemon.client().await).await;
        daemon
            .run(&[
                "call",
                "shell.run",
                "--id",
                "long",
                "--detach",
                "--",
                "sleep",
                "600",
            ])
            .ended(0);
        until(&mut events, "command_started", "long").await;
        daemon.run(&["cancel", "long"]).ended(0);
        let ended = until(&mut events, "command_finished", "long").await;
        assert_eq!(ended["outcome"], "cancelled", "{ended}");
    });
    let said = daemon.run(&["wait", "long"]).ended(1).err;
    assert!(said.contains("error[CANCELLED]"), "{said}");
}

#[test]
fn events_are_followed_from_a_place_on() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::dev(folder.path());
    daemon.run(&["session", "create", "web"]).ended(0);
    let mut command = actum();
    command
        .arg("--data")
        .arg(folder.path())
        .args(["events", "--from", "0", "--output", "jsonl"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let mut seen = Vec::new();
    while seen.last().is_none_or(|name| name != "command_finished") {
        let line: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        seen.push(line["event"].as_str().unwrap_or_default().to_owned());
    }
    assert!(seen.iter().any(|name| name == "session_created"), "{seen:?}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn large_output_is_a_blob_that_can_be_had() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::dev(folder.path());
    let said = daemon
        .run(&["call", "shell.run", "--json", "--", "seq", "1", "20000"])
        .ended(0)
        .json();
    let hash = said["data"]["stdout"]["blob"].as_str().unwrap();
    let whole = daemon.run(&["blob", hash]).ended(0).out;
    assert_eq!(whole.lines().count(), 20_000);
    let missing = "0".repeat(64);
    assert!(
        daemon
            .run(&["blob", &missing])
            .ended(1)
            .err
            .contains("error[NOT_FOUND]")
    );
    assert!(
        daemon
            .run(&["blob", "xyz"])
            .ended(1)
            .err
            .contains("error[INVALID_INPUT]")
    );
}

#[test]
fn a_daemon_elsewhere_is_named_by_url_and_token() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let made = ran(actum().arg("--data").arg(&data).args(["token", "create", "ci"]))
        .ended(0)
        .out;
    let daemon = Daemon::start(&data, &["serve", "--listen", "127.0.0.1:0"]);
    let mut command = actum();
    command
        .args(["session", "list", "--url", &daemon.url(), "--token", made.trim()])
        .current_dir(folder.path());
    ran(&mut command).ended(0);
    let said = ran(actum().args(["session", "list", "--url", "http://127.0.0.1:1"]))
        .ended(1)
        .err;
    assert!(said.contains("error[DAEMON_UNREACHABLE]"), "{said}");
    ran(actum().args(["session", "list", "--url", "https://x"])).ended(1);
}

#[test]
fn lines_from_a_pipe_go_to_the_session_that_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::dev(&folder.path().join("data"));
    daemon.run(&["session", "create", "web"]).ended(0);
    let pipe = folder.path().join("pipe");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let writer = {
        let pipe = pipe.clone();
        std::thread::spawn(move || {
            let line = "{\"type\":\"shell.run\",\"id\":\"p-1\",\"payload\":{\"argv\":[\"true\"]}}\n";
            std::fs::write(pipe, line).unwrap();
        })
    };
    let said = daemon
        .run(&["submit", pipe.to_str().unwrap(), "--session", "web", "--json"])
        .ended(0)
        .json();
    assert_eq!(said["lane"], "session:web");
    writer.join().unwrap();
}

#[test]
fn a_command_in_doubt_is_not_waited_for_without_a_word() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let line = serde_json::json!({"type": "shell.run", "id": "d-1", "sessionId": "web",
        "payload": {"argv": ["sleep", "600"]}});
    let daemon = Daemon::dev(&data);
    daemon.run(&["session", "create", "web"]).ended(0);
    block_on(async {
        let mut events = follow(&daemon.client().await).await;
        daemon
            .run(&[
                "call",
                "shell.run",
                "--session",
                "web",
                "--id",
                "d-1",
                "--detach",
                "--",
                "sleep",
                "600",
            ])
            .ended(0);
        until(&mut events, "command_started", "d-1").await;
        // Its dispatch is on record before it starts to say or do anything; the kill comes when it runs.
        let running = serde_json::json!({"type": "command.why", "payload": {"id": "d-1"}});
        let client = daemon.client().await;
        while client.submit(&running).await.unwrap()["data"]["because"][0] != "It runs." {}
    });
    daemon.kill();
    let again = Daemon::dev(&data);
    let file = folder.path().join("f.jsonl");
    std::fs::write(&file, line.to_string()).unwrap();
    let said = again.run(&["submit", file.to_str().unwrap()]).ended(3);
    assert!(
        said.err.contains("`d-1` is in doubt") && said.err.contains("1 not answered"),
        "{said:?}"
    );
    let said = again
        .run(&[
            "call",
            "shell.run",
            "--session",
            "web",
            "--id",
            "d-1",
            "--",
            "sleep",
            "600",
        ])
        .ended(3);
    assert!(said.err.contains("actum resolve d-1"), "{said:?}");
    again
        .run(&["resolve", "d-1", "--as", "landed", "--note", "slept"])
        .ended(0);
    again.run(&["submit", file.to_str().unwrap()]).ended(0);
    let said = again
        .run(&["resolve", "d-1", "--as", "landed", "--note", "slept"])
        .ended(1)
        .err;
    assert!(said.contains("error["), "{said}");
}

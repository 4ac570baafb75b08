//! A daemon as a process: who may start one, how it ends, what it says.

use crate::common::{Daemon, actum, block_on, follow, over, ran, run, until};
use actum_client::Session;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::process::Stdio;

#[test]
fn a_second_daemon_on_the_same_data_is_refused_and_told_who_holds_it() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::dev(folder.path());
    let said = over(
        folder.path(),
        &["dev", "--sandbox", "none", "--listen", "127.0.0.1:0"],
    )
    .ended(1);
    assert!(said.err.starts_with("error[JOURNAL_LOCKED]: "), "{}", said.err);
    assert!(
        said.err.contains(&format!("pid {}", daemon.child.id())),
        "{}",
        said.err
    );
    assert_eq!(
        over(folder.path(), &["call", "server.health", "--json"])
            .ended(0)
            .json()["data"]["status"],
        "ok"
    );
    let said = over(folder.path(), &["journal", "compact"]).ended(1);
    assert!(said.err.contains("JOURNAL_LOCKED"), "{}", said.err);
}

#[test]
fn the_address_of_the_daemon_is_found_and_gone_when_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::dev(folder.path());
    let file: Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("daemon.json")).unwrap()).unwrap();
    assert_eq!(file["url"], daemon.ready["url"]);
    assert_eq!(file["pid"], daemon.child.id());
    let (status, _) = daemon.end();
    assert_eq!(status.code(), Some(0));
    assert!(!folder.path().join("daemon.json").exists());
    let killed = Daemon::dev(folder.path());
    killed.kill();
    let said = over(folder.path(), &["history"]).ended(1).err;
    assert!(said.contains("ended without a word"), "{said}");
}

#[test]
fn sigterm_lets_running_commands_end_and_refuses_new_ones() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let gate = folder.path().join("gate");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&gate)
            .status()
            .unwrap()
            .success()
    );
    let mut daemon = Daemon::dev(&data);
    block_on(async {
        let client = daemon.client().await;
        let mut events = follow(&client).await;
        let socket = Session::over(client.socket().await.unwrap(), "late");
        let mut call = actum();
        call.arg("--data")
            .arg(&data)
            .args(["call", "shell.run", "--id", "held", "--", "cat"])
            .arg(&gate);
        let mut call = call.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        until(&mut events, "command_started", "held").await;

        daemon.signal(Signal::TERM);
        let line = daemon.hear();
        assert!(line.contains("draining: 1 command still running"), "{line}");
        let late = json!({"type": "session.create", "sessionId": "late", "payload": {}});
        if let Ok(answer) = socket.submit(late).await {
            assert_eq!(answer["error"]["code"], "SHUTTING_DOWN", "{answer}");
        }
        // Only now may the command end.
        std::fs::OpenOptions::new()
            .write(true)
            .open(&gate)
            .unwrap()
            .write_all(b"let go\n")
            .unwrap();
        let mut out = String::new();
        call.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        assert!(call.wait().unwrap().success(), "the answer came before the end");
        assert_eq!(out, "let go\n");
    });
    let (status, said) = daemon.wait();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("ended in order"), "{said}");
    let again = Daemon::dev(&data);
    assert_eq!(again.ready["recovery"]["cleanShutdown"], true);
    assert_eq!(
        again.run(&["show", "held", "--json"]).ended(0).json()["state"],
        "succeeded"
    );
    assert_eq!(again.run(&["call", "session.get", "--session", "late"]).code, 1);
}

#[test]
fn a_drain_that_takes_too_long_ends_and_the_next_start_knows() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut daemon = Daemon::start(
        &data,
        &[
            "dev",
            "--sandbox",
            "none",
            "--listen",
            "127.0.0.1:0",
            "--drain-timeout",
            "0",
        ],
    );
    block_on(async {
        let client = daemon.client().await;
        let mut events = follow(&client).await;
        daemon
            .run(&[
                "call",
                "shell.run",
                "--id",
                "long",
                "--detach",
                "--",
                "sh",
                "-c",
                "echo asleep; exec sleep 600",
            ])
            .ended(0);
        // Started is not dispatched: only what it says shows that it left.
        until(&mut events, "output", "long").await;
    });
    daemon.signal(Signal::TERM);
    let (status, said) = daemon.wait();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("did not end in time"), "{said}");
    let again = Daemon::dev(&data);
    assert_eq!(
        again.ready["recovery"]["classes"]["in_doubt"], 1,
        "{}",
        again.ready
    );
    let said = again.run(&["wait", "long"]).ended(3);
    assert!(said.out.contains("long is in doubt"), "{said:?}");
    again
        .run(&[
            "resolve",
            "long",
            "--as",
            "did-not-happen",
            "--note",
            "it was only asleep",
        ])
        .ended(0);
    assert_eq!(
        again.run(&["show", "long", "--json"]).ended(0).json()["state"],
        "failed"
    );
}

#[test]
fn beyond_loopback_a_token_is_needed_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    for command in ["dev", "serve"] {
        let said = over(&data, &[command, "--listen", "0.0.0.0:0"]).ended(1).err;
        assert!(
            said.contains("error[BIND_REFUSED]") && said.contains("actum token create"),
            "{said}"
        );
    }
    assert!(!data.exists());
    over(&data, &["token", "create", "ci"]).ended(0);
    Daemon::start(&data, &["serve", "--listen", "0.0.0.0:0"]);
}

#[test]
fn a_taken_address_is_refused_with_the_flag_that_helps() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = over(folder.path(), &["dev", "--listen", &address]).ended(1).err;
    assert!(
        said.contains("error[BIND_REFUSED]") && said.contains("--listen"),
        "{said}"
    );
}

#[test]
fn serve_wants_a_token_and_does_not_run_programs_uncaged() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let token = over(data, &["token", "create", "ci"]).ended(0).out;
    // The cage by default: a folder outside of it is not there.
    let daemon = Daemon::start(data, &["serve", "--listen", "127.0.0.1:0"]);
    let said = daemon.run(&["session", "list"]).ended(1).err;
    assert!(said.contains("error[UNAUTHENTICATED]"), "{said}");
    let with = |args: &[&str]| {
        ran(actum()
            .arg("--data")
            .arg(data)
            .env("ACTUM_TOKEN", token.trim())
            .args(args))
    };
    with(&["session", "create", "web"]).ended(0);
    let ran = with(&["call", "--json", "shell.run", "--session", "web", "--", "true"]).ended(0);
    assert_eq!(ran.json()["data"]["sandbox"]["level"], "full", "{ran:?}");
}

#[test]
fn the_banner_says_what_is_in_force() {
    let folder = tempfile::tempdir().unwrap();
    let banner = |args: &[&str]| {
        let mut command = actum();
        command
            .args(args)
            .args(["--segment-mib", "1", "--data"])
            .arg(folder.path().join("data"));
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
        // The banner ends with an empty line behind the last pair.
        while !said.contains("try next") || !said.ends_with("\n\n") {
            assert_ne!(
                std::io::BufRead::read_line(&mut out, &mut said).unwrap(),
                0,
                "{said}"
            );
        }
        child.kill().unwrap();
        child.wait().unwrap();
        said
    };
    let said = banner(&["dev", "--listen", ":0"]);
    for word in [
        "api  ",
        "no token",
        "strict",
        "a new history",
        "full — programs and sessions see no network",
    ] {
        assert!(said.contains(word), "`{word}` is missing in {said}");
    }
    let said = banner(&["serve", "--listen", ":0", "--durability", "batched"]);
    for word in [
        "there is none",
        "actum --data",
        "token create NAME",
        "batched",
        "no files, no hosts",
    ] {
        assert!(said.contains(word), "`{word}` is missing in {said}");
    }
}

#[test]
fn on_standard_output_of_stdio_stands_the_protocol_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = actum();
    command
        .args(["serve", "--stdio", "--segment-mib", "1", "--data"])
        .arg(folder.path());
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    writeln!(
        input,
        "{}",
        json!({"type": "session.create", "id": "a", "sessionId": "web", "payload": {}})
    )
    .unwrap();
    writeln!(input, "{{nonsense").unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["type"], "server_ready");
    assert!(
        lines
            .iter()
            .any(|line| line["id"] == "a" && line["success"] == true),
        "{said}"
    );
    assert!(
        lines.iter().any(|line| line["error"]["code"] == "INVALID_JSON"),
        "{said}"
    );
    assert!(String::from_utf8_lossy(&output.stderr).contains("standard input and output"));
    run(["verify", "--data", folder.path().to_str().unwrap()]).ended(0);
}

#[test]
fn a_lock_that_a_dead_daemon_left_to_its_child_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    Daemon::dev(folder.path()).kill();
    // The pid of the killed daemon stands in the file; somebody else holds the lock for a moment longer.
    let lock = std::fs::File::open(folder.path().join("lock")).unwrap();
    lock.lock().unwrap();
    let starting = std::thread::scope(|scope| {
        let starting = scope.spawn(|| Daemon::dev(folder.path()));
        lock.unlock().unwrap();
        starting.join().unwrap()
    });
    assert_eq!(starting.ready["recovery"]["cleanShutdown"], false);
}

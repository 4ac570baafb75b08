//! Calls from inside running commands, by the roads programs take: the command line with what its environment holds,
//! and HTTP, NDJSON and WebSocket with the token of a running command.

use crate::common::{self, ACTUM, Daemon, Ran, actum, block_on, over, web};
use actum_client::{Client, ClientError, Session};
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A command whose script is given this program as `$ACTUM`.
fn script(id: &str, text: &str) -> Value {
    json!({"type": "shell.run", "id": id, "sessionId": "web",
        "payload": {"argv": ["sh", "-c", text], "env": {"ACTUM": ACTUM}}})
}

fn annotate(id: &str) -> Value {
    json!({"type": "session.annotate", "id": id, "sessionId": "web", "payload": {"key": "by", "value": id}})
}

/// The code of a refusal, whether it came as a response or before one.
fn code(answer: Result<Value, ClientError>) -> String {
    match answer {
        Ok(answer) => answer["error"]["code"].as_str().unwrap_or("none").to_owned(),
        Err(error) => error.code().to_owned(),
    }
}

/// A program that tells what it was given to call with, and then runs until it is told to end.
struct Inside {
    folder: tempfile::TempDir,
}

impl Inside {
    fn new() -> Inside {
        let folder = tempfile::tempdir().unwrap();
        for name in ["told", "gate"] {
            let made = Command::new("mkfifo").arg(folder.path().join(name)).status();
            assert!(made.unwrap().success());
        }
        Inside { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The command; it ignores requests to end.
    fn command(&self, id: &str) -> Value {
        let text = format!(
            "trap '' TERM; echo \"$ACTUM_URL $ACTUM_TOKEN\" > {}; cat {}; echo \"it was $ACTUM_TOKEN\"; \
             printf %s \"$ACTUM_TOKEN\" | base64 -w 0 >&2",
            self.path("told").display(),
            self.path("gate").display()
        );
        let mut command = script(id, &text);
        command["detach"] = true.into();
        command
    }

    /// What it was given, once it runs.
    fn told(&self) -> (String, String) {
        let told = std::fs::read_to_string(self.path("told")).unwrap();
        let (url, token) = told.trim().split_once(' ').unwrap();
        (url.to_owned(), token.to_owned())
    }

    fn ends(&self) {
        std::fs::write(self.path("gate"), "").unwrap();
    }
}

fn history(daemon: &Daemon, id: &str) -> Value {
    let found = daemon.run(&["history", "--command", id, "--json"]).ended(0);
    let line = found.out.lines().next().unwrap_or_else(|| panic!("{found:?}"));
    let row: Value = serde_json::from_str(line).unwrap();
    row.get("commands").map_or(row.clone(), |rows| rows[0].clone())
}

#[test]
fn a_script_calls_back_by_the_command_line_and_takes_a_lane_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::dev(folder.path());
    let text = r#"set -e
        "$ACTUM" call session.annotate --session web --id in-1 key=by value=one
        printf '%s\n%s\n' \
            '{"type":"session.annotate","id":"in-2","sessionId":"web","payload":{"key":"by","value":2}}' \
            '{"type":"shell.run","id":"in-3","sessionId":"web","payload":{"argv":["sh","-c","echo $ACTUM_TOKEN"]}}' \
            | "$ACTUM" submit - --json
        "$ACTUM" show in-3 --json
    "#;
    let answer = block_on(async {
        let client = daemon.client().await;
        client.submit(&web()).await.unwrap();
        client.submit(&script("parent", text)).await.unwrap()
    });
    assert_eq!(answer["outcome"], "succeeded", "{answer}");
    let lane = "exec:anon:2";
    for id in ["in-1", "in-2", "in-3"] {
        let row = history(&daemon, id);
        assert_eq!(row["lane"], lane, "{row}");
        assert_eq!(row["causationId"], "parent", "{row}");
        assert_eq!(row["principal"], "dev", "{row}");
        assert_eq!(row["outcome"], "succeeded", "{row}");
    }
    let parent = history(&daemon, "parent");
    assert_eq!(parent["lane"], "session:web", "{parent}");
    // The second program has a token of its own, which does not show in what the first one repeats either.
    let said = answer["data"]["stdout"].to_string();
    assert!(said.contains("[redacted:secret:ACTUM_TOKEN]"), "{said}");
    assert!(!said.contains("actum_run."), "{said}");
    let why = daemon.run(&["why", "in-2"]).ended(0).out;
    assert!(why.contains("succeeded"), "{why}");
}

#[test]
fn a_wait_for_the_own_command_is_refused_on_every_road() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::dev(folder.path());
    let text = r#"
        for try in "wait parent" "wait behind" "call command.wait id=parent" "call command.wait id=behind" \
            "call session.annotate --session web --depends-on parent key=k value=1" \
            "call session.annotate --session web --depends-on behind key=k value=1"
        do
            "$ACTUM" $try > said 2>&1 && echo "it waited: $try"
            grep -q 'cannot finish before the command this call comes from' said || cat said
        done
        # Repeating it would be waiting for it too.
        "$ACTUM" submit - --json < itself
    "#;
    let mut parent = script("parent", text);
    parent["payload"]["cwd"] = folder.path().to_str().unwrap().into();
    std::fs::write(folder.path().join("itself"), parent.to_string()).unwrap();
    let gate = folder.path().join("gate");
    assert!(Command::new("mkfifo").arg(&gate).status().unwrap().success());
    block_on(async {
        let session = Session::over(daemon.client().await.socket().await.unwrap(), "test");
        session.submit(web()).await.unwrap();
        // The parent and what stands behind it are accepted before it runs.
        let mut first = script("first", &format!("cat {}", gate.display()));
        first["detach"] = true.into();
        session.submit(first).await.unwrap();
        let mut detached = parent.clone();
        detached["detach"] = true.into();
        session.submit(detached).await.unwrap();
        let mut behind = annotate("behind");
        behind["detach"] = true.into();
        session.submit(behind).await.unwrap();
        tokio::task::spawn_blocking(move || std::fs::write(gate, ""))
            .await
            .unwrap()
            .unwrap();
    });
    let said = daemon.run(&["wait", "parent", "--json"]);
    let text = said.out.clone();
    assert!(!text.contains("it waited"), "{said:?}");
    assert!(
        text.contains("`parent` cannot finish before the command this call comes from"),
        "{said:?}"
    );
    daemon.run(&["wait", "behind"]).ended(0);
}

#[test]
fn every_transport_takes_the_lane_and_the_token_dies_with_its_command() {
    let inside = Inside::new();
    let data = inside.path("data");
    let daemon = Daemon::dev(&data);
    let (token, url) = block_on(async {
        let client = daemon.client().await;
        client.submit(&web()).await.unwrap();
        client.submit(&inside.command("parent")).await.unwrap();
        let (url, token) = inside.told();
        assert_eq!(url, daemon.url());
        assert!(token.starts_with("actum_run."), "{}", token.len());
        let child = Client::connect(&url, Some(&token)).await.unwrap();
        let by_http = child.submit(&annotate("by-http")).await.unwrap();
        let (sender, mut receiver) = child.submit_ndjson().await.unwrap();
        sender.send(&annotate("by-ndjson")).await.unwrap();
        drop(sender);
        let by_ndjson = receiver.next().await.unwrap().unwrap();
        let socket = Session::over(child.socket().await.unwrap(), "test");
        let by_socket = socket.submit(annotate("by-socket")).await.unwrap();
        for answer in [&by_http, &by_ndjson, &by_socket] {
            assert_eq!(answer["outcome"], "succeeded", "{answer}");
            assert_eq!(answer["lane"], "exec:anon:2", "{answer}");
        }
        // What it says of its own token is not written down.
        let mut told = annotate("told");
        told["payload"]["value"] = format!("my token is {token}").into();
        assert_eq!(child.submit(&told).await.unwrap()["outcome"], "succeeded");
        // A caller on this machine without a token is who it was.
        let mut other = annotate("other");
        other["detach"] = true.into();
        let answer = client.submit(&other).await.unwrap();
        assert_eq!(answer["lane"], "session:web", "{answer}");
        inside.ends();
        let waited = json!({"type": "command.wait", "payload": {"id": "parent"}});
        let parent = client.submit(&waited).await.unwrap();
        assert_eq!(parent["data"]["state"], "succeeded", "{parent}");
        let said = parent["data"]["data"].to_string();
        assert!(said.contains("it was [redacted:secret:ACTUM_TOKEN]"), "{said}");
        assert!(!said.contains(&token[10..40]), "{said}");
        // The connection it left open is of no more use than a new one.
        let late = socket.submit(annotate("late-1")).await;
        assert_eq!(code(late), "CALLER_ENDED");
        (token, url)
    });
    block_on(async {
        let refused = match Client::connect(&url, Some(&token)).await {
            Ok(child) => child.submit(&annotate("late-2")).await.unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(refused.code(), "CALLER_ENDED");
        assert!(refused.hint().contains("ACTUM_TOKEN"), "{}", refused.hint());
    });
    let said: Ran = ran_with(&url, &token, &["call", "session.list"]);
    assert!(said.code != 0 && said.err.contains("CALLER_ENDED"), "{said:?}");
    for id in ["late-1", "late-2"] {
        let said = daemon.run(&["show", id]);
        assert!(said.err.contains("COMMAND_NOT_FOUND"), "{said:?}");
    }
    let (status, _) = daemon.end();
    assert!(status.success());
    search(&data, &token);
    over(&data, &["verify"]).ended(0);
    over(&data, &["replay", "--verify"]).ended(0);
}

fn ran_with(url: &str, token: &str, args: &[&str]) -> Ran {
    common::ran(actum().args(args).env("ACTUM_URL", url).env("ACTUM_TOKEN", token))
}

/// No file below a folder holds the token.
fn search(folder: &Path, token: &str) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            search(&path, token);
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let found = bytes
            .windows(token.len())
            .any(|window| window == token.as_bytes());
        assert!(!found, "the token is in {}", path.display());
    }
}

#[test]
fn a_token_dies_when_the_stop_of_its_command_begins() {
    let inside = Inside::new();
    let daemon = Daemon::dev(&inside.path("data"));
    block_on(async {
        let client = daemon.client().await;
        client.submit(&web()).await.unwrap();
        client.submit(&inside.command("parent")).await.unwrap();
        let (url, token) = inside.told();
        let child = Client::connect(&url, Some(&token)).await.unwrap();
        assert_eq!(
            child.submit(&annotate("in")).await.unwrap()["outcome"],
            "succeeded"
        );
        let cancel = json!({"type": "command.cancel", "payload": {"id": "parent"}});
        let answer = client.submit(&cancel).await.unwrap();
        assert_eq!(answer["data"]["state"], "stopping", "{answer}");
        // It lives on until it is killed, and says nothing more.
        assert_eq!(code(child.submit(&annotate("late")).await), "CALLER_ENDED");
    });
}

#[test]
fn what_was_accepted_from_inside_goes_on_when_its_caller_has_ended() {
    let inside = Inside::new();
    let daemon = Daemon::dev(&inside.path("data"));
    let text = format!(
        "\"$ACTUM\" call shell.run --session web --id left --detach -- cat {0} && \
         \"$ACTUM\" call session.annotate --session web --id left-behind --detach key=by value=left",
        inside.path("gate").display()
    );
    let answer = block_on(async {
        let client = daemon.client().await;
        client.submit(&web()).await.unwrap();
        client.submit(&script("parent", &text)).await.unwrap()
    });
    assert_eq!(answer["outcome"], "succeeded", "{answer}");
    let left = daemon.run(&["show", "left-behind", "--json"]).ended(0).json();
    assert_eq!(left["state"], "queued", "{left}");
    assert_eq!(left["lane"], "exec:anon:2", "{left}");
    let why = daemon.run(&["why", "left-behind"]).ended(0).out;
    assert!(why.contains("exec:anon:2") && why.contains("`left`"), "{why}");
    inside.ends();
    daemon.run(&["wait", "left"]).ended(0);
    daemon.run(&["wait", "left-behind"]).ended(0);
}

#[test]
fn a_program_has_the_rights_of_who_sent_its_command_and_no_more() {
    let inside = Inside::new();
    let data = inside.path("data");
    let token = |name: &str, tenant: &str| {
        let made = over(&data, &["token", "create", name, "--tenant", tenant]).ended(0);
        made.out.trim().to_owned()
    };
    let (ci, other) = (token("ci", "acme"), token("other", "elsewhere"));
    let daemon = Daemon::start(&data, &["serve", "--listen", "127.0.0.1:0", "--allow-uncaged"]);
    block_on(async {
        let ci = Client::connect(&daemon.url(), Some(&ci)).await.unwrap();
        let other = Client::connect(&daemon.url(), Some(&other)).await.unwrap();
        other.submit(&web()).await.unwrap();
        other.submit(&annotate("theirs")).await.unwrap();
        ci.submit(&web()).await.unwrap();
        ci.submit(&inside.command("parent")).await.unwrap();
        let (url, token) = inside.told();
        let child = Client::connect(&url, Some(&token)).await.unwrap();
        let get = |id: &str| json!({"type": "command.get", "payload": {"id": id}});
        assert_eq!(code(child.submit(&get("theirs")).await), "COMMAND_NOT_FOUND");
        let answer = child.submit(&annotate("ours")).await.unwrap();
        assert_eq!(answer["outcome"], "succeeded", "{answer}");
        let row = ci.submit(&get("ours")).await.unwrap();
        assert_eq!(row["data"]["principal"], "ci", "{row}");
        // Whoever is not let in any more is not let in by a program either.
        over(&data, &["token", "revoke", "ci"]).ended(0);
        assert_eq!(code(child.submit(&annotate("late")).await), "UNAUTHENTICATED");
        inside.ends();
    });
}

#[test]
fn a_command_that_brings_an_address_or_a_token_is_given_neither() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::dev(folder.path());
    block_on(async {
        let client = daemon.client().await;
        client.submit(&web()).await.unwrap();
        let mut command = script("own", "echo \"[$ACTUM_URL] [$ACTUM_TOKEN]\"");
        command["payload"]["env"] = json!({"ACTUM_URL": "http://elsewhere.example"});
        let answer = client.submit(&command).await.unwrap();
        let said = answer["data"]["stdout"]["text"].as_str().unwrap();
        assert_eq!(said, "[http://elsewhere.example] []\n");
    });
}

#[test]
fn a_daemon_that_listens_nowhere_invites_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = actum()
        .args([
            "serve",
            "--stdio",
            "--allow-uncaged",
            "--segment-mib",
            "1",
            "--data",
        ])
        .arg(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let command = script("run", "echo \"[$ACTUM_URL] [$ACTUM_TOKEN]\"");
    let mut input = child.stdin.take().unwrap();
    writeln!(input, "{}\n{command}", web()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("[] []"), "{said}");
}

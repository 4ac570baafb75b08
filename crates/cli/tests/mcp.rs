//! The front door for agents, driven by hand over pipes: both forms of the protocol, what a repeated request does, what
//! becomes of errors, long commands, cancellations, dead daemons and clients that go.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed step of a test ends it"
)]

mod common;

use common::mcp::Mcp;
use common::{Daemon, actum, over};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const TOOLS: [&str; 8] = [
    "shell_run",
    "code_run",
    "file_read",
    "file_write",
    "file_list",
    "http_fetch",
    "command_wait",
    "history",
];

/// A daemon that runs programs as they are, so that a test can see what they did to a folder.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        Place {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn daemon(&self) -> Daemon {
        Daemon::start(
            &self.data(),
            &["dev", "--listen", "127.0.0.1:0", "--allow-uncaged"],
        )
    }

    fn mcp(&self) -> Mcp {
        Mcp::modern(&self.data(), &[])
    }

    /// A pipe by which a command and the test wait for each other.
    fn pipe(&self, name: &str) -> PathBuf {
        let path = self.file(name);
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        path
    }
}

fn sh(script: impl Into<String>) -> Value {
    json!({"argv": ["sh", "-c", script.into()]})
}

/// A script that writes a line to a file each time it runs.
fn mark(file: &Path) -> Value {
    sh(format!("echo done >> {}", file.display()))
}

fn times(file: &Path) -> usize {
    std::fs::read_to_string(file).map_or(0, |text| text.lines().count())
}

fn id_of(result: &Value) -> String {
    result["structuredContent"]["command"]["id"]
        .as_str()
        .unwrap_or_else(|| panic!("{result}"))
        .to_owned()
}

fn code_of(result: &Value) -> &str {
    result["structuredContent"]["error"]["code"]
        .as_str()
        .unwrap_or_default()
}

#[track_caller]
fn stands(result: &Value, state: &str) {
    assert_eq!(result["structuredContent"]["state"], state, "{result}");
}

#[test]
fn the_form_without_initialize_needs_no_handshake() {
    let place = Place::new();
    let daemon = place.daemon();
    let mut mcp = place.mcp();
    let called = mcp.call(1, "shell_run", json!({"argv": ["echo", "hi"]}));
    stands(&called, "succeeded");
    assert_eq!(called["resultType"], "complete");
    assert_eq!(called["isError"], false);
    assert_eq!(called["structuredContent"]["result"]["stdout"]["text"], "hi\n");

    let found = mcp.ask(json!(2), "server/discover", json!({}));
    let versions = found["result"]["supportedVersions"].as_array().unwrap();
    assert!(
        versions.contains(&json!("2026-07-28")) && versions.contains(&json!("2025-11-25")),
        "{found}"
    );
    // What a request must say for itself is asked for.
    mcp.send(&json!({"jsonrpc": "2.0", "id": 3, "method": "tools/list", "params": {}}));
    assert_eq!(mcp.answer(&json!(3))["error"]["code"], -32602);
    drop(daemon);
}

#[test]
fn the_form_with_initialize_is_spoken_as_well() {
    let place = Place::new();
    let daemon = place.daemon();
    let (mut mcp, started) = Mcp::initialized(&place.data());
    assert_eq!(started["result"]["protocolVersion"], "2025-11-25", "{started}");
    assert_eq!(started["result"]["serverInfo"]["name"], "actum");
    let called = mcp.call(1, "shell_run", json!({"argv": ["echo", "hi"]}));
    stands(&called, "succeeded");
    assert!(called.get("resultType").is_none(), "{called}");
    drop(daemon);
}

#[test]
fn tools_have_schemas_titles_and_hints() {
    let place = Place::new();
    let daemon = place.daemon();
    let mut mcp = place.mcp();
    let listed = mcp.ask(json!(1), "tools/list", json!({}));
    let tools = listed["result"]["tools"].as_array().unwrap();
    let names: Vec<&str> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names, TOOLS);
    for tool in tools {
        assert_eq!(tool["inputSchema"]["type"], "object", "{tool}");
        assert_eq!(tool["outputSchema"]["type"], "object", "{tool}");
        assert!(tool["title"].is_string() && tool["description"].is_string());
        for hint in [
            "readOnlyHint",
            "destructiveHint",
            "idempotentHint",
            "openWorldHint",
        ] {
            assert!(tool["annotations"][hint].is_boolean(), "{hint}: {tool}");
        }
    }
    // Looking at the tools is no work: nothing of it is in the history.
    let rows = daemon.run(&["history", "--json"]).ended(0).json();
    assert_eq!(rows["commands"], json!([]), "{rows}");
}

#[test]
fn each_call_is_a_recorded_command_in_the_session_of_its_connection() {
    let place = Place::new();
    let daemon = place.daemon();
    let (mut one, mut two) = (place.mcp(), place.mcp());
    let first = one.call(1, "shell_run", json!({"argv": ["true"]}));
    let second = one.call(2, "shell_run", json!({"argv": ["false"]}));
    let other = two.call(1, "shell_run", json!({"argv": ["true"]}));
    let session = |result: &Value| result["_meta"]["actum/command"]["sessionId"].clone();
    assert_eq!(session(&first), session(&second));
    assert_ne!(session(&first), session(&other));
    let row = daemon.run(&["show", &id_of(&second), "--json"]).ended(0).json();
    assert_eq!(row["sessionId"], session(&second));
    assert_eq!(row["finishedIdx"], second["_meta"]["actum/command"]["idx"]);

    let history = one.call(3, "history", json!({}));
    let rows = history["structuredContent"]["result"]["commands"]
        .as_array()
        .unwrap()
        .clone();
    assert!(
        rows.iter().all(|row| row["sessionId"] == session(&first)),
        "{history}"
    );
    assert_eq!(
        rows[0]["id"],
        json!(id_of(&second)),
        "the newest first: {history}"
    );
    let all = one.call(4, "history", json!({"allSessions": true, "kind": "shell.run"}));
    assert_eq!(
        all["structuredContent"]["result"]["commands"]
            .as_array()
            .unwrap()
            .len(),
        3,
        "{all}"
    );
}

#[test]
fn a_request_that_comes_twice_is_done_once() {
    let place = Place::new();
    let daemon = place.daemon();
    let mut mcp = place.mcp();
    let file = place.file("marks");
    let first = mcp.call(1, "shell_run", mark(&file));
    let again = mcp.call(1, "shell_run", mark(&file));
    assert_eq!(again["structuredContent"]["command"]["replayed"], true, "{again}");
    assert_eq!(id_of(&first), id_of(&again));
    assert_eq!(times(&file), 1);
    let conflict = mcp.call(1, "shell_run", json!({"argv": ["true"]}));
    assert_eq!(code_of(&conflict), "IDENTITY_CONFLICT", "{conflict}");
    let (id, text) = (json!("1"), json!({"name": "shell_run", "arguments": mark(&file)}));
    let other = mcp.ask(id, "tools/call", text);
    stands(&other["result"], "succeeded");
    assert_eq!(times(&file), 2, "`1` and `\"1\"` are two requests");
    drop(daemon);
}

#[test]
fn a_request_that_comes_again_while_it_runs_is_done_once() {
    let place = Place::new();
    let daemon = place.daemon();
    let mut mcp = place.mcp();
    let (file, gate) = (place.file("marks"), place.pipe("gate"));
    let script = sh(format!("echo done >> {}; cat {}", file.display(), gate.display()));
    mcp.begin(1, "shell_run", script.clone());
    mcp.begin(1, "shell_run", script);
    std::fs::write(&gate, "go on").unwrap();
    stands(&mcp.answer(&json!(1))["result"], "succeeded");
    // In the same lane, so behind a second run if there were one.
    stands(&mcp.call(2, "shell_run", json!({"argv": ["true"]})), "succeeded");
    assert_eq!(times(&file), 1);
    drop(daemon);
}

#[test]
fn an_idempotency_key_holds_across_connections() {
    let place = Place::new();
    let daemon = place.daemon();
    let file = place.file("marks");
    let ask = |mcp: &mut Mcp| {
        let params = json!({"name": "shell_run", "arguments": mark(&file), "_meta": {"actum/idempotencyKey": "charge-7"}});
        mcp.ask(json!(1), "tools/call", params)["result"].clone()
    };
    let mut one = Mcp::modern(&place.data(), &["--session", "lab"]);
    stands(&ask(&mut one), "succeeded");
    let mut two = Mcp::modern(&place.data(), &["--session", "lab"]);
    assert_eq!(ask(&mut two)["structuredContent"]["command"]["replayed"], true);
    // Elsewhere the same key is another command, and so refused rather than done again.
    let refused = ask(&mut place.mcp());
    assert_eq!(code_of(&refused), "IDENTITY_CONFLICT", "{refused}");
    assert_eq!(times(&file), 1);
    drop(daemon);
}

#[test]
fn errors_are_results_a_model_can_act_on() {
    let place = Place::new();
    // In its cage, so that what ran out of time is known to have left nothing behind.
    let daemon = Daemon::dev(&place.data());
    let mut mcp = place.mcp();
    let wrong = mcp.call(1, "shell_run", json!({"cmd": "ls", "waitMs": -1}));
    assert_eq!(wrong["isError"], true);
    stands(&wrong, "refused");
    assert_eq!(code_of(&wrong), "INVALID_INPUT");
    let faults = wrong["structuredContent"]["error"]["details"]["faults"].to_string();
    assert!(
        faults.contains("/cmd") && faults.contains("/argv") && faults.contains("/waitMs"),
        "{faults}"
    );
    let text = wrong["content"][0]["text"].as_str().unwrap();
    assert!(
        text.contains("INVALID_INPUT") && text.contains("hint:") && text.contains("/argv"),
        "{text}"
    );

    let failed = mcp.call(2, "shell_run", sh("echo out; echo err >&2; exit 3"));
    stands(&failed, "failed");
    assert_eq!(code_of(&failed), "COMMAND_FAILED");
    assert_eq!(failed["structuredContent"]["result"]["exitCode"], 3);
    let text = failed["content"][0]["text"].as_str().unwrap();
    assert!(
        text.contains("out\nstderr:\nerr") && !text.contains("actum show"),
        "{text}"
    );

    let missing = mcp.call(3, "shell_run", json!({"argv": ["no-such-program-here"]}));
    assert_eq!(missing["isError"], true, "{missing}");
    let late = mcp.call(4, "shell_run", json!({"argv": ["sleep", "600"], "timeoutMs": 50}));
    stands(&late, "timed_out");
    let unknown = mcp.call(5, "command_wait", json!({"id": "nothing"}));
    assert_eq!(code_of(&unknown), "COMMAND_NOT_FOUND");
    let no_object = mcp.ask(
        json!(6),
        "tools/call",
        json!({"name": "shell_run", "arguments": ["ls"]}),
    );
    assert_eq!(code_of(&no_object["result"]), "INVALID_INPUT", "{no_object}");
    assert_eq!(no_object["result"]["isError"], true);
    // What is no tool is no call of one.
    let no_tool = mcp.ask(json!(7), "tools/call", json!({"name": "rm", "arguments": {}}));
    assert_eq!(no_tool["error"]["code"], -32602, "{no_tool}");
    drop(daemon);
}

#[test]
fn what_is_no_message_does_not_end_the_connection() {
    let place = Place::new();
    let daemon = place.daemon();
    let mut mcp = place.mcp();
    stands(&mcp.call(1, "shell_run", json!({"argv": ["true"]})), "succeeded");
    let huge = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"{}\"}}",
        "x".repeat(17 * 1024 * 1024)
    );
    for line in [
        "garbage",
        "",
        "[]",
        "{}",
        "{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"tools/list\"}",
        huge.as_str(),
    ] {
        mcp.send_line(line);
    }
    mcp.begin(9, "shell_run", json!({"argv": ["echo", "alive"]}));
    loop {
        let message = mcp.next().expect("the server closed");
        if message["id"] == 9 {
            stands(&message["result"], "succeeded");
            break;
        }
        assert!(message.get("error").is_some(), "{message}");
    }
    drop(daemon);
}

#[test]
fn a_command_that_takes_long_is_waited_for_by_its_id() {
    let place = Place::new();
    let daemon = place.daemon();
    let mut mcp = place.mcp();
    let gate = place.pipe("gate");
    let mut ask = sh(format!("cat {}", gate.display()));
    ask["waitMs"] = json!(0);
    let going = mcp.call(1, "shell_run", ask);
    assert_eq!(going["isError"], false, "{going}");
    stands(&going, "running");
    assert!(
        going["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains("command_wait")
    );
    let id = id_of(&going);
    // In the same lane, so behind it.
    let behind = mcp.call(2, "shell_run", json!({"argv": ["true"], "waitMs": 0}));
    stands(&behind, "queued");
    let still = mcp.call(3, "command_wait", json!({"id": id, "waitMs": 0}));
    stands(&still, "running");
    assert_eq!(still["isError"], false);
    mcp.begin(4, "command_wait", json!({"id": id}));
    std::fs::write(&gate, "the end").unwrap();
    let over = mcp.answer(&json!(4))["result"].clone();
    stands(&over, "succeeded");
    assert_eq!(over["structuredContent"]["result"]["stdout"]["text"], "the end");
    stands(
        &mcp.call(5, "command_wait", json!({"id": id_of(&behind)})),
        "succeeded",
    );
    drop(daemon);
}

#[test]
fn progress_grows_and_ends_before_the_result() {
    let place = Place::new();
    let daemon = place.daemon();
    let mut mcp = place.mcp();
    let gate = place.pipe("gate");
    let script = sh(format!("echo first; cat {}; seq 1 20000", gate.display()));
    let params = json!({"name": "shell_run", "arguments": script, "_meta": {"progressToken": "p-1"}});
    mcp.request(&json!(1), "tools/call", params);
    loop {
        let message = mcp.next().unwrap();
        assert_eq!(message["method"], "notifications/progress", "{message}");
        let first = message["params"]["message"] == "first";
        mcp.told.push(message);
        if first {
            break;
        }
    }
    std::fs::write(&gate, "").unwrap();
    stands(&mcp.answer(&json!(1))["result"], "succeeded");
    let told = std::mem::take(&mut mcp.told);
    let numbers: Vec<f64> = told
        .iter()
        .map(|one| one["params"]["progress"].as_f64().unwrap())
        .collect();
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
    assert!(told.iter().all(|one| one["params"]["progressToken"] == "p-1"));
    assert!(told.len() < 100, "{} notifications", told.len());
    // Without a token nothing is told, and nothing of the first call comes behind its result.
    stands(&mcp.call(2, "shell_run", sh("echo quiet")), "succeeded");
    assert!(mcp.told.is_empty(), "{:?}", mcp.told);
    drop(daemon);
}

#[test]
fn a_cancelled_call_cancels_its_command() {
    let place = Place::new();
    let daemon = place.daemon();
    let mut mcp = place.mcp();
    let script = sh("echo going; sleep 600");
    let params = json!({"name": "shell_run", "arguments": script, "_meta": {"progressToken": 1}});
    mcp.request(&json!(1), "tools/call", params);
    while mcp.next().unwrap()["params"]["message"] != "going" {}
    mcp.send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1, "reason": "no"}}));
    let rows = mcp.call(2, "history", json!({"kind": "shell.run"}));
    let id = rows["structuredContent"]["result"]["commands"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let ended = mcp.call(3, "command_wait", json!({"id": id}));
    stands(&ended, "cancelled");
    assert_eq!(ended["isError"], true);
    assert_eq!(
        ended["structuredContent"]["result"]["stdout"]["text"], "going\n",
        "what it wrote is kept"
    );
    drop(daemon);
}

#[test]
fn a_cancellation_never_overtakes_the_call() {
    let place = Place::new();
    let daemon = place.daemon();
    let mut mcp = place.mcp();
    let gate = place.pipe("gate");
    mcp.begin(1, "shell_run", sh(format!("cat {}", gate.display())));
    let file = place.file("marks");
    for id in 2..40 {
        mcp.begin(id, "shell_run", mark(&file));
        mcp.send(
            &json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}}),
        );
    }
    // Behind all of them, and so told once they are settled.
    mcp.begin(40, "shell_run", json!({"argv": ["true"]}));
    loop {
        let rows = mcp.call(
            100,
            "history",
            json!({"outcome": "unfinished", "kind": "shell.run", "limit": 100}),
        );
        let left = rows["structuredContent"]["result"]["commands"]
            .as_array()
            .unwrap()
            .len();
        if left <= 2 {
            break;
        }
    }
    std::fs::write(&gate, "").unwrap();
    let (first, last) = (mcp.next().unwrap(), mcp.next().unwrap());
    assert_eq!(
        (&first["id"], &last["id"]),
        (&json!(1), &json!(40)),
        "{first} {last}"
    );
    assert_eq!(times(&file), 0, "none of the cancelled ones ran");
    drop(daemon);
}

#[test]
fn a_large_output_is_bounded_and_named() {
    let place = Place::new();
    let daemon = place.daemon();
    let mut mcp = place.mcp();
    let result = mcp.call(1, "shell_run", json!({"argv": ["seq", "1", "2000000"]}));
    stands(&result, "succeeded");
    assert!(result.to_string().len() < 200_000, "{}", result.to_string().len());
    let blob = result["structuredContent"]["result"]["stdout"]["blob"]
        .as_str()
        .unwrap();
    assert!(result["content"][0]["text"].as_str().unwrap().contains(blob));
    drop(daemon);
}

#[test]
fn a_daemon_that_dies_leaves_a_command_that_can_be_asked_for() {
    let place = Place::new();
    let mut command = actum();
    command
        .args([
            "dev",
            "--listen",
            "127.0.0.1:0",
            "--allow-uncaged",
            "--json",
            "--data",
        ])
        .arg(place.data())
        .env("ACTUM_CRASH_AT", "effect_settled");
    let mut daemon = Daemon::spawn(command, &place.data());
    let mut mcp = place.mcp();
    let file = place.file("marks");
    let lost = mcp.call(1, "shell_run", mark(&file));
    daemon.wait();
    assert_eq!(times(&file), 1);
    assert_eq!(lost["isError"], true);
    stands(&lost, "unknown");
    let hint = lost["structuredContent"]["error"]["hint"].as_str().unwrap();
    assert!(
        hint.contains("command_wait") && hint.contains("do not do it again"),
        "{hint}"
    );
    let id = id_of(&lost);
    let gone = mcp.call(2, "shell_run", mark(&file));
    assert_eq!(code_of(&gone), "DAEMON_UNREACHABLE", "{gone}");
    stands(&gone, "refused");

    // The next one is found where it is, at another port.
    let daemon = place.daemon();
    let doubt = mcp.call(3, "command_wait", json!({"id": id}));
    assert_eq!(code_of(&doubt), "IN_DOUBT", "{doubt}");
    stands(&doubt, "in_doubt");
    assert!(doubt["structuredContent"]["because"].is_array(), "{doubt}");
    // Its lane is held: that is told at once, not after a wait.
    let held = mcp.call(4, "shell_run", json!({"argv": ["true"], "waitMs": 600_000}));
    stands(&held, "queued");
    assert!(
        held["structuredContent"]["because"].to_string().contains(&id),
        "{held}"
    );
    // The same request again is the same command, not another run.
    let again = mcp.call(1, "shell_run", mark(&file));
    assert_eq!(id_of(&again), id);
    stands(&again, "in_doubt");
    assert_eq!(times(&file), 1);
    mcp.begin(5, "command_wait", json!({"id": id_of(&held)}));
    daemon
        .run(&[
            "resolve",
            &id,
            "--as",
            "landed",
            "--note",
            "the file has the line",
        ])
        .ended(0);
    stands(&mcp.answer(&json!(5))["result"], "succeeded");
    stands(&mcp.call(6, "command_wait", json!({"id": id})), "succeeded");
}

#[test]
fn names_that_are_gone_are_said_once_and_the_session_goes_on() {
    let place = Place::new();
    let daemon = Daemon::dev(&place.data());
    let (mut code, mut programs) = (place.mcp(), place.mcp());
    for mcp in [&mut code, &mut programs] {
        stands(&mcp.call(1, "code_run", json!({"code": "x = 1"})), "succeeded");
    }
    daemon.kill();
    let daemon = Daemon::dev(&place.data());
    let lost = code.call(2, "code_run", json!({"code": "x"}));
    assert_eq!(code_of(&lost), "SESSION_LOST", "{lost}");
    let hint = lost["structuredContent"]["error"]["hint"].as_str().unwrap();
    assert!(hint.contains("define what you need"), "{hint}");
    let anew = code.call(3, "code_run", json!({"code": "'x' in globals()"}));
    assert_eq!(anew["structuredContent"]["result"]["repr"], "False", "{anew}");
    // The same request again does not start it anew once more.
    stands(&code.call(4, "code_run", json!({"code": "x = 2"})), "succeeded");
    assert_eq!(
        code_of(&code.call(2, "code_run", json!({"code": "x"}))),
        "SESSION_LOST"
    );
    let kept = code.call(5, "code_run", json!({"code": "x"}));
    assert_eq!(kept["structuredContent"]["result"]["repr"], "2", "{kept}");
    // A program counts on no names.
    stands(
        &programs.call(2, "shell_run", json!({"argv": ["true"]})),
        "succeeded",
    );
    drop(daemon);
}

#[test]
fn a_client_that_goes_takes_what_it_waits_for_with_it() {
    let place = Place::new();
    let daemon = place.daemon();
    let mut mcp = place.mcp();
    let gate = place.pipe("gate");
    let mut ask = sh(format!("cat {}", gate.display()));
    ask["waitMs"] = json!(0);
    let kept = id_of(&mcp.call(1, "shell_run", ask));
    mcp.begin(2, "shell_run", json!({"argv": ["sleep", "600"]}));
    let id = loop {
        let rows = mcp.call(3, "history", json!({"outcome": "unfinished", "limit": 1}));
        let row = rows["structuredContent"]["result"]["commands"][0].clone();
        if row["id"] != json!(kept) {
            break row["id"].as_str().unwrap().to_owned();
        }
    };
    let pid = Pid::from_raw(i32::try_from(mcp.child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    let (status, _) = mcp.leave();
    assert!(status.success(), "{status:?}");
    daemon.run(&["wait", &id]).ended(1);
    let row = daemon.run(&["show", &id, "--json"]).ended(0).json();
    assert_eq!(row["state"], "cancelled", "{row}");
    // What was handed back by its id goes on.
    std::fs::write(&gate, "").unwrap();
    daemon.run(&["wait", &kept]).ended(0);
}

#[test]
fn what_was_asked_before_the_client_went_is_answered() {
    let place = Place::new();
    let daemon = place.daemon();
    let mut mcp = place.mcp();
    mcp.begin(1, "shell_run", json!({"argv": ["echo", "last"]}));
    let (status, rest) = mcp.leave();
    assert!(status.success());
    let answer: Value = serde_json::from_str(rest.lines().last().unwrap()).unwrap();
    assert_eq!(
        answer["result"]["structuredContent"]["result"]["stdout"]["text"], "last\n",
        "{rest}"
    );
    drop(daemon);
}

#[test]
fn standard_output_carries_the_protocol_alone_and_the_log_no_message() {
    let place = Place::new();
    let daemon = place.daemon();
    let log = place.file("log");
    let mut command = actum();
    command
        .args(["mcp", "--data"])
        .arg(place.data())
        .env("ACTUM_LOG", "trace")
        .stderr(std::fs::File::create(&log).unwrap());
    let mut mcp = Mcp::spawn(command, true);
    for id in 1..5 {
        stands(
            &mcp.call(id, "shell_run", sh("echo '{}'; : pa55-of-nobody; echo x >&2")),
            "succeeded",
        );
    }
    let (status, rest) = mcp.leave();
    assert!(status.success() && rest.is_empty(), "{rest}");
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(!log.is_empty() && !log.contains("pa55-of-nobody"), "{log}");
    drop(daemon);
}

#[test]
fn without_a_daemon_there_is_one_clear_error() {
    let place = Place::new();
    let none = over(&place.data(), &["mcp"]).ended(1);
    assert!(none.out.is_empty(), "{none:?}");
    assert!(
        none.err.contains("DAEMON_UNREACHABLE") && none.err.contains("actum dev --data"),
        "{none:?}"
    );
    let nobody = over(&place.data(), &["mcp", "--url", "http://127.0.0.1:1"]).ended(1);
    assert!(nobody.err.contains("DAEMON_UNREACHABLE"), "{nobody:?}");
    let daemon = place.daemon();
    let refused = over(&place.data(), &["mcp", "--token", "wrong"]).ended(1);
    assert!(refused.err.contains("UNAUTHENTICATED"), "{refused:?}");
    let session = over(&place.data(), &["mcp", "--session", "a b"]).ended(1);
    assert!(session.err.contains("INVALID_INPUT"), "{session:?}");
    drop(daemon);
}

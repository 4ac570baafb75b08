//! The front door for agents, driven by hand over pipes: both forms of the protocol, the tools, what a repeated request
//! does, what becomes of errors.

use crate::common::mcp::{Mcp, Place, code_of, id_of, mark, sh, stands, times};
use crate::common::{Daemon, actum, over};
use serde_json::{Value, json};

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
    let daemon = Daemon::caged(&place.data(), &place.file("."));
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

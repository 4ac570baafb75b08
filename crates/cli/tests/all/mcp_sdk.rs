//! The front door for agents, driven by the official Python SDK: both generations of it, both forms of the protocol. The
//! SDK checks every result against the schema its tool declares. It is installed by `tools/mcp_client/prepare.py`, which
//! needs a package registry: where there is none these tests fail and say so.

use crate::common::{ACTUM, Daemon};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

fn tools() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/mcp_client")
}

/// The interpreter with this generation of the SDK.
fn sdk(generation: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mcp-client");
    let prepared = Command::new("python3")
        .arg(tools().join("prepare.py"))
        .arg(generation)
        .arg(folder)
        .output()
        .expect("python3 is needed");
    let said = String::from_utf8_lossy(&prepared.stderr);
    assert!(prepared.status.success(), "NO SDK, NOTHING WAS TESTED: {said}");
    String::from_utf8(prepared.stdout).unwrap().trim().into()
}

/// A service of one answer, over and over: what it was asked is the body of the answer.
fn service() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut asked = Vec::new();
            let mut chunk = [0; 1024];
            while !asked.windows(4).any(|four| four == b"\r\n\r\n") {
                let read = stream.read(&mut chunk).unwrap();
                asked.extend_from_slice(&chunk[..read]);
            }
            let line = String::from_utf8_lossy(&asked)
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned();
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{line}",
                line.len()
            );
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    address
}

/// What an agent does in a connection: looks at the tools, uses each, makes mistakes, waits, gives up, looks back.
fn script(folder: &Path, service: &str) -> Vec<Value> {
    let file = folder.join("notes.txt");
    let call = |tool: &str, arguments: Value| json!({"call": tool, "arguments": arguments});
    vec![
        json!({"list": true}),
        json!({"call": "shell_run", "arguments": {"argv": ["echo", "hi"]}, "progress": true}),
        call("shell_run", json!({"argv": ["sh", "-c", "echo no >&2; exit 2"]})),
        call("shell_run", json!({"cmd": "ls"})),
        call("no_such_tool", json!({})),
        call("code_run", json!({"code": "x = 20\nprint('set')"})),
        call("code_run", json!({"code": "x + 22"})),
        call("code_run", json!({"code": "1 / 0"})),
        call("file_write", json!({"path": file, "content": "one\n"})),
        call("file_read", json!({"path": file})),
        call("file_list", json!({"path": folder})),
        call("file_read", json!({"path": "/etc/shadow"})),
        call("http_fetch", json!({"url": format!("http://{service}/a")})),
        call("http_fetch", json!({"url": "http://127.0.0.1:9/"})),
        json!({"cancel": "shell_run", "arguments": {"argv": ["sh", "-c", "echo going; sleep 600"]}, "told": "going"}),
        call("shell_run", json!({"argv": ["echo", "after"]})),
        call("history", json!({"kind": "shell.run", "limit": 2})),
        json!({"together": [call("shell_run", json!({"argv": ["echo", "1"]})), call("code_run", json!({"code": "x"}))]}),
    ]
}

fn content(step: &Value) -> &Value {
    assert!(step.get("structuredContent").is_some(), "{step}");
    &step["structuredContent"]
}

#[track_caller]
fn failed(step: &Value, code: &str) {
    assert_eq!(step["isError"], true, "{step}");
    assert_eq!(content(step)["error"]["code"], code, "{step}");
}

#[track_caller]
fn result<'a>(step: &'a Value, member: &str) -> &'a Value {
    assert_eq!(content(step)["state"], "succeeded", "{step}");
    assert_ne!(step["isError"], true);
    &content(step)["result"][member]
}

/// Drives the script and holds what came to what must.
fn drive(generation: &str, mode: &str, version: &str) {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("granted");
    std::fs::create_dir(&folder).unwrap();
    let service = service();
    let (data, grant) = (place.path().join("data"), format!("{}:rw", folder.display()));
    let daemon = Daemon::start(
        &data,
        &[
            "dev",
            "--listen",
            "127.0.0.1:0",
            "--grant-file",
            &grant,
            "--grant-http",
            &service,
        ],
    );
    let file = place.path().join("script.json");
    std::fs::write(&file, json!(script(&folder, &service)).to_string()).unwrap();
    let driven = Command::new(sdk(generation))
        .arg(tools().join("drive.py"))
        .args([
            mode.as_ref(),
            file.as_os_str(),
            ACTUM.as_ref(),
            "mcp".as_ref(),
            "--data".as_ref(),
        ])
        .arg(&data)
        .output()
        .unwrap();
    let out = String::from_utf8(driven.stdout).unwrap();
    let said = String::from_utf8_lossy(&driven.stderr).into_owned();
    assert!(driven.status.success(), "{out}\n{said}");
    let steps: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(steps[0]["version"], version);
    holds(&steps[1..]);
    drop(daemon);
}

fn holds(steps: &[Value]) {
    let [
        tools,
        hi,
        two,
        wrong,
        no_tool,
        set,
        sum,
        zero,
        written,
        read,
        listed,
        shadow,
        fetched,
        refused,
        gone,
        after,
        history,
        both,
    ] = steps
    else {
        panic!("{} steps", steps.len());
    };
    assert_eq!(tools["tools"].as_array().unwrap().len(), 8);
    assert_eq!(result(hi, "stdout")["text"], "hi\n");
    let told = hi["told"].as_array().unwrap();
    assert!(!told.is_empty(), "{hi}");
    failed(two, "COMMAND_FAILED");
    assert_eq!(content(two)["result"]["stderr"]["text"], "no\n");
    failed(wrong, "INVALID_INPUT");
    assert!(
        no_tool["text"].as_str().unwrap().contains("unknown tool"),
        "{no_tool}"
    );
    assert_eq!(result(set, "stdout")["text"], "set\n");
    assert_eq!(result(sum, "repr"), "42");
    failed(zero, "EXECUTION_FAILED");
    assert!(
        zero["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains("ZeroDivisionError"),
        "{zero}"
    );
    assert_eq!(result(written, "created"), true);
    assert_eq!(result(read, "content"), "one\n");
    assert_eq!(result(listed, "entries")[0]["name"], "notes.txt");
    assert_eq!(shadow["isError"], true, "{shadow}");
    assert_eq!(result(fetched, "body"), "GET /a HTTP/1.1");
    assert_eq!(refused["isError"], true, "{refused}");
    assert_eq!(gone["cancelled"], "shell_run");
    // In the same lane, so the cancelled one is over.
    assert_eq!(result(after, "stdout")["text"], "after\n");
    let rows = result(history, "commands").as_array().unwrap();
    assert_eq!(rows[1]["outcome"], "cancelled", "{history}");
    assert_eq!(result(&both[0], "stdout")["text"], "1\n");
    assert_eq!(result(&both[1], "repr"), "20");
    let sessions: std::collections::BTreeSet<String> = [hi, set, written, fetched, after]
        .iter()
        .map(|step| step["_meta"]["actum/command"]["sessionId"].to_string())
        .collect();
    assert_eq!(sessions.len(), 1, "{sessions:?}");
}

#[test]
fn the_first_generation_of_the_sdk_works_with_initialize() {
    drive("1", "initialize", "2025-11-25");
}

#[test]
fn the_second_generation_of_the_sdk_works_with_initialize() {
    drive("2", "initialize", "2025-11-25");
}

#[test]
fn the_second_generation_of_the_sdk_works_after_asking_what_is_spoken() {
    drive("2", "discover", "2026-07-28");
}

#[test]
fn the_second_generation_of_the_sdk_works_without_a_word_before() {
    drive("2", "pinned", "2026-07-28");
}

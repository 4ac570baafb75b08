//! Drives `actum mcp` as a client does: JSON-RPC over pipes, either form of the protocol. It reads what comes and never
//! waits for time.

use super::{ACTUM, Daemon, actum};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

/// A server with its client's end.
pub struct Mcp {
    pub child: Child,
    stdin: Option<ChildStdin>,
    out: BufReader<ChildStdout>,
    modern: bool,
    /// Notifications that came while something else was waited for.
    pub told: Vec<Value>,
}

impl Mcp {
    /// Over a data directory, in the form of 2026-07-28: nothing is said before the first request.
    pub fn modern(data: &Path, args: &[&str]) -> Mcp {
        let mut command = actum();
        command.args(["mcp", "--data"]).arg(data).args(args);
        Mcp::spawn(command, true)
    }

    /// Over a data directory, in the form of 2025-11-25: with `initialize`.
    pub fn initialized(data: &Path) -> (Mcp, Value) {
        let mut command = actum();
        command.args(["mcp", "--data"]).arg(data);
        let mut mcp = Mcp::spawn(command, false);
        let hello = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}});
        let started = mcp.ask(json!("hello"), "initialize", hello);
        mcp.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        (mcp, started)
    }

    pub fn spawn(mut command: Command, modern: bool) -> Mcp {
        assert_eq!(command.get_program(), ACTUM);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Mcp {
            stdin: child.stdin.take(),
            out: BufReader::new(child.stdout.take().unwrap()),
            child,
            modern,
            told: Vec::new(),
        }
    }

    pub fn send(&mut self, message: &Value) {
        self.send_line(&message.to_string());
    }

    pub fn send_line(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(line.as_bytes()).unwrap();
        stdin.write_all(b"\n").unwrap();
        stdin.flush().unwrap();
    }

    /// Sends a request and does not wait.
    pub fn request(&mut self, id: &Value, method: &str, mut params: Value) {
        if self.modern {
            let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
                "io.modelcontextprotocol/clientCapabilities": {}});
            for (name, value) in meta.as_object().unwrap() {
                params["_meta"][name] = value.clone();
            }
        }
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
    }

    /// The next message; `None` when the server closed.
    pub fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        if self.out.read_line(&mut line).unwrap() == 0 {
            return None;
        }
        let message: Value =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("no message: {error}: {line}"));
        assert_eq!(message["jsonrpc"], "2.0", "{message}");
        Some(message)
    }

    /// The response to a request; what is told meanwhile is kept.
    pub fn answer(&mut self, id: &Value) -> Value {
        loop {
            let message = self.next().expect("the server closed");
            if message.get("method").is_some() {
                self.told.push(message);
            } else if message["id"] == *id {
                return message;
            } else {
                panic!("an answer nobody waits for: {message}");
            }
        }
    }

    /// A request and its response.
    pub fn ask(&mut self, id: Value, method: &str, params: Value) -> Value {
        self.request(&id, method, params);
        self.answer(&id)
    }

    /// Begins a call of a tool.
    pub fn begin(&mut self, id: i64, tool: &str, arguments: Value) {
        self.request(
            &json!(id),
            "tools/call",
            json!({"name": tool, "arguments": arguments}),
        );
    }

    /// A call of a tool, and its result.
    pub fn call(&mut self, id: i64, tool: &str, arguments: Value) -> Value {
        self.begin(id, tool, arguments);
        let answer = self.answer(&json!(id));
        assert!(answer.get("result").is_some(), "{answer}");
        answer["result"].clone()
    }

    /// The client goes; gives what was still sent, and how the server ended.
    pub fn leave(mut self) -> (ExitStatus, String) {
        self.stdin = None;
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap(), rest)
    }
}

impl Drop for Mcp {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// A daemon that runs programs as they are, so that a test can see what they did to a folder.
pub struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Place {
        Place {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn daemon(&self) -> Daemon {
        Daemon::start(
            &self.data(),
            &["dev", "--listen", "127.0.0.1:0", "--allow-uncaged"],
        )
    }

    pub fn mcp(&self) -> Mcp {
        Mcp::modern(&self.data(), &[])
    }

    /// A pipe by which a command and the test wait for each other.
    pub fn pipe(&self, name: &str) -> PathBuf {
        let path = self.file(name);
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        path
    }
}

pub fn sh(script: impl Into<String>) -> Value {
    json!({"argv": ["sh", "-c", script.into()]})
}

/// A script that writes a line to a file each time it runs.
pub fn mark(file: &Path) -> Value {
    sh(format!("echo done >> {}", file.display()))
}

pub fn times(file: &Path) -> usize {
    std::fs::read_to_string(file).map_or(0, |text| text.lines().count())
}

pub fn id_of(result: &Value) -> String {
    result["structuredContent"]["command"]["id"]
        .as_str()
        .unwrap_or_else(|| panic!("{result}"))
        .to_owned()
}

pub fn code_of(result: &Value) -> &str {
    result["structuredContent"]["error"]["code"]
        .as_str()
        .unwrap_or_default()
}

#[track_caller]
pub fn stands(result: &Value, state: &str) {
    assert_eq!(result["structuredContent"]["state"], state, "{result}");
}

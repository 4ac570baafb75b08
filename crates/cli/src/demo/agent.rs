//! The agent of the demo: a minimal client of the agents' protocol over the pipes of `actum mcp`, which is a process of
//! its own and outlives the daemon. It knows how to call a tool and read what came of it, and nothing else of the
//! protocol.

use super::{Places, log_file, missed, this_program};
use crate::failure::Failure;
use crate::shape::text;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;
use tokio::sync::mpsc;

/// No call of the demo takes longer.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// A connection of an agent. Dropping it kills the process.
pub(super) struct Agent {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: mpsc::UnboundedReceiver<String>,
}

impl Agent {
    /// Starts `actum mcp` over the data directory, in the session `session`. With a workspace, programs see and write
    /// that folder; without, one that is their own.
    pub(super) fn start(places: &Places, session: &str, workspace: Option<&Path>) -> Result<Agent, Failure> {
        let program = this_program()?;
        let mut command = Command::new(&program);
        command
            .args(["mcp", "--session", session, "--data"])
            .arg(&places.data);
        if let Some(folder) = workspace {
            command
                .args(["--profile", "workspace", "--workspace"])
                .arg(folder);
        }
        command
            .env_remove("ACTUM_DATA")
            .env_remove("ACTUM_URL")
            .env_remove("ACTUM_TOKEN")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log_file(&places.log)?);
        let mut child = command
            .spawn()
            .map_err(|error| Failure::io("start", &program, &error))?;
        let (lines_in, lines) = mpsc::unbounded_channel();
        if let Some(output) = child.stdout.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    let _nobody = lines_in.send(line);
                }
            });
        }
        Ok(Agent {
            stdin: child.stdin.take(),
            child,
            lines,
        })
    }

    /// Names of the tools it is offered.
    pub(super) async fn tools(&mut self) -> Result<Vec<String>, Failure> {
        self.request("tools", "tools/list", json!({}))?;
        let result = self.result("tools").await?;
        let tools = result
            .get("tools")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        Ok(tools.map(|tool| text(tool, "name").to_owned()).collect())
    }

    /// Begins a call of a tool. The same `id` again is the same request, sent again.
    pub(super) fn begin(&mut self, id: &str, tool: &str, arguments: &Value) -> Result<(), Failure> {
        self.request(id, "tools/call", json!({"name": tool, "arguments": arguments}))
    }

    /// What came of a call: `structuredContent` of its result.
    pub(super) async fn end(&mut self, id: &str) -> Result<Value, Failure> {
        let result = self.result(id).await?;
        let report = result.get("structuredContent").cloned();
        report.ok_or_else(|| missed(format!("the call `{id}` gave no structured content: {result}")))
    }

    /// A call, and what came of it.
    pub(super) async fn call(&mut self, id: &str, tool: &str, arguments: &Value) -> Result<Value, Failure> {
        self.begin(id, tool, arguments)?;
        self.end(id).await
    }

    /// The agent goes: its end of the pipe is closed, and the process is waited for.
    pub(super) async fn leave(mut self) -> Result<(), Failure> {
        self.stdin = None;
        let rest = async { while self.lines.recv().await.is_some() {} };
        tokio::time::timeout(ANSWER_LIMIT, rest)
            .await
            .map_err(|_| missed("`actum mcp` did not end when its client left"))?;
        let status = self.child.wait().map_err(|error| missed(error.to_string()))?;
        if status.success() {
            Ok(())
        } else {
            Err(missed(format!("`actum mcp` did not end in order: {status}")))
        }
    }

    fn request(&mut self, id: &str, method: &str, mut params: Value) -> Result<(), Failure> {
        if let Value::Object(members) = &mut params {
            let meta = json!({
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientInfo": {"name": "actum-demo", "version": env!("CARGO_PKG_VERSION")},
                "io.modelcontextprotocol/clientCapabilities": {},
            });
            members.insert("_meta".to_owned(), meta);
        }
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let gone = || missed("`actum mcp` takes no requests any more");
        let stdin = self.stdin.as_mut().ok_or_else(gone)?;
        let sent = stdin
            .write_all(format!("{message}\n").as_bytes())
            .and_then(|()| stdin.flush());
        sent.map_err(|_| gone())
    }

    async fn result(&mut self, id: &str) -> Result<Value, Failure> {
        loop {
            let line = tokio::time::timeout(ANSWER_LIMIT, self.lines.recv()).await;
            let line = line.map_err(|_| missed(format!("the call `{id}` was not answered")))?;
            let line = line.ok_or_else(|| missed(format!("`actum mcp` ended before it answered `{id}`")))?;
            let message: Value = serde_json::from_str(&line)
                .map_err(|error| missed(format!("`actum mcp` wrote what is no message: {error}")))?;
            if text(&message, "id") != id {
                continue;
            }
            let result = message.get("result").cloned();
            return result.ok_or_else(|| missed(format!("the request `{id}` was refused: {message}")));
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}

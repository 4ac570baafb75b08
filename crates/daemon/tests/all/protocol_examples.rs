//! `docs/PROTOCOL.md` holds: its examples are sent to a real daemon and the answers compared member by member, and
//! its table of errors is that of the code.

use crate::transport_support::{Answer, Daemon, Socket};
use actum_model::ErrorCode;
use serde_json::Value;
use std::collections::VecDeque;

const CONTRACT: &str = include_str!("../../../../docs/PROTOCOL.md");

/// One fenced example: its line, what it is, and its text.
#[derive(Debug)]
struct Example {
    line: usize,
    kind: &'static str,
    text: String,
}

const KINDS: &[&str] = &[
    "json message",
    "json request",
    "json response",
    "json event",
    "http request",
    "http response",
];

fn examples() -> Vec<Example> {
    let mut found = Vec::new();
    let mut lines = CONTRACT.lines().zip(1..);
    while let Some((text, line)) = lines.next() {
        let Some(info) = text.strip_prefix("```") else {
            continue;
        };
        let body: Vec<&str> = lines
            .by_ref()
            .map(|(text, _)| text)
            .take_while(|text| *text != "```")
            .collect();
        let kind = KINDS.iter().find(|kind| **kind == info);
        let kind =
            kind.unwrap_or_else(|| panic!("line {line}: an example is one of {KINDS:?}, not `{info}`"));
        found.push(Example {
            line,
            kind,
            text: body.join("\n"),
        });
    }
    found
}

/// Compares member by member; a text that begins with `…` stands for any value.
fn compare(expected: &Value, found: &Value, at: &str) -> Result<(), String> {
    match (expected, found) {
        (Value::String(any), _) if any.starts_with('…') => Ok(()),
        (Value::Object(expected), Value::Object(found)) => {
            let names = |object: &serde_json::Map<String, Value>| object.keys().cloned().collect::<Vec<_>>();
            if names(expected) != names(found) {
                return Err(format!(
                    "{at}: expected members {:?}, got {:?}",
                    names(expected),
                    names(found)
                ));
            }
            expected
                .iter()
                .try_for_each(|(name, value)| compare(value, &found[name], &format!("{at}/{name}")))
        }
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => expected
            .iter()
            .zip(found)
            .enumerate()
            .try_for_each(|(n, (expected, found))| compare(expected, found, &format!("{at}/{n}"))),
        _ if expected == found => Ok(()),
        _ => Err(format!("{at}: expected {expected}, got {found}")),
    }
}

/// Sends examples and keeps what came until an example asks for it.
struct Runner {
    daemon: Daemon,
    socket: Socket,
    responses: VecDeque<Value>,
    others: VecDeque<Value>,
    answer: Option<Answer>,
}

impl Runner {
    /// The response of the same id: responses come as commands finish, and a read may overtake what was sent before it.
    async fn response(&mut self, expected: &str) -> Value {
        let expected: Value = serde_json::from_str(expected).unwrap_or_default();
        loop {
            let wanted = |found: &Value| found.get("id") == expected.get("id");
            if let Some(place) = self.responses.iter().position(wanted) {
                return self.responses.remove(place).unwrap();
            }
            self.hear().await;
        }
    }

    async fn other(&mut self) -> Value {
        loop {
            if let Some(message) = self.others.pop_front() {
                return message;
            }
            self.hear().await;
        }
    }

    async fn hear(&mut self) {
        let message = self.socket.next().await;
        let queue = if message["type"] == "response" {
            &mut self.responses
        } else {
            &mut self.others
        };
        queue.push_back(message);
    }

    async fn run(&mut self, example: &Example) -> Result<(), String> {
        match example.kind {
            "json request" => self.socket.send_text(example.text.clone()).await,
            "json response" => return matches(&example.text, &self.response(&example.text).await),
            "json event" | "json message" => return matches(&example.text, &self.other().await),
            "http request" => self.answer = Some(send(&self.daemon, &example.text).await),
            _ => {
                let answer = self.answer.take().ok_or("no request stands before it")?;
                return check_answer(&example.text, &answer);
            }
        }
        Ok(())
    }
}

fn matches(expected: &str, found: &Value) -> Result<(), String> {
    let expected = serde_json::from_str(expected).map_err(|error| format!("is not JSON: {error}"))?;
    compare(&expected, found, "").map_err(|error| format!("{error}\nin {found}"))
}

/// Head lines and a body, a blank line between them.
fn parts(text: &str) -> (&str, Vec<(&str, &str)>, &str) {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let first = lines.next().unwrap();
    (
        first,
        lines.map(|line| line.split_once(": ").unwrap()).collect(),
        body,
    )
}

async fn send(daemon: &Daemon, text: &str) -> Answer {
    let (first, headers, body) = parts(text);
    let (method, path) = first.split_once(' ').unwrap();
    daemon.request(method, path, &headers, body.to_owned()).await
}

fn check_answer(expected: &str, found: &Answer) -> Result<(), String> {
    let (status, headers, body) = parts(expected);
    if status != found.status.to_string() {
        return Err(format!("expected {status}, got {}: {}", found.status, found.text));
    }
    for (name, value) in headers {
        if found.header(name) != value {
            return Err(format!(
                "expected `{name}: {value}`, got `{}`",
                found.header(name)
            ));
        }
    }
    if body.lines().count() != found.text.lines().count() {
        return Err(format!("expected as many lines as in {}", found.text));
    }
    for (expected, found) in body.lines().zip(found.text.lines()) {
        let found =
            serde_json::from_str(found).map_err(|error| format!("the answer is not JSON: {error}"))?;
        matches(expected, &found)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_of_the_contract_holds() {
    let daemon = Daemon::dev().await;
    let socket = daemon.socket_with(&[]).await.unwrap();
    let mut runner = Runner {
        daemon,
        socket,
        responses: VecDeque::new(),
        others: VecDeque::new(),
        answer: None,
    };
    let examples = examples();
    assert!(examples.len() > 30, "the examples were not found");
    for example in &examples {
        let failed = runner.run(example).await.err();
        assert_eq!(
            failed, None,
            "docs/PROTOCOL.md:{} ({})",
            example.line, example.kind
        );
    }
    assert!(
        runner.responses.is_empty(),
        "responses no example shows: {:?}",
        runner.responses
    );
    assert!(
        runner.others.is_empty(),
        "messages no example shows: {:?}",
        runner.others
    );
}

#[test]
fn the_table_of_errors_is_that_of_the_code() {
    let rows: Vec<&str> = CONTRACT
        .lines()
        .filter(|line| line.starts_with("| `") && line.ends_with(" |"))
        .collect();
    let expected = ErrorCode::ALL.iter().map(|code| {
        format!(
            "| `{code}` | {} | {} |",
            code.http_status(),
            if code.retryable() { "yes" } else { "no" }
        )
    });
    let missing: Vec<String> = expected.filter(|row| !rows.contains(&row.as_str())).collect();
    assert!(missing.is_empty(), "docs/PROTOCOL.md lacks {missing:#?}");
    let listed = rows
        .iter()
        .filter(|row| row.ends_with("| yes |") || row.ends_with("| no |"))
        .count();
    assert_eq!(
        listed,
        ErrorCode::ALL.len(),
        "a code that is no more, or stands twice"
    );
}

#[test]
fn the_envelope_of_the_contract_has_every_member_and_no_other() {
    let section = CONTRACT
        .split("## 3. Commands")
        .nth(1)
        .unwrap()
        .split("An unknown member")
        .next()
        .unwrap();
    let first_cells = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    let named: Vec<&str> = first_cells
        .flat_map(|cell| cell.split("`, `"))
        .map(|name| name.trim_end_matches('`'))
        .collect();
    for name in &named {
        let text = format!(r#"{{"type":"session.create","sessionId":"s","{name}":null}}"#);
        let refusal = actum_model::Envelope::parse(text.as_bytes())
            .unwrap_err()
            .to_json();
        assert!(
            !refusal.contains("unknown field"),
            "`{name}` is not a member of the envelope"
        );
    }
    assert_eq!(named.len(), 15, "{named:?}");
}

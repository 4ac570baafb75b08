//! What a call gives: one form for every end a command can come to. Everything that went wrong with the command is in
//! it, so that a model can act on it; nothing of that is an error of the protocol.

use crate::{hints, text};
use actum_client::ClientError;
use actum_model::response::fault_json;
use actum_model::{ErrorCode, Fault};
use rmcp::model::{CallToolResult, ContentBlock, MetaObject};
use serde_json::{Map, Value, json};

/// Under this name the `_meta` of a result has the command.
pub(crate) const META: &str = "actum/command";

/// States of commands that are not over and go on by themselves.
const GOING: &[&str] = &["queued", "waiting", "running", "stopping", "probing"];

/// See the head of the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    /// Where the command stands.
    pub(crate) state: String,
    /// `{id, kind, sessionId, idx, replayed}`, as far as there is one.
    pub(crate) command: Map<String, Value>,
    /// What came of it.
    pub(crate) result: Option<Value>,
    /// What went wrong.
    pub(crate) error: Option<Value>,
    /// Why it stands where it stands.
    pub(crate) because: Vec<String>,
}

impl Report {
    /// Of the response to a command.
    pub(crate) fn of_response(mut response: Value, session: &str) -> Report {
        let error = response.get_mut("error").map(Value::take);
        let outcome = response.get("outcome").and_then(Value::as_str);
        let state = match (outcome, &error) {
            (Some(outcome), _) => outcome,
            (None, Some(_)) => "refused",
            (None, None) => "succeeded",
        };
        let mut report = Report {
            state: state.to_owned(),
            error,
            ..Report::default()
        };
        report.result = response.get_mut("data").map(Value::take);
        if report.state != "refused" {
            report.name(&response, "id", "id");
            report.name(&response, "command", "kind");
            report.command.insert("sessionId".into(), session.into());
            report.name(&response, "idx", "idx");
            report.name(&response, "replayed", "replayed");
        }
        report.hint();
        report
    }

    /// Of the answer to a question, which is no command of its own.
    pub(crate) fn of_read(response: Value) -> Report {
        let mut report = Report::of_response(response, "");
        report.command.clear();
        report
    }

    /// Of what `command.get` tells about a command.
    pub(crate) fn of_row(mut row: Value) -> Report {
        let mut report = Report {
            state: text::member(&row, "state").to_owned(),
            error: row.get_mut("error").map(Value::take),
            result: row.get_mut("data").map(Value::take),
            ..Report::default()
        };
        report.name(&row, "id", "id");
        report.name(&row, "command", "kind");
        report.name(&row, "sessionId", "sessionId");
        let idx = ["finishedIdx", "startedIdx", "acceptedIdx"]
            .iter()
            .find(|name| row.get(**name).is_some());
        if let Some(name) = idx {
            report.name(&row, name, "idx");
        }
        if report.in_doubt() {
            let message = "it was begun, and nobody knows whether it happened";
            report.error = Some(fault_json(&Fault::new(ErrorCode::InDoubt, message)));
        }
        report.hint();
        report
    }

    /// Of a call that was refused here: nothing was sent.
    pub(crate) fn of_fault(fault: &Fault) -> Report {
        let mut report = Report {
            state: "refused".to_owned(),
            error: Some(fault_json(fault)),
            ..Report::default()
        };
        report.hint();
        report
    }

    /// Of a command that may have reached the daemon, whose answer did not come.
    pub(crate) fn lost(id: &str, session: &str, error: &ClientError) -> Report {
        let hint = format!(
            "it is not known whether it was done; do not do it again: when the daemon answers, ask command_wait for `{id}`"
        );
        let fault = error.to_fault().with_hint(hint);
        let mut report = Report::of_fault(&fault);
        report.state = "unknown".to_owned();
        report.command.insert("id".into(), id.into());
        report.command.insert("sessionId".into(), session.into());
        report
    }

    /// Whether it goes on.
    pub(crate) fn going(&self) -> bool {
        GOING.contains(&self.state.as_str())
    }

    /// Whether nobody knows what came of it.
    pub(crate) fn in_doubt(&self) -> bool {
        self.state == "in_doubt"
    }

    /// Whether it went wrong with this code.
    pub(crate) fn failed_with(&self, code: ErrorCode) -> bool {
        self.error
            .as_ref()
            .is_some_and(|error| text::member(error, "code") == code.as_str())
    }

    /// Replaces what to do about what went wrong.
    pub(crate) fn advise(&mut self, hint: String) {
        if let Some(Value::Object(error)) = &mut self.error {
            error.insert("hint".into(), hint.into());
        }
    }

    /// Says what a model can do about what went wrong, where people would do something else.
    fn hint(&mut self) {
        let Some(error) = &self.error else { return };
        let id = self.command.get("id").and_then(Value::as_str).unwrap_or_default();
        if let Some(hint) = hints::instead_of(text::member(error, "hint"), text::member(error, "code"), id) {
            self.advise(hint);
        }
    }

    fn name(&mut self, from: &Value, member: &str, name: &str) {
        if let Some(value) = from.get(member) {
            self.command.insert(name.to_owned(), value.clone());
        }
    }

    /// As the structured content of a result.
    pub(crate) fn to_json(&self) -> Value {
        let mut out = json!({"state": self.state});
        if let Value::Object(members) = &mut out {
            if !self.command.is_empty() {
                members.insert("command".into(), self.command.clone().into());
            }
            if let Some(result) = &self.result {
                members.insert("result".into(), result.clone());
            }
            if let Some(error) = &self.error {
                members.insert("error".into(), error.clone());
            }
            if !self.because.is_empty() {
                members.insert("because".into(), self.because.clone().into());
            }
        }
        out
    }

    /// As a result: structured, and as text.
    pub(crate) fn into_result(self) -> CallToolResult {
        let mut content = vec![ContentBlock::text(text::of(&self))];
        content.extend(
            text::images(&self)
                .into_iter()
                .map(|(data, kind)| ContentBlock::image(data, kind)),
        );
        let mut result = CallToolResult::success(content);
        result.is_error = Some(self.error.is_some());
        result.structured_content = Some(self.to_json());
        if !self.command.is_empty() {
            let mut meta = MetaObject::new();
            meta.insert(META.to_owned(), self.command.into());
            result.meta = Some(meta);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_command_is_an_error_of_the_tool_with_its_result() {
        let response = json!({"type": "response", "command": "shell.run", "id": "a.1", "success": false, "outcome": "failed",
            "data": {"exitCode": 3, "stdout": {"bytes": 3, "text": "hi\n"}, "stderr": {"bytes": 0, "text": ""}},
            "error": {"code": "COMMAND_FAILED", "message": "exit code 3", "hint": "h", "retryable": false},
            "lane": "session:s", "idx": 7});
        let result = Report::of_response(response, "s").into_result();
        assert_eq!(result.is_error, Some(true));
        let content = result.structured_content.unwrap();
        assert_eq!(
            content["command"],
            json!({"id": "a.1", "kind": "shell.run", "sessionId": "s", "idx": 7})
        );
        assert_eq!(content["result"]["exitCode"], 3);
        assert_eq!(content["error"]["code"], "COMMAND_FAILED");
        assert_eq!(result.meta.unwrap().get(META), content.get("command"));
    }

    #[test]
    fn a_refusal_names_no_command_because_there_is_none() {
        let response = json!({"type": "response", "command": "shell.run", "id": "a.1", "success": false,
            "error": {"code": "BUSY", "message": "m", "hint": "h", "retryable": true}});
        let content = Report::of_response(response, "s").to_json();
        assert_eq!(content["state"], "refused");
        assert!(content.get("command").is_none());
    }

    #[test]
    fn doubt_is_said_with_how_to_ask() {
        let row = json!({"id": "a.1", "command": "shell.run", "state": "in_doubt", "startedIdx": 4, "sessionId": "s"});
        let report = Report::of_row(row);
        assert!(report.in_doubt() && !report.going());
        let content = report.to_json();
        assert_eq!(content["error"]["code"], "IN_DOUBT");
        let hint = content["error"]["hint"].as_str().unwrap();
        assert!(hint.contains("command_wait") && hint.contains("a.1"), "{hint}");
        assert_eq!(content["command"]["idx"], 4);
    }

    #[test]
    fn what_goes_on_is_no_error() {
        let report =
            Report::of_row(json!({"id": "a.1", "command": "shell.run", "state": "running", "startedIdx": 4}));
        assert!(report.going());
        assert_eq!(report.into_result().is_error, Some(false));
    }
}

//! Schemas of tools, out of the contracts of their kinds. What a tool gives has one form for every end a command can
//! come to, so that an error fits its schema as well as a result does.

use crate::limits::{FILE_READ_BYTES_DEFAULT, HISTORY_ROWS_DEFAULT, HTTP_BYTES_DEFAULT};
use crate::tools::{Extra, Row};
use actum_model::Contract;
use actum_model::limits::WAIT_MS_MAX;
use rmcp::model::JsonObject;
use serde_json::{Map, Value, json};

/// Where the tool gives an argument a value of its own when it is absent, what the model reads about that.
const DEFAULTS: &[(&str, &str, &str)] = &[
    ("file.read", "length", "at most 64 KiB if absent"),
    ("http.fetch", "maxBytes", "64 KiB if absent"),
    ("server.history", "limit", "20 if absent"),
    ("server.history", "order", "newest if absent"),
    (
        "server.history",
        "sessionId",
        "the connection's own if absent, unless allSessions is true",
    ),
];

/// The arguments of a tool, of which a call waits so long unless it says otherwise.
pub(crate) fn input(row: &Row, contract: &Contract, wait_ms: u64) -> JsonObject {
    let mut schema = object(contract.input_schema());
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for (name, property) in properties.iter_mut() {
            let default = DEFAULTS
                .iter()
                .find(|(kind, argument, _)| *kind == row.kind && argument == name);
            if let (Some((_, _, about)), Value::Object(members)) = (default, property) {
                let whole = members
                    .get("description")
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                // The contract's own default stands behind the last semicolon.
                let first = whole
                    .rsplit_once(';')
                    .map_or(whole.trim_end_matches('.'), |(first, _)| first);
                let whole = format!("{first}; {about}.");
                members.insert("description".into(), whole.into());
            }
        }
        for extra in row.extras {
            let (name, property) = extra_schema(*extra, contract, wait_ms);
            properties.insert(name.to_owned(), property);
        }
    }
    name_types(&mut schema);
    schema
}

/// What the arguments are where the contract says nothing, in the way a schema may say it.
pub(crate) fn fill(kind: &str, arguments: &mut JsonObject) {
    let defaults = match kind {
        "file.read" => json!({"length": FILE_READ_BYTES_DEFAULT}),
        "http.fetch" => json!({"maxBytes": HTTP_BYTES_DEFAULT}),
        "server.history" => json!({"limit": HISTORY_ROWS_DEFAULT, "order": "newest"}),
        _ => return,
    };
    for (name, value) in object(defaults) {
        arguments.entry(name).or_insert(value);
    }
}

fn extra_schema(extra: Extra, contract: &Contract, wait_ms: u64) -> (&'static str, Value) {
    match extra {
        Extra::Wait => (
            "waitMs",
            json!({"type": "integer", "minimum": 0, "maximum": WAIT_MS_MAX,
                "description": format!("How long this call waits for the outcome, milliseconds; {wait_ms} if absent. The command goes on beyond it.")}),
        ),
        Extra::RunLimit => (
            "timeoutMs",
            json!({"type": "integer", "minimum": 1, "maximum": contract.timeout_ms_max,
                "description": format!("How long it may run before it is stopped, milliseconds; {} if absent.", contract.timeout_ms)}),
        ),
        Extra::AllSessions => (
            "allSessions",
            json!({"type": "boolean", "description": "Whether to list commands of every session; false if absent."}),
        ),
    }
}

/// What a tool gives: see [`crate::report`].
pub(crate) fn output(row: &Row, contract: &Contract) -> JsonObject {
    let result = match row.kind {
        // The result of any kind of command.
        "command.wait" => json!({}),
        _ => open(contract.output_schema()),
    };
    object(json!({
        "type": "object",
        "properties": {
            "state": {"type": "string", "description": "succeeded, failed, rejected, timed_out, cancelled; in_doubt: nobody knows whether it happened; \
                queued, waiting, running, stopping, probing: not over; refused: never accepted, nothing happened; unknown: the daemon did not answer."},
            "command": {
                "type": "object",
                "properties": {
                    "id": {"type": "string", "description": "Its id, for command_wait."},
                    "kind": {"type": "string"},
                    "sessionId": {"type": "string", "description": "Its session, whose lane it took its turn in."},
                    "idx": {"type": "integer", "description": "Journal position of its outcome, or of its acceptance."},
                    "replayed": {"type": "boolean", "description": "true: an outcome recorded before, given again; nothing was done."},
                },
                "required": ["id"],
            },
            "result": with_about(result, "What came of it, where it has a result; also of a failed command, as far as there is one."),
            "error": {
                "type": "object",
                "properties": {
                    "code": {"type": "string"},
                    "message": {"type": "string"},
                    "hint": {"type": "string", "description": "What to do."},
                    "retryable": {"type": "boolean", "description": "Whether the same call can succeed later."},
                    "details": {},
                },
                "required": ["code", "message"],
            },
            "because": {"type": "array", "items": {"type": "string"}, "description": "Why it stands where it stands, where it is not over."},
        },
        "required": ["state"],
    }))
}

fn with_about(mut schema: Value, about: &str) -> Value {
    if let Value::Object(members) = &mut schema {
        members.insert("description".into(), about.into());
    }
    schema
}

/// Results may gain members with a later daemon, so a schema of results closes no object.
fn open(mut schema: Value) -> Value {
    match &mut schema {
        Value::Object(members) => {
            if members.get("additionalProperties") == Some(&Value::Bool(false)) {
                members.remove("additionalProperties");
            }
            let inner = std::mem::take(members);
            *members = inner
                .into_iter()
                .map(|(name, value)| (name, open(value)))
                .collect();
        }
        Value::Array(items) => {
            let inner = std::mem::take(items);
            *items = inner.into_iter().map(open).collect();
        }
        _ => {}
    }
    schema
}

/// Some clients want a type beside a list of words.
fn name_types(schema: &mut JsonObject) {
    if schema.contains_key("enum") && !schema.contains_key("type") {
        schema.insert("type".into(), "string".into());
    }
    for value in schema.values_mut() {
        if let Value::Object(members) = value {
            name_types(members);
        }
    }
}

pub(crate) fn object(value: Value) -> JsonObject {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::{TOOLS, find};

    fn input_of(name: &str) -> Value {
        let row = find(name).unwrap();
        Value::Object(input(row, row.contract().unwrap(), 7_000))
    }

    #[test]
    fn arguments_are_those_of_the_contract_and_the_tools_own() {
        let shell = input_of("shell_run");
        assert_eq!(shell["required"], json!(["argv"]));
        assert_eq!(shell["additionalProperties"], json!(false));
        assert!(
            shell["properties"]["timeoutMs"]["description"]
                .as_str()
                .unwrap()
                .contains("120000")
        );
        assert_eq!(shell["properties"]["waitMs"]["maximum"], json!(WAIT_MS_MAX));
        let wait = shell["properties"]["waitMs"]["description"].as_str().unwrap();
        assert!(wait.contains("7000 if absent"), "{wait}");
        // This one has a time limit of its own, which goes to the command.
        let fetch = input_of("http_fetch");
        let contract = find("http_fetch").unwrap().contract().unwrap().input_schema();
        assert_eq!(
            fetch["properties"]["timeoutMs"],
            contract["properties"]["timeoutMs"]
        );
    }

    #[test]
    fn what_is_filled_in_is_said() {
        for (kind, argument, about) in DEFAULTS {
            let row = TOOLS.iter().find(|row| row.kind == *kind).unwrap();
            let schema = input_of(row.name);
            let text = schema["properties"][argument]["description"].as_str().unwrap();
            assert!(text.contains(about), "{text}");
            let mut filled = JsonObject::new();
            fill(kind, &mut filled);
            assert!(
                filled.contains_key(*argument) || *argument == "sessionId",
                "{kind} {argument}"
            );
        }
    }

    #[test]
    fn what_is_filled_in_does_not_go_before_what_is_said() {
        let mut given = object(json!({"length": 3}));
        fill("file.read", &mut given);
        assert_eq!(given, object(json!({"length": 3})));
    }

    #[test]
    fn schemas_close_arguments_and_leave_results_open() {
        for row in TOOLS {
            let tool = row.tool(1).unwrap();
            assert_eq!(
                tool.input_schema.get("type"),
                Some(&json!("object")),
                "{}",
                row.name
            );
            assert_eq!(tool.input_schema.get("additionalProperties"), Some(&json!(false)));
            let output = Value::Object(tool.output_schema.unwrap().as_ref().clone()).to_string();
            assert!(!output.contains("additionalProperties\":false"), "{output}");
        }
    }
}

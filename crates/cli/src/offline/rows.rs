//! Records as JSON, for export and for people: the input and the events, with byte strings as hex.

use actum_model::{Event, Input};
use serde_json::{Value, json};

/// Members that hold bytes, which serde writes as lists of numbers.
const BYTES: [&str; 2] = ["realm", "incarnation"];

/// The input of a record; a text that says so where this version cannot read it.
pub(crate) fn input(bytes: &[u8]) -> Value {
    match serde_ipld_dagcbor::from_slice::<Input>(bytes) {
        Ok(input) => shown(serde_json::to_value(&input)),
        Err(error) => json!({"unreadable": error.to_string()}),
    }
}

/// An event of a record.
pub(crate) fn event(event: &Event) -> Value {
    shown(serde_json::to_value(event))
}

fn shown(value: serde_json::Result<Value>) -> Value {
    let mut value = value.unwrap_or_else(|error| json!({"unreadable": error.to_string()}));
    open(&mut value);
    value
}

/// Arguments and results are kept as texts of canonical JSON; they are shown as what they hold.
fn open(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                match member {
                    Value::Array(items) if BYTES.contains(&name.as_str()) => *member = hex(items),
                    Value::String(text)
                        if ["payload", "data", "value", "details"].contains(&name.as_str()) =>
                    {
                        if let Ok(inner) = serde_json::from_str(text) {
                            *member = inner;
                        }
                    }
                    other => open(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(open),
        _ => {}
    }
}

fn hex(items: &[Value]) -> Value {
    items
        .iter()
        .map(|item| format!("{:02x}", item.as_u64().unwrap_or(0)))
        .collect::<String>()
        .into()
}

/// What an input is, in a few words.
pub(crate) fn input_title(input: &Value) -> String {
    let text = |at: &str| {
        input
            .pointer(at)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let number = |at: &str| input.pointer(at).and_then(Value::as_u64).unwrap_or_default();
    let name = match input {
        Value::String(name) => return name.clone(),
        Value::Object(members) => members.keys().next().cloned().unwrap_or_default(),
        _ => String::new(),
    };
    match name.as_str() {
        "submit" => {
            let id = text("/submit/envelope/id");
            let id = if id.is_empty() {
                String::new()
            } else {
                format!(" {id}")
            };
            let (kind, by) = (text("/submit/envelope/kind"), text("/submit/caller/principal"));
            format!("submit {kind}{id} by {by}")
        }
        "boot" => format!("boot of {} on {}", text("/boot/build"), text("/boot/node")),
        "dispatch" => format!("dispatch of command number {}", number("/dispatch/seq")),
        "outcome" => format!(
            "outcome of command number {}: {}",
            number("/outcome/seq"),
            text("/outcome/settlement/as")
        ),
        "output" => format!("output of command number {}", number("/output/seq")),
        "" => "an input".to_owned(),
        other => other.replace('_', " "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actum_model::Json;
    use actum_model::event::SessionAnnotated;

    #[test]
    fn texts_of_json_are_opened_and_bytes_are_hex() {
        let event = Event::SessionAnnotated(SessionAnnotated {
            tenant: actum_model::ids::Tenant::main(),
            session: actum_model::SessionId::parse("s").unwrap(),
            key: "k".into(),
            value: Some(Json::from_canonical("{\"a\":1}")),
        });
        assert_eq!(
            super::event(&event).pointer("/session_annotated/value/a"),
            Some(&json!(1))
        );
        let mut bytes = json!({"booted": {"realm": [0, 255, 16]}});
        open(&mut bytes);
        assert_eq!(bytes.pointer("/booted/realm"), Some(&json!("00ff10")));
    }

    #[test]
    fn an_input_of_another_version_is_named_as_such() {
        assert!(input(b"\xa1\x65weird\x01").get("unreadable").is_some());
    }
}

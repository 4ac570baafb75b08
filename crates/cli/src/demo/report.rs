//! What a call of a tool came to, as the agent is told it: reading the parts the demo speaks of.

use crate::shape::{at, number, text};
use serde_json::Value;

/// The id of the command that the call became.
pub(super) fn id(report: &Value) -> &str {
    text(at(report, "/command"), "id")
}

/// The code of its error, or nothing.
pub(super) fn code(report: &Value) -> &str {
    text(at(report, "/error"), "code")
}

pub(super) fn state(report: &Value) -> &str {
    text(report, "state")
}

pub(super) fn replayed(report: &Value) -> bool {
    at(report, "/command/replayed") == &Value::Bool(true)
}

/// The level of the cage in force, where the call tells it.
pub(super) fn level(report: &Value) -> &str {
    text(at(report, "/result/sandbox"), "level")
}

/// The cage in one line: its level, and its layers as far as the call tells them.
pub(super) fn cage(report: &Value) -> String {
    let layers = at(report, "/result/sandbox/layers");
    let layers: Vec<&Value> = layers.as_array().into_iter().flatten().collect();
    let missing = layers
        .iter()
        .filter(|layer| at(layer, "/in_force") != &Value::Bool(true));
    let missing: Vec<&str> = missing.map(|layer| text(layer, "layer")).collect();
    let in_force = layers.len() - missing.len();
    let mut line = format!(
        "{}: {in_force} of {} layers in force",
        level(report),
        layers.len()
    );
    if !missing.is_empty() {
        line.push_str(&format!(", not here: {}", missing.join(", ")));
    }
    line
}

/// What stands against a call, in short: the last line of what the program said, else its error.
pub(super) fn reason(report: &Value) -> String {
    let said = text(at(report, "/result/stderr"), "text");
    let last = said.lines().rev().find(|line| !line.trim().is_empty());
    let error = at(report, "/error");
    match (number(at(error, "/details"), "exitCode"), last) {
        (Some(code), Some(line)) => format!("exit code {code}: {line}"),
        _ => format!("{}: {}", text(error, "code"), text(error, "message")),
    }
}

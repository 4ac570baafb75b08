//! The arguments of a call: what goes to the command, and what is for the call itself. What does not fit is refused
//! here, with every fault, before anything is sent.

use crate::schema;
use crate::tools::{Extra, Row};
use actum_model::contract::Faults;
use actum_model::limits::WAIT_MS_MAX;
use actum_model::{Contract, ErrorCode, Fault};
use rmcp::model::JsonObject;
use serde_json::Value;

/// A call, read.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Ask {
    /// The arguments of the command.
    pub(crate) payload: JsonObject,
    /// How long to wait, milliseconds.
    pub(crate) wait_ms: u64,
    /// How long it may run, milliseconds.
    pub(crate) limit_ms: Option<u64>,
    /// Whether to look beyond the connection's session.
    pub(crate) all_sessions: bool,
}

/// Reads the arguments of a call.
///
/// # Errors
/// `INVALID_INPUT`, with a JSON pointer and a sentence for every fault.
pub(crate) fn read(
    row: &Row,
    contract: &Contract,
    arguments: JsonObject,
    wait_ms: u64,
) -> Result<Ask, Fault> {
    let mut faults = Faults::default();
    let mut ask = Ask {
        payload: arguments,
        wait_ms,
        limit_ms: None,
        all_sessions: false,
    };
    for extra in row.extras {
        match extra {
            Extra::Wait => {
                if let Some(ms) = take_integer(&mut ask.payload, "waitMs", 0, WAIT_MS_MAX, &mut faults) {
                    ask.wait_ms = ms;
                }
            }
            Extra::RunLimit => {
                let max = contract.timeout_ms_max;
                ask.limit_ms = take_integer(&mut ask.payload, "timeoutMs", 1, max, &mut faults);
            }
            Extra::AllSessions => match ask.payload.remove("allSessions") {
                None => {}
                Some(Value::Bool(all)) => ask.all_sessions = all,
                Some(_) => faults.add("/allSessions", "expected true or false"),
            },
        }
    }
    schema::fill(row.kind, &mut ask.payload);
    let payload = Value::Object(std::mem::take(&mut ask.payload));
    contract.check(&payload, "", &mut faults);
    ask.payload = schema::object(payload);
    if faults.is_empty() {
        return Ok(ask);
    }
    Err(Fault::new(ErrorCode::InvalidInput, faults.sentence())
        .with_details(&faults.to_json())
        .with_hint("call again with arguments that fit the tool's input schema; nothing was done"))
}

fn take_integer(from: &mut JsonObject, name: &str, min: u64, max: u64, faults: &mut Faults) -> Option<u64> {
    let value = from.remove(name)?;
    let number = value.as_u64().filter(|number| (min..=max).contains(number));
    if number.is_none() {
        let got = actum_model::json::shorten(&value.to_string());
        faults.add(
            format!("/{name}"),
            format!("expected an integer from {min} to {max}, got {got}"),
        );
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::find;
    use serde_json::json;

    fn ask(tool: &str, arguments: Value) -> Result<Ask, Fault> {
        let row = find(tool).unwrap();
        read(row, row.contract().unwrap(), schema::object(arguments), 45_000)
    }

    #[test]
    fn what_is_for_the_call_does_not_reach_the_command() {
        let ask = ask("shell_run", json!({"argv": ["ls"], "waitMs": 5, "timeoutMs": 7})).unwrap();
        assert_eq!((ask.wait_ms, ask.limit_ms), (5, Some(7)));
        assert_eq!(Value::Object(ask.payload), json!({"argv": ["ls"]}));
    }

    #[test]
    fn every_fault_is_told_with_its_place() {
        let fault = ask(
            "shell_run",
            json!({"waitMs": -1, "timeoutMs": "soon", "cmd": "ls"}),
        )
        .unwrap_err();
        assert_eq!(fault.code, ErrorCode::InvalidInput);
        let told = fault.details.unwrap().to_value().to_string();
        for pointer in ["/waitMs", "/timeoutMs", "/cmd", "/argv"] {
            assert!(
                told.contains(&format!("\"{pointer}\"")),
                "{pointer} is missing in {told}"
            );
        }
    }

    #[test]
    fn a_tool_takes_only_its_own_extras() {
        assert!(ask("file_list", json!({"path": "a", "timeoutMs": 1})).is_err());
        assert!(ask("history", json!({"allSessions": true})).unwrap().all_sessions);
        assert!(ask("history", json!({"allSessions": "yes"})).is_err());
        assert!(
            ask("http_fetch", json!({"url": "http://a/", "timeoutMs": 9}))
                .unwrap()
                .limit_ms
                .is_none()
        );
    }
}

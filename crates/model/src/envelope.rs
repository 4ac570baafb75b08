//! The envelope of a command: read from the wire with every fault listed, kept in the journal as provenance.

use crate::contract::{self, Admission, Contract, Faults, SessionUse};
use crate::error::{ErrorCode, Fault};
use crate::ids::{CommandId, IdempotencyKey, Kind, Principal, SessionId, Tenant};
use crate::json::{Json, parse_strict, shorten};
use crate::limits;
use crate::marks;
use crate::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Who calls, as the transport authenticated it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Caller {
    /// The tenant.
    pub tenant: Tenant,
    /// The principal.
    pub principal: Principal,
    /// The running command the call comes from, where it comes from inside one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<u64>,
}

/// The session version a command asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SessionVersion {
    /// The version.
    pub version: u64,
    /// The generation, where the caller cares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
}

/// A checked envelope. Its payload fits its contract.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Envelope {
    /// The command kind.
    pub kind: Kind,
    /// The id its client gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<CommandId>,
    /// The session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// The arguments.
    pub payload: Json,
    /// Commands that must have succeeded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<CommandId>,
    /// The session version it asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_version: Option<SessionVersion>,
    /// The idempotency key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<IdempotencyKey>,
    /// Run time limit, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Limit of the wait in the lane, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_timeout_ms: Option<u64>,
    /// The chain of commands it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation: Option<CommandId>,
    /// The command that caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation: Option<CommandId>,
    /// The command it retries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<CommandId>,
    /// Answer once accepted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub detach: bool,
}

const FIELDS: &[&str] = &[
    "type",
    "id",
    "sessionId",
    "payload",
    "dependsOn",
    "ifSessionVersion",
    "idempotencyKey",
    "timeoutMs",
    "queueTimeoutMs",
    "correlationId",
    "causationId",
    "detach",
    "writ",
    "realm",
    "retryOf",
];

impl Envelope {
    /// Reads an envelope from one JSON text.
    ///
    /// # Errors
    /// A refusal that carries the kind and id as far as they could be read: `MESSAGE_TOO_LARGE`,
    /// `INVALID_JSON`, `UNKNOWN_COMMAND`, `SESSION_REQUIRED` or `INVALID_INPUT` with every fault.
    pub fn parse(bytes: &[u8]) -> Result<Envelope, Box<Response>> {
        let refuse = |fault| Box::new(Response::refused("", None, fault));
        if bytes.len() > limits::MESSAGE_BYTES_MAX {
            let message = format!(
                "expected at most {} bytes, got {}",
                limits::MESSAGE_BYTES_MAX,
                bytes.len()
            );
            return Err(refuse(Fault::new(ErrorCode::MessageTooLarge, message)));
        }
        let value = parse_strict(bytes)
            .map_err(|error| refuse(Fault::new(ErrorCode::InvalidJson, error.to_string())))?;
        Envelope::from_value(value)
    }

    /// Reads an envelope from a JSON value that [`parse_strict`] has read.
    ///
    /// # Errors
    /// As [`Envelope::parse`].
    pub fn from_value(value: Value) -> Result<Envelope, Box<Response>> {
        let Value::Object(members) = value else {
            let fault = Fault::new(ErrorCode::InvalidJson, "expected one JSON object per command");
            return Err(Box::new(Response::refused("", None, fault)));
        };
        let text = |name: &str| members.get(name).and_then(Value::as_str).map(shorten);
        let (kind, id) = (text("type").unwrap_or_default(), text("id"));
        read(members).map_err(|fault| Box::new(Response::refused(&kind, id.as_deref(), fault)))
    }

    /// The contract of its kind.
    #[must_use]
    pub fn contract(&self) -> Option<&'static Contract> {
        contract::find(self.kind.as_str())
    }
}

fn read(mut members: Map<String, Value>) -> Result<Envelope, Fault> {
    let kind = members.remove("type");
    let contract = match kind.as_ref().and_then(Value::as_str) {
        Some(name) => contract::find(name).ok_or_else(|| {
            Fault::new(
                ErrorCode::UnknownCommand,
                format!("no command kind is named `{}`", shorten(name)),
            )
        })?,
        None => {
            return Err(Fault::new(
                ErrorCode::InvalidInput,
                "/type: expected the command kind as text",
            ));
        }
    };
    if let Some(pointer) = members
        .get("payload")
        .filter(|payload| marks::possible(payload))
        .and_then(|payload| marks::prohibited(payload, "/payload"))
    {
        let message =
            format!("{pointer}: it is marked as prohibited, so nothing of this command is taken in");
        return Err(Fault::new(ErrorCode::ProhibitedData, message).with_details(&json!({"pointer": pointer})));
    }
    let mut faults = Faults::default();
    for name in members.keys().filter(|name| !FIELDS.contains(&name.as_str())) {
        faults.add(
            format!("/{}", shorten(name)),
            format!("unknown field `{}`", shorten(name)),
        );
    }
    let mut reader = Reader { members, faults };
    let payload = reader
        .members
        .remove("payload")
        .unwrap_or_else(|| Value::Object(Map::new()));
    contract.check(&payload, "/payload", &mut reader.faults);
    let envelope = reader.envelope(contract, &payload);
    check_admission(contract, &envelope, &mut reader.faults);
    if !reader.faults.is_empty() {
        let fault = Fault::new(ErrorCode::InvalidInput, reader.faults.sentence());
        return Err(fault.with_details(&reader.faults.to_json()));
    }
    if contract.session == SessionUse::Required && envelope.session.is_none() {
        let message = format!("`{}` needs a `sessionId`", contract.kind);
        return Err(Fault::new(ErrorCode::SessionRequired, message));
    }
    Ok(envelope)
}

/// What only commands that take a lane can ask for.
fn check_admission(contract: &Contract, envelope: &Envelope, faults: &mut Faults) {
    if contract.session == SessionUse::None && envelope.session.is_some() {
        faults.add(
            "/sessionId",
            format!("`{}` does not name a session", contract.kind),
        );
    }
    if contract.admission == Admission::Queued {
        return;
    }
    let asked = [
        ("dependsOn", !envelope.depends_on.is_empty()),
        ("ifSessionVersion", envelope.if_version.is_some()),
        ("timeoutMs", envelope.timeout_ms.is_some()),
        ("queueTimeoutMs", envelope.queue_timeout_ms.is_some()),
        ("detach", envelope.detach),
    ];
    for (name, there) in asked {
        if there {
            faults.add(
                format!("/{name}"),
                format!("`{}` takes no lane, so it cannot wait", contract.kind),
            );
        }
    }
    if contract.admission != Admission::Control && envelope.key.is_some() {
        faults.add(
            "/idempotencyKey",
            format!("`{}` only reads, so it needs no key", contract.kind),
        );
    }
}

struct Reader {
    members: Map<String, Value>,
    faults: Faults,
}

impl Reader {
    fn envelope(&mut self, contract: &Contract, payload: &Value) -> Envelope {
        for name in ["writ", "realm"] {
            if self.members.remove(name).is_some() {
                self.faults.add(
                    format!("/{name}"),
                    format!("`{name}` is reserved and not in use yet"),
                );
            }
        }
        let depends_on = self.depends_on();
        let id = self.text("id", CommandId::parse);
        if let Some(at) = depends_on.iter().position(|dep| Some(dep) == id.as_ref()) {
            self.faults
                .add(format!("/dependsOn/{at}"), "a command cannot depend on itself");
        }
        Envelope {
            kind: Kind::new(contract.kind),
            session: self.text("sessionId", SessionId::parse),
            payload: Json::from_value(payload).unwrap_or_default(),
            depends_on,
            if_version: self.if_version(),
            key: self.text("idempotencyKey", IdempotencyKey::parse),
            timeout_ms: self.integer("timeoutMs", 1, contract.timeout_ms_max),
            queue_timeout_ms: self.integer("queueTimeoutMs", 1, limits::QUEUE_TIMEOUT_MS_MAX),
            correlation: self.text("correlationId", CommandId::parse_any),
            causation: self.text("causationId", CommandId::parse_any),
            retry_of: self.text("retryOf", CommandId::parse_any),
            detach: self.boolean("detach"),
            id,
        }
    }

    fn text<T, E: std::fmt::Display>(&mut self, name: &str, parse: fn(&str) -> Result<T, E>) -> Option<T> {
        match self.members.remove(name)? {
            Value::String(text) => match parse(&text) {
                Ok(value) => return Some(value),
                Err(error) => self.faults.add(format!("/{name}"), error.to_string()),
            },
            _ => self.faults.add(format!("/{name}"), "expected text"),
        }
        None
    }

    fn integer(&mut self, name: &str, min: u64, max: u64) -> Option<u64> {
        let value = self.members.remove(name)?;
        let number = value.as_u64().filter(|n| (min..=max).contains(n));
        if number.is_none() {
            let got = shorten(&value.to_string());
            self.faults.add(
                format!("/{name}"),
                format!("expected an integer from {min} to {max}, got {got}"),
            );
        }
        number
    }

    fn boolean(&mut self, name: &str) -> bool {
        match self.members.remove(name) {
            None => false,
            Some(Value::Bool(value)) => value,
            Some(_) => {
                self.faults.add(format!("/{name}"), "expected true or false");
                false
            }
        }
    }

    fn depends_on(&mut self) -> Vec<CommandId> {
        let items = match self.members.remove("dependsOn") {
            None => return Vec::new(),
            Some(Value::Array(items)) if items.len() <= limits::DEPENDS_ON_MAX => items,
            Some(_) => {
                let message = format!("expected a list of at most {} ids", limits::DEPENDS_ON_MAX);
                self.faults.add("/dependsOn", message);
                return Vec::new();
            }
        };
        let mut ids = Vec::with_capacity(items.len());
        for (at, item) in items.iter().enumerate() {
            match item.as_str().map(CommandId::parse_any) {
                Some(Ok(id)) if ids.contains(&id) => {
                    self.faults
                        .add(format!("/dependsOn/{at}"), format!("`{id}` is named twice"));
                }
                Some(Ok(id)) => ids.push(id),
                Some(Err(error)) => self.faults.add(format!("/dependsOn/{at}"), error.to_string()),
                None => self.faults.add(format!("/dependsOn/{at}"), "expected text"),
            }
        }
        ids
    }

    fn if_version(&mut self) -> Option<SessionVersion> {
        let value = self.members.remove("ifSessionVersion")?;
        let found = match &value {
            Value::Number(number) => number.as_u64().map(|version| SessionVersion {
                version,
                generation: None,
            }),
            Value::Object(members) if members.keys().all(|key| key == "version" || key == "generation") => {
                let generation = members.get("generation").map(Value::as_u64);
                members
                    .get("version")
                    .and_then(Value::as_u64)
                    .filter(|_| generation != Some(None))
                    .map(|version| SessionVersion {
                        version,
                        generation: generation.flatten(),
                    })
            }
            _ => None,
        };
        if found.is_none() {
            self.faults.add(
                "/ifSessionVersion",
                "expected an integer from 0, or {version, generation}",
            );
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> Fault {
        Envelope::parse(text.as_bytes())
            .unwrap_err()
            .fault()
            .unwrap()
            .clone()
    }

    #[test]
    fn a_whole_envelope_is_read() {
        let text = r#"{"type":"session.annotate","id":"a","sessionId":"s","payload":{"value":[1,{"b":1,"a":2}],"key":"k"},
            "dependsOn":["x","anon:4"],"ifSessionVersion":{"version":3,"generation":9},"idempotencyKey":"k1",
            "timeoutMs":5,"correlationId":"c","causationId":"d","detach":true}"#;
        let envelope = Envelope::parse(text.as_bytes()).unwrap();
        assert_eq!(
            envelope.payload.as_str(),
            r#"{"key":"k","value":[1,{"a":2,"b":1}]}"#
        );
        assert_eq!(
            envelope.if_version,
            Some(SessionVersion {
                version: 3,
                generation: Some(9)
            })
        );
        assert_eq!(envelope.depends_on.len(), 2);
        assert!(envelope.detach);
    }

    #[test]
    fn every_fault_is_named() {
        let fault = refusal(
            r#"{"type":"session.annotate","id":"a\u0000","sessionId":"a:b","payload":{"key":5},"foo":1,
            "dependsOn":["x","x",3],"timeoutMs":0,"detach":"yes","ifSessionVersion":-1,"writ":"w"}"#,
        );
        assert_eq!(fault.code, ErrorCode::InvalidInput);
        let details = fault.details.unwrap();
        for pointer in [
            "/id",
            "/sessionId",
            "/payload/key",
            "/payload/value",
            "/foo",
            "/dependsOn/1",
            "/dependsOn/2",
            "/timeoutMs",
            "/detach",
            "/ifSessionVersion",
            "/writ",
        ] {
            assert!(
                details.as_str().contains(&format!("\"{pointer}\"")),
                "{pointer} is missing in {details:?}"
            );
        }
    }

    #[test]
    fn a_command_cannot_depend_on_itself() {
        let fault = refusal(r#"{"type":"session.delete","id":"a","sessionId":"s","dependsOn":["a"]}"#);
        assert!(fault.message.contains("itself"));
    }

    #[test]
    fn control_commands_cannot_wait() {
        let fault = refusal(r#"{"type":"command.cancel","payload":{"id":"a"},"dependsOn":["b"]}"#);
        assert!(fault.message.contains("takes no lane"));
    }

    #[test]
    fn kind_and_id_come_back_with_a_refusal() {
        let response = Envelope::parse(br#"{"type":"no.such","id":"a"}"#).unwrap_err();
        assert_eq!(response.asked, Some(("no.such".into(), Some("a".into()))));
    }

    #[test]
    fn a_message_beyond_the_limit_is_refused_before_it_is_read() {
        let text = vec![b'['; limits::MESSAGE_BYTES_MAX + 1];
        let response = Envelope::parse(&text).unwrap_err();
        assert_eq!(response.fault().unwrap().code, ErrorCode::MessageTooLarge);
    }
}

//! Reading operations as clients send them. Every fault of a rewrite is collected with its JSON pointer, up to
//! `FAULTS_LISTED_MAX`; an operation that does not exist outranks them all. Whether an operation can be carried
//! out on a view is not looked at here.

use super::fault::{Faults, ParseError, escape, shape};
use super::{Op, OpSpec, SPECS};
use crate::content::Payload;
use crate::ids::{AttachmentKey, KindName};
use actum_model::Json;
use actum_model::json::shorten;
use actum_model::limits::{GRAPH_OPS_MAX, GRAPH_PAYLOAD_BYTES_MAX, GRAPH_VALUE_BYTES_MAX, JSON_INTEGER_MAX};
use serde_json::{Map, Value};
use std::fmt::Display;
use std::str::FromStr;

/// Reads the operations of one rewrite. `pointer` is where the list stands, such as `/ops`.
///
/// # Errors
/// When an operation is unknown, or the list or anything in it has another shape.
pub fn parse_ops(list: &Value, pointer: &str) -> Result<Vec<Op>, ParseError> {
    let mut faults = Faults::default();
    let Some(items) = list.as_array() else {
        faults.add(
            pointer,
            format!("expected a list of operations, got {}", shape(list)),
        );
        return Err(faults.into_error());
    };
    if items.is_empty() || items.len() > GRAPH_OPS_MAX {
        let found = items.len();
        faults.add(
            pointer,
            format!("expected 1 to {GRAPH_OPS_MAX} operations, got {found}"),
        );
        return Err(faults.into_error());
    }
    let unknown = items.iter().enumerate().find_map(|(op_index, item)| {
        let name = item.get("op")?.as_str()?;
        spec(name).is_none().then(|| (op_index, shorten(name)))
    });
    if let Some((op_index, name)) = unknown {
        return Err(ParseError::NotImplemented { op_index, name });
    }
    let mut ops = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        ops.extend(parse_op(item, &format!("{pointer}/{index}"), &mut faults));
    }
    if !faults.is_empty() {
        return Err(faults.into_error());
    }
    Ok(ops)
}

fn spec(name: &str) -> Option<&'static OpSpec> {
    SPECS.iter().find(|spec| spec.name == name)
}

fn parse_op(item: &Value, pointer: &str, faults: &mut Faults) -> Option<Op> {
    let members = object(item, pointer, faults)?;
    check_fields(members, pointer, &["data", "op"], &[], faults);
    let op = members.get("op");
    if let Some(other) = op.filter(|op| !op.is_string()) {
        faults.add(
            &format!("{pointer}/op"),
            format!("expected a name, got {}", shape(other)),
        );
    }
    let name = op.and_then(Value::as_str);
    let data_pointer = format!("{pointer}/data");
    let data = members
        .get("data")
        .and_then(|data| object(data, &data_pointer, faults));
    let (spec, data) = (spec(name?)?, data?);
    check_fields(data, &data_pointer, spec.required, spec.optional, faults);
    let mut fields = Fields {
        data,
        pointer: &data_pointer,
        faults,
    };
    build(spec.name, &mut fields)
}

/// Reads all fields first, so that every fault is found.
fn build(name: &str, fields: &mut Fields<'_>) -> Option<Op> {
    match name {
        "AddNode" => {
            let (kind, payload) = (fields.kind(), fields.payload());
            Some(Op::AddNode {
                kind: kind?,
                payload: payload??,
            })
        }
        "AddEdge" => {
            let (from, to) = (fields.id("from"), fields.id("to"));
            let (kind, payload) = (fields.kind(), fields.payload());
            Some(Op::AddEdge {
                from: from?,
                to: to?,
                kind: kind?,
                payload: payload?,
            })
        }
        "RemoveNode" => Some(Op::RemoveNode { id: fields.id("id")? }),
        "RemoveEdge" => Some(Op::RemoveEdge { id: fields.id("id")? }),
        "SetAttachment" => {
            let (target, key) = (fields.id("target"), fields.key());
            let (value, version) = (fields.value(), fields.expected_version());
            Some(Op::SetAttachment {
                target: target?,
                key: key?,
                value: value?,
                expected_version: version?,
            })
        }
        "ClearAttachment" => {
            let (target, key) = (fields.id("target"), fields.key());
            let version = fields.expected_version();
            Some(Op::ClearAttachment {
                target: target?,
                key: key?,
                expected_version: version?,
            })
        }
        _ => None,
    }
}

fn object<'a>(value: &'a Value, pointer: &str, faults: &mut Faults) -> Option<&'a Map<String, Value>> {
    let members = value.as_object();
    if members.is_none() {
        faults.add(pointer, format!("expected an object, got {}", shape(value)));
    }
    members
}

fn check_fields(
    members: &Map<String, Value>,
    pointer: &str,
    required: &[&str],
    optional: &[&str],
    faults: &mut Faults,
) {
    for name in members.keys() {
        if !required.contains(&name.as_str()) && !optional.contains(&name.as_str()) {
            let expected: Vec<&str> = required.iter().chain(optional).copied().collect();
            let message = format!(
                "expected only `{}`, got `{}`",
                expected.join("`, `"),
                shorten(name)
            );
            faults.add(&format!("{pointer}/{}", escape(name)), message);
        }
    }
    for name in required {
        if !members.contains_key(*name) {
            faults.add(
                &format!("{pointer}/{name}"),
                "expected a value, got none".to_owned(),
            );
        }
    }
}

/// The fields of one operation. A required field that is missing was reported before and is passed over.
struct Fields<'a> {
    data: &'a Map<String, Value>,
    pointer: &'a str,
    faults: &'a mut Faults,
}

impl<'a> Fields<'a> {
    fn fault(&mut self, name: &str, message: String) {
        self.faults.add(&format!("{}/{name}", self.pointer), message);
    }

    fn text(&mut self, name: &str) -> Option<&'a str> {
        let value = self.data.get(name)?;
        let text = value.as_str();
        if text.is_none() {
            self.fault(name, format!("expected a text, got {}", shape(value)));
        }
        text
    }

    fn checked<T, E: Display>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, E>) -> Option<T> {
        let text = self.text(name)?;
        parse(text)
            .map_err(|error| self.fault(name, error.to_string()))
            .ok()
    }

    fn id<T: FromStr<Err: Display>>(&mut self, name: &str) -> Option<T> {
        self.checked(name, str::parse)
    }

    fn kind(&mut self) -> Option<KindName> {
        self.checked("kind", KindName::parse)
    }

    fn key(&mut self) -> Option<AttachmentKey> {
        self.checked("key", AttachmentKey::parse)
    }

    /// `Some(None)` where there is no such field.
    fn payload(&mut self) -> Option<Option<Payload>> {
        let name = "payload_b64";
        if !self.data.contains_key(name) {
            return Some(None);
        }
        let text = self.text(name)?;
        let payload = match Payload::from_base64(text) {
            Ok(payload) => payload,
            Err(error) => {
                let message = format!(
                    "expected standard base64 with padding: {}",
                    lower(&error.to_string())
                );
                self.fault(name, message);
                return None;
            }
        };
        let found = payload.as_bytes().len();
        if found > GRAPH_PAYLOAD_BYTES_MAX {
            self.fault(
                name,
                format!("expected up to {GRAPH_PAYLOAD_BYTES_MAX} bytes, got {found}"),
            );
            return None;
        }
        Some(Some(payload))
    }

    fn value(&mut self) -> Option<Json> {
        let value = self.data.get("value")?;
        let json = match Json::from_value(value) {
            Ok(json) => json,
            Err(error) => {
                self.fault("value", error.to_string());
                return None;
            }
        };
        let found = json.as_str().len();
        if found > GRAPH_VALUE_BYTES_MAX {
            let message = format!("expected up to {GRAPH_VALUE_BYTES_MAX} bytes of JSON, got {found}");
            self.fault("value", message);
            return None;
        }
        Some(json)
    }

    /// `Some(None)` where there is no such field.
    fn expected_version(&mut self) -> Option<Option<u64>> {
        let Some(value) = self.data.get("expectedVersion") else {
            return Some(None);
        };
        let version = value.as_u64().filter(|version| *version <= JSON_INTEGER_MAX);
        if version.is_none() {
            let message = format!("expected an integer from 0 to 2^53, got {}", shape(value));
            self.fault("expectedVersion", message);
        }
        version.map(Some)
    }
}

fn lower(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_ascii_lowercase());
    first.into_iter().chain(chars).collect()
}

//! A small closed schema language: it checks arguments, and writes itself as JSON Schema.

use crate::ids::{CommandId, SessionId};
use crate::json::shorten;
use crate::limits::FAULTS_LISTED_MAX;
use serde_json::{Map, Value, json};

/// One member of an object.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Its values.
    pub shape: Shape,
    /// Whether it must be there.
    pub required: bool,
    /// What it is, with its unit.
    pub about: &'static str,
}

/// The values a field takes.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// Any JSON value whose canonical text has at most this many bytes.
    Any(usize),
    /// Text of `min..=max` bytes in UTF-8.
    Text(usize, usize),
    /// The id of a command.
    CommandId,
    /// The id of a session.
    SessionId,
    /// An integer of `min..=max`.
    Integer(u64, u64),
    /// True or false.
    Boolean,
    /// A moment: RFC 3339 text.
    Moment,
    /// The id a client gives to a timer.
    TimerId,
    /// A command without id and caller, to be submitted later.
    Command,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of `min..=max` texts, each of at most so many bytes.
    Texts(usize, usize, usize),
    /// An object of at most so many texts, each of at most so many bytes.
    TextMap(usize, usize),
    /// An object with these members.
    Object(&'static [Field]),
    /// A list of objects.
    Objects(&'static [Field]),
}

/// Faults found so far, each a JSON pointer and a sentence.
#[derive(Debug, Default)]
pub struct Faults {
    listed: Vec<(String, String)>,
    count: usize,
}

impl Faults {
    /// Adds one.
    pub fn add(&mut self, pointer: impl Into<String>, message: impl Into<String>) {
        self.count += 1;
        if self.listed.len() < FAULTS_LISTED_MAX {
            self.listed.push((pointer.into(), message.into()));
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The first, as a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let Some((pointer, message)) = self.listed.first() else {
            return String::new();
        };
        let place = if pointer.is_empty() {
            "the command"
        } else {
            pointer
        };
        match self.count - 1 {
            0 => format!("{place}: {message}"),
            more => format!("{place}: {message} (and {more} more)"),
        }
    }

    /// All that are listed, as `{faults: [{pointer, message}], count}`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let listed: Vec<Value> = self
            .listed
            .iter()
            .map(|(pointer, message)| json!({"pointer": pointer, "message": message}))
            .collect();
        json!({"faults": listed, "count": self.count})
    }
}

/// One step further in a JSON pointer (RFC 6901).
pub(super) fn pointer(at: &str, step: &str) -> String {
    format!("{at}/{}", shorten(step).replace('~', "~0").replace('/', "~1"))
}

pub(super) fn check_object(fields: &[Field], value: &Value, at: &str, faults: &mut Faults) {
    let Value::Object(members) = value else {
        faults.add(at, format!("expected an object, got {}", name_of(value)));
        return;
    };
    for name in members.keys() {
        if !fields.iter().any(|field| field.name == name) {
            let known: Vec<&str> = fields.iter().map(|field| field.name).collect();
            let known = if known.is_empty() {
                "no field".to_owned()
            } else {
                format!("`{}`", known.join("`, `"))
            };
            faults.add(
                pointer(at, name),
                format!("unknown field `{}`, expected {known}", shorten(name)),
            );
        }
    }
    for field in fields {
        match members.get(field.name) {
            Some(value) => check(&field.shape, value, &pointer(at, field.name), faults),
            None if field.required => faults.add(pointer(at, field.name), "is required"),
            None => {}
        }
    }
}

fn check(shape: &Shape, value: &Value, at: &str, faults: &mut Faults) {
    match (shape, value) {
        (Shape::Any(max), value) => {
            let length = value.to_string().len();
            if length > *max {
                faults.add(at, format!("expected at most {max} bytes of JSON, got {length}"));
            }
        }
        (Shape::Text(min, max), Value::String(text)) => check_text(text, *min, *max, at, faults),
        (Shape::CommandId, Value::String(text)) => {
            if let Err(error) = CommandId::parse_any(text) {
                faults.add(at, error.to_string());
            }
        }
        (Shape::SessionId, Value::String(text)) => {
            if let Err(error) = SessionId::parse(text) {
                faults.add(at, error.to_string());
            }
        }
        (Shape::Moment, Value::String(text)) => {
            if crate::time::parse(text).is_none() {
                faults.add(
                    at,
                    format!("expected a time in RFC 3339, got `{}`", shorten(text)),
                );
            }
        }
        (Shape::TimerId, Value::String(text)) => {
            if let Err(error) = crate::timer::check_id(text) {
                faults.add(at, error);
            }
        }
        (Shape::Command, value) => crate::timer::check_command(value, at, faults),
        (Shape::Integer(min, max), Value::Number(number)) => match number.as_u64() {
            Some(n) if (*min..=*max).contains(&n) => {}
            _ => faults.add(
                at,
                format!("expected an integer from {min} to {max}, got {number}"),
            ),
        },
        (Shape::Boolean, Value::Bool(_)) => {}
        (Shape::Choice(words), Value::String(text)) if words.contains(&text.as_str()) => {}
        (Shape::Choice(words), Value::String(text)) => {
            faults.add(
                at,
                format!(
                    "expected one of `{}`, got `{}`",
                    words.join("`, `"),
                    shorten(text)
                ),
            );
        }
        (Shape::Texts(min, max, bytes), Value::Array(items)) => {
            if items.len() < *min || items.len() > *max {
                faults.add(at, format!("expected {min} to {max} texts, got {}", items.len()));
                return;
            }
            for (i, item) in items.iter().enumerate() {
                check(
                    &Shape::Text(0, *bytes),
                    item,
                    &pointer(at, &i.to_string()),
                    faults,
                );
            }
        }
        (Shape::TextMap(max, bytes), Value::Object(members)) => {
            if members.len() > *max {
                faults.add(
                    at,
                    format!("expected at most {max} entries, got {}", members.len()),
                );
            }
            for (name, item) in members {
                let place = pointer(at, name);
                if name.is_empty() || name.contains('=') || name.contains('\0') {
                    faults.add(place, "expected a name without `=` and NUL");
                } else {
                    check(&Shape::Text(0, *bytes), item, &place, faults);
                }
            }
        }
        (Shape::Object(fields), value) => check_object(fields, value, at, faults),
        (Shape::Objects(fields), Value::Array(items)) => {
            for (i, item) in items.iter().enumerate() {
                check_object(fields, item, &pointer(at, &i.to_string()), faults);
            }
        }
        (shape, value) => {
            faults.add(at, format!("expected {}, got {}", shape.name(), name_of(value)));
        }
    }
}

fn check_text(text: &str, min: usize, max: usize, at: &str, faults: &mut Faults) {
    if text.len() < min || text.len() > max {
        faults.add(
            at,
            format!("expected {min} to {max} bytes of text, got {}", text.len()),
        );
    } else if text.contains('\0') {
        faults.add(at, "text must not hold a NUL");
    }
}

fn name_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

impl Shape {
    /// The shape as people read it.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Shape::Any(_) => "any JSON value".into(),
            Shape::Text(..) => "text".into(),
            Shape::CommandId => "a command id".into(),
            Shape::SessionId => "a session id".into(),
            Shape::Integer(min, max) => format!("an integer from {min} to {max}"),
            Shape::Boolean => "true or false".into(),
            Shape::Moment => "a time in RFC 3339".into(),
            Shape::TimerId => "a timer id".into(),
            Shape::Command => "a command".into(),
            Shape::Choice(words) => format!("one of `{}`", words.join("`, `")),
            Shape::Texts(..) => "a list of texts".into(),
            Shape::TextMap(..) => "an object of texts".into(),
            Shape::Object(_) => "an object".into(),
            Shape::Objects(_) => "a list of objects".into(),
        }
    }

    fn schema(&self) -> Value {
        match self {
            Shape::Any(_) => json!({}),
            Shape::Text(min, max) => json!({"type": "string", "minLength": min, "maxLength": max}),
            Shape::CommandId => json!({"type": "string", "pattern": "^[A-Za-z0-9_.:-]{1,256}$"}),
            Shape::SessionId => json!({"type": "string", "pattern": "^[A-Za-z0-9_.-]{1,256}$"}),
            Shape::Integer(min, max) => json!({"type": "integer", "minimum": min, "maximum": max}),
            Shape::Boolean => json!({"type": "boolean"}),
            Shape::Moment => json!({"type": "string", "format": "date-time"}),
            Shape::TimerId => json!({"type": "string", "pattern": "^[A-Za-z0-9_.:-]{1,200}$"}),
            Shape::Command => json!({"type": "object", "required": ["type"]}),
            Shape::Choice(words) => json!({"enum": words}),
            Shape::Texts(min, max, bytes) => json!({"type": "array", "minItems": min, "maxItems": max,
                "items": {"type": "string", "maxLength": bytes}}),
            Shape::TextMap(max, bytes) => json!({"type": "object", "maxProperties": max,
                "additionalProperties": {"type": "string", "maxLength": bytes}}),
            Shape::Object(fields) => object_schema(fields),
            Shape::Objects(fields) => json!({"type": "array", "items": object_schema(fields)}),
        }
    }
}

pub(super) fn object_schema(fields: &[Field]) -> Value {
    let mut properties = Map::new();
    for field in fields {
        let mut schema = field.shape.schema();
        if let Value::Object(members) = &mut schema {
            members.insert("description".into(), field.about.into());
        }
        properties.insert(field.name.into(), schema);
    }
    let required: Vec<&str> = fields.iter().filter(|f| f.required).map(|f| f.name).collect();
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: &[Field] = &[
        Field {
            name: "n",
            shape: Shape::Integer(1, 5),
            required: true,
            about: "a number",
        },
        Field {
            name: "w",
            shape: Shape::Choice(&["a", "b"]),
            required: false,
            about: "a word",
        },
        Field {
            name: "t",
            shape: Shape::Texts(1, 2, 3),
            required: false,
            about: "texts",
        },
    ];

    #[test]
    fn every_fault_is_listed_with_its_pointer() {
        let mut faults = Faults::default();
        check_object(
            FIELDS,
            &json!({"n": 9, "w": "c", "t": ["long text", 1], "a/b": 0}),
            "/payload",
            &mut faults,
        );
        let text = faults.to_json().to_string();
        for pointer in [
            "/payload/n",
            "/payload/w",
            "/payload/t/0",
            "/payload/t/1",
            "/payload/a~1b",
        ] {
            assert!(text.contains(pointer), "{pointer} is missing in {text}");
        }
        assert!(
            faults.sentence().ends_with("(and 4 more)"),
            "{}",
            faults.sentence()
        );
    }

    #[test]
    fn the_list_is_bounded_and_the_count_is_not() {
        let mut faults = Faults::default();
        for i in 0..100 {
            faults.add(format!("/{i}"), "x");
        }
        assert_eq!(faults.listed.len(), FAULTS_LISTED_MAX);
        assert_eq!(faults.count, 100);
    }
}

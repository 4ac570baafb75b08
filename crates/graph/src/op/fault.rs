//! What can be wrong with operations as clients send them, and the words for it. Texts of somebody else are
//! shortened and escaped.

use actum_model::json::shorten;
use actum_model::limits::FAULTS_LISTED_MAX;
use serde_json::Value;

/// One fault in the shape of a rewrite.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InputFault {
    /// Where, as a JSON pointer (RFC 6901), such as `/ops/3/data/kind`.
    pub pointer: String,
    /// What was expected and what came.
    pub message: String,
}

/// Why a list of operations was not understood.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ParseError {
    /// Code `NOT_IMPLEMENTED`: the registry has no such operation.
    #[error("operation {op_index} is `{name}`, which the registry does not have")]
    NotImplemented {
        /// The first such operation, counted from 0.
        op_index: usize,
        /// Its name, shortened and escaped.
        name: String,
    },
    /// Code `INVALID_INPUT`: something in it has another shape.
    #[error("{count} faults in the operations")]
    InvalidInput {
        /// The first of them, in the order of the operations.
        faults: Vec<InputFault>,
        /// How many there are.
        count: usize,
    },
}

impl ParseError {
    /// The error code of the wire.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            ParseError::NotImplemented { .. } => "NOT_IMPLEMENTED",
            ParseError::InvalidInput { .. } => "INVALID_INPUT",
        }
    }
}

/// Faults found so far; the first of them in full.
#[derive(Default)]
pub(super) struct Faults {
    listed: Vec<InputFault>,
    count: usize,
}

impl Faults {
    /// Notes a fault.
    pub(super) fn add(&mut self, pointer: &str, message: String) {
        self.count += 1;
        if self.listed.len() < FAULTS_LISTED_MAX {
            self.listed.push(InputFault {
                pointer: pointer.to_owned(),
                message,
            });
        }
    }

    /// Whether there was none.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// All of them as an error.
    pub(super) fn into_error(self) -> ParseError {
        ParseError::InvalidInput {
            faults: self.listed,
            count: self.count,
        }
    }
}

/// A member name as it stands in a JSON pointer, shortened like every text of somebody else.
pub(super) fn escape(name: &str) -> String {
    shorten(name).replace('~', "~0").replace('/', "~1")
}

/// What a value is, in the words of an error.
pub(super) fn shape(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => format!("`{value}`"),
        Value::Number(number) => format!("number `{number}`"),
        Value::String(text) => format!("text `{}`", shorten(text)),
        Value::Array(items) => format!("a list of {}", items.len()),
        Value::Object(_) => "an object".to_owned(),
    }
}

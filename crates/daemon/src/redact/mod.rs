//! Redaction: what is taken out of a command before it is journaled, and out of output before it leaves.
//!
//! A secret is found by the name it stands under or by its own shape, and is then looked for everywhere else: in
//! the rest of the command, and, with its usual encodings, in what the process writes. It stays in memory for the
//! dispatch alone. Nothing here is stored, and nothing decides whether a command may run.
//!
//! The rules are deterministic; [`REDACTION_VERSION`] changes with them.

mod forms;
mod guard;
mod hints;
mod names;
mod prohibited;
mod rules;
mod shapes;
mod stream;
mod vault;
mod walk;

#[cfg(test)]
mod tests;

pub use guard::OutputGuard;
pub use rules::Rules;
pub use stream::OutputRedactor;
pub use vault::{Vault, resolve};

use actum_model::Json;
use actum_record::redact::{Class, Redact, parse_marker};
use serde_json::Value;
use std::fmt;

/// Version of the rules. A change of what is found or how it is marked is a new version.
pub const REDACTION_VERSION: u32 = 2;

/// Shortest value looked for beyond the place where it was found. Shorter ones occur everywhere by chance, so
/// that taking them out would both ruin the text and give them away.
pub const SPREAD_BYTES_MIN: usize = 4;

/// A value that must not be seen, and the name that stands in its place.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    /// `s1`, `s2` … in the order found, the name it is kept under, or the hash of the blob it is sealed in.
    pub reference: String,
    /// The value itself. It must not be logged or stored.
    pub value: String,
    /// `Secret`, or `Personal` for a value about a person.
    pub class: Class,
}

impl Secret {
    /// A secret.
    #[must_use]
    pub fn new(reference: impl Into<String>, value: impl Into<String>) -> Secret {
        let (reference, value) = (reference.into(), value.into());
        Secret {
            reference,
            value,
            class: Class::Secret,
        }
    }

    /// A value about a person, or a text in one.
    #[must_use]
    pub fn personal(reference: impl Into<String>, value: impl Into<String>) -> Secret {
        Secret {
            class: Class::Personal,
            ..Secret::new(reference, value)
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({}, {} bytes)", self.reference, self.value.len())
    }
}

/// A command's arguments as they may be stored, and what was taken out of them.
#[derive(Debug, Clone)]
pub struct Redacted {
    /// The arguments with markers.
    pub payload: Json,
    /// The secrets, for the dispatch and for the output.
    pub secrets: Vec<Secret>,
}

/// Takes the secrets out of a command's arguments; `None` where there are none, which is found out without
/// parsing for most commands.
#[must_use]
pub fn command(payload: &Json, rules: &Rules) -> Option<Redacted> {
    if !hints::any(payload.as_str()) && !rules.find_secrets() {
        return None;
    }
    let mut value = payload.to_value();
    let secrets = walk::redact(&mut value, rules);
    if secrets.is_empty() {
        return None;
    }
    let payload = Json::from_value(&value).ok()?;
    Some(Redacted { payload, secrets })
}

/// Whether markers stand where secrets should be (personal values can be unsealed and do not count), so that carrying the command out would use the marker itself.
/// It sees whole values; a secret inside a longer text leaves a marker that could as well be somebody's words,
/// so the flag that a submission was redacted must be asked as well.
#[must_use]
pub fn is_lost(payload: &Value) -> bool {
    match payload {
        Value::Object(_) if parse_marker(payload).is_some() => {
            parse_marker(payload).is_some_and(|(class, _)| class != Class::Personal)
        }
        Value::Object(members) => members.values().any(is_lost),
        Value::Array(items) => items.iter().any(is_lost),
        _ => false,
    }
}

/// Whether a marker stands anywhere in the texts of arguments, also inside a longer one. It may be somebody's words.
#[must_use]
pub fn may_be_lost(payload: &Value) -> bool {
    is_lost(payload) || payload.to_string().contains(TEXT_MARKER)
}

/// Redacts a row of history before it leaves: rules that came after the row was written, and results that no
/// rule saw, are applied to it now. Applying it twice changes nothing.
pub fn export_row(row: &mut Value, rules: &Rules) {
    if hints::any(&row.to_string()) || rules.find_secrets() {
        walk::redact(row, rules);
    }
}

/// The rules as the hook of the record crate.
#[derive(Debug, Clone, Copy, Default)]
pub struct Redactor;

impl Redact for Redactor {
    fn redact(&self, value: &mut Value) {
        export_row(value, &Rules::default());
    }
}

/// What the marker of a secret inside a longer text begins with.
const TEXT_MARKER: &str = "[redacted:secret:";

/// The marker inside a longer text.
pub(crate) fn text_marker(class: Class, reference: &str) -> String {
    format!("[redacted:{}:{reference}]", class.as_str())
}

//! Redaction classes, the marker that stands for what was taken out, and the hook applied before submission
//! (so that what is decided is what is stored) and before export.
//!
//! It keeps no secrets and seals no blobs; it only replaces values inside a JSON document.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How far a value may go, from free to never stored. The order is the order of strictness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// May be shown to anyone.
    Public,
    /// For those who may read the history.
    Internal,
    /// About a person: kept as a sealed blob whose key can be erased.
    Personal,
    /// A credential: replaced by a marker, given by reference.
    Secret,
    /// Never reaches disk in any form.
    Prohibited,
}

impl Class {
    /// The word used in markers and configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Class::Public => "public",
            Class::Internal => "internal",
            Class::Personal => "personal",
            Class::Secret => "secret",
            Class::Prohibited => "prohibited",
        }
    }

    /// The class of a word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Class> {
        [
            Class::Public,
            Class::Internal,
            Class::Personal,
            Class::Secret,
            Class::Prohibited,
        ]
        .into_iter()
        .find(|class| class.as_str() == word)
    }
}

/// The value that stands for a redacted one: `{"$redacted": class, "ref": reference}`. The reference must not
/// be computed from the value alone: a plain hash of a secret can be guessed.
#[must_use]
pub fn marker(class: Class, reference: &str) -> Value {
    json!({"$redacted": class.as_str(), "ref": reference})
}

/// The class and reference of a marker, if `value` is one.
#[must_use]
pub fn parse_marker(value: &Value) -> Option<(Class, &str)> {
    let object = value.as_object().filter(|object| object.len() == 2)?;
    let class = Class::parse(object.get("$redacted")?.as_str()?)?;
    Some((class, object.get("ref")?.as_str()?))
}

/// The hook. Implementations must be pure and must leave markers as they are, so that applying one twice
/// changes nothing.
pub trait Redact: Send + Sync {
    /// Replaces in `value` what may not go further.
    fn redact(&self, value: &mut Value);
}

/// Redacts nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Keep;

impl Redact for Keep {
    fn redact(&self, _value: &mut Value) {}
}

/// Redacts object members by name, wherever they stand, when their class is stricter than `keep`. The
/// reference in the marker is the JSON pointer of the place.
#[derive(Debug, Clone)]
pub struct ByName {
    classes: BTreeMap<String, Class>,
    keep: Class,
}

impl ByName {
    /// Members named in `classes` (compared in ASCII lower case) above `keep` are replaced.
    #[must_use]
    pub fn new(classes: impl IntoIterator<Item = (String, Class)>, keep: Class) -> ByName {
        let classes = classes
            .into_iter()
            .map(|(name, class)| (name.to_ascii_lowercase(), class))
            .collect();
        ByName { classes, keep }
    }

    fn walk(&self, value: &mut Value, path: &mut String) {
        if parse_marker(value).is_some() {
            return;
        }
        let depth = path.len();
        match value {
            Value::Object(members) => {
                for (name, member) in members.iter_mut() {
                    path.push('/');
                    path.push_str(&name.replace('~', "~0").replace('/', "~1"));
                    self.member(name, member, path);
                    path.truncate(depth);
                }
            }
            Value::Array(items) => {
                for (i, item) in items.iter_mut().enumerate() {
                    path.push('/');
                    path.push_str(&i.to_string());
                    self.walk(item, path);
                    path.truncate(depth);
                }
            }
            _ => {}
        }
    }

    fn member(&self, name: &str, value: &mut Value, path: &mut String) {
        match self.classes.get(&name.to_ascii_lowercase()) {
            Some(class) if *class > self.keep => {
                if parse_marker(value).is_none() {
                    *value = marker(*class, path);
                }
            }
            _ => self.walk(value, path),
        }
    }
}

impl Redact for ByName {
    fn redact(&self, value: &mut Value) {
        self.walk(value, &mut String::new());
    }
}

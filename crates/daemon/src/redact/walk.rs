//! The walk over a JSON document: takes secrets out where they stand, then wherever else they occur.

use super::names::{is_secret, is_secret_flag};
use super::stream::OutputRedactor;
use super::{Rules, Secret, shapes, text_marker, vault};
use actum_record::redact::{Class, marker, parse_marker};
use serde_json::{Map, Value};

/// Schemes before a credential in a header. They are no secret and stay readable.
const SCHEMES: &[&str] = &["basic", "bearer", "token"];

/// Redacts a document and tells what was taken out, in order of first occurrence.
pub(super) fn redact(value: &mut Value, rules: &Rules) -> Vec<Secret> {
    let mut walk = Walk {
        found: Vec::new(),
        rules,
    };
    walk.value(value, false);
    if !walk.found.is_empty() {
        let spread = Spread::new(&walk.found);
        spread.value(value);
    }
    walk.found
}

struct Walk<'a> {
    found: Vec<Secret>,
    rules: &'a Rules,
}

impl Walk<'_> {
    fn value(&mut self, value: &mut Value, secret: bool) {
        if parse_marker(value).is_some() || vault::is_reference(value) {
            return;
        }
        match value {
            Value::Object(members) => self.members(members, secret),
            Value::Array(items) => self.items(items, secret),
            Value::String(text) => {
                if let Some(new) = if secret { self.whole(text) } else { self.text(text) } {
                    *value = new;
                }
            }
            Value::Number(number) if secret => {
                let reference = self.take(&number.to_string());
                *value = marker(Class::Secret, &reference);
            }
            Value::Number(_) | Value::Bool(_) | Value::Null => {}
        }
    }

    fn members(&mut self, members: &mut Map<String, Value>, secret: bool) {
        // `{"name": "Authorization", "value": …}` names its value in another member.
        let named = ["name", "key"]
            .iter()
            .any(|name| members.get(*name).and_then(Value::as_str).is_some_and(is_secret));
        for (name, member) in members.iter_mut() {
            self.value(
                member,
                secret || is_secret(name) || self.rules.is_secret(name) || (named && name == "value"),
            );
        }
    }

    fn items(&mut self, items: &mut [Value], secret: bool) {
        let mut after_flag = false;
        for item in items {
            let flag = item.as_str().is_some_and(is_secret_flag);
            let value = item.as_str().is_some_and(|text| !text.starts_with("--"));
            self.value(item, secret || (after_flag && value));
            after_flag = flag;
        }
    }

    /// A text that stands under the name of a secret.
    fn whole(&mut self, text: &str) -> Option<Value> {
        if text.is_empty() || is_marker(text) {
            return None;
        }
        match text.split_once(' ') {
            Some((scheme, rest)) if SCHEMES.contains(&scheme.to_ascii_lowercase().as_str()) => {
                let rest = rest.trim();
                let taken = !rest.is_empty() && !is_marker(rest);
                taken.then(|| format!("{scheme} {}", text_marker(Class::Secret, &self.take(rest))).into())
            }
            _ => Some(marker(Class::Secret, &self.take(text))),
        }
    }

    /// Any other text: only what has a shape is taken.
    fn text(&mut self, text: &str) -> Option<Value> {
        let found = self.rules.find_in_text(text, shapes::find_in_argument(text));
        let (mut out, mut done) = (String::new(), 0);
        for range in found {
            let (before, secret) = (text.get(done..range.start)?, text.get(range.clone())?);
            if is_marker(secret) {
                continue;
            }
            if range == (0..text.len()) {
                return Some(marker(Class::Secret, &self.take(secret)));
            }
            out.push_str(before);
            out.push_str(&text_marker(Class::Secret, &self.take(secret)));
            done = range.end;
        }
        if done == 0 {
            return None;
        }
        out.push_str(text.get(done..)?);
        Some(out.into())
    }

    /// The reference of a secret; the same secret has one reference. It says nothing of the value.
    fn take(&mut self, value: &str) -> String {
        if let Some(known) = self.found.iter().find(|known| known.value == value) {
            return known.reference.clone();
        }
        let reference = format!("s{}", self.found.len() + 1);
        self.found.push(Secret::new(reference.clone(), value));
        reference
    }
}

/// Whether a text is nothing but a marker.
fn is_marker(text: &str) -> bool {
    let reference = text
        .strip_prefix("[redacted:secret:")
        .and_then(|rest| rest.strip_suffix(']'));
    reference.is_some_and(vault::is_name)
}

/// Takes known secrets out of everything else: other texts, and names of members.
struct Spread {
    redactor: OutputRedactor,
    markers: Vec<String>,
}

impl Spread {
    fn new(secrets: &[Secret]) -> Spread {
        let markers = secrets
            .iter()
            .map(|secret| text_marker(secret.class, &secret.reference))
            .collect();
        Spread {
            redactor: OutputRedactor::new(secrets),
            markers,
        }
    }

    fn value(&self, value: &mut Value) {
        if parse_marker(value).is_some() || vault::is_reference(value) {
            return;
        }
        match value {
            Value::String(text) => *text = self.text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item)),
            Value::Object(members) => {
                members.values_mut().for_each(|member| self.value(member));
                if members.keys().any(|name| self.text(name) != *name) {
                    let old = std::mem::take(members);
                    members.extend(old.into_iter().map(|(name, member)| (self.text(&name), member)));
                }
            }
            Value::Number(_) | Value::Bool(_) | Value::Null => {}
        }
    }

    /// Markers that stand there already are kept whole, also where a secret is spelt like a part of them.
    fn text(&self, text: &str) -> String {
        let (mut out, mut rest) = (String::new(), text);
        while let Some((at, marker)) = self.markers.iter().filter_map(|m| Some((rest.find(m)?, m))).min() {
            let (before, after) = rest.split_at(at);
            out.push_str(&self.redactor.text(before));
            out.push_str(marker);
            rest = after.get(marker.len()..).unwrap_or_default();
        }
        out.push_str(&self.redactor.text(rest));
        out
    }
}

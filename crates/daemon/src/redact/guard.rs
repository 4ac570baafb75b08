//! What a process writes, on its way out: known secrets and personal values are replaced first, then what must not
//! be kept whoever wrote it.

use super::prohibited::{Cards, Keys, MARKER};
use super::rules::{Pattern, Rules};
use super::stream::OutputRedactor;
use super::{Secret, text_marker};
use actum_record::redact::Class;
use serde_json::Value;
use std::sync::Arc;

/// Longest piece of a line that an operator's expressions see at once. A find that crosses the end of one is missed.
const LINE_BYTES_MAX: usize = 16 * 1024;

/// The guard of one stream.
#[derive(Debug)]
pub struct OutputGuard {
    known: OutputRedactor,
    keys: Option<Keys>,
    cards: Option<Cards>,
    lines: Option<Lines>,
}

impl Clone for OutputGuard {
    /// A clone begins a stream of its own.
    fn clone(&self) -> OutputGuard {
        OutputGuard {
            known: self.known.clone(),
            keys: self.keys.as_ref().map(|_| Keys::default()),
            cards: self.cards.as_ref().map(|_| Cards::default()),
            lines: self.lines.as_ref().map(|lines| Lines::new(&lines.rules)),
        }
    }
}

impl OutputGuard {
    /// Looks for these values and for what the rules name.
    #[must_use]
    pub fn new(secrets: &[Secret], rules: &Arc<Rules>) -> OutputGuard {
        OutputGuard {
            known: OutputRedactor::new(secrets),
            keys: rules.private_keys.then(Keys::default),
            cards: rules.cards.then(Cards::default),
            lines: (!rules.patterns.is_empty()).then(|| Lines::new(rules)),
        }
    }

    /// Takes the next bytes and appends to `out` what may pass.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let mut passed = Vec::with_capacity(bytes.len());
        self.known.push(bytes, &mut passed);
        self.rest(passed, false, out);
    }

    /// The stream has ended: what was held back is no beginning of anything.
    #[must_use]
    pub fn finish(&mut self) -> Vec<u8> {
        let (last, mut out) = (self.known.finish(), Vec::new());
        self.rest(last, true, &mut out);
        out
    }

    /// A text by itself.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        let (mut whole, mut out) = (self.clone(), Vec::new());
        whole.push(text.as_bytes(), &mut out);
        out.extend(whole.finish());
        String::from_utf8_lossy(&out).into_owned()
    }

    /// A document with every text in it, names of members included.
    #[must_use]
    pub fn value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(&text)),
            Value::Array(items) => items.into_iter().map(|item| self.value(item)).collect(),
            Value::Object(members) => members
                .into_iter()
                .map(|(name, member)| (self.text(&name), self.value(member)))
                .collect(),
            plain @ (Value::Null | Value::Bool(_) | Value::Number(_)) => plain,
        }
    }

    fn rest(&mut self, mut bytes: Vec<u8>, last: bool, out: &mut Vec<u8>) {
        if let Some(keys) = &mut self.keys {
            let mut passed = Vec::with_capacity(bytes.len());
            keys.push(&bytes, &mut passed);
            if last {
                keys.finish(&mut passed);
            }
            bytes = passed;
        }
        if let Some(cards) = &mut self.cards {
            let mut passed = Vec::with_capacity(bytes.len());
            cards.push(&bytes, &mut passed);
            if last {
                cards.finish(&mut passed);
            }
            bytes = passed;
        }
        match &mut self.lines {
            Some(lines) => lines.push(&bytes, last, out),
            None => out.append(&mut bytes),
        }
    }
}

/// An operator's expressions, on whole lines.
#[derive(Debug)]
struct Lines {
    rules: Arc<Rules>,
    held: Vec<u8>,
}

impl Lines {
    fn new(rules: &Arc<Rules>) -> Lines {
        Lines {
            rules: Arc::clone(rules),
            held: Vec::new(),
        }
    }

    fn push(&mut self, bytes: &[u8], last: bool, out: &mut Vec<u8>) {
        self.held.extend_from_slice(bytes);
        let end = match self.held.iter().rposition(|byte| *byte == b'\n') {
            _ if last => self.held.len(),
            Some(at) => at + 1,
            None if self.held.len() > LINE_BYTES_MAX => self.held.len(),
            None => return,
        };
        let rest = self.held.split_off(end);
        let mut text = std::mem::replace(&mut self.held, rest);
        for pattern in &self.rules.patterns {
            text = pattern.replace(text);
        }
        out.append(&mut text);
    }
}

impl Pattern {
    fn replace(&self, text: Vec<u8>) -> Vec<u8> {
        let marker = match self.class {
            Class::Secret => text_marker(Class::Secret, "rule"),
            _ => MARKER.to_owned(),
        };
        let replaced = self
            .expression
            .replace_all(&text, regex::bytes::NoExpand(marker.as_bytes()));
        match replaced {
            std::borrow::Cow::Borrowed(_) => text,
            std::borrow::Cow::Owned(replaced) => replaced,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn guarded(rules: Rules, secrets: &[Secret], text: &str, size: usize) -> String {
        let mut guard = OutputGuard::new(secrets, &Arc::new(rules));
        let mut out = Vec::new();
        for chunk in text.as_bytes().chunks(size) {
            guard.push(chunk, &mut out);
        }
        out.extend(guard.finish());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn all_stages_work_on_one_stream_wherever_it_is_cut() {
        let rules = || {
            Rules::parse(&json!({"version": 1,
                "patterns": [{"name": "badge", "pattern": r"\bEMP-\d{6}\b", "class": "prohibited"},
                    {"name": "code", "pattern": "code [a-z]+", "class": "secret"}]}))
            .unwrap()
        };
        let secrets = [Secret::new("s1", "hunter2"), Secret::personal("ab", "Ann Smith")];
        let text = "Ann Smith pays 4111-1111-1111-1111 hunter2 EMP-123456\ncode red\n-----BEGIN PRIVATE KEY-----\nMII\n-----END PRIVATE KEY-----\nrest 12";
        for size in 1..60 {
            assert_eq!(
                guarded(rules(), &secrets, text, size),
                "[redacted:personal:ab] pays [redacted:prohibited] [redacted:secret:s1] [redacted:prohibited]\n\
                 [redacted:secret:rule]\n[redacted:prohibited]\nrest 12",
                "chunks of {size}"
            );
        }
    }

    #[test]
    fn what_an_operator_switches_off_is_not_looked_for() {
        let off =
            Rules::parse(&json!({"version": 1, "detect": {"cards": false, "privateKeys": false}})).unwrap();
        let text = "4111111111111111 -----BEGIN PRIVATE KEY-----";
        assert!(!off.can_refuse(text));
        assert_eq!(guarded(off, &[], text, 3), text);
    }
}

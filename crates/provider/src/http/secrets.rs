//! Secrets on their way out and in answers. A reference is replaced by its value only when the hop it goes to has
//! passed every check, and only where the value is bound to that hop's host; what comes back is searched for the
//! values in their usual forms.

use super::target::Target;
use crate::sdk::{Failure, SecretValue, Secrets};
use actum_model::ErrorCode;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use std::collections::BTreeMap;

const PREFIX: &str = "$secret:";
const NAME_CHARS_MAX: usize = 128;
/// Shortest value looked for in answers: shorter ones occur everywhere by chance.
const SOUGHT_BYTES_MIN: usize = 4;
/// Shortest value whose encodings are looked for.
const ENCODED_BYTES_MIN: usize = 6;

/// The secrets a fetch has used so far.
#[derive(Default)]
pub(super) struct Used {
    /// Name and values; a name may have another value for another host.
    values: BTreeMap<String, Vec<SecretValue>>,
}

/// Whether a text refers to a secret.
pub(super) fn refers(text: &str) -> bool {
    next(text).is_some()
}

/// The first reference of a text: what stands before it, its name, and what stands behind.
fn next(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    while let Some(at) = text.get(from..)?.find(PREFIX).map(|at| at + from) {
        let rest = text.get(at + PREFIX.len()..)?;
        let end = rest
            .bytes()
            .position(|byte| !(byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)))
            .unwrap_or(rest.len());
        // A full stop behind a name ends a sentence.
        let name = rest.get(..end)?.trim_end_matches('.');
        if !name.is_empty() && name.len() <= NAME_CHARS_MAX && !name.starts_with('.') {
            return Some((text.get(..at)?, name, rest.get(name.len()..)?));
        }
        from = at + PREFIX.len();
    }
    None
}

impl Used {
    /// Puts values in the place of references.
    pub(super) fn fill(
        &mut self,
        text: &str,
        secrets: &dyn Secrets,
        target: &Target,
    ) -> Result<String, Failure> {
        let (mut filled, mut rest) = (String::new(), text);
        while let Some((before, name, behind)) = next(rest) {
            let value = secrets.reveal(name, &target.destination())?;
            // Files of secrets end in a line end that is no part of them.
            let plain = value.expose().trim_end_matches(['\r', '\n']);
            if plain.is_empty() {
                let message = format!("the secret `{name}` is empty");
                return Err(Failure::new(ErrorCode::SecretUnavailable, message));
            }
            filled.push_str(before);
            filled.push_str(plain);
            let known = self.values.entry(name.to_owned()).or_default();
            let plain = SecretValue::new(plain);
            if !known.contains(&plain) {
                known.push(plain);
            }
            rest = behind;
        }
        filled.push_str(rest);
        Ok(filled)
    }

    /// The longest form of any value, bytes.
    pub(super) fn longest(&self) -> usize {
        self.forms().iter().map(|(form, _)| form.len()).max().unwrap_or(0)
    }

    /// Takes every value out of some bytes.
    pub(super) fn scrub(&self, bytes: Vec<u8>) -> Vec<u8> {
        self.forms().into_iter().fold(bytes, |bytes, (form, name)| {
            replace(bytes, &form, format!("[secret {name}]").as_bytes())
        })
    }

    /// The same for a text.
    pub(super) fn scrub_text(&self, text: String) -> String {
        if self.values.is_empty() {
            return text;
        }
        String::from_utf8_lossy(&self.scrub(text.into_bytes())).into_owned()
    }

    /// The forms to look for, longest first, so that none is found within another.
    fn forms(&self) -> Vec<(Vec<u8>, &str)> {
        let mut forms: Vec<(Vec<u8>, &str)> = Vec::new();
        for (name, values) in &self.values {
            for value in values {
                forms.extend(
                    forms_of(value.expose())
                        .into_iter()
                        .map(|form| (form.into_bytes(), name.as_str())),
                );
            }
        }
        forms.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        forms.dedup_by(|(a, _), (b, _)| a == b);
        forms
    }
}

fn forms_of(value: &str) -> Vec<String> {
    if value.len() < SOUGHT_BYTES_MIN {
        return Vec::new();
    }
    let mut forms = vec![value.to_owned()];
    if value.len() >= ENCODED_BYTES_MIN {
        let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
        forms.extend([hex.to_ascii_uppercase(), hex]);
        let percent: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
        forms.extend([percent.replace('+', "%20"), percent]);
        let json = serde_json::Value::from(value).to_string();
        forms.push(json.trim_matches('"').to_owned());
        forms.push(json.trim_matches('"').replace('/', "\\/"));
        // The piece of base64 that a value leaves in that of a longer text depends on where it begins.
        for (shift, skip) in [(0, 0), (1, 2), (2, 3)] {
            let shifted = [vec![0; shift], value.as_bytes().to_vec()].concat();
            let end = shifted.len() * 8 / 6;
            for whole in [STANDARD_NO_PAD.encode(&shifted), URL_SAFE_NO_PAD.encode(&shifted)] {
                forms.extend(whole.get(skip..end).map(str::to_owned));
            }
        }
    }
    forms
}

fn replace(bytes: Vec<u8>, form: &[u8], with: &[u8]) -> Vec<u8> {
    let Some(first) = form.first() else {
        return bytes;
    };
    let (mut out, mut rest) = (Vec::new(), bytes.as_slice());
    while let Some(at) = rest.iter().position(|byte| byte == first) {
        let (before, behind) = rest.split_at(at);
        out.extend_from_slice(before);
        match behind.strip_prefix(form) {
            Some(behind) => {
                out.extend_from_slice(with);
                rest = behind;
            }
            None => {
                out.push(*first);
                rest = behind.get(1..).unwrap_or_default();
            }
        }
    }
    out.extend_from_slice(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_found_where_they_stand() {
        assert_eq!(next("Bearer $secret:A.b-c"), Some(("Bearer ", "A.b-c", "")));
        assert_eq!(next("$secret:A, and"), Some(("", "A", ", and")));
        assert_eq!(next("see $secret:A."), Some(("see ", "A", ".")));
        assert_eq!(next("$secret: $secret:B"), Some(("$secret: ", "B", "")));
        assert_eq!(next("$secret:../x"), None);
        assert_eq!(next("$secret:"), None);
        assert_eq!(next("secret:A"), None);
    }

    #[test]
    fn every_usual_form_of_a_value_is_taken_out() {
        let mut used = Used::default();
        let value = "p/ss w\"rd-7";
        used.values.insert("K".to_owned(), vec![SecretValue::new(value)]);
        let basic = STANDARD_NO_PAD.encode(format!("user:{value}"));
        for text in [
            value.to_owned(),
            "p%2Fss%20w%22rd-7".to_owned(),
            "p%2Fss+w%22rd-7".to_owned(),
            "p/ss w\\\"rd-7".to_owned(),
            "p\\/ss w\\\"rd-7".to_owned(),
            "702f73732077227264 2d37".replace(' ', ""),
            basic,
        ] {
            let scrubbed = used.scrub_text(format!("<{text}>"));
            assert!(scrubbed.contains("[secret K]"), "{text} is left as {scrubbed}");
        }
    }
}

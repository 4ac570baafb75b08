//! What a caller marks in the arguments of a command: `{"$personal": {"subject", "value"}}` and
//! `{"$prohibited": …}`. Their shape is checked here; what is done about them is the shell's.

use crate::contract::Faults;
use crate::limits::{PERSONAL_VALUES_MAX, SUBJECT_CHARS_MAX};
use serde_json::{Map, Value};

/// The member that marks a value about a person.
pub const PERSONAL: &str = "$personal";
/// The member that marks a value which must not be taken in.
pub const PROHIBITED: &str = "$prohibited";
/// What the stored form of a subject begins with: the keyed hash of its name, in hex, stands after it.
pub const SUBJECT_PREFIX: &str = "hmac:";

/// The subject and the value of a mark, if `value` is one of the right shape.
#[must_use]
pub fn personal(value: &Value) -> Option<(&str, &Value)> {
    let members = value.as_object().filter(|members| members.len() == 1)?;
    let mark = members
        .get(PERSONAL)?
        .as_object()
        .filter(|mark| mark.len() == 2)?;
    Some((mark.get("subject")?.as_str()?, mark.get("value")?))
}

/// Whether this can name a subject: 1 to 256 characters without NUL, not the stored form of another.
#[must_use]
pub fn is_subject(name: &str) -> bool {
    let chars = name.chars().count();
    (1..=SUBJECT_CHARS_MAX).contains(&chars) && !name.contains('\0') && !is_stored_subject(name)
}

/// Whether this is the stored form of a subject: `hmac:` and 64 hex digits.
#[must_use]
pub fn is_stored_subject(name: &str) -> bool {
    let hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    name.strip_prefix(SUBJECT_PREFIX)
        .is_some_and(|digits| digits.len() == 64 && hex(digits))
}

/// Where the first value marked as prohibited stands, as a JSON pointer below `at`.
#[must_use]
pub fn prohibited(value: &Value, at: &str) -> Option<String> {
    match value {
        Value::Object(members) if members.contains_key(PROHIBITED) => Some(at.to_owned()),
        Value::Object(members) => members
            .iter()
            .find_map(|(name, member)| prohibited(member, &step(at, name))),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(i, item)| prohibited(item, &format!("{at}/{i}"))),
        _ => None,
    }
}

/// Whether a text of JSON can hold a mark at all.
#[must_use]
pub fn possible(value: &Value) -> bool {
    match value {
        Value::Object(members) => {
            members.contains_key(PERSONAL)
                || members.contains_key(PROHIBITED)
                || members.values().any(possible)
        }
        Value::Array(items) => items.iter().any(possible),
        _ => false,
    }
}

/// Checks every mark in `value` for its shape and its number.
pub fn check(value: &Value, at: &str, faults: &mut Faults) {
    let mut found = 0;
    walk(value, at, faults, &mut found);
    if found > PERSONAL_VALUES_MAX {
        faults.add(
            at,
            format!("expected at most {PERSONAL_VALUES_MAX} personal values, got {found}"),
        );
    }
}

fn walk(value: &Value, at: &str, faults: &mut Faults, found: &mut usize) {
    match value {
        Value::Object(members) if members.contains_key(PERSONAL) => {
            *found += 1;
            shape(members, at, faults);
        }
        Value::Object(members) => members
            .iter()
            .for_each(|(name, member)| walk(member, &step(at, name), faults, found)),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(i, item)| walk(item, &format!("{at}/{i}"), faults, found)),
        _ => {}
    }
}

fn shape(members: &Map<String, Value>, at: &str, faults: &mut Faults) {
    let place = step(at, PERSONAL);
    if members.len() != 1 {
        faults.add(at, format!("expected no member besides `{PERSONAL}`"));
    }
    let Some(Value::Object(mark)) = members.get(PERSONAL) else {
        return faults.add(place, "expected an object with `subject` and `value`");
    };
    for name in mark
        .keys()
        .filter(|name| !["subject", "value"].contains(&name.as_str()))
    {
        faults.add(
            step(&place, name),
            "unknown field, expected `subject` and `value`",
        );
    }
    match mark.get("subject") {
        Some(Value::String(name)) if is_subject(name) => {}
        Some(_) => faults.add(
            format!("{place}/subject"),
            format!("expected 1 to {SUBJECT_CHARS_MAX} characters that name a subject"),
        ),
        None => faults.add(format!("{place}/subject"), "is required"),
    }
    match mark.get("value") {
        Some(inner) if possible(inner) => faults.add(format!("{place}/value"), "a mark cannot hold another"),
        Some(_) => {}
        None => faults.add(format!("{place}/value"), "is required"),
    }
}

/// The value with each mark below its root replaced by what it marks: what an effect is given in the end.
#[must_use]
pub fn unmarked(value: &Value) -> Value {
    let mut whole = value.clone();
    match &mut whole {
        Value::Object(members) => members.values_mut().for_each(open),
        Value::Array(items) => items.iter_mut().for_each(open),
        _ => {}
    }
    whole
}

fn open(value: &mut Value) {
    if let Some((_, inner)) = personal(value) {
        *value = inner.clone();
        return;
    }
    match value {
        Value::Object(members) => members.values_mut().for_each(open),
        Value::Array(items) => items.iter_mut().for_each(open),
        _ => {}
    }
}

/// One step further in a JSON pointer (RFC 6901).
fn step(at: &str, name: &str) -> String {
    format!(
        "{at}/{}",
        crate::json::shorten(name).replace('~', "~0").replace('/', "~1")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn faults_of(value: &Value) -> String {
        let mut faults = Faults::default();
        check(value, "/payload", &mut faults);
        faults.to_json().to_string()
    }

    #[test]
    fn a_mark_of_the_right_shape_is_read() {
        let value = json!({"$personal": {"subject": "Ann", "value": {"n": 1}}});
        assert_eq!(personal(&value), Some(("Ann", &json!({"n": 1}))));
        assert!(faults_of(&json!({"a": [value]})).contains(r#""count":0"#));
    }

    #[test]
    fn every_other_shape_is_refused_with_its_place() {
        for (bad, pointer) in [
            (json!({"$personal": "Ann"}), "/payload/x/$personal"),
            (
                json!({"$personal": {"subject": "Ann"}}),
                "/payload/x/$personal/value",
            ),
            (json!({"$personal": {"value": 1}}), "/payload/x/$personal/subject"),
            (
                json!({"$personal": {"subject": "", "value": 1}}),
                "/payload/x/$personal/subject",
            ),
            (
                json!({"$personal": {"subject": 7, "value": 1}}),
                "/payload/x/$personal/subject",
            ),
            (
                json!({"$personal": {"subject": "é".repeat(257), "value": 1}}),
                "/payload/x/$personal/subject",
            ),
            (
                json!({"$personal": {"subject": format!("hmac:{}", "0".repeat(64)), "value": 1}}),
                "/payload/x/$personal/subject",
            ),
            (
                json!({"$personal": {"subject": "A", "value": 1, "more": 1}}),
                "/payload/x/$personal/more",
            ),
            (
                json!({"$personal": {"subject": "A", "value": 1}, "more": 1}),
                "/payload/x",
            ),
            (
                json!({"$personal": {"subject": "A", "value": [{"$personal": {"subject": "B", "value": 1}}]}}),
                "/payload/x/$personal/value",
            ),
        ] {
            let found = faults_of(&json!({"x": bad}));
            assert!(
                found.contains(&format!(r#""pointer":"{pointer}""#)),
                "{pointer}: {found}"
            );
        }
    }

    #[test]
    fn the_number_of_marks_is_bounded() {
        let one = json!({"$personal": {"subject": "A", "value": 1}});
        let many: Vec<Value> = std::iter::repeat_n(one, PERSONAL_VALUES_MAX + 1).collect();
        assert!(faults_of(&json!({"x": many})).contains("at most"));
    }

    #[test]
    fn prohibited_values_are_told_by_their_place_alone() {
        assert_eq!(
            prohibited(&json!({"a": [1, {"b/c": {"$prohibited": 1}}]}), "/payload").as_deref(),
            Some("/payload/a/1/b~1c")
        );
        assert_eq!(prohibited(&json!({"a": "$prohibited"}), "/payload"), None);
    }

    #[test]
    fn an_effect_is_checked_against_what_it_is_given() {
        let value = json!({"argv": ["mail", {"$personal": {"subject": "A", "value": "a@x.org"}}]});
        assert_eq!(unmarked(&value), json!({"argv": ["mail", "a@x.org"]}));
    }
}

//! The rules an operator gives: classes of members by their name, expressions, and what is detected. They are read
//! once, when the daemon starts; what is wrong with them is told then.

use super::prohibited::{Cards, Keys};
use actum_model::contract::{CONTRACTS, Field, Shape};
use actum_model::json::{parse_strict, shorten};
use actum_model::{ErrorCode, Fault, Hash, marks};
use actum_record::redact::{ByName, Class, Redact, parse_marker};
use regex::bytes::{Regex, RegexBuilder};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

/// Version of the file.
const FILE_VERSION: u64 = 1;
/// Largest file.
const FILE_BYTES_MAX: usize = 256 * 1024;
/// Memory one expression may take when it is built, bytes.
const EXPRESSION_BYTES_MAX: usize = 1024 * 1024;

/// What is classed how, besides what is known without rules.
#[derive(Clone, Debug)]
pub struct Rules {
    members: BTreeMap<String, Member>,
    pub(super) patterns: Vec<Pattern>,
    pub(super) cards: bool,
    pub(super) private_keys: bool,
    hash: Option<Hash>,
}

#[derive(Clone, Debug)]
enum Member {
    Stays(Class),
    Secret,
    Prohibited,
    Personal(Subject),
}

#[derive(Clone, Debug)]
enum Subject {
    Fixed(String),
    /// The name of the member beside it that names the subject.
    Beside(String),
}

/// An expression and the class of what it finds.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    pub(super) name: String,
    pub(super) expression: Regex,
    pub(super) class: Class,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            members: BTreeMap::new(),
            patterns: Vec::new(),
            cards: true,
            private_keys: true,
            hash: None,
        }
    }
}

impl Rules {
    /// The rules in a file; those of every daemon if there is none.
    ///
    /// # Errors
    /// `INVALID_INPUT` with what is wrong where.
    pub fn read(path: &Path) -> Result<Rules, Fault> {
        let wrong = |what: String| {
            Fault::new(
                ErrorCode::InvalidInput,
                format!("the rules of data classes in `{}`: {what}", path.display()),
            )
            .with_hint("docs/data-classes.md shows a whole file; `{\"version\": 1}` is the smallest")
        };
        let bytes = std::fs::read(path).map_err(|error| wrong(format!("they cannot be read ({error})")))?;
        if bytes.len() > FILE_BYTES_MAX {
            return Err(wrong(format!(
                "expected at most {FILE_BYTES_MAX} bytes, got {}",
                bytes.len()
            )));
        }
        let value = parse_strict(&bytes).map_err(|error| wrong(format!("expected JSON ({error})")))?;
        Rules::parse(&value).map_err(wrong)
    }

    /// The rules in the file of a data directory, or those of every daemon.
    ///
    /// # Errors
    /// As [`Rules::read`].
    pub fn of(data: &Path) -> Result<Rules, Fault> {
        let path = data.join("classes.json");
        if path.exists() {
            Rules::read(&path)
        } else {
            Ok(Rules::default())
        }
    }

    /// Reads rules.
    ///
    /// # Errors
    /// A sentence that begins with the place.
    pub fn parse(value: &Value) -> Result<Rules, String> {
        let file = object(value, "")?;
        known(file, "", &["version", "members", "patterns", "detect"])?;
        if file.get("version").and_then(Value::as_u64) != Some(FILE_VERSION) {
            return Err(format!("/version: expected {FILE_VERSION}"));
        }
        let mut rules = Rules::default();
        if let Some(members) = file.get("members") {
            for (name, rule) in object(members, "/members")? {
                let at = format!("/members/{}", shorten(name));
                free(name, &at)?;
                rules
                    .members
                    .insert(name.to_ascii_lowercase(), member(rule, &at)?);
            }
        }
        if let Some(patterns) = file.get("patterns") {
            let list = patterns.as_array().ok_or("/patterns: expected a list")?;
            for (i, rule) in list.iter().enumerate() {
                rules.patterns.push(pattern(rule, &format!("/patterns/{i}"))?);
            }
        }
        if let Some(detect) = file.get("detect") {
            let detect = object(detect, "/detect")?;
            known(detect, "/detect", &["cards", "privateKeys"])?;
            let switch = |name: &str| match detect.get(name) {
                None => Ok(true),
                Some(Value::Bool(on)) => Ok(*on),
                Some(_) => Err(format!("/detect/{name}: expected true or false")),
            };
            (rules.cards, rules.private_keys) = (switch("cards")?, switch("privateKeys")?);
        }
        let text = actum_model::canonical::to_string(value).map_err(|error| error.to_string())?;
        let version = super::REDACTION_VERSION.to_be_bytes();
        rules.hash = Some(Hash::of_parts("actum/classes/v1", &[&version, text.as_bytes()]));
        Ok(rules)
    }

    /// The hash over the rules and their version, where an operator gave some.
    #[must_use]
    pub fn hash(&self) -> Option<Hash> {
        self.hash
    }

    /// Whether a member of this name is a secret.
    pub(super) fn is_secret(&self, name: &str) -> bool {
        matches!(self.member(name), Some(Member::Secret))
    }

    /// Whether anything is to be found that the fixed rules do not know.
    pub(super) fn find_secrets(&self) -> bool {
        self.members
            .values()
            .any(|member| matches!(member, Member::Secret))
            || self.patterns.iter().any(|pattern| pattern.class == Class::Secret)
    }

    /// The secrets that these rules and the fixed ones find in a text, ascending, without overlap.
    pub(super) fn find_in_text(&self, text: &str, mut found: Vec<Range<usize>>) -> Vec<Range<usize>> {
        let whole =
            |range: &Range<usize>| text.is_char_boundary(range.start) && text.is_char_boundary(range.end);
        for pattern in self
            .patterns
            .iter()
            .filter(|pattern| pattern.class == Class::Secret)
        {
            let ranges = pattern
                .expression
                .find_iter(text.as_bytes())
                .map(|one| one.range());
            found.extend(ranges.filter(whole));
        }
        found.sort_by_key(|range| (range.start, range.end));
        found.dedup_by(|later, earlier| {
            let overlap = later.start < earlier.end;
            if overlap {
                earlier.end = earlier.end.max(later.end);
            }
            overlap
        });
        found
    }

    fn member(&self, name: &str) -> Option<&Member> {
        if self.members.is_empty() {
            return None;
        }
        self.members.get(&name.to_ascii_lowercase())
    }

    /// Refuses arguments that hold what must not be stored. Nothing of it stands in the fault.
    ///
    /// # Errors
    /// `PROHIBITED_DATA` with the place.
    pub fn admit(&self, value: &Value, at: &str) -> Result<(), Fault> {
        match value {
            Value::Object(members) => members.iter().try_for_each(|(name, member)| {
                if let Some(what) = self.found(name) {
                    return Err(refused(at, &format!("the name of a member holds {what}")));
                }
                let place = format!("{at}/{}", shorten(name).replace('~', "~0").replace('/', "~1"));
                if matches!(self.member(name), Some(Member::Prohibited)) && !member.is_null() {
                    return Err(refused(&place, "a member of this name is classed as prohibited"));
                }
                self.admit(member, &place)
            }),
            Value::Array(items) => items
                .iter()
                .enumerate()
                .try_for_each(|(i, item)| self.admit(item, &format!("{at}/{i}"))),
            Value::String(text) => self.admit_text(text, at),
            Value::Number(number) => self.admit_text(&number.to_string(), at),
            Value::Bool(_) | Value::Null => Ok(()),
        }
    }

    /// The same for one text.
    ///
    /// # Errors
    /// `PROHIBITED_DATA` with the place.
    pub fn admit_text(&self, text: &str, at: &str) -> Result<(), Fault> {
        match self.found(text) {
            Some(what) => Err(refused(at, &format!("it holds {what}"))),
            None => Ok(()),
        }
    }

    /// Whether anything in a text of JSON can be refused, found out without parsing it.
    #[must_use]
    pub fn can_refuse(&self, json: &str) -> bool {
        let named = self
            .members
            .values()
            .any(|member| matches!(member, Member::Prohibited));
        let pattern = self
            .patterns
            .iter()
            .any(|pattern| pattern.class == Class::Prohibited);
        named
            || pattern
            || (self.cards && digits(json))
            || (self.private_keys && json.contains("-----BEGIN "))
    }

    fn found(&self, text: &str) -> Option<String> {
        let mut sink = Vec::new();
        if self.cards && digits(text) {
            let mut cards = Cards::default();
            cards.push(text.as_bytes(), &mut sink);
            cards.finish(&mut sink);
            if cards.found > 0 {
                return Some("the number of a payment card".to_owned());
            }
        }
        if self.private_keys && text.contains("-----BEGIN ") {
            let mut keys = Keys::default();
            keys.push(text.as_bytes(), &mut sink);
            if keys.found > 0 {
                return Some("a private key".to_owned());
            }
        }
        let prohibited = |pattern: &&Pattern| {
            pattern.class == Class::Prohibited && pattern.expression.is_match(text.as_bytes())
        };
        let pattern = self.patterns.iter().find(prohibited)?;
        Some(format!("what the rule `{}` names", pattern.name))
    }

    /// Marks the members that these rules class as personal. Gives whether there was one.
    ///
    /// # Errors
    /// `INVALID_INPUT` where the member that names the subject is missing.
    pub fn mark(&self, value: &mut Value, at: &str) -> Result<bool, Fault> {
        if !self.mark_members() {
            return Ok(false);
        }
        self.mark_all(value, at)
    }

    /// Whether any member is classed as personal.
    #[must_use]
    pub fn mark_members(&self) -> bool {
        self.members
            .values()
            .any(|member| matches!(member, Member::Personal(_)))
    }

    fn mark_all(&self, value: &mut Value, at: &str) -> Result<bool, Fault> {
        let mut any = false;
        match value {
            Value::Object(_) if parse_marker(value).is_some() || marks::personal(value).is_some() => {}
            Value::Object(members) => {
                let names: Vec<String> = members.keys().cloned().collect();
                for name in names {
                    let place = format!("{at}/{}", shorten(&name));
                    if members.get(&name).is_none_or(Value::is_null) {
                        continue;
                    }
                    let subject = match self.member(&name) {
                        Some(Member::Personal(Subject::Fixed(subject))) => Some(subject.clone()),
                        Some(Member::Personal(Subject::Beside(beside))) => {
                            Some(subject_beside(members, beside, &place)?)
                        }
                        _ => None,
                    };
                    let Some(member) = members.get_mut(&name) else {
                        continue;
                    };
                    match subject {
                        _ if parse_marker(member).is_some() || marks::personal(member).is_some() => {}
                        Some(subject) => {
                            // Marks within are opened: the whole member is sealed as one.
                            *member = json!({marks::PERSONAL: {"subject": subject, "value": marks::unmarked(member)}});
                            any = true;
                        }
                        None => any |= self.mark_all(member, &place)?,
                    }
                }
            }
            Value::Array(items) => {
                for (i, item) in items.iter_mut().enumerate() {
                    any |= self.mark_all(item, &format!("{at}/{i}"))?;
                }
            }
            _ => {}
        }
        Ok(any)
    }

    /// Before export: what these rules class stricter than `internal` and an older record still holds in clear.
    pub fn export(&self, value: &mut Value, internal_too: bool) {
        let class = |member: &Member| match member {
            Member::Stays(class) => *class,
            Member::Secret => Class::Secret,
            Member::Prohibited => Class::Prohibited,
            Member::Personal(_) => Class::Personal,
        };
        let classes = self
            .members
            .iter()
            .map(|(name, member)| (name.clone(), class(member)));
        let keep = if internal_too {
            Class::Public
        } else {
            Class::Internal
        };
        ByName::new(classes, keep).redact(value);
    }
}

/// Whether there can be the number of a card: enough digits with little between them.
fn digits(text: &str) -> bool {
    let mut count = 0;
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' => count += 1,
            b' ' | b'-' => {}
            _ => count = 0,
        }
        if count >= 13 {
            return true;
        }
    }
    false
}

fn subject_beside(members: &Map<String, Value>, beside: &str, at: &str) -> Result<String, Fault> {
    let named = match members.get(beside) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    named.filter(|name| marks::is_subject(name)).ok_or_else(|| {
        let message =
            format!("{at}: it is personal, and the member `{beside}` beside it does not name its subject");
        Fault::new(ErrorCode::InvalidInput, message)
            .with_hint("give the member that names the subject, or mark the value with `$personal`")
    })
}

fn refused(at: &str, what: &str) -> Fault {
    Fault::new(
        ErrorCode::ProhibitedData,
        format!("{at}: {what}, so nothing of this command is taken in"),
    )
    .with_details(&json!({"pointer": at}))
}

fn object<'a>(value: &'a Value, at: &str) -> Result<&'a Map<String, Value>, String> {
    value
        .as_object()
        .ok_or_else(|| format!("{at}: expected an object"))
}

fn known(members: &Map<String, Value>, at: &str, names: &[&str]) -> Result<(), String> {
    match members.keys().find(|name| !names.contains(&name.as_str())) {
        Some(name) => Err(format!(
            "{at}/{}: unknown member, expected one of `{}`",
            shorten(name),
            names.join("`, `")
        )),
        None => Ok(()),
    }
}

/// A rule for an argument that a kind defines itself would change what the command means.
fn free(name: &str, at: &str) -> Result<(), String> {
    fn holds(fields: &[Field], name: &str) -> bool {
        fields.iter().any(|field| {
            field.name.eq_ignore_ascii_case(name)
                || matches!(field.shape, Shape::Object(inner) | Shape::Objects(inner) if holds(inner, name))
        })
    }
    match CONTRACTS.iter().find(|contract| holds(contract.input, name)) {
        Some(contract) => Err(format!(
            "{at}: `{name}` is an argument of `{}`; a rule may only name members of your own",
            contract.kind
        )),
        None => Ok(()),
    }
}

fn member(rule: &Value, at: &str) -> Result<Member, String> {
    let (word, rest) = match rule {
        Value::String(word) => (word.as_str(), None),
        Value::Object(members) => {
            known(members, at, &["class", "subject", "subjectFrom"])?;
            (
                members.get("class").and_then(Value::as_str).unwrap_or_default(),
                Some(members),
            )
        }
        _ => return Err(format!("{at}: expected a class or an object")),
    };
    let text = |name: &str| rest.and_then(|members| members.get(name)?.as_str());
    match (Class::parse(word), text("subject"), text("subjectFrom")) {
        (Some(Class::Personal), Some(subject), None) if marks::is_subject(subject) => {
            Ok(Member::Personal(Subject::Fixed(subject.to_owned())))
        }
        (Some(Class::Personal), None, Some(beside)) if !beside.is_empty() => {
            Ok(Member::Personal(Subject::Beside(beside.to_owned())))
        }
        (Some(Class::Personal), ..) => Err(format!(
            "{at}: `personal` needs either `subject` or `subjectFrom`"
        )),
        (Some(_), Some(_), _) | (Some(_), _, Some(_)) => Err(format!("{at}: only `personal` has a subject")),
        (Some(Class::Secret), ..) => Ok(Member::Secret),
        (Some(Class::Prohibited), ..) => Ok(Member::Prohibited),
        (Some(class), ..) => Ok(Member::Stays(class)),
        (None, ..) => Err(format!(
            "{at}: expected the class `public`, `internal`, `personal`, `secret` or `prohibited`, got `{}`",
            shorten(word)
        )),
    }
}

fn pattern(rule: &Value, at: &str) -> Result<Pattern, String> {
    let members = object(rule, at)?;
    known(members, at, &["name", "pattern", "class"])?;
    let text = |name: &str| {
        let text = members
            .get(name)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty());
        text.ok_or_else(|| format!("{at}/{name}: expected text"))
    };
    let class = match Class::parse(text("class")?) {
        Some(class @ (Class::Secret | Class::Prohibited)) => class,
        _ => return Err(format!("{at}/class: expected `secret` or `prohibited`")),
    };
    let expression = RegexBuilder::new(text("pattern")?)
        .unicode(false)
        .size_limit(EXPRESSION_BYTES_MAX)
        .build()
        .map_err(|error| format!("{at}/pattern: {error}"))?;
    if expression.is_match(b"") {
        return Err(format!(
            "{at}/pattern: it matches the empty text, so it would match everywhere"
        ));
    }
    Ok(Pattern {
        name: text("name")?.to_owned(),
        expression,
        class,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn wrong(file: &Value, expected: &str) {
        let said = Rules::parse(file).unwrap_err();
        assert!(said.starts_with(expected), "{said}");
    }

    #[test]
    fn a_file_that_is_wrong_is_told_with_its_place() {
        wrong(&json!([]), ": expected an object");
        wrong(&json!({}), "/version");
        wrong(&json!({"version": 1, "rules": []}), "/rules: unknown member");
        wrong(
            &json!({"version": 1, "members": {"pin": "private"}}),
            "/members/pin: expected the class",
        );
        wrong(
            &json!({"version": 1, "members": {"mail": "personal"}}),
            "/members/mail: `personal` needs",
        );
        wrong(
            &json!({"version": 1, "members": {"mail": {"class": "secret", "subject": "x"}}}),
            "/members/mail: only",
        );
        wrong(
            &json!({"version": 1, "members": {"ARGV": "secret"}}),
            "/members/ARGV: `ARGV` is an argument of `shell.run`",
        );
        wrong(
            &json!({"version": 1, "patterns": [{"name": "n", "pattern": "(", "class": "secret"}]}),
            "/patterns/0/pattern",
        );
        wrong(
            &json!({"version": 1, "patterns": [{"name": "n", "pattern": "x*", "class": "secret"}]}),
            "/patterns/0/pattern",
        );
        wrong(
            &json!({"version": 1, "patterns": [{"name": "n", "pattern": "x", "class": "public"}]}),
            "/patterns/0/class",
        );
        wrong(&json!({"version": 1, "detect": {"cards": 1}}), "/detect/cards");
    }

    #[test]
    fn the_hash_follows_the_rules() {
        let of = |file: Value| Rules::parse(&file).unwrap().hash();
        assert_eq!(Rules::default().hash(), None);
        assert_ne!(of(json!({"version": 1})), None);
        assert_ne!(
            of(json!({"version": 1})),
            of(json!({"version": 1, "members": {"pin": "secret"}}))
        );
    }

    #[test]
    fn prohibited_data_is_refused_and_not_repeated() {
        let rules = Rules::parse(&json!({"version": 1, "members": {"pin": "prohibited"},
            "patterns": [{"name": "badge", "pattern": r"\bEMP-[0-9]{6}\b", "class": "prohibited"}]}))
        .unwrap();
        for (payload, pointer, value) in [
            (json!({"a": ["pay 4111 1111 1111 1111"]}), "/payload/a/0", "4111"),
            (json!({"a": 4_111_111_111_111_111_u64}), "/payload/a", "4111"),
            (json!({"4111111111111111": 1}), "/payload", "4111"),
            (json!({"x": {"PIN": 1234}}), "/payload/x/PIN", "1234"),
            (json!({"x": "badge EMP-123456"}), "/payload/x", "123456"),
            (
                json!({"x": "-----BEGIN PRIVATE KEY-----\nMIIE"}),
                "/payload/x",
                "MIIE",
            ),
        ] {
            assert!(rules.can_refuse(&payload.to_string()), "{pointer}");
            let fault = rules.admit(&payload, "/payload").unwrap_err();
            assert_eq!(fault.code, ErrorCode::ProhibitedData);
            assert!(
                fault.message.starts_with(&format!("{pointer}: ")),
                "{}",
                fault.message
            );
            assert!(!fault.message.contains(value), "{}", fault.message);
        }
        assert!(
            rules
                .admit(&json!({"x": "EMP-1234567", "pin": null}), "/payload")
                .is_ok()
        );
    }

    #[test]
    fn an_ordinary_command_is_not_parsed_for_it() {
        let rules = Rules::default();
        assert!(!rules.can_refuse(
            r#"{"key":"step","value":{"n":1234567,"id":"0b0f8e4c-6f0e-4d0a-9c39-0d4f0a1b2c3d"}}"#
        ));
    }

    #[test]
    fn members_are_marked_with_their_subject() {
        let rules = Rules::parse(&json!({"version": 1, "members": {
            "email": {"class": "personal", "subjectFrom": "customer"}, "staff": {"class": "personal", "subject": "staff"}}}))
        .unwrap();
        let mut value = json!({"list": [{"email": "a@x.org", "customer": 7}], "staff": {"n": 1}, "other": 1, "email": null});
        assert!(rules.mark(&mut value, "/payload").unwrap());
        assert_eq!(
            value,
            json!({"list": [{"email": {"$personal": {"subject": "7", "value": "a@x.org"}}, "customer": 7}],
                "staff": {"$personal": {"subject": "staff", "value": {"n": 1}}}, "other": 1, "email": null})
        );
        assert!(
            !rules.mark(&mut value, "/payload").unwrap(),
            "marking twice changes nothing"
        );
        let fault = rules
            .mark(&mut json!({"email": "a@x.org"}), "/payload")
            .unwrap_err();
        assert!(fault.message.starts_with("/payload/email: "), "{}", fault.message);
    }
}

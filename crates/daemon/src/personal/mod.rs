//! Values about a person: sealed before a command is journaled, opened for its dispatch and for who may read it,
//! erased by destroying the key of their subject.
//!
//! The journal holds a marker with the hash of the sealed blob. Neither the value nor the name of the subject is in
//! it, and without the key neither is to be had from what is kept. Nothing here decides.

mod keys;
mod sealed;

use crate::core::DataKeys;
use crate::redact::{SPREAD_BYTES_MIN, Secret, text_marker};
use actum_journal::{Area, Blobs, ReadError, Storage};
use actum_model::contract::{Contract, Shape};
use actum_model::ids::Tenant;
use actum_model::{ErrorCode, Fault, Hash, Json, marks};
use actum_record::redact::{Class, marker, parse_marker};
use keys::SubjectKeys;
use sealed::Sealed;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;

const TEXT_MARKER: &str = "[redacted:personal:";
const HASH_CHARS: usize = 64;

/// The personal values of a data directory.
#[derive(Clone)]
pub struct Personal {
    names: DataKeys,
    keys: Arc<SubjectKeys>,
    blobs: Blobs,
}

impl Personal {
    /// Those of a data directory, with its keys and blobs.
    pub(crate) fn new(data: &Path, names: DataKeys, blobs: Blobs) -> Personal {
        Personal {
            names,
            keys: Arc::new(SubjectKeys::new(data)),
            blobs,
        }
    }

    /// Seals every marked value of a command's arguments, and puts a marker in its place and wherever else a
    /// marked text stands in them. `None` where nothing is marked. It writes files: call it where blocking is
    /// allowed.
    ///
    /// # Errors
    /// When a key or a blob cannot be written: nothing may be journaled then.
    pub(crate) fn seal(
        &self,
        tenant: &Tenant,
        contract: Option<&Contract>,
        payload: &Json,
    ) -> Result<Option<Json>, Fault> {
        let mut value = payload.to_value();
        let mut found = Vec::new();
        collect(&value, &mut found);
        if found.is_empty() {
            return Ok(None);
        }
        let mut refs: BTreeMap<(String, String), Hash> = BTreeMap::new();
        let mut texts: Vec<(String, String)> = Vec::new();
        for (subject, inner) in found {
            let name = (subject.to_owned(), inner.to_string());
            if refs.contains_key(&name) {
                continue;
            }
            let hash = self
                .seal_one(tenant, subject, inner)
                .map_err(|error| unkept(&error))?;
            let text = inner.as_str().filter(|text| text.len() >= SPREAD_BYTES_MIN);
            texts.extend(text.map(|text| (text.to_owned(), text_marker(Class::Personal, &hash.to_string()))));
            refs.insert(name, hash);
        }
        // The longest first: one can be part of another.
        texts.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
        replace(&mut value, &refs);
        spread(&mut value, &texts, contract);
        let sealed = Json::from_value(&value);
        sealed.map(Some).map_err(|error| unkept(&io::Error::other(error)))
    }

    fn seal_one(&self, tenant: &Tenant, subject: &str, value: &Value) -> io::Result<Hash> {
        let subject = self.names.subject(tenant, subject);
        let key = self.keys.get_or_make(&subject)?;
        let bytes = sealed::seal(&key, &subject, &self.names.tenant(tenant), value)?;
        self.blobs.put(&bytes).map_err(io::Error::other)
    }

    /// The value a marker stands for, for a caller of this tenant.
    ///
    /// # Errors
    /// `NOT_FOUND` where the tenant has none, `PERSONAL_DATA_ERASED`.
    pub(crate) fn open(&self, tenant: &Tenant, hash: &Hash) -> Result<Value, Fault> {
        let missing = || Fault::new(ErrorCode::NotFound, format!("no personal value {hash} is kept"));
        let bytes = self
            .blobs
            .get(hash)
            .map_err(|error| unread(&error))?
            .ok_or_else(missing)?;
        let sealed = Sealed::parse(&bytes)
            .filter(|sealed| sealed.tenant == self.names.tenant(tenant))
            .ok_or_else(missing)?;
        opened(&self.keys, &sealed, hash)
    }

    /// Puts values in the place of their markers, anywhere in the arguments of an effect, and tells which: they must
    /// be taken out of its output too. It reads files: call it where blocking is allowed.
    ///
    /// # Errors
    /// Those of [`Personal::open`].
    pub(crate) fn open_all(&self, tenant: &Tenant, value: &mut Value) -> Result<Vec<Secret>, Fault> {
        let mut opened = BTreeMap::new();
        self.fill(tenant, value, &mut opened)?;
        let mut secrets = Vec::new();
        for (hash, value) in &opened {
            leaves(value, &mut |text| {
                secrets.push(Secret::personal(hash.to_string(), text));
            });
        }
        Ok(secrets)
    }

    fn fill(
        &self,
        tenant: &Tenant,
        value: &mut Value,
        opened: &mut BTreeMap<Hash, Value>,
    ) -> Result<(), Fault> {
        if let Some(hash) = named(value) {
            *value = self.once(tenant, hash, opened)?;
            return Ok(());
        }
        match value {
            Value::String(text) => {
                if let Some(filled) = self.fill_text(tenant, text, opened)? {
                    *text = filled;
                }
                Ok(())
            }
            Value::Array(items) => items
                .iter_mut()
                .try_for_each(|item| self.fill(tenant, item, opened)),
            Value::Object(members) => members
                .values_mut()
                .try_for_each(|member| self.fill(tenant, member, opened)),
            _ => Ok(()),
        }
    }

    fn once(&self, tenant: &Tenant, hash: Hash, opened: &mut BTreeMap<Hash, Value>) -> Result<Value, Fault> {
        if let Some(value) = opened.get(&hash) {
            return Ok(value.clone());
        }
        let value = self.open(tenant, &hash)?;
        opened.insert(hash, value.clone());
        Ok(value)
    }

    /// A text with markers in it; one that stands for nothing here is somebody's words and stays.
    fn fill_text(
        &self,
        tenant: &Tenant,
        text: &str,
        opened: &mut BTreeMap<Hash, Value>,
    ) -> Result<Option<String>, Fault> {
        let (mut out, mut rest, mut any) = (String::new(), text, false);
        while let Some((before, hash, marker, after)) = next_marker(rest) {
            out.push_str(before);
            match self.once(tenant, hash, opened) {
                Ok(Value::String(inner)) => {
                    out.push_str(&inner);
                    any = true;
                }
                Ok(_) => out.push_str(marker),
                Err(fault) if fault.code == ErrorCode::NotFound => out.push_str(marker),
                Err(fault) => return Err(fault),
            }
            rest = after;
        }
        out.push_str(rest);
        Ok(any.then_some(out))
    }

    /// What stands in the journal for a subject that is to be erased: its keyed hash and the id of its key.
    ///
    /// # Errors
    /// `INVALID_INPUT` where it is no name of a subject; when its key cannot be read.
    pub(crate) fn to_erase(&self, tenant: &Tenant, name: &str) -> Result<Json, Fault> {
        let subject = match name.strip_prefix(marks::SUBJECT_PREFIX) {
            Some(digits) if marks::is_stored_subject(name) => digits.parse().ok(),
            _ => marks::is_subject(name).then(|| self.names.subject(tenant, name)),
        };
        let wrong = || {
            Fault::new(
                ErrorCode::InvalidInput,
                "/payload/subject: expected 1 to 256 characters that name a subject",
            )
        };
        let subject: Hash = subject.ok_or_else(wrong)?;
        let key = self.keys.get(&subject).map_err(|error| unkept(&error))?;
        let stored = match key {
            Some(key) => format!("{}{subject}/{}", marks::SUBJECT_PREFIX, key.id_hex()),
            None => format!("{}{subject}", marks::SUBJECT_PREFIX),
        };
        Ok(Json::from_canonical(&format!(r#"{{"subject":"{stored}"}}"#)))
    }

    /// Carries an erasure out that is on record, from its result. Doing it again changes nothing.
    ///
    /// # Errors
    /// When the key is there and cannot be destroyed.
    pub(crate) fn erase(&self, data: &Json) -> io::Result<()> {
        let data = data.to_value();
        let text = |name: &str| data.get(name).and_then(Value::as_str);
        let subject =
            text("subject").and_then(|subject| subject.strip_prefix(marks::SUBJECT_PREFIX)?.parse().ok());
        if let (Some(subject), Some(key)) = (subject, text("key")) {
            self.keys.destroy(&subject, key)?;
        }
        Ok(())
    }

    /// Whether any subject has a key.
    pub(crate) fn has_keys(&self) -> bool {
        self.keys.subjects().is_ok_and(|subjects| !subjects.is_empty())
    }
}

/// The subjects of a data directory that have a key, as they stand in the journal.
///
/// # Errors
/// When the folder of keys cannot be read.
pub fn subjects(data: &Path) -> io::Result<Vec<String>> {
    let found = SubjectKeys::new(data).subjects()?;
    Ok(found
        .iter()
        .map(|subject| format!("{}{subject}", marks::SUBJECT_PREFIX))
        .collect())
}

/// Opens what can still be opened in a document, for who holds the data directory. Gives how many values were
/// opened and how many are erased.
///
/// # Errors
/// When blobs or keys cannot be read.
pub fn reveal(data: &Path, storage: Arc<dyn Storage>, document: &mut Value) -> Result<(u64, u64), Fault> {
    let (keys, blobs) = (SubjectKeys::new(data), Blobs::new(storage));
    let named: BTreeSet<Hash> = refs(&document.to_string()).collect();
    let (mut values, mut erased) = (BTreeMap::new(), 0);
    for hash in named {
        let Some(bytes) = blobs.get(&hash).map_err(|error| unread(&error))? else {
            continue;
        };
        let Some(sealed) = Sealed::parse(&bytes) else {
            continue;
        };
        match opened(&keys, &sealed, &hash) {
            Ok(value) => drop(values.insert(hash, value)),
            Err(fault) if fault.code == ErrorCode::PersonalDataErased => erased += 1,
            Err(fault) => return Err(fault),
        }
    }
    put_in_place(document, &values);
    Ok((values.len() as u64, erased))
}

/// Puts values in the place of their markers, anywhere in a document; other markers stay.
pub fn put_in_place(document: &mut Value, values: &BTreeMap<Hash, Value>) {
    if let Some(value) = named(document).and_then(|hash| values.get(&hash)) {
        *document = value.clone();
        return;
    }
    match document {
        Value::String(text) => {
            let (mut out, mut rest) = (String::new(), text.as_str());
            while let Some((before, hash, marker, after)) = next_marker(rest) {
                out.push_str(before);
                out.push_str(values.get(&hash).and_then(Value::as_str).unwrap_or(marker));
                rest = after;
            }
            out.push_str(rest);
            *text = out;
        }
        Value::Array(items) => items.iter_mut().for_each(|item| put_in_place(item, values)),
        Value::Object(members) => members
            .values_mut()
            .for_each(|member| put_in_place(member, values)),
        _ => {}
    }
}

/// The sealed blobs that a text of JSON names, in markers and in texts.
pub fn refs(json: &str) -> impl Iterator<Item = Hash> + '_ {
    ["{\"$redacted\":\"personal\",\"ref\":\"", TEXT_MARKER]
        .into_iter()
        .flat_map(move |before| {
            json.match_indices(before)
                .filter_map(|(at, found)| json.get(at + found.len()..)?.get(..HASH_CHARS)?.parse().ok())
        })
}

/// The reference of a marker of a personal value.
fn named(value: &Value) -> Option<Hash> {
    match parse_marker(value)? {
        (Class::Personal, reference) => reference.parse().ok(),
        _ => None,
    }
}

/// A text up to its next marker, the marker, and what follows.
fn next_marker(text: &str) -> Option<(&str, Hash, &str, &str)> {
    let mut from = 0;
    loop {
        let at = from + text.get(from..)?.find(TEXT_MARKER)?;
        let digits = at + TEXT_MARKER.len();
        let end = digits + HASH_CHARS;
        let hash = text.get(digits..end).and_then(|hex| hex.parse().ok());
        if let (Some(hash), Some("]")) = (hash, text.get(end..=end)) {
            return Some((text.get(..at)?, hash, text.get(at..=end)?, text.get(end + 1..)?));
        }
        from = digits;
    }
}

fn opened(keys: &SubjectKeys, sealed: &Sealed<'_>, hash: &Hash) -> Result<Value, Fault> {
    let key = keys.get(&sealed.subject).map_err(|error| unkept(&error))?;
    // The bytes of a blob are held to its hash, so a key that does not fit is a later one of the same subject.
    key.and_then(|key| sealed.open(&key)).ok_or_else(|| {
        let message = format!("the personal value {hash} is erased: the key of its subject was destroyed");
        Fault::new(ErrorCode::PersonalDataErased, message)
    })
}

fn unkept(error: &io::Error) -> Fault {
    Fault::new(
        ErrorCode::Internal,
        format!("the keys and blobs of personal values: {error}"),
    )
    .with_hint("check the disk and the permissions of the data directory")
}

fn unread(error: &ReadError) -> Fault {
    Fault::new(
        ErrorCode::JournalDamaged,
        format!("a sealed value in `{}`: {error}", Area::Blobs.folder()),
    )
}

fn collect<'a>(value: &'a Value, found: &mut Vec<(&'a str, &'a Value)>) {
    match (marks::personal(value), value) {
        (Some(mark), _) => found.push(mark),
        (None, Value::Object(members)) => members.values().for_each(|member| collect(member, found)),
        (None, Value::Array(items)) => items.iter().for_each(|item| collect(item, found)),
        _ => {}
    }
}

fn replace(value: &mut Value, refs: &BTreeMap<(String, String), Hash>) {
    if let Some((subject, inner)) = marks::personal(value) {
        let hash = refs
            .get(&(subject.to_owned(), inner.to_string()))
            .copied()
            .unwrap_or_default();
        *value = marker(Class::Personal, &hash.to_string());
        return;
    }
    match value {
        Value::Object(members) => members.values_mut().for_each(|member| replace(member, refs)),
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, refs)),
        _ => {}
    }
}

/// Takes marked texts out of the rest. What the kernel itself reads (ids, keys, words) stays as it is.
fn spread(value: &mut Value, texts: &[(String, String)], contract: Option<&Contract>) {
    let Value::Object(members) = value else { return };
    for (name, member) in members {
        let open = contract.is_none_or(|contract| {
            contract.has_effect()
                || contract
                    .input
                    .iter()
                    .any(|field| field.name == name && matches!(field.shape, Shape::Any(_)))
        });
        if open {
            spread_in(member, texts);
        }
    }
}

fn spread_in(value: &mut Value, texts: &[(String, String)]) {
    if parse_marker(value).is_some() {
        return;
    }
    match value {
        Value::String(text) => *text = spread_text(text, texts),
        Value::Array(items) => items.iter_mut().for_each(|item| spread_in(item, texts)),
        Value::Object(members) => members.values_mut().for_each(|member| spread_in(member, texts)),
        _ => {}
    }
}

/// Replaces the leftmost text again and again, so that no marker is looked into.
fn spread_text(text: &str, texts: &[(String, String)]) -> String {
    let (mut out, mut rest) = (String::new(), text);
    loop {
        // Of two that begin in the same place the longer comes first in the list.
        let next = texts
            .iter()
            .filter_map(|(plain, marker)| Some((rest.find(plain.as_str())?, plain, marker)))
            .min_by_key(|(at, ..)| *at);
        let Some((at, plain, marker)) = next else {
            out.push_str(rest);
            return out;
        };
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        out.push_str(marker);
        rest = after.get(plain.len()..).unwrap_or_default();
    }
}

/// Every text and number in a value.
fn leaves(value: &Value, tell: &mut dyn FnMut(String)) {
    match value {
        Value::String(text) => tell(text.clone()),
        Value::Number(number) => tell(number.to_string()),
        Value::Array(items) => items.iter().for_each(|item| leaves(item, tell)),
        Value::Object(members) => members.values().for_each(|member| leaves(member, tell)),
        Value::Bool(_) | Value::Null => {}
    }
}

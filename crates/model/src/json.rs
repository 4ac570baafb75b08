//! JSON at the edge: a strict I-JSON reader and the canonical text that state and journal keep.
//! Duplicate keys, integers beyond 2^53 and deep nesting are refused, so two payloads never share bytes.

use crate::canonical;
use crate::limits::JSON_INTEGER_MAX;
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};
use smol_str::SmolStr;
use std::fmt;

/// A JSON value as its canonical text (RFC 8785). Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Json(SmolStr);

impl Json {
    /// The canonical text of a value.
    ///
    /// # Errors
    /// When the value holds a number that has no canonical form (never for values of [`parse_strict`]).
    pub fn from_value(value: &Value) -> Result<Json, canonical::CanonicalError> {
        canonical::to_string(value).map(|text| Json(text.into()))
    }

    /// Wraps text that is already canonical JSON, as the journal holds it.
    #[must_use]
    pub fn from_canonical(text: &str) -> Json {
        Json(text.into())
    }

    /// The canonical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value; `null` if the text is not JSON, which canonical text always is.
    #[must_use]
    pub fn to_value(&self) -> Value {
        serde_json::from_str(&self.0).unwrap_or(Value::Null)
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Default for Json {
    fn default() -> Json {
        Json::from_canonical("null")
    }
}

/// Reads one JSON value from `bytes`, strictly as I-JSON (RFC 7493).
///
/// # Errors
/// On malformed JSON, trailing bytes, a duplicate key, an integer beyond 2^53 or nesting beyond 127.
pub fn parse_strict(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict.deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

#[derive(Clone, Copy)]
struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, d: D) -> Result<Value, D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }

    fn visit_i64<E: serde::de::Error>(self, v: i64) -> Result<Value, E> {
        if v.unsigned_abs() > JSON_INTEGER_MAX {
            return Err(beyond(&v));
        }
        Ok(Value::Number(v.into()))
    }

    fn visit_u64<E: serde::de::Error>(self, v: u64) -> Result<Value, E> {
        if v > JSON_INTEGER_MAX {
            return Err(beyond(&v));
        }
        Ok(Value::Number(v.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, v: f64) -> Result<Value, E> {
        // serde_json reads integers too long for 64 bits as floats; they would be rounded silently.
        if v.abs() > JSON_INTEGER_MAX as f64 && v.fract() == 0.0 {
            return Err(beyond(&v));
        }
        // RFC 8785 writes 1.0 as 1, so both are kept as the same number.
        if v.fract() == 0.0 {
            return Ok(Value::Number((v as i64).into()));
        }
        Number::from_f64(v)
            .map(Value::Number)
            .ok_or_else(|| E::custom("number is not finite"))
    }

    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(Value::String(v.to_owned()))
    }

    fn visit_string<E>(self, v: String) -> Result<Value, E> {
        Ok(Value::String(v))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(Strict)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = map.next_value_seed(Strict)?;
            if members.contains_key(&key) {
                return Err(A::Error::custom(format!("duplicate key `{}`", shorten(&key))));
            }
            members.insert(key, value);
        }
        Ok(Value::Object(members))
    }
}

fn beyond<E: serde::de::Error>(number: &dyn fmt::Display) -> E {
    E::custom(format!("integer `{number}` is beyond 2^53, send it as a string"))
}

/// The first characters of a text of somebody else, for an error message.
#[must_use]
pub fn shorten(text: &str) -> String {
    let mut out: String = text.chars().take(80).flat_map(char::escape_debug).collect();
    if text.chars().nth(80).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        parse_strict(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn duplicate_keys_are_refused() {
        assert!(refused(r#"{"a":1,"a":2}"#).contains("duplicate key `a`"));
    }

    #[test]
    fn integers_beyond_two_to_53_are_refused() {
        assert!(refused("9007199254740993").contains("beyond 2^53"));
        assert!(refused("-9007199254740993").contains("beyond 2^53"));
        assert!(refused("1e300").contains("beyond 2^53"));
        assert!(refused("123456789012345678901234567890").contains("beyond 2^53"));
        assert_eq!(
            parse_strict(b"9007199254740991").unwrap(),
            Value::from(JSON_INTEGER_MAX)
        );
    }

    #[test]
    fn a_hundred_thousand_brackets_are_an_error_and_not_a_crash() {
        assert!(refused(&"[".repeat(100_000)).contains("recursion limit"));
    }

    #[test]
    fn one_and_one_point_nought_are_the_same_number() {
        assert_eq!(parse_strict(b"1.0").unwrap(), parse_strict(b"1").unwrap());
    }
}

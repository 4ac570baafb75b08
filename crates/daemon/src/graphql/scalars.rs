//! The scalars of the schema. Each reads exactly what it writes, and `U64` reads integers too.

use actum_model::{Hash, Json, time};
use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};

/// A SHA-256 as 64 lowercase hex digits, without a prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct HexHash(pub(crate) Hash);

/// A SHA-256 as 64 lowercase hex digits, without a prefix.
#[Scalar(name = "Hash")]
impl ScalarType for HexHash {
    fn parse(value: Value) -> InputValueResult<HexHash> {
        match &value {
            Value::String(text) => text.parse().map(HexHash).map_err(InputValueError::custom),
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

/// An integer from 0 to 2^64 - 1, written as a decimal string because many clients keep numbers only up to 2^53.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct U64(pub(crate) u64);

/// An integer from 0 to 2^64 - 1, written as a decimal string because many clients keep numbers only up to 2^53.
/// Reads a decimal string or an integer.
#[Scalar(name = "U64")]
impl ScalarType for U64 {
    fn parse(value: Value) -> InputValueResult<U64> {
        let read = match &value {
            Value::String(text) => text.parse().ok().filter(|n: &u64| n.to_string() == *text),
            Value::Number(number) => number.as_u64(),
            _ => return Err(InputValueError::expected_type(value)),
        };
        read.map(U64).ok_or_else(|| {
            InputValueError::custom("expected an integer from 0 to 2^64 - 1, as a string or a number")
        })
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

/// An integer from 0 to 2^32 - 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct U32(pub(crate) u32);

/// An integer from 0 to 2^32 - 1.
#[Scalar(name = "U32")]
impl ScalarType for U32 {
    fn parse(value: Value) -> InputValueResult<U32> {
        let read = match &value {
            Value::Number(number) => number.as_u64().and_then(|n| u32::try_from(n).ok()),
            _ => return Err(InputValueError::expected_type(value)),
        };
        read.map(U32)
            .ok_or_else(|| InputValueError::custom("expected an integer from 0 to 2^32 - 1"))
    }

    fn to_value(&self) -> Value {
        Value::Number(self.0.into())
    }
}

/// Any JSON value.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct AnyJson(pub(crate) serde_json::Value);

impl From<&Json> for AnyJson {
    fn from(json: &Json) -> AnyJson {
        AnyJson(json.to_value())
    }
}

/// Any JSON value. Integers up to 2^53; send larger ones as strings.
#[Scalar(name = "JSON")]
impl ScalarType for AnyJson {
    fn parse(value: Value) -> InputValueResult<AnyJson> {
        value.into_json().map(AnyJson).map_err(InputValueError::custom)
    }

    fn to_value(&self) -> Value {
        Value::from_json(self.0.clone()).unwrap_or_default()
    }
}

/// A moment of history in milliseconds since the Unix epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Timestamp(pub(crate) u64);

/// A moment of history: RFC 3339 in UTC, with milliseconds.
#[Scalar(name = "Timestamp")]
impl ScalarType for Timestamp {
    fn parse(value: Value) -> InputValueResult<Timestamp> {
        let read = match &value {
            Value::String(text) => time::parse(text),
            _ => return Err(InputValueError::expected_type(value)),
        };
        read.map(Timestamp)
            .ok_or_else(|| InputValueError::custom("expected a time such as `2026-01-31T12:00:00.000Z`"))
    }

    fn to_value(&self) -> Value {
        Value::String(time::rfc3339(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn u64_reads_strings_and_integers_and_writes_strings() {
        assert_eq!(
            U64::parse(Value::from("18446744073709551615")).unwrap(),
            U64(u64::MAX)
        );
        assert_eq!(U64::parse(Value::from(7)).unwrap(), U64(7));
        assert_eq!(U64(7).to_value(), Value::from("7"));
        for bad in [
            Value::from("07"),
            Value::from("-1"),
            Value::from(-1),
            Value::from(1.5),
            Value::Null,
        ] {
            assert!(U64::parse(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_hash_has_64_lowercase_digits() {
        let text = "ab".repeat(32);
        let hash = HexHash::parse(Value::from(text.as_str())).unwrap();
        assert_eq!(hash.to_value(), Value::from(text.as_str()));
        for bad in [text.to_uppercase(), text[1..].to_owned(), format!("0x{text}")] {
            assert!(HexHash::parse(Value::from(bad)).is_err());
        }
    }

    #[test]
    fn a_timestamp_is_rfc_3339() {
        let text = Timestamp(0).to_value();
        assert_eq!(text, Value::from("1970-01-01T00:00:00.000Z"));
        assert_eq!(Timestamp::parse(text).unwrap(), Timestamp(0));
        assert!(Timestamp::parse(Value::from("yesterday")).is_err());
    }
}

//! Canonical JSON (RFC 8785), the text that digests, fingerprints and the journal use.

use serde_json::Value;

/// A value has no canonical form (a number that is not finite).
#[derive(Debug, thiserror::Error)]
#[error("value has no canonical JSON form")]
pub struct CanonicalError(#[source] serde_json::Error);

/// The canonical text of `value`.
///
/// # Errors
/// When a number is not finite.
pub fn to_string(value: &Value) -> Result<String, CanonicalError> {
    if is_plain(value) {
        // With sorted ASCII keys and no fractions serde_json already writes the RFC 8785 form,
        // several times faster than the general writer.
        return serde_json::to_string(value).map_err(CanonicalError);
    }
    serde_json_canonicalizer::to_string(value).map_err(CanonicalError)
}

fn is_plain(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => true,
        Value::Number(number) => !number.is_f64(),
        Value::Array(items) => items.iter().all(is_plain),
        Value::Object(members) => members.iter().all(|(key, item)| key.is_ascii() && is_plain(item)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_quick_road_writes_what_the_library_writes() {
        let samples = [
            json!({"b": 1, "a": [true, null, "x\u{7f}\u{1f}\n\"\\/é😀"], "": -5, "A": {"z": "", "y": {}}}),
            json!([9_007_199_254_740_991u64, -9_007_199_254_740_991i64, 0]),
            json!("\u{0}\u{8}\u{c}\u{e000}\u{2028}"),
        ];
        for sample in samples {
            assert!(is_plain(&sample));
            assert_eq!(
                to_string(&sample).unwrap(),
                serde_json_canonicalizer::to_string(&sample).unwrap()
            );
        }
    }

    #[test]
    fn keys_sort_by_utf16_and_fractions_by_ecmascript() {
        assert_eq!(
            to_string(&json!({"\u{ff5e}": 1, "😀": 2})).unwrap(),
            "{\"😀\":2,\"\u{ff5e}\":1}"
        );
        assert_eq!(to_string(&json!(1e-7)).unwrap(), "1e-7");
    }
}

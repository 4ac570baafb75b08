//! How single values look to people: durations, counts, sizes, times, JSON members.

use serde_json::Value;
use std::time::Duration;

/// Milliseconds as people read them.
pub(crate) fn millis(ms: u64) -> String {
    match ms {
        0..10_000 => format!("{ms} ms"),
        10_000..120_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        120_000..7_200_000 => format!("{} min", ms / 60_000),
        _ => format!("{} h", ms / 3_600_000),
    }
}

/// A duration as people read it.
pub(crate) fn duration(took: Duration) -> String {
    millis(u64::try_from(took.as_millis()).unwrap_or(u64::MAX))
}

/// A number with its noun.
pub(crate) fn count(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(n), if n == 1 { "" } else { "s" })
}

/// A number with its thousands apart.
pub(crate) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Bytes as people read them.
pub(crate) fn bytes(n: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = n as f64;
    let mut unit = "bytes";
    for next in UNITS {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit == "bytes" {
        count(n, "byte")
    } else {
        format!("{value:.1} {unit}")
    }
}

/// What stands at a JSON pointer; null where nothing does.
pub(crate) fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value.pointer(pointer).unwrap_or(&Value::Null)
}

/// A text member; empty where it is not there.
pub(crate) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// A number member.
pub(crate) fn number(value: &Value, name: &str) -> Option<u64> {
    value.get(name).and_then(Value::as_u64)
}

/// `session:x #3`, the lane with the place in it; empty for a command that took none.
pub(crate) fn lane(value: &Value) -> String {
    let lane = text(value, "lane");
    match number(value, "laneSeq") {
        Some(seq) => format!("{lane} #{seq}"),
        None => lane.to_owned(),
    }
}

/// An RFC 3339 time as `2026-11-18 11:06:40`.
pub(crate) fn short_time(rfc3339: &str) -> String {
    rfc3339
        .get(..19)
        .map_or_else(|| rfc3339.to_owned(), |text| text.replace('T', " "))
}

/// Between two RFC 3339 times, milliseconds.
pub(crate) fn between(from: &str, to: &str) -> Option<u64> {
    let (from, to) = (actum_model::time::parse(from)?, actum_model::time::parse(to)?);
    to.checked_sub(from)
}

/// A value on one line, text without its quotes.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The first characters of a text, on one line.
pub(crate) fn brief(text: &str, max: usize) -> String {
    let mut line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(max)
        .collect();
    if text.chars().nth(max).is_some() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_well() {
        assert_eq!(millis(9_999), "9999 ms");
        assert_eq!(millis(12_340), "12.3 s");
        assert_eq!(count(1, "record"), "1 record");
        assert_eq!(count(1_234_567, "record"), "1,234,567 records");
        assert_eq!(bytes(64 * 1024 * 1024), "64.0 MiB");
        assert_eq!(bytes(1), "1 byte");
        assert_eq!(short_time("2026-11-18T11:06:40.123Z"), "2026-11-18 11:06:40");
        assert_eq!(brief("a\nbc", 3), "a b…");
    }
}

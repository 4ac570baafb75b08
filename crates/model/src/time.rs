//! History time as text: RFC 3339 in UTC with milliseconds, and back. Reads no clock.

/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;

/// `at` (milliseconds since the Unix epoch) as RFC 3339, such as `2027-01-15T08:00:00.000Z`.
#[must_use]
pub fn rfc3339(at: u64) -> String {
    let (days, ms) = (at / DAY_MS, at % DAY_MS);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z",
        ms % 1000
    )
}

/// Reads RFC 3339 in UTC or with an offset, a bare date, or milliseconds since the Unix epoch.
#[must_use]
pub fn parse(text: &str) -> Option<u64> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().ok();
    }
    let number = |from: usize, to: usize| -> Option<u64> {
        let digits = text.get(from..to)?;
        digits
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| digits.parse().ok())
            .flatten()
    };
    let mark = |at: usize, expected: &str| text.get(at..at + 1).filter(|c| expected.contains(*c));
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    mark(4, "-").and(mark(7, "-"))?;
    if !(1970..=9999).contains(&year)
        || !(1..=12).contains(&month)
        || !(1..=days_of(year, month)).contains(&day)
    {
        return None;
    }
    let midnight = days_before(year, month, day) * DAY_MS;
    if text.len() == 10 {
        return Some(midnight);
    }
    mark(10, "Tt ").and(mark(13, ":")).and(mark(16, ":"))?;
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let rest = text.get(19..)?;
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(tail) => tail.split_at(tail.find(|c: char| !c.is_ascii_digit())?),
        None => ("0", rest),
    };
    let ms: u64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let local = midnight + hour * 3_600_000 + minute * 60_000 + second * 1000 + ms;
    let (sign, offset) = match zone {
        "Z" | "z" => return Some(local),
        _ => zone.split_at_checked(1)?,
    };
    let (hours, minutes) = offset.split_once(':')?;
    let offset_ms = (hours.parse::<u64>().ok()? * 60 + minutes.parse::<u64>().ok()?) * 60_000;
    match sign {
        "+" => local.checked_sub(offset_ms),
        "-" => local.checked_add(offset_ms),
        _ => None,
    }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of(year: u64, month: u64) -> u64 {
    match month {
        2 => 28 + u64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date.
fn days_before(year: u64, month: u64, day: u64) -> u64 {
    let past = year - 1;
    let years = past * 365 + past / 4 - past / 100 + past / 400;
    let months: u64 = (1..month).map(|m| days_of(year, m)).sum();
    years + months + day - 1 - 719_162
}

/// The date that many days after 1970-01-01.
fn civil(days: u64) -> (u64, u64, u64) {
    let mut year = 1970 + days / 366;
    while days_before(year + 1, 1, 1) <= days {
        year += 1;
    }
    let mut rest = days - days_before(year, 1, 1);
    let mut month = 1;
    while rest >= days_of(year, month) {
        rest -= days_of(year, month);
        month += 1;
    }
    (year, month, rest + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_there_and_back() {
        for (at, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_000_000_123, "2026-11-18T11:06:40.123Z"),
            (4_102_444_799_999, "2099-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(rfc3339(at), text);
            assert_eq!(parse(text), Some(at));
        }
    }

    #[test]
    fn offsets_dates_and_numbers_are_read_and_nonsense_is_not() {
        assert_eq!(parse("1970-01-02"), Some(DAY_MS));
        assert_eq!(parse("1970-01-01T02:00:00+02:00"), Some(0));
        assert_eq!(parse("1970-01-01T00:00:00.5Z"), Some(500));
        assert_eq!(parse("12345"), Some(12345));
        for bad in [
            "",
            "x",
            "2026-13-01",
            "2026-02-30",
            "2026-01-01T25:00:00Z",
            "2026-01-01T00:00:00",
            "1969-01-01",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}

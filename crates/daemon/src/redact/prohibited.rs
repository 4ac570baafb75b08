//! What must never be kept: private keys in PEM form and numbers of payment cards, found in a text or in a stream
//! however its chunks are cut.
//!
//! A stage holds back only what could still become a find. It knows no other encoding of what it looks for.

use aho_corasick::AhoCorasick;
use std::sync::OnceLock;

/// What stands where something was taken out.
pub(super) const MARKER: &str = "[redacted:prohibited]";

/// Longest label between `-----BEGIN ` and `-----`.
const LABEL_BYTES_MAX: usize = 64;
/// A key is taken out up to its end or so far; without a bound one line of a manual would swallow all that follows.
const KEY_BYTES_MAX: usize = 64 * 1024;
const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";

const CARD_DIGITS_MIN: usize = 13;
const CARD_DIGITS_MAX: usize = 19;
/// Groups of digits in a written card number, at most.
const GROUPS_MAX: usize = 5;

/// Private keys in PEM form.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys {
    held: Vec<u8>,
    /// Inside a key: bytes of it taken out so far.
    inside: Option<usize>,
    pub(super) found: u64,
}

/// What the bytes after a beginning are.
enum Header {
    /// A private key; its header has so many bytes.
    Private(usize),
    Other,
    /// More bytes are needed.
    Open,
}

impl Keys {
    pub(super) fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let mut window = std::mem::take(&mut self.held);
        window.extend_from_slice(bytes);
        let mut rest = window.as_slice();
        loop {
            let taken = match self.inside {
                Some(dropped) => self.inside(rest, dropped),
                None => self.outside(rest, out),
            };
            match taken {
                Some(count) => rest = rest.get(count..).unwrap_or_default(),
                None => return,
            }
        }
    }

    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        let held = std::mem::take(&mut self.held);
        if self.inside.take().is_none() {
            out.extend_from_slice(&held);
        }
    }

    /// Passes text on up to a key. Gives how much was used, or nothing when all was.
    fn outside(&mut self, rest: &[u8], out: &mut Vec<u8>) -> Option<usize> {
        let Some(at) = find(BEGIN, rest) else {
            let keep = overlap(rest, BEGIN);
            let (pass, held) = rest.split_at(rest.len() - keep);
            out.extend_from_slice(pass);
            self.held = held.to_vec();
            return None;
        };
        let (before, header) = rest.split_at(at);
        out.extend_from_slice(before);
        match header_of(header, BEGIN) {
            Header::Private(length) => {
                out.extend_from_slice(MARKER.as_bytes());
                self.found += 1;
                self.inside = Some(0);
                Some(at + length)
            }
            Header::Other => {
                out.extend_from_slice(BEGIN);
                Some(at + BEGIN.len())
            }
            Header::Open => {
                self.held = header.to_vec();
                None
            }
        }
    }

    /// Drops bytes up to the end of the key.
    fn inside(&mut self, rest: &[u8], dropped: usize) -> Option<usize> {
        let (used, ended) = match find(END, rest) {
            None => (rest.len() - overlap(rest, END), false),
            Some(at) => match header_of(rest.get(at..).unwrap_or_default(), END) {
                Header::Private(length) => (at + length, true),
                Header::Other => (at + END.len(), false),
                Header::Open => (at, false),
            },
        };
        let dropped = dropped + used;
        let over = ended || dropped > KEY_BYTES_MAX;
        self.inside = (!over).then_some(dropped);
        if used > 0 && used < rest.len() {
            return Some(used);
        }
        self.held = rest.get(used..).unwrap_or_default().to_vec();
        None
    }
}

/// What begins with `tag` at the start of `bytes`.
fn header_of(bytes: &[u8], tag: &[u8]) -> Header {
    let rest = bytes.get(tag.len()..).unwrap_or_default();
    let plain = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b' ';
    let label_bytes = rest.iter().position(|byte| !plain(byte)).unwrap_or(rest.len());
    if label_bytes > LABEL_BYTES_MAX {
        return Header::Other;
    }
    let (label, after) = rest.split_at(label_bytes);
    if after.starts_with(DASHES) {
        let private = label.ends_with(b"PRIVATE KEY") || label.ends_with(b"PRIVATE KEY BLOCK");
        return if private {
            Header::Private(tag.len() + label_bytes + DASHES.len())
        } else {
            Header::Other
        };
    }
    if DASHES.starts_with(after) {
        Header::Open
    } else {
        Header::Other
    }
}

/// How many bytes at the end of `text` begin `tag` without being all of it.
fn overlap(text: &[u8], tag: &[u8]) -> usize {
    (1..tag.len())
        .rev()
        .find(|length| tag.get(..*length).is_some_and(|part| text.ends_with(part)))
        .unwrap_or(0)
}

fn find(tag: &[u8], text: &[u8]) -> Option<usize> {
    static BUILT: OnceLock<Option<(AhoCorasick, AhoCorasick)>> = OnceLock::new();
    let built = BUILT.get_or_init(|| Some((AhoCorasick::new([BEGIN]).ok()?, AhoCorasick::new([END]).ok()?)));
    match built {
        Some((begin, end)) => {
            let finder = if tag == BEGIN { begin } else { end };
            finder.find(text).map(|found| found.start())
        }
        None => text.windows(tag.len()).position(|window| window == tag),
    }
}

/// Numbers of payment cards: 13 to 19 digits in one piece or in the groups in which they are printed, with the
/// first digits of an issuer and a right check digit.
#[derive(Clone, Debug, Default)]
pub(super) struct Cards {
    /// What could still become a number: groups of digits and what stands between them.
    held: Vec<u8>,
    groups: Vec<usize>,
    separator: u8,
    mode: Mode,
    /// The two bytes that passed last.
    last: [u8; 2],
    pub(super) found: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Mode {
    #[default]
    Free,
    /// In a group of digits.
    Digits,
    /// Behind a separator that may join two groups.
    Between,
    /// In digits that are part of something longer.
    Skip,
}

impl Cards {
    pub(super) fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let mut rest = bytes;
        while let Some(byte) = rest.first().copied() {
            if self.mode == Mode::Free {
                let digit = rest.iter().position(u8::is_ascii_digit).unwrap_or(rest.len());
                if digit > 0 {
                    let (pass, more) = rest.split_at(digit);
                    self.pass(pass, out);
                    rest = more;
                    continue;
                }
            }
            self.take(byte, out);
            rest = rest.get(1..).unwrap_or_default();
        }
    }

    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        if self.mode == Mode::Digits {
            self.end_of_group(out);
        }
        self.flush(out);
        self.mode = Mode::Free;
        self.last = [0; 2];
    }

    fn pass(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(bytes);
        for byte in bytes.iter().rev().take(2).rev() {
            self.last = [self.last[1], *byte];
        }
    }

    fn flush(&mut self, out: &mut Vec<u8>) {
        let held = std::mem::take(&mut self.held);
        self.groups.clear();
        self.pass(&held, out);
    }

    fn take(&mut self, byte: u8, out: &mut Vec<u8>) {
        match self.mode {
            Mode::Free => self.free(byte, out),
            Mode::Skip => {
                if !byte.is_ascii_digit() {
                    self.mode = Mode::Free;
                }
                self.pass(&[byte], out);
            }
            Mode::Digits => self.digits(byte, out),
            Mode::Between if byte.is_ascii_digit() => {
                if self.groups.len() == GROUPS_MAX {
                    self.drop_first(out);
                }
                self.held.push(byte);
                self.groups.push(1);
                self.mode = Mode::Digits;
            }
            Mode::Between => {
                self.flush(out);
                self.mode = Mode::Free;
                self.pass(&[byte], out);
            }
        }
    }

    fn free(&mut self, byte: u8, out: &mut Vec<u8>) {
        if !byte.is_ascii_digit() {
            return self.pass(&[byte], out);
        }
        let [before, last] = self.last;
        let fraction = last == b'.' && before.is_ascii_digit();
        if is_word(last) || fraction {
            self.mode = Mode::Skip;
            return self.pass(&[byte], out);
        }
        self.held.push(byte);
        self.groups.push(1);
        self.separator = 0;
        self.mode = Mode::Digits;
    }

    fn digits(&mut self, byte: u8, out: &mut Vec<u8>) {
        if byte.is_ascii_digit() {
            self.held.push(byte);
            if let Some(last) = self.groups.last_mut() {
                *last += 1;
                if *last > CARD_DIGITS_MAX {
                    self.flush(out);
                    self.mode = Mode::Skip;
                }
            }
            return;
        }
        let joins = byte == b' ' || byte == b'-';
        if !is_word(byte) && self.end_of_group(out) {
            self.mode = Mode::Free;
            self.pass(&[byte], out);
        } else if joins {
            // Groups of one number are all parted in the same way.
            while self.groups.len() > 1 && self.separator != byte {
                self.drop_first(out);
            }
            self.separator = byte;
            self.held.push(byte);
            self.mode = Mode::Between;
        } else {
            self.flush(out);
            self.mode = Mode::Free;
            self.pass(&[byte], out);
        }
    }

    /// Lets the first group and its separator pass.
    fn drop_first(&mut self, out: &mut Vec<u8>) {
        let length = self.groups.remove(0) + 1;
        let rest = self.held.split_off(length.min(self.held.len()));
        let first = std::mem::replace(&mut self.held, rest);
        self.pass(&first, out);
    }

    /// Writes the marker where the groups up to here end with the number of a card.
    fn end_of_group(&mut self, out: &mut Vec<u8>) -> bool {
        for from in 0..self.groups.len() {
            let groups = self.groups.get(from..).unwrap_or_default();
            let written = groups.iter().sum::<usize>() + groups.len() - 1;
            let start = self.held.len().saturating_sub(written);
            let digits: Vec<u8> = self
                .held
                .get(start..)
                .unwrap_or_default()
                .iter()
                .filter(|byte| byte.is_ascii_digit())
                .map(|byte| byte - b'0')
                .collect();
            if grouped(groups) && is_card(&digits) {
                self.held.truncate(start);
                self.flush(out);
                self.pass(MARKER.as_bytes(), out);
                self.found += 1;
                return true;
            }
        }
        false
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Whether digits in such groups can be one number: all together, in fours, or 4-6-5 and 4-6-4.
fn grouped(groups: &[usize]) -> bool {
    match groups {
        [_] | [4, 6, 4 | 5] => true,
        [4, 4, 4, last] => (1..=4).contains(last),
        [4, 4, 4, 4, last] => (1..=3).contains(last),
        _ => false,
    }
}

/// Whether digits are the number of a payment card.
fn is_card(digits: &[u8]) -> bool {
    (CARD_DIGITS_MIN..=CARD_DIGITS_MAX).contains(&digits.len()) && issued(digits) && luhn(digits)
}

/// Whether an issuer's numbers begin so and are so long.
fn issued(digits: &[u8]) -> bool {
    let first = |count: usize| {
        digits
            .iter()
            .take(count)
            .fold(0_u32, |n, digit| n * 10 + u32::from(*digit))
    };
    let (two, three, four, six) = (first(2), first(3), first(4), first(6));
    match digits.len() {
        13 => first(1) == 4,
        14 => matches!(three, 300..=305) || matches!(two, 36 | 38 | 39) || four == 3095,
        15 => matches!(two, 34 | 37),
        16 => {
            let visa_or_mastercard = first(1) == 4 || matches!(two, 51..=55) || matches!(four, 2221..=2720);
            visa_or_mastercard || long(two, three, four, six)
        }
        17 | 18 => long(two, three, four, six),
        _ => first(1) == 4 || long(two, three, four, six),
    }
}

/// Issuers whose numbers have 16 to 19 digits: Discover, UnionPay, JCB, Maestro.
fn long(two: u32, three: u32, four: u32, six: u32) -> bool {
    matches!(two, 62 | 65)
        || matches!(three, 644..=649)
        || matches!(four, 6011 | 3528..=3589 | 5018 | 5020 | 5038 | 5893 | 6304 | 6759 | 6761..=6763)
        || matches!(six, 622_126..=622_925)
}

/// The check digit (ISO/IEC 7812-1).
fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(i, digit)| match (i % 2, u32::from(*digit)) {
            (0, digit) => digit,
            (_, digit) if digit > 4 => digit * 2 - 9,
            (_, digit) => digit * 2,
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cards(text: &str, size: usize) -> String {
        let (mut stage, mut out) = (Cards::default(), Vec::new());
        for chunk in text.as_bytes().chunks(size) {
            stage.push(chunk, &mut out);
        }
        stage.finish(&mut out);
        String::from_utf8(out).unwrap()
    }

    fn keys(text: &str, size: usize) -> String {
        let (mut stage, mut out) = (Keys::default(), Vec::new());
        for chunk in text.as_bytes().chunks(size) {
            stage.push(chunk, &mut out);
        }
        stage.finish(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn card_numbers_are_taken_out_wherever_chunks_are_cut() {
        for (text, expected) in [
            ("4111111111111111", "#"),
            ("pay 4111 1111 1111 1111 now", "pay # now"),
            ("pay 4111-1111-1111-1111.", "pay #."),
            ("amex 3782 822463 10005, 378282246310005", "amex #, #"),
            ("mc=5555555555554444;2223003122003222", "mc=#;#"),
            (
                "discover 6011111111111117 jcb 3530111333300000",
                "discover # jcb #",
            ),
            ("diners 30569309025904 and 3056 930902 5904", "diners # and #"),
            ("union 6200000000000005", "union #"),
            ("visa 4222222222222 visa 4000000000000000006", "visa # visa #"),
            ("12 4111 1111 1111 1111 07", "12 # 07"),
            ("1-2 4111 1111 1111 1111", "1-2 #"),
            ("1 2 3 4 5 6 7 8 9 4111111111111111 10", "1 2 3 4 5 6 7 8 9 # 10"),
            (
                r#"{"pan":"4111111111111111","n":4111111111111111}"#,
                r##"{"pan":"#","n":#}"##,
            ),
            ("4111111111111111\n4111111111111111\n", "#\n#\n"),
        ] {
            for size in [1, 2, 3, 5, 7, 16, 1000] {
                assert_eq!(
                    cards(text, size),
                    expected.replace('#', MARKER),
                    "{text} in chunks of {size}"
                );
            }
        }
    }

    #[test]
    fn other_numbers_stay() {
        for text in [
            // Wrong check digit, as with most order numbers.
            "4111111111111112",
            "order 4929123412341235",
            "4111 1111 1111 1112",
            // No issuer begins so.
            "1700000000000000",
            "9999999999999995",
            // Times in seconds, milliseconds, microseconds, nanoseconds.
            "1763741322 1763741322123 1763741322123456 1763741322123456789",
            "20261121160842123",
            // UUIDs and hashes, also of digits alone.
            "0b0f8e4c-6f0e-4d0a-9c39-0d4f0a1b2c3d",
            "00000000-4111-1111-1111-111111111111",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "a4111111111111111b",
            "4111111111111111f",
            "x_4111111111111111",
            "41111111111111111111111111",
            "0.4111111111111111",
            // Groups in which no number is printed.
            "41 11 11 11 11 11 11 11",
            "4111 1111-1111 1111",
            "4111  1111  1111  1111",
            "2026-11-21 16:08:42 10 20 30 40",
            "+49 30 901820 192.168.100.100 978-3-16-148410-0",
        ] {
            for size in [1, 3, 1000] {
                assert_eq!(cards(text, size), text, "in chunks of {size}");
            }
        }
    }

    #[test]
    fn only_what_can_become_a_number_is_held_back() {
        let (mut stage, mut out) = (Cards::default(), Vec::new());
        stage.push(b"Name: ", &mut out);
        assert_eq!(out, b"Name: ");
        stage.push(b"4", &mut out);
        assert_eq!(out, b"Name: ");
        stage.push(b"2 is it", &mut out);
        assert_eq!(out, b"Name: 42 is it");
        for _ in 0..1000 {
            stage.push(&[b'7'; 1000], &mut out);
            stage.push(b" 1 2 3 4 5 6 7 8 9", &mut out);
        }
        assert!(stage.held.len() < 64 && stage.groups.len() <= GROUPS_MAX);
    }

    #[test]
    fn private_keys_are_taken_out_wherever_chunks_are_cut() {
        let body = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nqwertyuiop==\n";
        for label in [
            "PRIVATE KEY",
            "RSA PRIVATE KEY",
            "OPENSSH PRIVATE KEY",
            "PGP PRIVATE KEY BLOCK",
        ] {
            let text = format!("a --- b\n-----BEGIN {label}-----\n{body}-----END {label}-----\nafter -----");
            for size in [1, 2, 3, 10, 11, 30, 1000] {
                assert_eq!(
                    keys(&text, size),
                    format!("a --- b\n{MARKER}\nafter -----"),
                    "{label}, {size}"
                );
            }
        }
        let two = format!("-----BEGIN PRIVATE KEY-----\n{body}-----END PRIVATE KEY-----\n").repeat(2);
        assert_eq!(keys(&two, 7), format!("{MARKER}\n{MARKER}\n"));
        let cut = format!("x -----BEGIN EC PRIVATE KEY-----\n{body}");
        assert_eq!(
            keys(&cut, 5),
            format!("x {MARKER}"),
            "without an end all that follows goes"
        );
    }

    #[test]
    fn what_is_no_private_key_stays() {
        for text in [
            "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----",
            "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
            "-----BEGIN ",
            "-----BEGIN PRIVATE KEY",
            "-----BEGIN a PRIVATE KEY-----",
            "----------BEGIN ----- PRIVATE KEY-----",
        ] {
            for size in [1, 4, 1000] {
                assert_eq!(keys(text, size), text, "in chunks of {size}");
            }
        }
    }

    #[test]
    fn a_beginning_alone_does_not_swallow_everything() {
        let manual = format!(
            "-----BEGIN PRIVATE KEY-----{}",
            "a line of a manual\n".repeat(10_000)
        );
        let left = keys(&manual, 4096);
        assert!(left.len() > manual.len() - KEY_BYTES_MAX - 5000, "{}", left.len());
    }
}

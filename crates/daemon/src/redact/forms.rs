//! The forms in which a secret can turn up: itself, its lines, and its usual encodings.

use super::SPREAD_BYTES_MIN;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use std::collections::BTreeSet;

/// Shortest secret whose encodings are looked for; the encodings of shorter ones occur by chance.
const ENCODED_BYTES_MIN: usize = 6;
/// Longest; a larger one is a file, and a file that is printed encoded is printed in lines.
const ENCODED_BYTES_MAX: usize = 8 * 1024;
/// Shortest line of a longer secret that counts by itself.
const LINE_BYTES_MIN: usize = 12;
/// Shortest piece of base64 that counts.
const PIECE_CHARS_MIN: usize = 8;

/// Every form of a secret, each at least [`SPREAD_BYTES_MIN`] long; none for one that is too short.
pub(super) fn of(secret: &str) -> BTreeSet<Vec<u8>> {
    let plain = secret.trim();
    let mut forms = BTreeSet::new();
    if plain.len() < SPREAD_BYTES_MIN {
        return forms;
    }
    forms.insert(plain.as_bytes().to_vec());
    if plain.contains('\n') {
        let lines = plain
            .lines()
            .map(str::trim)
            .filter(|line| line.len() >= LINE_BYTES_MIN && !line.starts_with("-----"));
        forms.extend(lines.map(|line| line.as_bytes().to_vec()));
    }
    if (ENCODED_BYTES_MIN..=ENCODED_BYTES_MAX).contains(&plain.len()) {
        forms.extend(base64_pieces(plain.as_bytes()));
        forms.extend(hex(plain.as_bytes()));
        forms.extend(escaped(plain));
    }
    forms
}

/// Base64 of the secret alone, and the piece it leaves in the base64 of a longer text at each of the three
/// alignments, without the characters that also depend on what stands before and after it.
fn base64_pieces(secret: &[u8]) -> Vec<Vec<u8>> {
    let mut pieces = vec![STANDARD.encode(secret), URL_SAFE.encode(secret)];
    for (shift, skip) in [(0, 0), (1, 2), (2, 3)] {
        let mut shifted = vec![0; shift];
        shifted.extend_from_slice(secret);
        let whole = STANDARD_NO_PAD.encode(&shifted);
        let end = shifted.len() * 8 / 6;
        if let Some(piece) = whole
            .get(skip..end)
            .filter(|piece| piece.len() >= PIECE_CHARS_MIN)
        {
            pieces.push(piece.replace('+', "-").replace('/', "_"));
            pieces.push(piece.to_owned());
        }
    }
    pieces.into_iter().map(String::into_bytes).collect()
}

fn hex(secret: &[u8]) -> [Vec<u8>; 2] {
    let lower: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    [lower.to_ascii_uppercase().into_bytes(), lower.into_bytes()]
}

/// As part of an address, of a form, and of a JSON text.
fn escaped(secret: &str) -> Vec<Vec<u8>> {
    let percent = |keep_space: bool, upper: bool| -> Vec<u8> {
        let mut out = String::new();
        for byte in secret.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    out.push(char::from(byte));
                }
                b' ' if keep_space => out.push('+'),
                _ if upper => out.push_str(&format!("%{byte:02X}")),
                _ => out.push_str(&format!("%{byte:02x}")),
            }
        }
        out.into_bytes()
    };
    let mut forms = vec![
        percent(false, true),
        percent(false, false),
        percent(true, true),
        percent(true, false),
    ];
    let json = serde_json::Value::from(secret).to_string();
    forms.extend(json.get(1..json.len() - 1).map(|inner| inner.as_bytes().to_vec()));
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(secret: &str, text: &[u8]) -> bool {
        of(secret)
            .iter()
            .any(|form| text.windows(form.len()).any(|window| window == form))
    }

    #[test]
    fn encodings_are_found_at_every_alignment() {
        let secret = "hunter2/Pass word?";
        for before in ["", "a", "ab", "abc"] {
            let text = format!("{before}{secret} and more");
            assert!(
                found(secret, STANDARD.encode(&text).as_bytes()),
                "base64 after {}",
                before.len()
            );
            assert!(
                found(secret, URL_SAFE.encode(&text).as_bytes()),
                "url-safe after {}",
                before.len()
            );
        }
        assert!(found(secret, b"68756e746572322f5061737320776f72643f"));
        assert!(found(secret, b"q=hunter2%2FPass%20word%3F&"));
        assert!(found(secret, b"q=hunter2%2fPass+word%3f&"));
        assert!(found("say \"hi\"\n", br#"{"x":"say \"hi\"\n"}"#));
    }

    #[test]
    fn a_line_of_a_key_is_found_indented() {
        let key =
            "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG\nqwertyuiopasdfgh\n-----END PRIVATE KEY-----";
        assert!(found(key, b"    qwertyuiopasdfgh\r\n"));
        assert!(!found(key, b"-----BEGIN PRIVATE KEY-----"));
    }

    #[test]
    fn short_values_have_no_form() {
        assert!(of("abc").is_empty());
        assert_eq!(of("abcd").len(), 1);
    }
}

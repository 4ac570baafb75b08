//! Shapes of well-known secrets in any text, and assignments that name one.
//!
//! A shape is only taken where it can hardly be anything else: hashes, UUIDs and base64 have none.

use regex::Regex;
use std::ops::Range;
use std::sync::OnceLock;

/// What a secret must have besides its shape.
type Check = fn(&str) -> bool;

struct Shape {
    expression: Regex,
    check: Check,
}

/// Expressions whose first group is the secret.
const SHAPES: &[(&str, Check)] = &[
    // OpenAI, Anthropic and others: `sk-`, `sk-proj-`, `sk-ant-`.
    (r"(?-u:\b)(sk-[A-Za-z0-9_-]{20,})", has_digit),
    (r"(?-u:\b)(gh[pousr]_[A-Za-z0-9]{20,255})", any),
    (r"(?-u:\b)(github_pat_[A-Za-z0-9_]{20,255})", any),
    (r"(?-u:\b)((?:AKIA|ASIA)[A-Z0-9]{16})(?-u:\b)", any),
    (r"(?-u:\b)(xox[abeoprs]-[A-Za-z0-9-]{10,})", has_digit),
    (r"(?-u:\b)(AIza[A-Za-z0-9_-]{35})", any),
    (r"(?-u:\b)([sr]k_(?:live|test)_[A-Za-z0-9]{16,})", any),
    (r"(?-u:\b)(glpat-[A-Za-z0-9_-]{20,})", any),
    (r"(?-u:\b)(npm_[A-Za-z0-9]{36})(?-u:\b)", any),
    (r"(?-u:\b)(hf_[A-Za-z0-9]{30,})", any),
    (r"(?-u:\b)(pypi-[A-Za-z0-9_-]{40,})", any),
    // Tokens of this program, named ones and those of running commands.
    (r"(?-u:\b)(actum_(?:run\.)?[A-Za-z0-9_-]{43,})", any),
    // A JWT: header and body are JSON objects, so both begin alike.
    (
        r"(?-u:\b)(eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*)",
        any,
    ),
    (r"(?i-u:\bbearer) +([A-Za-z0-9._~+/-]{16,}=*)", has_digit),
    (
        r"(?i-u:\bauthorization): *(?i-u:basic|token) +([A-Za-z0-9._~+/-]{6,}=*)",
        any,
    ),
    (r#"(?i-u:\bx-api-key): *([^ \t\r\n"']{8,})"#, any),
    (
        r"(-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----(?s:.*?)(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\z))",
        any,
    ),
    // The password in an address.
    (
        r#"[A-Za-z][A-Za-z0-9+.-]*://[^ \t\r\n/:@"']*:([^ \t\r\n/@"']+)@"#,
        not_a_variable,
    ),
    // A parameter in an address.
    (
        r#"[?&](?i-u:access_token|api_?key|auth|client_secret|password|secret|sig|token)=([^ \t\r\n&#"']{8,})"#,
        not_a_variable,
    ),
    // A variable set in a script. In free text only a value that looks random counts.
    (
        r#"(?-u:\b)[A-Z][A-Z0-9_]*(?:_TOKEN|_KEY|_SECRET|_PASSWORD|PASSWORD)=["']?([A-Za-z0-9._~+/=@%^&*!-]{8,})"#,
        has_digit,
    ),
];

/// Where secrets stand in `text`, ascending, without overlap.
fn find(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for shape in shapes() {
        for captures in shape.expression.captures_iter(text) {
            if let Some(secret) = captures.get(1).filter(|secret| (shape.check)(secret.as_str())) {
                found.push(secret.range());
            }
        }
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

/// The same for a text that may be one argument: then an assignment to a secret is taken whatever its value.
pub(super) fn find_in_argument(text: &str) -> Vec<Range<usize>> {
    match assigned(text) {
        Some(start) => std::iter::once(start..text.len()).collect(),
        None => find(text),
    }
}

/// Where the value of `--password=value` or `PASSWORD=value` begins, if the whole text is one.
fn assigned(text: &str) -> Option<usize> {
    let (name, value) = text.split_once('=')?;
    let plain = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    let taken = plain && !value.is_empty() && not_a_variable(value) && super::names::is_secret(name);
    taken.then_some(name.len() + 1)
}

fn shapes() -> &'static [Shape] {
    static BUILT: OnceLock<Vec<Shape>> = OnceLock::new();
    BUILT.get_or_init(|| {
        let build = |(text, check): &(&str, Check)| {
            Some(Shape {
                expression: Regex::new(text).ok()?,
                check: *check,
            })
        };
        SHAPES.iter().filter_map(build).collect()
    })
}

fn any(_: &str) -> bool {
    true
}

fn has_digit(secret: &str) -> bool {
    secret.bytes().any(|byte| byte.is_ascii_digit())
}

/// `$PASSWORD` and `{{ password }}` only name a secret.
fn not_a_variable(value: &str) -> bool {
    !value.starts_with(['$', '{', '<', '%', '['])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(text: &str) -> Vec<&str> {
        find(text).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn every_expression_is_well_formed() {
        assert_eq!(shapes().len(), SHAPES.len());
    }

    #[test]
    fn known_shapes_are_found_inside_longer_text() {
        let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl";
        for (text, secret) in [
            (
                "key sk-proj-abcDEF123456789012345678 end",
                "sk-proj-abcDEF123456789012345678",
            ),
            (
                "ghp_0123456789abcdefghijABCDEFGHIJ012345.",
                "ghp_0123456789abcdefghijABCDEFGHIJ012345",
            ),
            (
                "x=github_pat_11ABCDEFG0123456789_abcdefgh",
                "github_pat_11ABCDEFG0123456789_abcdefgh",
            ),
            ("id AKIAIOSFODNN7EXAMPLE,", "AKIAIOSFODNN7EXAMPLE"),
            ("xoxb-123456789012-abcdefABCDEF", "xoxb-123456789012-abcdefABCDEF"),
            (
                "-H 'Authorization: Bearer abcdef0123456789XYZ'",
                "abcdef0123456789XYZ",
            ),
            ("authorization: basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
            (&format!("cookie={jwt};"), jwt),
            ("postgres://bob:hunter2@db/x", "hunter2"),
            ("https://h/p?a=1&token=abcdef1234&b=2", "abcdef1234"),
            ("export DB_PASSWORD='hunter2hunter2'; run", "hunter2hunter2"),
        ] {
            assert_eq!(secrets(text), [secret], "{text}");
        }
    }

    #[test]
    fn a_private_key_is_taken_whole_even_without_its_end() {
        let key = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaA==\n-----END OPENSSH PRIVATE KEY-----";
        assert_eq!(secrets(&format!("a {key} b")), [key]);
        assert_eq!(
            secrets("-----BEGIN PRIVATE KEY-----\nMII"),
            ["-----BEGIN PRIVATE KEY-----\nMII"]
        );
        assert!(secrets("-----BEGIN PUBLIC KEY-----\nMII\n-----END PUBLIC KEY-----").is_empty());
    }

    #[test]
    fn ordinary_text_has_no_shape() {
        for text in [
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "0b0f8e4c-6f0e-4d0a-9c39-0d4f0a1b2c3d",
            "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
            "eyJhbGciOiJIUzI1NiJ9",
            "the bearer authentication-scheme of RFC 6750",
            "task-force-one-two-three-four-five-12345",
            "sk-folding-cube-animation-loader",
            "max_tokens=100 --tokens 5",
            "http://localhost:8080/path?page=2",
            "git@github.com:owner/name.git",
            "export DB_PASSWORD=$DB_PASSWORD",
            "export API_KEY=your-key-goes-here",
            "https://x.org/?token=$TOKEN_VALUE_HERE",
            "ASIAN MARKETS AKIA",
        ] {
            assert!(secrets(text).is_empty(), "{text}: {:?}", secrets(text));
        }
    }

    #[test]
    fn an_assignment_of_one_argument_needs_no_shape() {
        assert_eq!(assigned("--password=x"), Some(11));
        assert_eq!(assigned("PGPASSWORD=hunter"), Some(11));
        assert_eq!(assigned("--password=$PASS"), None);
        assert_eq!(assigned("--max-tokens=5"), None);
        assert_eq!(assigned("if password=x"), None);
    }
}

//! The small words of grants, and how a stranger's text is shown in a message.

use super::BadGrant;

/// Longest piece of a stranger's text in a message, in characters.
const SHOWN_CHARS_MAX: usize = 120;

/// A text of unknown origin, cut and without control characters.
pub(crate) fn shown(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(SHOWN_CHARS_MAX)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if text.chars().count() > SHOWN_CHARS_MAX {
        shown.push('…');
    }
    shown
}

pub(super) fn env_name(name: &str) -> Result<String, BadGrant> {
    let mut bytes = name.bytes();
    let first = bytes
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    if first && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Ok(name.to_owned());
    }
    Err(BadGrant::new(format!(
        "expected the name of an environment variable, got `{}`",
        shown(name)
    )))
}

pub(super) fn program(program: &str) -> Result<String, BadGrant> {
    let plain = !program.is_empty() && !program.contains('\0');
    if plain && (program.starts_with('/') || !program.contains('/')) {
        return Ok(program.to_owned());
    }
    Err(BadGrant::new(format!(
        "expected the name of a program or its absolute path, got `{}`",
        shown(program)
    )))
}

/// HTTP methods that can be granted and used. CONNECT and TRACE are none of them: they are about proxies.
pub(crate) const METHODS: &[&str] = &["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];

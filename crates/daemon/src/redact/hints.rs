//! A quick look: can there be a secret in this JSON at all? Most commands are settled here, in one pass over
//! their bytes. It may say yes for nothing; it must never say no where a rule would find something.

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use std::sync::OnceLock;

/// What every name and every shape holds at least, in ASCII lower case.
const WORDS: &[&str] = &[
    "passw",
    "passphrase",
    "passcode",
    "_pass",
    "_pat",
    "_pwd",
    "secret",
    "token",
    "authorization",
    "credential",
    "key",
    "bearer",
    "basic",
    "-----begin",
    "eyj",
    "://",
    "sig=",
    "auth=",
    "sk-",
    "sk_",
    "rk_",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "akia",
    "asia",
    "xox",
    "aiza",
    "glpat-",
    "npm_",
    "hf_",
    "pypi-",
    "actum_",
];

/// Whether the rules have to look closer.
pub(super) fn any(json: &str) -> bool {
    let Some(words) = words() else { return true };
    // A member that is just named `key` names no secret; `session.annotate` has one in every command.
    words.find_overlapping_iter(json).any(|found| {
        WORDS.get(found.pattern().as_usize()) != Some(&"key")
            || !json.get(..found.start()).is_some_and(|b| b.ends_with('"'))
    })
}

fn words() -> Option<&'static AhoCorasick> {
    static BUILT: OnceLock<Option<AhoCorasick>> = OnceLock::new();
    let build = || {
        let kind = Some(AhoCorasickKind::DFA);
        AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .kind(kind)
            .build(WORDS)
            .ok()
    };
    BUILT.get_or_init(build).as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::names;

    #[test]
    fn no_name_of_a_secret_is_passed_over() {
        // The bug: `passcode`, `_PAT` and signed addresses were known to the rules and not to the quick look.
        for word in names::WORDS {
            assert!(any(&format!(r#"{{"{word}":"x"}}"#)), "{word}");
        }
        for key in names::KEYS {
            assert!(any(&format!(r#"{{"{key}_key":"x"}}"#)), "{key}_key");
        }
        for variable in names::VARIABLES {
            assert!(any(&format!(r#"{{"env":{{"X{variable}":"x"}}}}"#)), "{variable}");
        }
        for parameter in [
            "access_token",
            "api_key",
            "auth",
            "client_secret",
            "password",
            "secret",
            "sig",
            "token",
        ] {
            assert!(
                any(&format!(r#"["host/path?a=1&{parameter}=abcdefghij"]"#)),
                "{parameter}"
            );
        }
    }

    #[test]
    fn an_ordinary_annotation_is_settled_here() {
        assert!(!any(
            r#"{"key":"step","value":{"n":7,"note":"5d41402abc4b2a76b9719d911017c592"}}"#
        ));
    }

    #[test]
    fn names_and_shapes_are_looked_at_closer() {
        for json in [
            r#"{"apiKey":1}"#,
            r#"{"API_KEY":1}"#,
            r#"{"Password":1}"#,
            r#"["x AKIA1"]"#,
            r#"["BEARER x"]"#,
        ] {
            assert!(any(json), "{json}");
        }
    }
}

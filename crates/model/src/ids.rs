//! Ids and names with their alphabets, and the lanes. A value of these types is always well-formed.
//!
//! Most ids are short: up to 23 bytes they stand in place, longer ones are shared, so a copy never allocates.

use crate::limits::ID_CHARS_MAX;
use serde::{Deserialize, Serialize};
use smol_str::{SmolStr, SmolStrBuilder, format_smolstr};
use std::fmt;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadId {
    /// Nothing in it, or too much.
    #[error("expected 1 to {ID_CHARS_MAX} characters, got {0}")]
    Length(usize),
    /// A character outside the alphabet.
    #[error("expected only characters of `{expected}`, got `{found}`")]
    Character {
        /// The alphabet, as a person reads it.
        expected: &'static str,
        /// The first character outside it, escaped.
        found: String,
    },
    /// A prefix only the server may use: commands without an id, and commands that timers submit.
    #[error("the prefixes `anon:` and `timer:` are reserved for ids the server makes")]
    Reserved,
}

fn check(text: &str, expected: &'static str, allowed: fn(char) -> bool) -> Result<(), BadId> {
    if text.is_empty() || text.len() > ID_CHARS_MAX {
        return Err(BadId::Length(text.chars().count()));
    }
    match text.chars().find(|c| !allowed(*c)) {
        Some(found) => Err(BadId::Character {
            expected,
            found: found.escape_debug().to_string(),
        }),
        None => Ok(()),
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(SmolStr);

        impl $name {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0.as_str())
            }
        }
    };
}

text_id! {
    /// Id of a command, unique within its tenant: 1–256 of `[A-Za-z0-9_.:-]`.
    CommandId
}
text_id! {
    /// Id of a session, unique within its tenant: 1–256 of `[A-Za-z0-9_.-]`.
    SessionId
}
text_id! {
    /// Who calls, as the transport authenticated it. Never taken from a message body.
    Principal
}
text_id! {
    /// The tenant a principal belongs to: the scope of command ids, sessions and lanes.
    Tenant
}
text_id! {
    /// An idempotency key: 1–256 printable ASCII characters without spaces.
    IdempotencyKey
}
text_id! {
    /// Name of a command kind, `area.verb`.
    Kind
}

impl CommandId {
    /// Checks an id that a client sent.
    ///
    /// # Errors
    /// When it is empty, too long, outside the alphabet or uses the reserved prefix.
    pub fn parse(text: &str) -> Result<CommandId, BadId> {
        if text.starts_with("anon:") || text.starts_with("timer:") {
            return Err(BadId::Reserved);
        }
        CommandId::parse_any(text)
    }

    /// Checks an id that may be one the server made, as in `dependsOn` or `command.get`.
    ///
    /// # Errors
    /// When it is empty, too long or outside the alphabet.
    pub fn parse_any(text: &str) -> Result<CommandId, BadId> {
        check(text, "A-Z a-z 0-9 _ . : -", |c| {
            c.is_ascii_alphanumeric() || "_.:-".contains(c)
        })?;
        Ok(CommandId(text.into()))
    }

    /// The id the server gives to command number `seq` when the client named none.
    #[must_use]
    pub fn anonymous(seq: u64) -> CommandId {
        CommandId(format!("anon:{seq}").into())
    }

    /// The command number in an id the server made.
    #[must_use]
    pub fn anonymous_seq(&self) -> Option<u64> {
        let digits = self.0.strip_prefix("anon:")?;
        let seq: u64 = digits.parse().ok()?;
        (digits == seq.to_string()).then_some(seq)
    }
}

impl SessionId {
    /// Checks a session id.
    ///
    /// # Errors
    /// When it is empty, too long or outside the alphabet.
    pub fn parse(text: &str) -> Result<SessionId, BadId> {
        check(text, "A-Z a-z 0-9 _ . -", |c| {
            c.is_ascii_alphanumeric() || "_.-".contains(c)
        })?;
        Ok(SessionId(text.into()))
    }
}

impl IdempotencyKey {
    /// Checks an idempotency key.
    ///
    /// # Errors
    /// When it is empty, too long or holds anything but printable ASCII.
    pub fn parse(text: &str) -> Result<IdempotencyKey, BadId> {
        check(text, "printable ASCII without spaces", |c| c.is_ascii_graphic())?;
        Ok(IdempotencyKey(text.into()))
    }
}

impl Principal {
    /// Checks the name of a principal (token names use the same alphabet as sessions).
    ///
    /// # Errors
    /// When it is empty, too long or outside the alphabet.
    pub fn parse(text: &str) -> Result<Principal, BadId> {
        check(text, "A-Z a-z 0-9 _ . -", |c| {
            c.is_ascii_alphanumeric() || "_.-".contains(c)
        })?;
        Ok(Principal(text.into()))
    }
}

impl Tenant {
    /// Checks the name of a tenant.
    ///
    /// # Errors
    /// When it is empty, too long or outside the alphabet.
    pub fn parse(text: &str) -> Result<Tenant, BadId> {
        check(text, "A-Z a-z 0-9 _ . -", |c| {
            c.is_ascii_alphanumeric() || "_.-".contains(c)
        })?;
        Ok(Tenant(text.into()))
    }

    /// The tenant of a realm that has only one.
    #[must_use]
    pub fn main() -> Tenant {
        Tenant("main".into())
    }
}

impl Kind {
    /// Wraps the name of a command kind; whether it exists is the contract table's to say.
    #[must_use]
    pub fn new(name: &str) -> Kind {
        Kind(name.into())
    }
}

/// Where commands wait for one another: first in, first out, one at a time.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// Commands without a session.
    Server,
    /// Commands of one session.
    Session(SessionId),
    /// Calls made from inside the running command of this number.
    Exec(u64),
}

impl Lane {
    /// The lane as it stands on the wire.
    #[must_use]
    pub fn name(&self) -> SmolStr {
        match self {
            Lane::Server => SmolStr::new_static("server"),
            Lane::Session(id) => {
                let mut name = SmolStrBuilder::new();
                name.push_str("session:");
                name.push_str(id.as_str());
                name.finish()
            }
            Lane::Exec(seq) => format_smolstr!("exec:anon:{seq}"),
        }
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_keep_their_alphabet() {
        assert!(CommandId::parse("a:b-c_d.E9").is_ok());
        assert_eq!(CommandId::parse("anon:3"), Err(BadId::Reserved));
        assert_eq!(CommandId::parse(""), Err(BadId::Length(0)));
        assert_eq!(CommandId::parse(&"x".repeat(257)), Err(BadId::Length(257)));
        assert!(matches!(CommandId::parse("a\u{0}b"), Err(BadId::Character { found, .. }) if found == "\\0"));
        assert!(
            SessionId::parse("a:b").is_err(),
            "a colon would make lane names ambiguous"
        );
    }

    #[test]
    fn anonymous_ids_have_one_spelling() {
        assert_eq!(CommandId::anonymous(7).anonymous_seq(), Some(7));
        assert_eq!(CommandId::parse_any("anon:07").unwrap().anonymous_seq(), None);
        assert_eq!(CommandId::parse_any("anon:+7").ok(), None);
    }
}

//! Ids of nodes, edges and targets, and the two checked names: kinds and attachment keys. A value of these
//! types is always well-formed. Ids are hashes of content; nothing here draws one.

use crate::hash::{BadHash, Hash};
use crate::limits::{GRAPH_KEY_CHARS_MAX, GRAPH_KIND_CHARS_MAX};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use std::fmt;
use std::str::FromStr;

macro_rules! hash_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Hash);

        impl $name {
            /// The 32 bytes, which are the key in the trie.
            #[must_use]
            pub fn bytes(&self) -> &[u8; 32] {
                &self.0.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = BadHash;

            fn from_str(text: &str) -> Result<$name, BadHash> {
                text.parse().map($name)
            }
        }
    };
}

hash_id! {
    /// Id of a node: the hash of its kind and payload. 64 lowercase hex digits in JSON, 32 bytes in CBOR.
    NodeId
}
hash_id! {
    /// Id of an edge: the hash of its ends, kind and payload.
    EdgeId
}
hash_id! {
    /// Id of what an attachment hangs on: of a node or of an edge. The two never coincide, their hashes have
    /// different domains.
    TargetId
}

impl From<NodeId> for TargetId {
    fn from(id: NodeId) -> TargetId {
        TargetId(id.0)
    }
}

impl From<EdgeId> for TargetId {
    fn from(id: EdgeId) -> TargetId {
        TargetId(id.0)
    }
}

/// Why a text is no kind or attachment key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// Nothing in it, or too much.
    #[error("expected 1 to {max} characters, got {found}")]
    Length {
        /// Most characters allowed.
        max: usize,
        /// Characters given.
        found: usize,
    },
    /// A character outside the alphabet.
    #[error("expected only characters of `A-Z a-z 0-9 _ . : -`, got `{0}`")]
    Character(String),
}

fn check(text: &str, max: usize) -> Result<(), BadName> {
    if let Some(found) = text
        .chars()
        .find(|c| !c.is_ascii_alphanumeric() && !"_.:-".contains(*c))
    {
        return Err(BadName::Character(found.escape_debug().to_string()));
    }
    if text.is_empty() || text.len() > max {
        return Err(BadName::Length {
            max,
            found: text.len(),
        });
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident $max:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "SmolStr")]
        pub struct $name(SmolStr);

        impl $name {
            /// Checks a name.
            ///
            /// # Errors
            /// When it is empty, too long or outside the alphabet.
            pub fn parse(text: &str) -> Result<$name, BadName> {
                check(text, $max)?;
                Ok($name(text.into()))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<SmolStr> for $name {
            type Error = BadName;

            fn try_from(text: SmolStr) -> Result<$name, BadName> {
                check(&text, $max)?;
                Ok($name(text))
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

name! {
    /// Kind of a node or edge: `^[A-Za-z0-9_.:-]{1,128}$`. Whether the registry has it is the registry's to say.
    KindName GRAPH_KIND_CHARS_MAX
}
name! {
    /// Key of an attachment: `^[A-Za-z0-9_.:-]{1,256}$`.
    AttachmentKey GRAPH_KEY_CHARS_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_keys_keep_their_alphabet_and_length() {
        assert!(KindName::parse("a:b-c_d.E9").is_ok());
        assert!(KindName::parse(&"k".repeat(128)).is_ok());
        assert_eq!(
            KindName::parse(&"k".repeat(129)),
            Err(BadName::Length { max: 128, found: 129 })
        );
        assert!(AttachmentKey::parse(&"k".repeat(256)).is_ok());
        for bad in ["", " ", "a b", "é", "a\n", "a/b", &"k".repeat(257)] {
            assert!(AttachmentKey::parse(bad).is_err(), "{bad:?}");
        }
    }
}

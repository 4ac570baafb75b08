//! The positional form of the rows that stand in almost every record: in the journal an array of the fields in
//! a fixed order, in JSON the usual object. An array spares the names of the fields, which cost more to store
//! and to read than what they name.
//!
//! Fields that may be absent stand last. An array ends with the last of them that is there; the ones missing
//! behind it have their default. So a field added at the end changes no bytes of older rows, and a row has
//! one encoding.

use serde::de::{Deserialize, DeserializeSeed, Deserializer};
use std::marker::PhantomData;
use std::sync::Arc;

/// Gives a type, which derives serde with `remote = "Self"`, both forms. First the fields that are always
/// there, then those that may be absent. A `&` stands before one that is shared, and is read into its `Arc`.
macro_rules! positional {
    ($name:ident { $($required:ident),* ; $(& $shared:ident ;)? $($optional:ident),* $(,)? }) => {
        #[allow(unused_mut, reason = "rows without absent fields change nothing")]
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeTuple as _;
                if serializer.is_human_readable() {
                    return $name::serialize(self, serializer);
                }
                let always = [$(stringify!($required),)* $(stringify!($shared),)?].len();
                let there = [$(!crate::positional::is_default(&self.$optional)),*];
                let mut kept = there.iter().rposition(|there| *there).map_or(0, |last| last + 1);
                let mut array = serializer.serialize_tuple(always + kept)?;
                $(array.serialize_element(&self.$required)?;)*
                $(array.serialize_element(&self.$shared)?;)?
                $(if kept > 0 {
                    kept -= 1;
                    array.serialize_element(&self.$optional)?;
                })*
                let _ = kept;
                array.end()
            }
        }

        #[allow(unused_mut, reason = "rows without absent fields change nothing")]
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Fields;

                impl<'de> serde::de::Visitor<'de> for Fields {
                    type Value = $name;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str(concat!("the fields of ", stringify!($name), " in an array"))
                    }

                    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<$name, A::Error> {
                        use serde::de::Error as _;
                        $(let Some($required) = seq.next_element()? else {
                            return Err(A::Error::missing_field(stringify!($required)));
                        };)*
                        $(let Some($shared) = seq.next_element_seed(crate::positional::Shared::new())? else {
                            return Err(A::Error::missing_field(stringify!($shared)));
                        };)?
                        let mut ends_with_default = false;
                        $(let $optional = match seq.next_element()? {
                            Some(value) => {
                                ends_with_default = crate::positional::is_default(&value);
                                value
                            }
                            None => Default::default(),
                        };)*
                        if ends_with_default || seq.next_element::<serde::de::IgnoredAny>()?.is_some() {
                            return Err(A::Error::custom(concat!(
                                stringify!($name), " is not in its one form: too many fields"
                            )));
                        }
                        Ok($name { $($required,)* $($shared,)? $($optional),* })
                    }
                }

                if deserializer.is_human_readable() {
                    return $name::deserialize(deserializer);
                }
                deserializer.deserialize_seq(Fields)
            }
        }
    };
}
pub(crate) use positional;

/// Whether a field is absent.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Reads a value straight into its shared place; serde's own way allocates twice.
pub(crate) fn shared<'de, D, T>(deserializer: D) -> Result<Arc<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Arc::new)
}

/// [`shared`], for an element of an array.
pub(crate) struct Shared<T>(PhantomData<T>);

impl<T> Shared<T> {
    pub(crate) fn new() -> Shared<T> {
        Shared(PhantomData)
    }
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Shared<T> {
    type Value = Arc<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Arc<T>, D::Error> {
        shared(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use crate::event::SessionAnnotated;
    use crate::ids::{SessionId, Tenant};
    use crate::{Json, Outcome, event::Executed};

    fn row(value: Option<&str>) -> SessionAnnotated {
        SessionAnnotated {
            tenant: Tenant::main(),
            session: SessionId::parse("s").unwrap(),
            key: "k".into(),
            value: value.map(Json::from_canonical),
        }
    }

    fn bytes(value: Option<&str>) -> Vec<u8> {
        serde_ipld_dagcbor::to_vec(&row(value)).unwrap()
    }

    #[test]
    fn a_row_is_an_array_that_ends_with_what_is_there() {
        assert_eq!(bytes(None), b"\x83\x64main\x61s\x61k");
        assert_eq!(bytes(Some("1")), b"\x84\x64main\x61s\x61k\x611");
        for value in [None, Some("1")] {
            let back: SessionAnnotated = serde_ipld_dagcbor::from_slice(&bytes(value)).unwrap();
            assert_eq!(back, row(value));
        }
    }

    #[test]
    fn people_see_the_names() {
        let text = serde_json::to_string(&row(None)).unwrap();
        assert_eq!(text, r#"{"tenant":"main","session":"s","key":"k"}"#);
        assert_eq!(
            serde_json::from_str::<SessionAnnotated>(&text).unwrap(),
            row(None)
        );
    }

    #[test]
    fn another_encoding_of_the_same_row_is_refused() {
        let refused = |bytes: &[u8]| {
            serde_ipld_dagcbor::from_slice::<SessionAnnotated>(bytes)
                .unwrap_err()
                .to_string()
        };
        let absent_and_said = refused(b"\x84\x64main\x61s\x61k\xf6");
        assert!(absent_and_said.contains("one form"), "{absent_and_said}");
        let too_many = refused(b"\x85\x64main\x61s\x61k\x611\x611");
        assert!(too_many.contains("one form"), "{too_many}");
        let too_few = refused(b"\x82\x64main\x61s");
        assert!(too_few.contains("key"), "{too_few}");
        let by_name = refused(b"\xa1\x63key\x61k");
        assert!(!by_name.is_empty(), "a map is not a row");
    }

    #[test]
    fn what_is_absent_in_the_middle_stands_as_its_default() {
        let identity = crate::outcome::Identity {
            seq: 7,
            id: None,
            kind: crate::ids::Kind::new("session.annotate"),
            tenant: Tenant::main(),
            principal: crate::ids::Principal::parse("dev").unwrap(),
            lane: None,
            session: None,
            fingerprint: crate::hash::Fingerprint([1; 8]),
            key: None,
            depends_on: Vec::new(),
            if_version: Some(3),
            correlation: None,
            causation: None,
            retry_of: None,
        };
        let executed = Executed {
            identity: identity.into(),
            outcome: Outcome::Succeeded,
            data: None,
            fault: None,
            session_version: None,
            unstarted: true,
        };
        let bytes = serde_ipld_dagcbor::to_vec(&executed).unwrap();
        assert!(
            bytes.ends_with(b"\xf6\xf6\xf6\xf6\x80\x03\xf6\xf6\xf6\xf5"),
            "{bytes:02x?}"
        );
        assert_eq!(
            serde_ipld_dagcbor::from_slice::<Executed>(&bytes).unwrap(),
            executed
        );
    }
}

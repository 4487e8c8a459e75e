//! The values in a test file that have several forms, such as one text or a list of them.

use std::{fmt, marker::PhantomData};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};

use crate::api::field::Field;

/// One text, or a list of texts.
#[derive(Debug)]
pub struct OneOrMany(pub Vec<String>);

/// The schema of [`OneOrMany`].
#[derive(JsonSchema)]
#[schemars(untagged, rename = "OneOrMany")]
pub enum OneOrManySchema {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = OneOrMany;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }

            fn visit_str<E>(self, value: &str) -> Result<OneOrMany, E> {
                Ok(OneOrMany(vec![value.to_owned()]))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<OneOrMany, A::Error> {
                let mut all = Vec::new();
                while let Some(item) = items.next_element()? {
                    all.push(item);
                }
                if all.is_empty() {
                    return Err(de::Error::custom(
                        "expected a string or a list of strings, but the list is empty",
                    ));
                }
                Ok(OneOrMany(all))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// A mapping in the order of the text, with the positions of its keys.
#[derive(Debug)]
pub struct Entries<T>(pub Vec<(Field<String>, T)>);

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Visitor<T> {
            type Value = Entries<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Entries<T>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Visitor(PhantomData))
    }
}

/// The attribute of a cookie that is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// The cookie does not have it.
    Absent,
    /// It has this value.
    Value(String),
}

impl<'de> Deserialize<'de> for Attribute {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(if text == ABSENT {
            Self::Absent
        } else {
            Self::Value(text)
        })
    }
}

/// The word for something that the response does not have.
pub const ABSENT: &str = "absent";

/// The word for something that the response has, whatever its value.
pub const PRESENT: &str = "present";

/// The schema of a `Max-Age`.
#[derive(JsonSchema)]
#[schemars(untagged, rename = "MaxAge")]
pub enum MaxAgeSchema {
    /// Seconds.
    Seconds(u64),
    /// A duration, or `absent`.
    Text(String),
}

/// Whether the response has something.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum PresentOrAbsent {
    /// It has.
    Present,
    /// It has not.
    Absent,
}

/// The session header that is expected in a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpectedHeader {
    /// None.
    Absent,
    /// One.
    Present,
    /// The one with this name.
    Named(String),
}

impl<'de> Deserialize<'de> for ExpectedHeader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(match text.as_str() {
            ABSENT => Self::Absent,
            PRESENT => Self::Present,
            _ => Self::Named(text.to_lowercase()),
        })
    }
}

//! The values that fields of all kinds of objects have: each with its position in the document.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::location::{DocumentOffset, SourceLocation, Span};

/// A value with its position in the document.
#[derive(Clone, Debug)]
pub struct Field<T> {
    /// The value.
    pub value: T,
    /// Its position.
    pub at: Span,
}

/// A field that may be absent.
pub type OptionalField<T> = Option<Field<T>>;

impl<T: Clone> Field<T> {
    /// The same value at another position.
    pub(crate) fn moved(&self, at: Span) -> Self {
        let value = self.value.clone();
        Self { value, at }
    }
}

impl<T> Field<T> {
    /// Another value at the same position.
    pub fn put<U>(&self, value: U) -> Field<U> {
        Field { value, at: self.at }
    }

    /// The converted value at the same position.
    pub fn map<U>(self, convert: impl FnOnce(T) -> U) -> Field<U> {
        Field {
            value: convert(self.value),
            at: self.at,
        }
    }
}

impl<T: Serialize> Serialize for Field<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = serde_saphyr::Spanned::deserialize(deserializer)?;
        Ok(Self {
            value: spanned.value,
            at: spanned.referenced.into(),
        })
    }
}

impl DocumentOffset {
    /// The position of a field in the file.
    #[must_use]
    pub fn location<T>(self, field: &Field<T>) -> SourceLocation {
        self.locate(field.at)
    }
}

/// A port: a number from 1 to 65535.
pub type Port = std::num::NonZeroU16;

/// A value that Mooring does not read.
pub type Any = de::IgnoredAny;

/// The text of a scalar of any YAML type. For values with a syntax of their own, such as durations: the message that `0` is not
/// a duration helps more than the message that it is not a string.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Text(pub String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Text;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E>(self, value: &str) -> Result<Text, E> {
                Ok(Text(value.to_owned()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Text, E> {
                Ok(Text(value.to_string()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Text, E> {
                Ok(Text(value.to_string()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Text, E> {
                Ok(Text(value.to_string()))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Text, E> {
                Ok(Text(value.to_string()))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Labels or annotations with their positions, in the order of the text.
#[derive(Clone, Debug, Default)]
pub struct Pairs(Vec<(Field<String>, Field<String>)>);

impl Pairs {
    /// These pairs, and those of `others` whose names are not among them, as if written at `at`.
    pub(crate) fn with(&self, others: &Self, at: Span) -> Self {
        let missing = others.iter().filter(|(name, _)| self.get(&name.value).is_none());
        let missing = missing.map(|(name, value)| {
            (
                Field {
                    value: name.value.clone(),
                    at,
                },
                Field {
                    value: value.value.clone(),
                    at,
                },
            )
        });
        Self(self.0.iter().cloned().chain(missing).collect())
    }

    /// The pairs.
    pub fn iter(&self) -> impl Iterator<Item = &(Field<String>, Field<String>)> {
        self.0.iter()
    }

    /// The pairs, sorted by name, without positions.
    #[must_use]
    pub fn to_map(&self) -> BTreeMap<String, String> {
        let pairs = self.iter();
        pairs
            .map(|(name, value)| (name.value.clone(), value.value.clone()))
            .collect()
    }

    /// Whether all of these labels are among them with the same values.
    #[must_use]
    pub fn include(&self, labels: &BTreeMap<String, String>) -> bool {
        labels.iter().all(|(name, value)| self.get(name) == Some(value))
    }

    /// The value under a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let pair = self.iter().find(|(other, _)| other.value == name)?;
        Some(&pair.1.value)
    }
}

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Pairs;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a mapping of strings")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                pairs.shrink_to_fit();
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// Reads `null` as the default, as the API server does.
pub(super) fn nullable<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads a list that may be absent or null. Its capacity is its length: most lists have one item, and a growing `Vec` reserves four.
pub(super) fn list<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let mut list: Vec<T> = nullable(deserializer)?;
    list.shrink_to_fit();
    Ok(list)
}

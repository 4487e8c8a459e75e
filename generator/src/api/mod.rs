//! The shapes of the Kubernetes objects that are read, as they are written, and nothing else.
//!
//! Below `spec` an unknown field is an error, so every type lists all the fields that Gateway API has had there from 1.1
//! on, also those that are left to Envoy or Istio. What a value means is decided by those who read it.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    id::{DEFAULT_NAMESPACE, Id},
    labels::{MANAGED_BY, NAME_PREFIX},
    location::{DocumentOffset, SourceLocation, Span},
};

/// Types of which only the names of the fields count: whoever carries the policy out reads them, we only want no typo.
macro_rules! known_fields {
    ($($(#[$meta:meta])* $name:ident { $($field:ident: $type:ty),* $(,)? })*) => {$(
        $(#[$meta])*
        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        #[expect(dead_code, reason = "known, never read")]
        pub struct $name { $($field: Option<$type>),* }
    )*};
}

pub mod canary;
pub mod filter;
pub mod gateway;
pub mod grant;
pub mod grpc;
pub mod istio;
pub mod policy;
pub mod route;
pub mod service;
pub mod virtual_service;

mod delegation;

pub use delegation::{MatchPair, merge_routes};

/// A value with its place in the document. There are many of them, so the place is no larger than it must be.
#[derive(Clone, Debug)]
pub struct Field<T> {
    /// The value.
    pub value: T,
    /// Its place.
    pub at: Span,
}

/// A field that may be absent, with its place.
pub type OptionalField<T> = Option<Field<T>>;

impl<T: Clone> Field<T> {
    /// The same value in another place.
    pub(crate) fn moved(&self, at: Span) -> Self {
        let value = self.value.clone();
        Self { value, at }
    }
}

impl<T> Field<T> {
    /// Another value in the same place.
    pub fn put<U>(&self, value: U) -> Field<U> {
        Field { value, at: self.at }
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

/// Any value: it is known, and it is not ours.
pub type Any = de::IgnoredAny;

/// What every object has in `metadata`, as far as we need it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// `name`.
    pub name: Field<String>,
    /// `namespace`.
    pub namespace: OptionalField<String>,
    /// `labels`.
    #[serde(default, deserialize_with = "nullable")]
    pub labels: Pairs,
    /// `annotations`.
    #[serde(default, deserialize_with = "nullable")]
    pub annotations: Pairs,
    /// `creationTimestamp`.
    pub creation_timestamp: OptionalField<String>,
}

impl Metadata {
    /// Namespace and name of the object.
    #[must_use]
    pub fn id(&self) -> Id {
        Id::new(self.namespace(), &self.name.value)
    }

    /// The namespace of the object.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.namespace.as_ref().map_or(DEFAULT_NAMESPACE, |field| &field.value)
    }

    /// Whether Mooring has generated the object: it has the label and a name of ours.
    #[must_use]
    pub fn is_generated(&self) -> bool {
        let (label, value) = MANAGED_BY;
        self.labels.get(label) == Some(value) && self.name.value.starts_with(NAME_PREFIX)
    }
}

/// An object with a `spec`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Object<S, T = Any> {
    /// `apiVersion`, unless whoever looked for the kind has taken it out.
    #[serde(rename = "apiVersion")]
    _api_version: Option<Any>,
    /// `kind`, likewise.
    #[serde(rename = "kind")]
    _kind: Option<Any>,
    /// `metadata`.
    pub metadata: Metadata,
    /// `spec`.
    pub spec: S,
    /// `status`: ignored nearly everywhere.
    #[serde(default = "none")]
    pub status: Option<T>,
}

fn none<T>() -> Option<T> {
    None
}

/// The text of a scalar, whatever YAML takes it for. For values that are texts of a form of their own: that `0` is no
/// duration says more than that it is no string.
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

/// Labels or annotations: names and values, with their places, in the order of the text.
#[derive(Clone, Debug, Default)]
pub struct Pairs(Vec<(Field<String>, Field<String>)>);

impl Pairs {
    /// These, and of others those whose names are not here, as if they stood in this place.
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

    /// Every name with its value.
    pub fn iter(&self) -> impl Iterator<Item = &(Field<String>, Field<String>)> {
        self.0.iter()
    }

    /// Every name with its value, sorted, without their places.
    #[must_use]
    pub fn to_map(&self) -> BTreeMap<String, String> {
        let pairs = self.iter();
        pairs
            .map(|(name, value)| (name.value.clone(), value.value.clone()))
            .collect()
    }

    /// Whether these labels are among them, each with its value.
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
fn nullable<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A list that may be absent or null. It takes no more room than it needs: most have one item, and growing makes room for four.
fn list<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let mut list: Vec<T> = nullable(deserializer)?;
    list.shrink_to_fit();
    Ok(list)
}

//! The session cookie that a case expects.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};

use super::values::{ABSENT, Attribute, MaxAgeSchema, PRESENT, PresentOrAbsent};
use crate::api::field::{OptionalField, Text};

/// The session cookie that is expected in a response.
#[derive(Debug)]
pub enum ExpectedCookie {
    /// None.
    Absent,
    /// One.
    Present,
    /// One with these attributes.
    With(Box<CookieAttributes>),
    /// Another word, which is an error.
    Unknown(String),
}

/// The schema of [`ExpectedCookie`].
#[derive(JsonSchema)]
#[schemars(untagged, rename = "ExpectedCookie")]
#[expect(clippy::large_enum_variant, reason = "only its schema is used")]
pub enum ExpectedCookieSchema {
    /// Whether the response has the cookie.
    Word(PresentOrAbsent),
    /// The attributes of the cookie.
    Attributes(CookieAttributes),
}

impl<'de> Deserialize<'de> for ExpectedCookie {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = ExpectedCookie;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`present`, `absent` or a mapping of cookie attributes")
            }

            fn visit_str<E>(self, value: &str) -> Result<ExpectedCookie, E> {
                Ok(match value {
                    ABSENT => ExpectedCookie::Absent,
                    PRESENT => ExpectedCookie::Present,
                    other => ExpectedCookie::Unknown(other.to_owned()),
                })
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<ExpectedCookie, A::Error> {
                let attributes = CookieAttributes::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(ExpectedCookie::With(Box::new(attributes)))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// The attributes of a session cookie that are expected. Those that are not given are not compared.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct CookieAttributes {
    /// The name.
    #[schemars(with = "Option<String>")]
    pub name: OptionalField<String>,
    /// `Domain`, or `absent`.
    #[schemars(with = "Option<String>")]
    pub domain: OptionalField<Attribute>,
    /// `Path`, or `absent`.
    #[schemars(with = "Option<String>")]
    pub path: OptionalField<Attribute>,
    /// `Max-Age`: seconds, a duration such as `12h`, or `absent`.
    #[schemars(with = "Option<MaxAgeSchema>")]
    pub max_age: OptionalField<Text>,
    /// `SameSite`, or `absent`.
    #[schemars(with = "Option<String>")]
    pub same_site: OptionalField<Attribute>,
    /// Whether it has `Secure`.
    #[schemars(with = "Option<bool>")]
    pub secure: OptionalField<bool>,
    /// Whether it has `HttpOnly`.
    #[schemars(with = "Option<bool>")]
    pub http_only: OptionalField<bool>,
    /// Whether it has `Partitioned`.
    #[schemars(with = "Option<bool>")]
    pub partitioned: OptionalField<bool>,
}

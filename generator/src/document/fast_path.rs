//! The fast path for objects that begin with `apiVersion` and `kind`, as nearly all objects do. It parses kind and
//! fields in one pass.
//!
//! The slow path looks for the kind first. It handles unusual and invalid objects, because it can report what is wrong.

use serde::de::{self, Error as _, value::MapAccessDeserializer};

use super::parsed::Parsed;
use crate::{
    api::field::Any,
    kind::{Reads, Recognized},
};

/// The content of a document.
pub enum FastPath {
    /// An object of a kind that Mooring reads.
    Read(Box<Parsed>),
    /// An object of this kind, which Mooring does not read.
    Unrelated(String),
}

/// Parses an object. An error only means that the slow path must parse it.
pub fn read<'de, D: de::Deserializer<'de>>(deserializer: D, reads: Reads) -> Result<FastPath, D::Error> {
    deserializer.deserialize_map(Visitor(reads))
}

struct Visitor(Reads);

impl<'de> de::Visitor<'de> for Visitor {
    type Value = FastPath;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<FastPath, A::Error> {
        let (first, second) = (text(&mut map)?, text(&mut map)?);
        let (api_version, kind) = match (first.0.as_str(), second.0.as_str()) {
            ("apiVersion", "kind") => (first.1, second.1),
            ("kind", "apiVersion") => (second.1, first.1),
            _ => return Err(A::Error::custom("apiVersion and kind do not come first")),
        };
        match Recognized::new(&api_version, &kind, self.0) {
            Ok(Recognized::Known(kind)) => Parsed::deserialize(kind, MapAccessDeserializer::new(map))
                .map(|parsed| FastPath::Read(Box::new(parsed))),
            // Findings about these kinds need the whole document.
            Ok(Recognized::Unrelated) if kind.contains("{{") || api_version.starts_with("kustomize.config.k8s.io/") => {
                Err(A::Error::custom("not an object of the API server"))
            }
            Ok(Recognized::Unrelated) => {
                while map.next_entry::<Any, Any>()?.is_some() {}
                Ok(FastPath::Unrelated(kind))
            }
            Ok(Recognized::List) | Err(_) => Err(A::Error::custom("not one object of a kind that is read")),
        }
    }
}

/// A key and its value, both strings.
fn text<'de, A: de::MapAccess<'de>>(map: &mut A) -> Result<(String, String), A::Error> {
    map.next_entry()?
        .ok_or_else(|| A::Error::custom("there is nothing more"))
}

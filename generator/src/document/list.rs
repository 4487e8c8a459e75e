//! The items of a `kind: List`, each read as what it is.
//!
//! The kinds of the items must be known before: in a text, `kind` may come after the fields that it decides about.

use serde::{Deserialize as _, de};

use super::Parsed;
use crate::{kind::Kind, wire::Any};

/// Reads the items of a `List`; those without a kind, and those beyond the kinds, are passed over.
pub fn read<'de, D: de::Deserializer<'de>>(deserializer: D, kinds: &[Option<Kind>]) -> Result<Vec<Parsed>, D::Error> {
    deserializer.deserialize_map(ListVisitor { kinds })
}

struct ListVisitor<'a> {
    kinds: &'a [Option<Kind>],
}

impl<'de> de::Visitor<'de> for ListVisitor<'_> {
    type Value = Vec<Parsed>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a List")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Vec<Parsed>, A::Error> {
        let mut items = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            if key == "items" {
                items = map.next_value_seed(ItemsSeed { kinds: self.kinds })?;
            } else {
                map.next_value::<Any>()?;
            }
        }
        Ok(items)
    }
}

struct ItemsSeed<'a> {
    kinds: &'a [Option<Kind>],
}

impl<'de> de::DeserializeSeed<'de> for ItemsSeed<'_> {
    type Value = Vec<Parsed>;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Parsed>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> de::Visitor<'de> for ItemsSeed<'_> {
    type Value = Vec<Parsed>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the items of a List")
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<Parsed>, A::Error> {
        let mut items = Vec::new();
        for kind in self.kinds {
            items.extend(seq.next_element_seed(ItemSeed { kind: *kind })?.flatten());
        }
        while seq.next_element::<Any>()?.is_some() {}
        Ok(items)
    }
}

struct ItemSeed {
    kind: Option<Kind>,
}

impl<'de> de::DeserializeSeed<'de> for ItemSeed {
    type Value = Option<Parsed>;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Option<Parsed>, D::Error> {
        match self.kind {
            Some(kind) => kind.deserialize(deserializer).map(Some),
            None => Any::deserialize(deserializer).map(|_| None),
        }
    }
}

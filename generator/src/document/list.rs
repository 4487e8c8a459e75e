//! The items of a `kind: List` or of an array, each parsed into the type of its kind.
//!
//! The kinds of the items must be known before, because in a text `kind` may follow the fields whose types it
//! determines.

use serde::{Deserialize as _, de};

use super::parsed::Parsed;
use crate::{api::field::Any, kind::Kind};

/// Parses the items of a `List` from the position `from` on. It adds one entry for each item to `read`: `None` for an
/// item without a known kind. Items beyond the known kinds are skipped. If an item is invalid, `read` has the items
/// before it.
pub fn read<'de, D: de::Deserializer<'de>>(
    deserializer: D,
    kinds: &[Option<Kind>],
    from: usize,
    read: &mut Vec<Option<Parsed>>,
) -> Result<(), D::Error> {
    deserializer.deserialize_any(List { kinds, from, read })
}

struct List<'a> {
    kinds: &'a [Option<Kind>],
    from: usize,
    read: &'a mut Vec<Option<Parsed>>,
}

impl<'de> de::Visitor<'de> for List<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a List")
    }

    fn visit_seq<A: de::SeqAccess<'de>>(mut self, seq: A) -> Result<(), A::Error> {
        de::Visitor::visit_seq(Items(&mut self), seq)
    }

    fn visit_map<A: de::MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if key == "items" {
                map.next_value_seed(Items(&mut self))?;
            } else {
                map.next_value::<Any>()?;
            }
        }
        Ok(())
    }
}

struct Items<'a, 'b>(&'a mut List<'b>);

impl<'de> de::DeserializeSeed<'de> for Items<'_, '_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> de::Visitor<'de> for Items<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the items of a List")
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let List { kinds, from, read } = self.0;
        for (position, kind) in kinds.iter().enumerate() {
            if position < *from {
                seq.next_element::<Any>()?;
            } else {
                read.extend(seq.next_element_seed(ItemSeed { kind: *kind })?);
            }
        }
        while seq.next_element::<Any>()?.is_some() {}
        Ok(())
    }
}

struct ItemSeed {
    kind: Option<Kind>,
}

impl<'de> de::DeserializeSeed<'de> for ItemSeed {
    type Value = Option<Parsed>;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Option<Parsed>, D::Error> {
        match self.kind {
            Some(kind) => Parsed::deserialize(kind, deserializer).map(Some),
            None => Any::deserialize(deserializer).map(|_| None),
        }
    }
}

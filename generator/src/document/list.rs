//! The items of a `kind: List`, or of an array, each read as what it is.
//!
//! The kinds of the items must be known before: in a text, `kind` may come after the fields that it decides about.

use serde::{Deserialize as _, de};

use super::parsed::Parsed;
use crate::{api::field::Any, kind::Kind};

/// Reads the items of a `List`, from the one at the position `from` on, into `read`: one entry for each, which is None for
/// those without a kind. What comes before and beyond the kinds is passed over. Where an item is wrong, those before it have
/// been read.
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

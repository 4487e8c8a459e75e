//! Suggestions for an object that does not exist: an object with the same name in another namespace, or one with a
//! similar name in the same namespace.

use super::item::Item;
use crate::{diagnostic::Diagnostic, id::Id, location::SourceLocation};

/// How many namespaces a message lists.
const MAX_SHOWN: usize = 3;

/// The objects that the user may have meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instead<'a> {
    similar: Option<&'a str>,
    elsewhere: Vec<Elsewhere<'a>>,
}

/// An object of the same name in another namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Elsewhere<'a> {
    id: &'a Id,
    location: SourceLocation,
    /// Whether it has a `namespace` field.
    named: bool,
}

impl<'a> Instead<'a> {
    /// A similar name in the same namespace, and the objects of the same name in other namespaces.
    pub(super) fn new<T: 'a>(similar: Option<&'a str>, elsewhere: impl Iterator<Item = &'a Item<T>>) -> Self {
        Self {
            similar,
            elsewhere: elsewhere.map(Elsewhere::new).collect(),
        }
    }

    /// The objects of the same name.
    pub fn elsewhere(&self) -> impl Iterator<Item = &'a Id> {
        self.elsewhere.iter().map(|other| other.id)
    }

    /// The advice.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        let namespaces = self.elsewhere().take(MAX_SHOWN).map(|id| format!("`{}`", id.namespace));
        let namespaces: Vec<String> = namespaces.collect();
        let more = match self.elsewhere.len().saturating_sub(namespaces.len()) {
            0 => String::new(),
            count => format!(" and {count} more"),
        };
        match namespaces.as_slice() {
            [] => self.similar.map(|name| format!("did you mean `{name}`?")),
            [one] => Some(format!("there is one in the namespace {one}")),
            several => Some(format!("there are some in the namespaces {}{more}", several.join(", "))),
        }
    }
}

impl<'a> Elsewhere<'a> {
    fn new<T>(item: &'a Item<T>) -> Self {
        Self {
            id: &item.id,
            location: item.location(),
            named: item.metadata.namespace.is_some(),
        }
    }
}

impl Diagnostic {
    /// Adds the candidates for the missing object.
    #[must_use]
    pub fn instead(self, instead: &Instead) -> Self {
        let diagnostic = instead.help().into_iter().fold(self, Self::help);
        match instead.elsewhere.as_slice() {
            [
                Elsewhere {
                    location, named: true, ..
                },
            ] => diagnostic.with(*location, "this one"),
            [Elsewhere { location, id, .. }] => diagnostic.with(
                *location,
                format!("this one: it has no `namespace`, so it is in `{}`", id.namespace),
            ),
            _ => diagnostic,
        }
    }
}

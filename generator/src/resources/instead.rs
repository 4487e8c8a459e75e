//! What is in the input in place of an object that is not: one of the same name in another namespace, or one of a similar name.

use super::{Item, Items};
use crate::{diagnostic::Diagnostic, id::Id, location::SourceLocation, suggest};

/// How many namespaces are named.
const MAX_SHOWN: usize = 3;

/// What the user may have meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instead<'a> {
    suggest: Option<&'a str>,
    elsewhere: Vec<Elsewhere<'a>>,
}

/// An object of the same name in another namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Elsewhere<'a> {
    id: &'a Id,
    location: SourceLocation,
    /// Whether it says itself in which namespace it is.
    named: bool,
}

impl<'a> Instead<'a> {
    /// What there is in place of an object.
    pub(super) fn of<T>(id: &Id, items: &'a Items<T>) -> Self {
        let names = items.of_namespace(&id.namespace).map(|other| other.id.name.as_str());
        Self {
            suggest: suggest::find(&id.name, names),
            elsewhere: items.called(&id.name).map(Elsewhere::new).collect(),
        }
    }

    /// The objects of the same name.
    pub fn elsewhere(&self) -> impl Iterator<Item = &'a Id> {
        self.elsewhere.iter().map(|other| other.id)
    }

    /// What to do.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        let namespaces = self.elsewhere().take(MAX_SHOWN).map(|id| format!("`{}`", id.namespace));
        let namespaces: Vec<String> = namespaces.collect();
        let more = match self.elsewhere.len().saturating_sub(namespaces.len()) {
            0 => String::new(),
            count => format!(" and {count} more"),
        };
        match namespaces.as_slice() {
            [] => self.suggest.map(|name| format!("did you mean `{name}`?")),
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
    /// What there is in place of what is missing.
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

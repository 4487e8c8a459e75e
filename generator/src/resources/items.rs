//! The objects of one kind.

use std::collections::BTreeMap;

use super::{instead::Instead, item::Item, unread::Unread};
use crate::{
    diagnostic::{Code, Diagnostic},
    id::Id,
    kind::Kind,
    reads::{self, Read},
    suggest,
};

/// The result of a search.
#[derive(Debug)]
pub enum Found<'a, T> {
    /// The object.
    Item(&'a Item<T>),
    /// The object may exist, but could not be read. That is already reported.
    Unknown,
    /// The object does not exist. The user may have meant one of these.
    Nothing(Instead<'a>),
}

/// The objects of one kind.
#[derive(Debug)]
pub struct Items<T> {
    kind: Kind,
    /// Boxed, because a map reserves memory for more entries than it has.
    by_id: BTreeMap<Id, Box<Item<T>>>,
    /// The objects that could not be read.
    broken: Vec<Id>,
    /// Whether an object without a readable name could not be read.
    any_unidentified: bool,
}

impl<T> Items<T> {
    /// No objects of this kind.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            by_id: BTreeMap::new(),
            broken: Vec::new(),
            any_unidentified: false,
        }
    }

    /// All objects, sorted by id.
    pub fn iter(&self) -> impl Iterator<Item = &Item<T>> {
        reads::note(Read::All(self.kind));
        self.by_id.values().map(Box::as_ref)
    }

    /// The same for a caller that notes itself what it reads.
    pub(super) fn unnoted(&self) -> impl Iterator<Item = &Item<T>> {
        self.by_id.values().map(Box::as_ref)
    }

    /// An object, for a caller that notes itself what it reads.
    pub(super) fn unnoted_get(&self, id: &Id) -> Option<&Item<T>> {
        self.by_id.get(id).map(Box::as_ref)
    }

    /// The objects of a namespace, sorted by name.
    pub fn of_namespace(&self, namespace: &str) -> impl Iterator<Item = &Item<T>> {
        reads::note(Read::Namespace(self.kind, namespace));
        self.in_namespace(namespace)
    }

    fn in_namespace(&self, namespace: &str) -> impl Iterator<Item = &Item<T>> {
        let items = self.by_id.range(Id::new(namespace, "")..);
        items.map_while(move |(id, item)| (id.namespace == namespace).then_some(&**item))
    }

    /// The objects of this name, sorted by namespace.
    fn called(&self, name: &str) -> impl Iterator<Item = &Item<T>> {
        let first_of = |next: &str| {
            let mut items = self.by_id.range(Id::new(next, "")..);
            items.next().map(|(id, _)| id.namespace.as_str())
        };
        // The text that sorts directly after a namespace ends with a zero.
        let namespaces = std::iter::successors(first_of(""), move |last| first_of(&format!("{last}\0")));
        namespaces.filter_map(move |namespace| self.by_id.get(&Id::new(namespace, name)).map(Box::as_ref))
    }

    /// The object, if it exists.
    #[must_use]
    pub fn get(&self, id: &Id) -> Option<&Item<T>> {
        reads::note(Read::Object(self.kind, id));
        self.by_id.get(id).map(Box::as_ref)
    }

    /// Looks for an object that should exist.
    #[must_use]
    pub fn find(&self, id: &Id) -> Found<'_, T> {
        if let Some(item) = self.get(id) {
            return Found::Item(item);
        }
        if self.any_unidentified || self.broken.contains(id) {
            return Found::Unknown;
        }
        reads::note(Read::Names(self.kind, &id.namespace));
        reads::note(Read::Called(self.kind, &id.name));
        let names = self.in_namespace(&id.namespace).map(|other| other.id.name.as_str());
        let similar = suggest::find(&id.name, names);
        Found::Nothing(Instead::new(similar, self.called(&id.name)))
    }

    /// Records that an object could not be read. The id is `None` if its name could not be read either.
    pub(super) fn mark_unread(&mut self, id: Option<&Id>) {
        match id {
            Some(id) => self.broken.push(id.clone()),
            None => self.any_unidentified = true,
        }
    }

    /// Whether objects of this kind could not be read.
    #[must_use]
    pub fn any_unread(&self) -> bool {
        reads::note(Read::Unread(self.kind));
        self.any_unidentified || !self.broken.is_empty()
    }

    /// Forgets an object, and that it could not be read.
    pub(super) fn remove(&mut self, id: &Id) -> Option<Box<Item<T>>> {
        self.broken.retain(|broken| broken != id);
        self.by_id.remove(id)
    }

    /// Adds an object, unless its name is invalid or already taken.
    pub(super) fn insert(&mut self, kind: Kind, item: Item<T>) -> Result<(), Box<Unread>> {
        let unread = |label: String, diagnostic: Diagnostic| {
            Box::new(Unread {
                kind,
                id: Some(item.id.clone()),
                wants: None,
                label,
                diagnostic,
            })
        };
        if let Some(diagnostic) = item.wrong_name() {
            let unread = unread(format!("{kind}/{}", item.id), diagnostic);
            self.broken.push(item.id);
            return Err(unread);
        }
        if let Some(other) = self.by_id.get(&item.id) {
            let message = format!("{kind} {} is defined in two documents", item.id);
            let diagnostic = Diagnostic::error(Code::Duplicate, message)
                .at(item.location())
                .with(other.location(), "first defined here");
            return Err(unread(format!("the second {kind}/{}", item.id), diagnostic));
        }
        self.by_id.insert(item.id.clone(), Box::new(item));
        Ok(())
    }
}

//! The objects of one kind.

use std::collections::BTreeMap;

use super::{instead::Instead, item::Item, unread::Unread};
use crate::{
    diagnostic::{Code, Diagnostic},
    id::Id,
    kind::Kind,
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
    /// Boxed, because a map reserves memory for more entries than it has.
    by_id: BTreeMap<Id, Box<Item<T>>>,
    /// The objects that could not be read.
    broken: Vec<Id>,
    /// Whether an object without a readable name could not be read.
    any_unidentified: bool,
}

impl<T> Default for Items<T> {
    fn default() -> Self {
        Self {
            by_id: BTreeMap::new(),
            broken: Vec::new(),
            any_unidentified: false,
        }
    }
}

impl<T> Items<T> {
    /// All objects, sorted by id.
    pub fn iter(&self) -> impl Iterator<Item = &Item<T>> {
        self.by_id.values().map(Box::as_ref)
    }

    /// The objects of a namespace, sorted by name.
    pub fn of_namespace(&self, namespace: &str) -> impl Iterator<Item = &Item<T>> {
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
        namespaces.filter_map(move |namespace| self.get(&Id::new(namespace, name)))
    }

    /// The object, if it exists.
    #[must_use]
    pub fn get(&self, id: &Id) -> Option<&Item<T>> {
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
        let names = self.of_namespace(&id.namespace).map(|other| other.id.name.as_str());
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
        self.any_unidentified || !self.broken.is_empty()
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

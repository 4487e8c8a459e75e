//! Untyped objects, for output that is a copy of an input object.
//!
//! The types of `crate::api` have only the fields that Mooring reads. A copy needs all fields, so the text is parsed a
//! second time. The first time has already reported the errors.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use serde_json::Value;

use super::{split::split, text::Document};
use crate::{
    id::{DEFAULT_NAMESPACE, Id},
    location::{DocumentOffset, FileId},
    resources::item::Item,
    source::Sources,
    yaml,
};

/// The documents of all sources. A file is split, and a document parsed, when one of its objects is first requested.
pub struct RawObjects<'a> {
    sources: &'a Sources,
    documents: RefCell<BTreeMap<FileId, BTreeMap<DocumentOffset, Document<'a>>>>,
    read: RefCell<BTreeMap<DocumentOffset, Rc<Objects>>>,
}

/// The objects of a document by kind and id.
type Objects = BTreeMap<(String, Id), Rc<Value>>;

impl<'a> RawObjects<'a> {
    /// Creates the store. It does not parse anything yet.
    #[must_use]
    pub fn new(sources: &'a Sources) -> Self {
        Self {
            sources,
            documents: RefCell::default(),
            read: RefCell::default(),
        }
    }

    /// The object of this kind, with all its fields. Null if it cannot be found.
    #[must_use]
    pub fn find<T>(&self, kind: &str, item: &Item<T>) -> Rc<Value> {
        let objects = self.objects(item.offset);
        let object = objects.get(&(kind.to_owned(), item.id.clone()));
        object.map(Rc::clone).unwrap_or_default()
    }

    /// A Secret. No other type holds one, so a message about an object cannot reveal it.
    #[must_use]
    pub fn secret(&self, id: &Id) -> Option<Rc<Value>> {
        let kind = "Secret";
        let texts = self.sources.texts().filter(|(_, text)| text.contains(kind));
        let documents = texts.flat_map(|(file, text)| split(file, self.sources.name(file), text));
        let origins = documents
            .filter(|document| document.text.contains(kind))
            .map(|document| document.offset);
        let key = (kind.to_owned(), id.clone());
        origins
            .collect::<Vec<_>>()
            .into_iter()
            .find_map(|offset| self.objects(offset).get(&key).map(Rc::clone))
    }

    fn objects(&self, offset: DocumentOffset) -> Rc<Objects> {
        if let Some(objects) = self.read.borrow().get(&offset) {
            return Rc::clone(objects);
        }
        let mut documents = self.documents.borrow_mut();
        let documents = documents.entry(offset.file).or_insert_with(|| {
            let text = self.sources.text(offset.file).unwrap_or_default();
            let documents = split(offset.file, self.sources.name(offset.file), text).into_iter();
            documents.map(|document| (document.offset, document)).collect()
        });
        let value = documents.get(&offset).and_then(parsed);
        let objects = Rc::new(by_id(value.unwrap_or_default()));
        self.read.borrow_mut().insert(offset, Rc::clone(&objects));
        objects
    }
}

/// The content of a document. Those of an API server are JSON, which the parser of YAML reads as well, but slowly.
fn parsed(document: &Document) -> Option<Value> {
    let json = serde_json::from_str(&document.text).ok();
    json.or_else(|| document.parse(yaml::lenient()).ok())
}

/// The object of a document, or the objects of a `List` or array.
fn by_id(document: Value) -> Objects {
    let objects = match document {
        Value::Array(items) => items,
        mut document => match document.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => items,
            _ => vec![document],
        },
    };
    let keyed = objects.into_iter().filter_map(|object| {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let namespace = text("/metadata/namespace").unwrap_or(DEFAULT_NAMESPACE);
        let id = Id::new(namespace, text("/metadata/name")?);
        Some(((text("/kind")?.to_owned(), id), Rc::new(object)))
    });
    keyed.collect()
}

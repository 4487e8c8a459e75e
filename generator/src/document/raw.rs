//! Objects as they are written, for what is made by copying them.
//!
//! The types of `crate::wire` hold what Mooring looks at. A copy needs everything else too, so the text is read once more.
//! That a text is right has been found out before.

use std::{
    cell::{OnceCell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use serde_json::Value;

use super::{Document, Origin, split};
use crate::{
    inventory::{DEFAULT_NAMESPACE, Id, Item},
    source::Sources,
    yaml,
};

/// The documents of all sources. Each is read when an object in it is first asked for.
pub struct RawObjects<'a> {
    sources: &'a Sources,
    documents: OnceCell<BTreeMap<Origin, Document<'a>>>,
    read: RefCell<BTreeMap<Origin, Rc<Value>>>,
}

impl<'a> RawObjects<'a> {
    /// Nothing is read yet.
    #[must_use]
    pub fn new(sources: &'a Sources) -> Self {
        Self {
            sources,
            documents: OnceCell::new(),
            read: RefCell::default(),
        }
    }

    /// An object of this kind, with everything that is written in it. Null where it cannot be found.
    #[must_use]
    pub fn find<T>(&self, kind: &str, item: &Item<T>) -> Value {
        let document = self.document(item.origin);
        let listed = document.get("items").and_then(Value::as_array);
        let candidates = listed.map_or(std::slice::from_ref(&*document), Vec::as_slice);
        let wanted = candidates.iter().find(|object| is(object, kind, &item.id));
        wanted.cloned().unwrap_or_default()
    }

    fn document(&self, origin: Origin) -> Rc<Value> {
        if let Some(value) = self.read.borrow().get(&origin) {
            return Rc::clone(value);
        }
        let documents = self.documents.get_or_init(|| {
            let texts = self.sources.texts();
            let documents = texts.flat_map(|(file, text)| split(file, self.sources.name(file), text));
            documents.map(|document| (document.origin, document)).collect()
        });
        let document = documents.get(&origin);
        let value = document.and_then(|document| document.parse(yaml::lenient()).ok());
        let value = Rc::new(value.unwrap_or_default());
        self.read.borrow_mut().insert(origin, Rc::clone(&value));
        value
    }
}

fn is(object: &Value, kind: &str, id: &Id) -> bool {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    text("/kind") == Some(kind)
        && text("/metadata/name") == Some(&id.name)
        && text("/metadata/namespace").unwrap_or(DEFAULT_NAMESPACE) == id.namespace
}

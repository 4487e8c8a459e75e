//! The targets: each turns a plan into the objects of its own world. A new target is a new module here.

use serde_json::Value;

use crate::name_hash::name_hash;

pub mod envoy;
mod fail_strategy;
mod http_filters;
mod http_route;
pub mod istio;
mod provenance;
pub mod target;

pub use fail_strategy::FailStrategy;

/// The oldest Envoy that takes what is generated: `remove_on_match` came with it.
const OLDEST_ENVOY: &str = "1.36";

/// Something that is written as a document or file of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// The file's name without its ending.
    pub file_stem: String,
    /// The object.
    pub value: Value,
    /// What stands on top of it where there is a place for comments: lines that begin with `#`, or nothing.
    pub comment: String,
}

impl Output {
    /// An object. Fields that are null are left out; keys come in alphabetical order, whatever features `serde_json` is
    /// built with.
    #[must_use]
    pub fn new(file_stem: String, mut value: Value) -> Self {
        prune(&mut value);
        value.sort_all_objects();
        Self {
            file_stem: fitting(file_stem),
            value,
            comment: String::new(),
        }
    }

    /// The same object under a comment.
    #[must_use]
    fn under(self, comment: String) -> Self {
        Self { comment, ..self }
    }
}

/// The longest name of a file without its ending: file systems take 255 bytes, and a file has more in its name until it is complete.
const LONGEST_STEM: usize = 200;

/// The key of the hash in such names. It must never change, or old files would stay behind.
const STEM_KEY: [u8; 16] = *b"mooring filename";

/// A name that file systems take. A longer one ends with a hash of the whole.
fn fitting(stem: String) -> String {
    if stem.len() <= LONGEST_STEM {
        return stem;
    }
    let hash = name_hash(STEM_KEY, &stem);
    let room = LONGEST_STEM.saturating_sub(hash.len().saturating_add(1));
    let first: String = stem.chars().take(room).collect();
    format!("{}-{hash}", first.trim_end_matches(['.', '-']))
}

/// An object with one more field. In `json!`, a value that is there already would be copied as a whole.
fn with(mut object: Value, field: &str, value: impl Into<Value>) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(field.to_owned(), value.into());
    }
    object
}

fn prune(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(prune);
        }
        Value::Array(values) => values.iter_mut().for_each(prune),
        _ => {}
    }
}

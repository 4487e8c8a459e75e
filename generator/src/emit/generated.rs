//! A generated object, as a document or a file.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{json::prune, provenance};
use crate::name_hash::name_hash;

/// A generated object. It becomes one document or one file.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// The name of the file without its extension.
    pub file_stem: String,
    /// The object.
    pub value: Value,
    /// The comment before the YAML document: lines that begin with `#`, or nothing.
    pub comment: String,
    /// The comments before patches of an `EnvoyFilter`, by the position of the patch: lines that begin with `#`.
    pub patch_comments: BTreeMap<usize, String>,
}

impl Output {
    /// Creates an object. Fields that are null are removed. Keys are sorted, regardless of the features of
    /// `serde_json`.
    #[must_use]
    pub fn new(file_stem: String, mut value: Value) -> Self {
        prune(&mut value);
        value.sort_all_objects();
        Self {
            file_stem: shortened_stem(file_stem),
            value,
            comment: String::new(),
            patch_comments: BTreeMap::new(),
        }
    }

    /// Gives the objects whose files would have one name different ones, such as those of Gateway `b` in namespace `a-mooring` and of Gateway
    /// `mooring-b` in namespace `a`: they end with a hash of the namespace and the name.
    pub fn name_files_apart(outputs: &mut [Self]) {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for output in outputs.iter() {
            let count = counts.entry(output.file_stem.clone()).or_default();
            *count = count.saturating_add(1);
        }
        for output in outputs {
            if counts.get(&output.file_stem).is_some_and(|count| *count > 1) {
                let field = |name: &str| output.value.pointer(name).and_then(Value::as_str).unwrap_or_default();
                let identity = format!("{}/{}", field("/metadata/namespace"), field("/metadata/name"));
                let hash = name_hash(STEM_KEY, &identity);
                output.file_stem = shortened_stem(format!("{}-{hash}", output.file_stem));
            }
        }
    }

    /// The same object with a comment.
    #[must_use]
    pub fn with_comment(self, comment: String) -> Self {
        Self { comment, ..self }
    }

    /// The same object with the command in its comment.
    #[must_use]
    pub fn with_command(self, command: &dyn std::fmt::Display) -> Self {
        let comment = provenance::with_command(&self.comment, command);
        self.with_comment(comment)
    }
}

/// The longest file name without its extension. File systems allow 255 bytes, and a temporary file has a longer name.
const MAX_STEM_LENGTH: usize = 200;

/// The key of the hash in file names. It must never change: otherwise, files of earlier runs would stay in the
/// directory.
const STEM_KEY: [u8; 16] = *b"mooring filename";

/// A name that fits in a file name. A longer name is truncated and ends with its hash.
fn shortened_stem(stem: String) -> String {
    if stem.len() <= MAX_STEM_LENGTH {
        return stem;
    }
    let hash = name_hash(STEM_KEY, &stem);
    let room = MAX_STEM_LENGTH.saturating_sub(hash.len().saturating_add(1));
    let first: String = stem.chars().take(room).collect();
    format!("{}-{hash}", first.trim_end_matches(['.', '-']))
}

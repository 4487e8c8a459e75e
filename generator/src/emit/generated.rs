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

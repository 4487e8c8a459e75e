//! The text of one document, and functions that parse it.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::Options;

use crate::{kind::Reads, location::DocumentOffset, yaml};

/// The text of one document.
pub struct Document<'a> {
    /// The line of its file at which it begins.
    pub offset: DocumentOffset,
    /// The name of the file.
    pub file: &'a str,
    /// The text. Tabs are replaced where YAML forbids them.
    pub text: Cow<'a, str>,
    /// Which kinds the run reads.
    pub reads: Reads,
}

impl<'a> Document<'a> {
    /// Creates the document with this text.
    pub fn new(offset: DocumentOffset, file: &'a str, text: &'a str) -> Self {
        Self {
            offset,
            file,
            text: yaml::untabbed(text),
            reads: Reads::default(),
        }
    }

    /// The same document in a run that reads these kinds.
    pub fn read_by(self, reads: Reads) -> Self {
        Self { reads, ..self }
    }

    /// Whether it has a line that is neither empty nor a comment.
    pub fn has_content(&self) -> bool {
        !self.text.lines().all(is_blank)
    }

    /// The untyped document; null if it is not YAML.
    pub fn values(&self) -> Value {
        self.parse(yaml::lenient()).unwrap_or_default()
    }

    /// Parses the document into a type.
    pub fn parse<T: for<'de> Deserialize<'de>>(&self, options: Options) -> Result<T, serde_saphyr::Error> {
        self.with(options, |deserializer| T::deserialize(deserializer))
    }

    /// Parses the document with a function.
    pub fn with<T>(
        &self,
        options: Options,
        read: impl FnOnce(serde_saphyr::Deserializer<'_, '_>) -> Result<T, serde_saphyr::Error>,
    ) -> Result<T, serde_saphyr::Error> {
        serde_saphyr::with_deserializer_from_str_with_options(&self.text, options, read)
    }
}

/// Whether a line is empty, a comment or the end of a document.
pub fn is_blank(line: &str) -> bool {
    let line = line.strip_prefix("---").unwrap_or(line).trim();
    line.is_empty() || line.starts_with('#') || line == "..."
}

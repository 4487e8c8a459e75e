//! The header of a document: `apiVersion` and `kind`.

use serde::Deserialize;

use crate::{
    api::field::{Any, Field, OptionalField},
    diagnostic::{Code, Diagnostic},
    kind::{Kind, Reads, Recognized, UnsupportedKind},
    location::{DocumentOffset, SourceLocation},
};

/// The fields that determine the kind of an object.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    api_version: OptionalField<String>,
    /// `kind`.
    pub kind: OptionalField<String>,
    metadata: Option<Any>,
    spec: Option<Any>,
}

/// The headers of the items of a `List`.
#[derive(Debug, Deserialize)]
pub struct ListHeader {
    /// `items`.
    pub items: Option<Vec<Field<Header>>>,
}

/// Why a header does not identify an object that Mooring reads.
pub struct UnreadHeader {
    /// The kind, if it is known.
    pub kind: Option<Kind>,
    /// The finding about it.
    pub diagnostic: Diagnostic,
}

impl Header {
    /// `kind`; empty if the field is absent.
    pub fn kind(&self) -> &str {
        self.kind.as_ref().map_or("", |kind| &kind.value)
    }

    /// Whether the document has any field that objects have.
    pub fn has_any(&self) -> bool {
        self.api_version.is_some() || self.kind.is_some() || self.metadata.is_some() || self.spec.is_some()
    }

    /// Whether kustomize reads the document, and not the API server.
    pub fn is_of_kustomize(&self) -> bool {
        let api_version = self.api_version.as_ref().map_or("", |field| &field.value);
        api_version.starts_with("kustomize.config.k8s.io/") && matches!(self.kind(), "Kustomization" | "Component")
    }

    /// How a run handles the object.
    pub fn recognize(&self, offset: DocumentOffset, reads: Reads) -> Result<Recognized, Box<UnreadHeader>> {
        let missing = |field: &str, location: Option<SourceLocation>| {
            let message = format!("this is not a Kubernetes object: it has no `{field}`");
            let diagnostic = Diagnostic::error(Code::Syntax, message);
            let diagnostic = location.into_iter().fold(diagnostic, Diagnostic::at);
            Box::new(UnreadHeader { kind: None, diagnostic })
        };
        let location = |field: &OptionalField<String>| field.as_ref().map(|field| offset.location(field));
        let first_line = SourceLocation {
            file: offset.file,
            line: offset.lines_before.saturating_add(1),
            column: 1,
            length: 1,
        };
        let Some(kind) = &self.kind else {
            return Err(missing("kind", location(&self.api_version).or(Some(first_line))));
        };
        let Some(api_version) = &self.api_version else {
            return Err(missing("apiVersion", Some(offset.location(kind))));
        };
        Recognized::new(&api_version.value, &kind.value, reads).map_err(|invalid| {
            let (code, field, meant) = match &invalid {
                UnsupportedKind::Name { meant, .. } => (Code::Invalid, kind, Some(meant.to_string())),
                UnsupportedKind::Group { .. } => (Code::Invalid, api_version, None),
                UnsupportedKind::Version { .. } | UnsupportedKind::TypedList(_) => {
                    (Code::Unsupported, api_version, None)
                }
            };
            let diagnostic = Diagnostic::error(code, invalid.to_string()).at(offset.location(field));
            let diagnostic = diagnostic.help_similar(meant.as_deref());
            Box::new(UnreadHeader {
                kind: invalid.kind(),
                diagnostic,
            })
        })
    }
}

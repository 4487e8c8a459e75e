//! One object of the input.

use crate::{
    api::{field::Field, object::Metadata},
    diagnostic::{Code, Diagnostic},
    dns,
    id::Id,
    kind::Kind,
    location::{DocumentOffset, SourceLocation, Spanned},
    model::route::RouteSpec,
};

/// An object of the input.
#[derive(Debug)]
pub struct Item<T> {
    /// Its namespace and name.
    pub id: Id,
    /// Where its document begins.
    pub offset: DocumentOffset,
    /// `metadata`.
    pub metadata: Metadata,
    /// `spec`, or the whole object if its kind has no `spec`.
    pub spec: T,
}

impl<T> Item<T> {
    pub(super) fn new(offset: DocumentOffset, metadata: Metadata, spec: T) -> Self {
        Self {
            id: metadata.id(),
            offset,
            metadata,
            spec,
        }
    }

    /// The finding about an invalid name. Names become parts of generated names and file names, so they must be valid.
    pub(super) fn wrong_name(&self) -> Option<Diagnostic> {
        let of_namespace = self.metadata.namespace.as_ref();
        wrong_name(&self.metadata.name, self.offset)
            .or_else(|| of_namespace.and_then(|field| wrong_namespace(field, self.offset)))
    }

    /// Its kind, namespace and name, as the list of omissions shows them.
    #[must_use]
    pub fn name(&self, kind: Kind) -> String {
        format!("{kind}/{}", self.id)
    }

    /// The position of its name.
    #[must_use]
    pub fn location(&self) -> SourceLocation {
        self.offset.location(&self.metadata.name)
    }

    /// The value of one of its fields, with its position.
    #[must_use]
    pub fn spanned<F: Clone>(&self, field: &Field<F>) -> Spanned<F> {
        Spanned {
            value: field.value.clone(),
            location: self.location_of(field),
        }
    }

    /// The position of one of its fields.
    #[must_use]
    pub fn location_of<F>(&self, field: &Field<F>) -> SourceLocation {
        self.offset.location(field)
    }
}

impl Item<RouteSpec> {
    /// Kind, namespace and name of a route.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{} {}", self.spec.kind, self.id)
    }
}

/// The finding about a text that is not a valid name of a namespace.
fn wrong_namespace(field: &Field<String>, offset: DocumentOffset) -> Option<Diagnostic> {
    let text = field.value.as_str();
    let message = || {
        format!(
            "`{text}` is not the name of a namespace: it has at most {} lower-case letters, digits and `-`, and a letter or \
             digit at both ends",
            dns::MAX_LABEL_LENGTH
        )
    };
    (!dns::is_label(text)).then(|| Diagnostic::error(Code::Invalid, message()).at(offset.location(field)))
}

/// The finding about a text that is not a valid name of an object.
#[must_use]
pub fn wrong_name(field: &Field<String>, offset: DocumentOffset) -> Option<Diagnostic> {
    let text = field.value.as_str();
    let message = || {
        format!(
            "`{text}` is not a name: it has at most {} lower-case letters, digits, `-` and `.`, and a letter or digit at \
             both ends",
            dns::MAX_LENGTH
        )
    };
    (!dns::is_name(text)).then(|| Diagnostic::error(Code::Invalid, message()).at(offset.location(field)))
}

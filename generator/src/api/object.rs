//! What objects of all kinds have: `metadata`, `spec` and `status`.

use serde::Deserialize;

use super::field::{Any, Field, OptionalField, Pairs, nullable};
use crate::{
    id::{DEFAULT_NAMESPACE, Id},
    labels::{MANAGED_BY, NAME_PREFIX},
};

/// The fields of `metadata` that Mooring reads.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// `name`.
    pub name: Field<String>,
    /// `namespace`.
    pub namespace: OptionalField<String>,
    /// `labels`.
    #[serde(default, deserialize_with = "nullable")]
    pub labels: Pairs,
    /// `annotations`.
    #[serde(default, deserialize_with = "nullable")]
    pub annotations: Pairs,
    /// `creationTimestamp`.
    pub creation_timestamp: OptionalField<String>,
}

impl Metadata {
    /// The namespace and name of the object.
    #[must_use]
    pub fn id(&self) -> Id {
        Id::new(self.namespace(), &self.name.value)
    }

    /// The namespace of the object.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.namespace.as_ref().map_or(DEFAULT_NAMESPACE, |field| &field.value)
    }

    /// Whether Mooring generated the object: it has our label and our name prefix.
    #[must_use]
    pub fn is_generated(&self) -> bool {
        let (label, value) = MANAGED_BY;
        self.labels.get(label) == Some(value) && self.name.value.starts_with(NAME_PREFIX)
    }
}

/// An object with a `spec`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Object<S, T = Any> {
    /// `apiVersion`; absent where the reader consumed it to find the kind.
    #[serde(rename = "apiVersion")]
    _api_version: Option<Any>,
    /// `kind`, likewise.
    #[serde(rename = "kind")]
    _kind: Option<Any>,
    /// `metadata`.
    pub metadata: Metadata,
    /// `spec`.
    pub spec: S,
    /// `status`.
    #[serde(default = "none")]
    pub status: Option<T>,
}

fn none<T>() -> Option<T> {
    None
}

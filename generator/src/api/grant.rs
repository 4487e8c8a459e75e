//! `ReferenceGrant` (`gateway.networking.k8s.io`, v1beta1 and v1) permits objects of other namespaces to refer to
//! objects of its own namespace (GEP-709).

use serde::Deserialize;

use crate::{
    api::field::{Field, list},
    kind::GATEWAY_API,
};

/// `spec`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReferenceGrantSpec {
    /// `from`.
    #[serde(default, deserialize_with = "list")]
    pub from: Vec<From>,
    /// `to`.
    #[serde(default, deserialize_with = "list")]
    pub to: Vec<To>,
}

/// The objects that may refer.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct From {
    /// `group`.
    pub group: Field<String>,
    /// `kind`.
    pub kind: Field<String>,
    /// `namespace`.
    pub namespace: Field<String>,
}

/// The objects to which they may refer.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct To {
    /// `group`.
    pub group: Field<String>,
    /// `kind`.
    pub kind: Field<String>,
    /// `name`. If it is absent, all objects of this kind.
    pub name: Option<Field<String>>,
}

impl ReferenceGrantSpec {
    /// Whether the grant permits objects of this Gateway API kind and namespace to refer to an object of this core
    /// kind.
    #[must_use]
    pub fn permits(&self, (kind, namespace): (&str, &str), (to_kind, name): (&str, &str)) -> bool {
        let from_here = |from: &From| {
            (from.group.value.as_str(), from.kind.value.as_str()) == (GATEWAY_API, kind)
                && from.namespace.value == namespace
        };
        let to_there = |to: &To| {
            (to.group.value.as_str(), to.kind.value.as_str()) == ("", to_kind)
                && to.name.as_ref().is_none_or(|wanted| wanted.value == name)
        };
        self.from.iter().any(from_here) && self.to.iter().any(to_there)
    }
}

//! `ReferenceGrant` (`gateway.networking.k8s.io`, v1beta1 and v1): who may refer to what in its namespace (GEP-709).

use serde::Deserialize;

use super::{Field, list};

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

/// Who may refer.
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

/// To what.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct To {
    /// `group`.
    pub group: Field<String>,
    /// `kind`.
    pub kind: Field<String>,
    /// `name`. None: everything of this kind.
    pub name: Option<Field<String>>,
}

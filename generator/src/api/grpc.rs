//! `GRPCRoute` (`gateway.networking.k8s.io`, v1alpha2 and v1).

use serde::Deserialize;

use super::{
    filter::Filter,
    policy::SessionPersistence,
    route::{ParentRef, ValueMatch, ValueMatchType},
};
use crate::api::{
    field::{Field, OptionalField, list, nullable},
    filter::BackendRef,
};

/// `spec` of a `GRPCRoute`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GrpcRouteSpec {
    /// `parentRefs`.
    #[serde(default, deserialize_with = "list")]
    pub parent_refs: Vec<Field<ParentRef>>,
    /// `useDefaultGateways` (1.4 and later).
    pub use_default_gateways: OptionalField<String>,
    /// `hostnames`. If it is empty, the host names of the listener.
    #[serde(default, deserialize_with = "list")]
    pub hostnames: Vec<Field<String>>,
    /// `rules`.
    #[serde(default, deserialize_with = "list")]
    pub rules: Vec<Field<GrpcRule>>,
}

/// One rule.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GrpcRule {
    /// `name` (1.2 and later).
    pub name: OptionalField<String>,
    /// `matches`. If it is empty, the rule matches every call.
    #[serde(default, deserialize_with = "list")]
    pub matches: Vec<Field<GrpcMatch>>,
    /// `filters`.
    #[serde(default, deserialize_with = "list")]
    pub filters: Vec<Field<Filter>>,
    /// `backendRefs`.
    #[serde(default, deserialize_with = "list")]
    pub backend_refs: Vec<Field<BackendRef>>,
    /// `sessionPersistence`.
    pub session_persistence: OptionalField<SessionPersistence>,
}

/// One match: a request must fulfil all of its conditions.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GrpcMatch {
    /// `method`. If it is absent, every call.
    pub method: OptionalField<GrpcMethod>,
    /// `headers`.
    #[serde(default, deserialize_with = "list")]
    pub headers: Vec<ValueMatch>,
}

/// `method`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GrpcMethod {
    /// `type`.
    #[serde(rename = "type", default, deserialize_with = "nullable")]
    pub kind: ValueMatchType,
    /// `service`. If it is absent, every service.
    pub service: OptionalField<String>,
    /// `method`. If it is absent, every method.
    pub method: OptionalField<String>,
}

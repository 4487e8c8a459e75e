//! `GRPCRoute` (`gateway.networking.k8s.io`, v1alpha2 and v1).
//!
//! A gRPC call is an HTTP request to `/service/method`, so past this module a `GRPCRoute` is an [`HttpRouteSpec`] of the
//! kind `GRPCRoute`. The paths are those that Istio makes of the same matches.

use serde::Deserialize;

use super::{
    filter::Filter,
    policy::SessionPersistence,
    route::{BackendRef, HttpRouteSpec, Match, ParentRef, PathMatch, PathMatchType, Rule, ValueMatch, ValueMatchType},
};
use crate::{
    api::field::{Field, OptionalField, list, nullable},
    kind::Kind,
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
    /// `hostnames`. Empty: those of the listener.
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
    /// `matches`. Empty: every call.
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

/// One match: all of its parts must hold.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GrpcMatch {
    /// `method`. None: every call.
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
    /// `service`. None: every service.
    pub service: OptionalField<String>,
    /// `method`. None: every method.
    pub method: OptionalField<String>,
}

impl GrpcMethod {
    /// The path of the calls that are meant.
    fn path(&self) -> (PathMatchType, String) {
        let text = |field: &OptionalField<String>| field.as_ref().map(|field| field.value.clone());
        let (service, method) = (text(&self.service), text(&self.method));
        let exact = self.kind == ValueMatchType::Exact;
        match (service, method) {
            (Some(service), Some(method)) if exact => (PathMatchType::Exact, format!("/{service}/{method}")),
            (Some(service), None) if exact => (PathMatchType::PathPrefix, format!("/{service}/")),
            (Some(service), Some(method)) => (PathMatchType::RegularExpression, format!("/{service}/{method}")),
            (Some(service), None) => (PathMatchType::RegularExpression, format!("/{service}/.+")),
            (None, Some(method)) => (PathMatchType::RegularExpression, format!("/[^/]+/{method}")),
            (None, None) => (PathMatchType::PathPrefix, "/".to_owned()),
        }
    }
}

impl From<GrpcRouteSpec> for HttpRouteSpec {
    fn from(spec: GrpcRouteSpec) -> Self {
        Self {
            kind: Kind::GrpcRoute,
            parent_refs: spec.parent_refs,
            use_default_gateways: spec.use_default_gateways,
            hostnames: spec.hostnames,
            rules: spec.rules.into_iter().map(|rule| map(rule, Rule::from)).collect(),
            gateways: Vec::new(),
            export_to: Vec::new(),
        }
    }
}

impl From<GrpcRule> for Rule {
    fn from(rule: GrpcRule) -> Self {
        Self {
            name: rule.name,
            matches: rule.matches.into_iter().map(|one| map(one, Match::from)).collect(),
            filters: rule.filters,
            backend_refs: rule.backend_refs,
            timeouts: None,
            retry: None,
            session_persistence: rule.session_persistence,
            destinations: Vec::new(),
            only_istio: Vec::new(),
        }
    }
}

impl From<GrpcMatch> for Match {
    fn from(one: GrpcMatch) -> Self {
        let path = one.method.as_ref().map(|method| {
            let (kind, path) = method.value.path();
            PathMatch {
                kind,
                value: Some(method.put(path)),
            }
        });
        Self {
            path,
            headers: one.headers,
            query_params: Vec::new(),
            method: None,
            grpc: one.method,
            name: None,
            scope: None,
        }
    }
}

/// Another value in the same place.
fn map<T, U>(field: Field<T>, into: impl FnOnce(T) -> U) -> Field<U> {
    Field {
        value: into(field.value),
        at: field.at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use PathMatchType::{Exact, PathPrefix, RegularExpression};

    #[test]
    fn paths_are_those_of_istio() {
        for (text, kind, path) in [
            ("{service: a.B, method: C}", Exact, "/a.B/C"),
            ("{service: a.B}", PathPrefix, "/a.B/"),
            ("{method: C}", RegularExpression, "/[^/]+/C"),
            (
                "{type: RegularExpression, service: 'a.*', method: 'C|D'}",
                RegularExpression,
                "/a.*/C|D",
            ),
            (
                "{type: RegularExpression, service: 'a.*'}",
                RegularExpression,
                "/a.*/.+",
            ),
            (
                "{type: RegularExpression, method: 'C|D'}",
                RegularExpression,
                "/[^/]+/C|D",
            ),
        ] {
            let method: GrpcMethod = serde_saphyr::from_str(text).unwrap();
            assert_eq!(method.path(), (kind, path.to_owned()), "{text}");
        }
    }
}

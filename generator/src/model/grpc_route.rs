//! The conversion of `GRPCRoute`.
//!
//! A gRPC call is an HTTP request to `/service/method`, so the method match becomes a path match.

use super::{
    http_route::converted,
    route::{Match, PathMatch, PathMatchType, RouteSpec, Rule, ValueMatch},
};
use crate::{
    api::{
        field::OptionalField,
        grpc::{GrpcMatch, GrpcMethod, GrpcRouteSpec, GrpcRule},
        route::ValueMatchType,
    },
    kind::Kind,
};

impl From<GrpcRouteSpec> for RouteSpec {
    fn from(spec: GrpcRouteSpec) -> Self {
        Self {
            kind: Kind::GrpcRoute,
            parent_refs: spec.parent_refs,
            use_default_gateways: spec.use_default_gateways,
            hostnames: spec.hostnames,
            rules: converted(spec.rules),
            gateways: Vec::new(),
            export_to: Vec::new(),
        }
    }
}

impl From<GrpcRule> for Rule {
    fn from(rule: GrpcRule) -> Self {
        Self {
            name: rule.name,
            matches: converted(rule.matches),
            filters: rule.filters,
            backend_refs: rule.backend_refs,
            session_persistence: rule.session_persistence,
            ..Self::default()
        }
    }
}

impl From<GrpcMatch> for Match {
    fn from(one: GrpcMatch) -> Self {
        let path = one.method.as_ref().map(|method| {
            let (kind, text) = path(&method.value);
            PathMatch {
                kind,
                value: Some(method.put(text)),
            }
        });
        Self {
            path,
            headers: one.headers.into_iter().map(ValueMatch::from).collect(),
            grpc: one.method,
            ..Self::EVERYTHING
        }
    }
}

/// The path of the calls of a method match. istiod makes the same path.
fn path(call: &GrpcMethod) -> (PathMatchType, String) {
    let text = |field: &OptionalField<String>| field.as_ref().map(|field| field.value.clone());
    let (service, method) = (text(&call.service), text(&call.method));
    let exact = call.kind == ValueMatchType::Exact;
    match (service, method) {
        (Some(service), Some(method)) if exact => (PathMatchType::Exact, format!("/{service}/{method}")),
        (Some(service), None) if exact => (PathMatchType::PathPrefix, format!("/{service}/")),
        (Some(service), Some(method)) => (PathMatchType::RegularExpression, format!("/{service}/{method}")),
        (Some(service), None) => (PathMatchType::RegularExpression, format!("/{service}/.+")),
        (None, Some(method)) => (PathMatchType::RegularExpression, format!("/[^/]+/{method}")),
        (None, None) => (PathMatchType::PathPrefix, "/".to_owned()),
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
            assert_eq!(super::path(&method), (kind, path.to_owned()), "{text}");
        }
    }
}

//! The conversion of `HTTPRoute`. An input may have 10,000 routes, so lists whose items keep their size reuse their
//! memory.

use super::route::{Match, PathMatch, PathMatchType, RouteSpec, Rule, ValueMatch, ValueMatchType};
use crate::{
    api::{field::Field, route as api},
    kind::Kind,
    location::Span,
};

impl From<api::HttpRouteSpec> for RouteSpec {
    fn from(spec: api::HttpRouteSpec) -> Self {
        Self {
            kind: Kind::HttpRoute,
            parent_refs: spec.parent_refs,
            use_default_gateways: spec.use_default_gateways,
            hostnames: spec.hostnames,
            rules: spec.rules.map_or_else(default_rules, converted),
            gateways: Vec::new(),
            export_to: Vec::new(),
        }
    }
}

/// The default of `rules` (Gateway API: `HTTPRouteSpec`).
fn default_rules() -> Vec<Field<Rule>> {
    vec![Field {
        value: Rule::default(),
        at: Span::START,
    }]
}

impl From<api::Rule> for Rule {
    fn from(rule: api::Rule) -> Self {
        Self {
            name: rule.name,
            matches: converted(rule.matches),
            filters: rule.filters,
            backend_refs: rule.backend_refs,
            timeouts: rule.timeouts,
            retry: rule.retry,
            session_persistence: rule.session_persistence,
            ..Self::default()
        }
    }
}

impl From<api::Match> for Match {
    fn from(one: api::Match) -> Self {
        Self {
            path: one.path.map(PathMatch::from),
            headers: one.headers.into_iter().map(ValueMatch::from).collect(),
            query_params: one.query_params.into_iter().map(ValueMatch::from).collect(),
            method: one.method,
            ..Self::EVERYTHING
        }
    }
}

impl From<api::PathMatch> for PathMatch {
    fn from(path: api::PathMatch) -> Self {
        Self {
            kind: match path.kind {
                api::PathMatchType::Exact => PathMatchType::Exact,
                api::PathMatchType::PathPrefix => PathMatchType::PathPrefix,
                api::PathMatchType::RegularExpression => PathMatchType::RegularExpression,
            },
            value: path.value,
        }
    }
}

impl From<api::ValueMatch> for ValueMatch {
    fn from(one: api::ValueMatch) -> Self {
        Self {
            kind: match one.kind {
                api::ValueMatchType::Exact => ValueMatchType::Exact,
                api::ValueMatchType::RegularExpression => ValueMatchType::RegularExpression,
            },
            name: one.name,
            value: one.value,
        }
    }
}

/// The converted fields, each with its position.
pub(super) fn converted<T, U: From<T>>(fields: Vec<Field<T>>) -> Vec<Field<U>> {
    fields.into_iter().map(|field| field.map(U::from)).collect()
}

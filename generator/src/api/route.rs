//! `HTTPRoute` (`gateway.networking.k8s.io`, v1beta1 and v1). `GRPCRoute` becomes one in `super::grpc`.

use serde::{Deserialize, Deserializer, Serialize};

use super::{
    filter::Filter,
    grpc::GrpcMethod,
    policy::SessionPersistence,
    virtual_service::{OnlyIstio, RouteDestination, Scope},
};
use crate::{
    api::field::{Field, OptionalField, Port, list, nullable},
    kind::Kind,
    location::Span,
};

/// `spec` of an `HTTPRoute`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpRouteSpec {
    /// What it is written as: `HTTPRoute`, `GRPCRoute` or `VirtualService`.
    #[serde(skip, default = "http_route")]
    pub kind: Kind,
    /// `parentRefs`.
    #[serde(default, deserialize_with = "list")]
    pub parent_refs: Vec<Field<ParentRef>>,
    /// `useDefaultGateways` (1.4 and later).
    pub use_default_gateways: OptionalField<String>,
    /// `hostnames`. Empty: those of the listener.
    #[serde(default, deserialize_with = "list")]
    pub hostnames: Vec<Field<String>>,
    /// `rules`. None: one rule without anything, which the API server puts there.
    #[serde(default = "one_rule", deserialize_with = "rules")]
    pub rules: Vec<Field<Rule>>,
    /// In a `VirtualService`: `gateways`.
    #[serde(skip)]
    pub gateways: Vec<Field<String>>,
    /// In a `VirtualService`: `exportTo`.
    #[serde(skip)]
    pub export_to: Vec<Field<String>>,
}

fn http_route() -> Kind {
    Kind::HttpRoute
}

/// The rule of a route that has none (Gateway API: the default of `rules`).
fn one_rule() -> Vec<Field<Rule>> {
    let at = Span {
        line: 1,
        column: 1,
        length: 1,
    };
    vec![Field {
        value: Rule::default(),
        at,
    }]
}

fn rules<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Field<Rule>>, D::Error> {
    let rules: Option<Vec<Field<Rule>>> = Option::deserialize(deserializer)?;
    Ok(rules.unwrap_or_else(one_rule))
}

/// A gateway or listener that a route wants to be on.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ParentRef {
    /// `group`. None: Gateway API's own.
    pub group: OptionalField<String>,
    /// `kind`. None: `Gateway`.
    pub kind: OptionalField<String>,
    /// `namespace`. None: the route's.
    pub namespace: OptionalField<String>,
    /// `name`.
    pub name: Field<String>,
    /// `sectionName`: one listener.
    pub section_name: OptionalField<String>,
    /// `port`: the listeners on this port.
    pub port: OptionalField<Port>,
}

/// One rule.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// `name` (1.2 and later).
    pub name: OptionalField<String>,
    /// `matches`. Empty: everything.
    #[serde(default, deserialize_with = "list")]
    pub matches: Vec<Field<Match>>,
    /// `filters`.
    #[serde(default, deserialize_with = "list")]
    pub filters: Vec<Field<Filter>>,
    /// `backendRefs`.
    #[serde(default, deserialize_with = "list")]
    pub backend_refs: Vec<Field<BackendRef>>,
    /// `timeouts`.
    pub timeouts: OptionalField<Timeouts>,
    /// `retry` (1.2 and later).
    pub retry: OptionalField<Retry>,
    /// `sessionPersistence`.
    pub session_persistence: OptionalField<SessionPersistence>,
    /// In a `VirtualService`: `route`, in place of `backendRefs`.
    #[serde(skip)]
    pub destinations: Vec<Field<RouteDestination>>,
    /// In a `VirtualService`: what only Istio does.
    #[serde(skip)]
    pub only_istio: Vec<OnlyIstio>,
}

/// `timeouts`: durations (GEP-2257).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Timeouts {
    /// `request`.
    pub request: Option<String>,
    /// `backendRequest`.
    pub backend_request: Option<String>,
}

/// `retry`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// `codes`.
    #[serde(default, deserialize_with = "list")]
    pub codes: Vec<u16>,
    /// `attempts`.
    pub attempts: Option<u32>,
    /// `backoff`: a duration.
    pub backoff: Option<String>,
}

/// One match: all of its parts must hold.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Match {
    /// `path`. None: the prefix `/`.
    pub path: Option<PathMatch>,
    /// `headers`.
    #[serde(default, deserialize_with = "list")]
    pub headers: Vec<ValueMatch>,
    /// `queryParams`.
    #[serde(default, deserialize_with = "list")]
    pub query_params: Vec<ValueMatch>,
    /// `method`.
    pub method: OptionalField<Method>,
    /// In a `GRPCRoute`: the `method` that `path` was made of.
    #[serde(skip)]
    pub grpc: OptionalField<GrpcMethod>,
    /// In a `VirtualService`: `name`.
    #[serde(skip)]
    pub name: OptionalField<String>,
    /// In a `VirtualService`: on which proxies it is.
    #[serde(skip)]
    pub scope: Option<Box<Scope>>,
}

impl Match {
    /// A match that demands nothing.
    pub const EVERYTHING: Self = Self {
        path: None,
        headers: Vec::new(),
        query_params: Vec::new(),
        method: None,
        grpc: None,
        name: None,
        scope: None,
    };

    /// How the path is compared.
    #[must_use]
    pub fn path_type(&self) -> PathMatchType {
        self.path.as_ref().map_or_else(PathMatchType::default, |path| path.kind)
    }

    /// With what.
    #[must_use]
    pub fn path_value(&self) -> &str {
        let value = self.path.as_ref().and_then(|path| path.value.as_ref());
        value.map_or("/", |value| &value.value)
    }
}

/// A method (Gateway API: `HTTPMethod`), as it stands in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "RFC 9110, section 9.3, and RFC 5789")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Connect,
    Options,
    Trace,
    Patch,
}

impl Method {
    /// The method of this name.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        Some(match name {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "DELETE" => Self::Delete,
            "CONNECT" => Self::Connect,
            "OPTIONS" => Self::Options,
            "TRACE" => Self::Trace,
            "PATCH" => Self::Patch,
            _ => return None,
        })
    }
}

/// `path`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PathMatch {
    /// `type`.
    #[serde(rename = "type", default, deserialize_with = "nullable")]
    pub kind: PathMatchType,
    /// `value`. None: `/`.
    pub value: OptionalField<String>,
}

/// How a path is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum PathMatchType {
    /// The whole path.
    Exact,
    /// The first elements of the path.
    #[default]
    PathPrefix,
    /// The whole path with a regular expression.
    RegularExpression,
    /// The first characters of the path; in a `VirtualService`.
    #[serde(skip)]
    TextPrefix,
}

/// A match on a header or a query parameter.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ValueMatch {
    /// `type`.
    #[serde(rename = "type", default, deserialize_with = "nullable")]
    pub kind: ValueMatchType,
    /// `name`.
    pub name: Field<String>,
    /// `value`.
    pub value: Field<String>,
}

/// How a value is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum ValueMatchType {
    /// The whole value.
    #[default]
    Exact,
    /// The whole value with a regular expression.
    RegularExpression,
    /// The first characters; in a `VirtualService`.
    #[serde(skip)]
    Prefix,
    /// It is there; in a `VirtualService`.
    #[serde(skip)]
    Present,
}

/// Where requests go.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendRef {
    /// `group`. None or empty: the core group.
    pub group: OptionalField<String>,
    /// `kind`. None: `Service`.
    pub kind: OptionalField<String>,
    /// `name`.
    pub name: Field<String>,
    /// `namespace`. None: the route's.
    pub namespace: OptionalField<String>,
    /// `port`.
    pub port: OptionalField<Port>,
    /// `weight`. None: 1.
    pub weight: OptionalField<u32>,
    /// `filters`.
    #[serde(default, deserialize_with = "list")]
    pub filters: Vec<Field<Filter>>,
}

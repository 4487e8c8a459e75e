//! A route of any kind.

use crate::{
    api::{
        field::{Field, OptionalField, Pairs},
        filter::{BackendRef, Filter},
        grpc::GrpcMethod,
        policy::SessionPersistence,
        route::{Method, ParentRef, Retry, Timeouts},
        virtual_service::RouteDestination,
    },
    kind::Kind,
};

/// The spec of a route.
#[derive(Debug)]
pub struct RouteSpec {
    /// `HTTPRoute`, `GRPCRoute` or `VirtualService`.
    pub kind: Kind,
    /// `parentRefs`. Empty for a `VirtualService`.
    pub parent_refs: Vec<Field<ParentRef>>,
    /// `useDefaultGateways` (Gateway API 1.4 and later).
    pub use_default_gateways: OptionalField<String>,
    /// `hostnames`, or `hosts` of a `VirtualService`. If it is empty, the host names of the listener.
    pub hostnames: Vec<Field<String>>,
    /// `rules`, or `http` of a `VirtualService`.
    pub rules: Vec<Field<Rule>>,
    /// `gateways` of a `VirtualService`.
    pub gateways: Vec<Field<String>>,
    /// `exportTo` of a `VirtualService`.
    pub export_to: Vec<Field<String>>,
}

/// One rule.
#[derive(Debug, Default)]
pub struct Rule {
    /// `name` (Gateway API 1.2 and later).
    pub name: OptionalField<String>,
    /// `matches`. If it is empty, the rule matches all requests.
    pub matches: Vec<Field<Match>>,
    /// `filters`.
    pub filters: Vec<Field<Filter>>,
    /// `backendRefs`. Empty for a `VirtualService`.
    pub backend_refs: Vec<Field<BackendRef>>,
    /// `timeouts`.
    pub timeouts: OptionalField<Timeouts>,
    /// `retry` (Gateway API 1.2 and later).
    pub retry: OptionalField<Retry>,
    /// `sessionPersistence`.
    pub session_persistence: OptionalField<SessionPersistence>,
    /// `route` of a `VirtualService`.
    pub destinations: Vec<Field<RouteDestination>>,
    /// The features of a `VirtualService` that only Istio supports.
    pub only_istio: Vec<OnlyIstio>,
}

/// The name of a feature that only Istio supports, with its position.
pub type OnlyIstio = Field<&'static str>;

/// One match: a request must fulfil all of its conditions.
#[derive(Debug, Default)]
pub struct Match {
    /// `path`. The default is the prefix `/`.
    pub path: Option<PathMatch>,
    /// `headers`.
    pub headers: Vec<ValueMatch>,
    /// `queryParams`.
    pub query_params: Vec<ValueMatch>,
    /// `method`.
    pub method: OptionalField<Method>,
    /// The gRPC method of a `GRPCRoute`, which `path` expresses as a path.
    pub grpc: OptionalField<GrpcMethod>,
    /// `name`, in a `VirtualService`.
    pub name: OptionalField<String>,
    /// The proxies that apply the match, in a `VirtualService`. If it is `None`, all proxies.
    pub scope: Option<Box<Scope>>,
}

impl Match {
    /// A match of all requests.
    pub const EVERYTHING: Self = Self {
        path: None,
        headers: Vec::new(),
        query_params: Vec::new(),
        method: None,
        grpc: None,
        name: None,
        scope: None,
    };

    /// The type of the path match.
    #[must_use]
    pub fn path_type(&self) -> PathMatchType {
        self.path.as_ref().map_or_else(PathMatchType::default, |path| path.kind)
    }

    /// The value of the path match.
    #[must_use]
    pub fn path_value(&self) -> &str {
        let value = self.path.as_ref().and_then(|path| path.value.as_ref());
        value.map_or("/", |value| &value.value)
    }
}

/// A match of the path.
#[derive(Debug)]
pub struct PathMatch {
    /// The type.
    pub kind: PathMatchType,
    /// The value. The default is `/`.
    pub value: OptionalField<String>,
}

/// The type of a path match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PathMatchType {
    /// Equal to the whole path.
    Exact,
    /// A prefix of whole path elements.
    #[default]
    PathPrefix,
    /// A regular expression that matches the whole path.
    RegularExpression,
    /// A prefix of the path, by characters (`VirtualService`).
    TextPrefix,
}

/// A match of a header or query parameter.
#[derive(Debug)]
pub struct ValueMatch {
    /// The type.
    pub kind: ValueMatchType,
    /// The name of the header or parameter.
    pub name: Field<String>,
    /// The value.
    pub value: Field<String>,
}

/// The type of a match of a header or query parameter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ValueMatchType {
    /// Equal to the whole value.
    #[default]
    Exact,
    /// A regular expression that matches the whole value.
    RegularExpression,
    /// A prefix of the value (`VirtualService`).
    Prefix,
    /// Any value (`VirtualService`).
    Present,
}

/// The proxies that apply a match (istiod: `sourceMatchHTTP`).
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// `gateways`. If it is not empty, labels and namespace are ignored.
    pub gateways: Vec<Field<String>>,
    /// `sourceLabels`.
    pub source_labels: Pairs,
    /// `sourceNamespace`.
    pub source_namespace: OptionalField<String>,
    /// `port`.
    pub port: OptionalField<u32>,
}

impl Scope {
    /// Whether all proxies apply the match.
    pub(super) fn is_everywhere(&self) -> bool {
        self.gateways.is_empty()
            && self.source_labels.iter().next().is_none()
            && self.source_namespace.is_none()
            && self.port.is_none()
    }
}

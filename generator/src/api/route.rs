//! `HTTPRoute` (`gateway.networking.k8s.io`, v1beta1 and v1).

use serde::{Deserialize, Serialize};

use super::{filter::Filter, policy::SessionPersistence};
use crate::api::{
    field::{Field, OptionalField, Port, list, nullable},
    filter::BackendRef,
};

/// `spec` of an `HTTPRoute`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpRouteSpec {
    /// `parentRefs`.
    #[serde(default, deserialize_with = "list")]
    pub parent_refs: Vec<Field<ParentRef>>,
    /// `useDefaultGateways` (1.4 and later).
    pub use_default_gateways: OptionalField<String>,
    /// `hostnames`. If it is empty, the host names of the listener.
    #[serde(default, deserialize_with = "list")]
    pub hostnames: Vec<Field<String>>,
    /// `rules`. Without it, the route has one rule that matches everything (the default of the API server).
    pub rules: Option<Vec<Field<Rule>>>,
}

/// A gateway or listener to which a route attaches.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ParentRef {
    /// `group`. The default is the group of Gateway API.
    pub group: OptionalField<String>,
    /// `kind`. The default is `Gateway`.
    pub kind: OptionalField<String>,
    /// `namespace`. The default is the namespace of the route.
    pub namespace: OptionalField<String>,
    /// `name`.
    pub name: Field<String>,
    /// `sectionName`: the name of one listener.
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
    /// `matches`. If it is empty, the rule matches all requests.
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

/// One match: a request must fulfil all of its conditions.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Match {
    /// `path`. The default is the prefix `/`.
    pub path: Option<PathMatch>,
    /// `headers`.
    #[serde(default, deserialize_with = "list")]
    pub headers: Vec<ValueMatch>,
    /// `queryParams`.
    #[serde(default, deserialize_with = "list")]
    pub query_params: Vec<ValueMatch>,
    /// `method`.
    pub method: OptionalField<Method>,
}

/// An HTTP method (Gateway API: `HTTPMethod`).
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
    /// The method with this name.
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
    /// `value`. The default is `/`.
    pub value: OptionalField<String>,
}

/// How a path is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum PathMatchType {
    /// Equal to the whole path.
    Exact,
    /// A prefix of whole path elements.
    #[default]
    PathPrefix,
    /// A regular expression that matches the whole path.
    RegularExpression,
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
    /// Equal to the whole value.
    #[default]
    Exact,
    /// A regular expression that matches the whole value.
    RegularExpression,
}

//! The JSON form of the plugin configuration: what the generator writes and the filter reads.
//!
//! These types are unchecked. The types that requests use are made from them: a [`crate::routes::RouteTable`] from a whole
//! [`Config`], and each part from its own type, such as a [`crate::session::Session`] from a [`SessionConfig`]. Both programs
//! use these types, so what one writes the other can read.

use serde::{Deserialize, Serialize};

use crate::duration::Duration;

/// The version of this format that is read and written.
pub const VERSION: u32 = 3;

/// The whole plugin configuration of one gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// The version of this format: [`VERSION`].
    pub version: u32,
    /// The canaries. Route rules refer to them by their position, counted from 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub canaries: Vec<CanaryConfig>,
    /// The names of the session routes, if the proxy may have no header sanitizer (waypoints). Then clients can send the headers
    /// that select session routes and hosts, so the filter removes them: from requests that arrive at one of these routes, which
    /// get no session, and from requests of route rules. If this is empty, the filter trusts the sanitizer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub session_routes: Vec<String>,
    /// Whether the filter leaves its decision about each request in the filter state, for access logs.
    #[serde(default, skip_serializing_if = "is_default")]
    pub access_log: bool,
    /// Whether the weights of the backends are gauges. They are those of the last generation: the filter cannot see the weights
    /// of a route.
    #[serde(default, skip_serializing_if = "is_default")]
    pub weight_metric: bool,
    /// The route rules that the filter acts on. Requests on any other route pass unchanged.
    pub rules: Vec<RuleConfig>,
}

/// One route rule: which requests it covers and what happens to them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuleConfig {
    /// The name of the Envoy route or routes that istiod made of this rule. It may be empty if the rule is an unnamed one of a
    /// `VirtualService`.
    pub route: String,
    /// The names of the Envoy virtual hosts that contain the route. A route of the same name in another virtual host belongs
    /// to another rule.
    pub virtual_hosts: Vec<String>,
    /// The identity that tokens are bound to: kind, namespace, name and rule. It stays the same when hostnames or gateways
    /// change.
    pub id: String,
    /// How sessions are kept. None: the rule keeps no sessions and only selects backends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionConfig>,
    /// The backends of the rule. If there are several, each has a session route.
    pub backends: Vec<BackendConfig>,
    /// The canary of the rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<RuleCanaryConfig>,
    /// Whether live sessions of a backend are drawn again when its share of the weights has fallen.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rebalance: bool,
}

/// Which canary a route rule uses, and which of its backends the match rules select.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuleCanaryConfig {
    /// The position of the canary in [`Config::canaries`].
    pub position: usize,
    /// For each match rule of the canary, the position of its backend in [`RuleConfig::backends`]. None: the match rule does
    /// not apply to this route rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backends: Vec<Option<usize>>,
}

/// A canary: which clients are sent to a backend regardless of the weights, and how the others are split.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CanaryConfig {
    /// The name for messages: namespace and name of the policy.
    pub name: String,
    /// The match rules. The first one that matches wins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<MatchRuleConfig>,
    /// Whether a match rule overrides a live session.
    #[serde(rename = "override", default, skip_serializing_if = "is_default")]
    pub override_session: Override,
    /// The value by which new sessions are split. None: at random. Requests without the value are split at random as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash_on: Option<SourceConfig>,
    /// The seed of the hash: with another seed, the split selects other clients. Without `hashOn` it has no effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<String>,
}

/// One match rule: it sends the requests that it matches to its backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MatchRuleConfig {
    /// The name by which metrics count it.
    pub name: String,
    /// The conditions, all of which must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<MatchConfig>,
    /// Instead of `matches`: the header or cookie in which a client opts in to the backend with `always`, or out of it with
    /// `never`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opt_in: Option<SourceConfig>,
}

/// One condition of a match rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MatchConfig {
    /// The header or cookie that is compared.
    pub on: SourceConfig,
    /// How it is compared.
    #[serde(rename = "type")]
    pub match_type: MatchType,
    /// What it is compared with. None for `Present` and `Absent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// For `RegularExpression`: the size of the compiled expression ([`crate::canary::expression_size`]), which determines its
    /// cost. None: the maximum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compiled_size: Option<usize>,
}

/// A header or cookie of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum SourceConfig {
    /// The request header of this name; case does not matter.
    Header(String),
    /// The cookie of this name; case matters.
    Cookie(String),
}

/// How a value is compared. Values are compared byte for byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum MatchType {
    /// It equals the given value.
    Exact,
    /// It begins with the given value.
    Prefix,
    /// It ends with the given value.
    Suffix,
    /// It contains the given value.
    Contains,
    /// The given regular expression matches all of it.
    RegularExpression,
    /// It exists, with any value.
    Present,
    /// It does not exist.
    Absent,
}

/// Whether a match rule overrides a live session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Override {
    /// It does, as long as it matches; afterwards the session continues unchanged.
    #[default]
    Always,
    /// It does not: match rules apply only to clients without a session.
    Never,
}

/// One backend of a route rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendConfig {
    /// The name of the backend in tokens, unique in the rule: `NAME.NAMESPACE:PORT` of a Service or `HOST:PORT` of a
    /// `ServiceEntry`, followed by `/SUBSET` for a subset.
    pub key: String,
    /// The weight with which the module itself selects this backend, relative to the other backends: by `hashOn`, or for
    /// clients that opted out of another backend. All other clients follow the weights of the route. It is also there for
    /// [`RuleConfig::rebalance`] and [`Config::weight_metric`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Whether its live sessions are released: its weight in the route was 0 when this was written, and the rule has another
    /// backend. The module ignores this once it sees the route select the backend.
    #[serde(default, skip_serializing_if = "is_default")]
    pub released: bool,
    /// The version of its pods when this was written. None: it has none, or the policy names no version label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whether its weight in the route was 0 when this was written. Only in rules whose policy names a version label. The module
    /// ignores this once it sees the route select the backend.
    #[serde(default, skip_serializing_if = "is_default")]
    pub weight_zero: bool,
}

/// How the sessions of a rule are kept (GEP-1619).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SessionConfig {
    /// The name of the cookie or header.
    pub name: String,
    /// What carries the token.
    #[serde(rename = "type", default)]
    pub transport: Transport,
    /// What a session is bound to.
    #[serde(default, skip_serializing_if = "is_default")]
    pub bound_to: BoundTo,
    /// The maximum lifetime of a session. None: unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absolute_timeout: Option<Duration>,
    /// The maximum time between two requests of a session. None: unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<Duration>,
    /// The age of the last-seen time at which a token is renewed. None: a twentieth of the idle timeout, at least 1 s and at
    /// most 60 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_interval: Option<Duration>,
    /// Whether a request gets a 503 response when the host of its session is gone.
    #[serde(default, skip_serializing_if = "is_default")]
    pub strict: bool,
    /// Whether the backend receives the token. Default: it is removed from the request.
    #[serde(default, skip_serializing_if = "is_default")]
    pub forward_token: bool,
    /// The attributes of the cookie. Only allowed with the transport `Cookie`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cookie: CookieConfig,
}

/// What carries a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Transport {
    /// A cookie.
    #[default]
    Cookie,
    /// A request header and a response header of the same name.
    Header,
}

/// What a session is bound to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum BoundTo {
    /// A backend and one of its hosts.
    #[default]
    Host,
    /// A backend; any of its hosts may serve a request.
    Backend,
}

/// The attributes of a session cookie (RFC 6265bis, section 4.1.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct CookieConfig {
    /// Whether the browser keeps the cookie when it is closed.
    pub lifetime_type: LifetimeType,
    /// The `Path` attribute.
    pub path: String,
    /// The `Domain` attribute. None: the cookie is limited to the requested host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The `SameSite` attribute.
    pub same_site: SameSite,
    /// The `Secure` attribute.
    pub secure: Secure,
    /// The `HttpOnly` attribute.
    pub http_only: bool,
    /// The `Partitioned` attribute (CHIPS), which browsers accept only together with `Secure`.
    pub partitioned: bool,
    /// Whether a response with `Set-Cookie` also gets `Cache-Control: private`, which keeps shared caches from storing it.
    pub private_cache: bool,
}

impl Default for CookieConfig {
    fn default() -> Self {
        Self {
            lifetime_type: LifetimeType::default(),
            path: "/".to_owned(),
            domain: None,
            same_site: SameSite::default(),
            secure: Secure::default(),
            http_only: true,
            partitioned: false,
            private_cache: true,
        }
    }
}

/// `lifetimeType` of GEP-1619.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum LifetimeType {
    /// A browser-session cookie: neither `Expires` nor `Max-Age`.
    #[default]
    Session,
    /// `Max-Age` is the remaining time until the absolute timeout.
    Permanent,
}

/// The `SameSite` attribute (RFC 6265bis, section 4.1.2.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SameSite {
    /// Sent only with requests from the same site.
    Strict,
    /// Also sent when a user follows a link from another site. This is the default, because with `Strict` such a visit would
    /// start a new session.
    #[default]
    Lax,
    /// Always sent; browsers require `Secure` with it.
    None,
}

/// When the `Secure` attribute is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Secure {
    /// When the scheme of the request is `https`.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

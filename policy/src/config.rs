//! The plugin configuration: what the generator writes and the filter reads.
//!
//! These are the raw shapes, as JSON has them. `crate::rule::RouteTable` is what comes of them once they are checked.
//! Both programs use these very types, so the two cannot drift apart.

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
    pub canaries: Vec<Canary>,
    /// The route rules that the filter acts on. Requests on any other route pass untouched.
    pub rules: Vec<Rule>,
}

/// One route rule: which requests it covers and what happens to them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// The name of the Envoy route or routes that this rule became.
    pub route: String,
    /// The names of the Envoy virtual hosts in which the route counts: a route of the same name in another virtual host
    /// belongs to another rule.
    pub virtual_hosts: Vec<String>,
    /// The identity that tokens are bound to: kind, namespace, name and rule. It stays when hostnames or gateways change.
    pub id: String,
    /// How sessions are kept. Without it the rule only chooses a backend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Session>,
    /// The backends of the rule. Where there are several, each has a session route.
    pub backends: Vec<Backend>,
    /// Who is sent to which backend regardless of the weights, and how the rest is split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<RuleCanary>,
}

/// Which canary a rule has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuleCanary {
    /// Its position in [`Config::canaries`].
    pub position: usize,
    /// The backend of each of its forcing rules: the position among the backends of the route rule. None: the forcing rule
    /// says nothing here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backends: Vec<Option<usize>>,
}

/// Canary routing, for all rules that have it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Canary {
    /// What messages call it: namespace and name of the policy.
    pub name: String,
    /// The forcing rules. The first one that matches wins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<CanaryRule>,
    /// Whether a forcing rule beats a live session.
    #[serde(rename = "override", default, skip_serializing_if = "is_default")]
    pub override_session: Override,
    /// What new sessions are split by. None: chance. Requests without it are split by chance as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash_on: Option<Source>,
    /// What the split by `hashOn` is drawn with, so that another seed draws other clients. Of no account without `hashOn`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<String>,
}

/// One forcing rule: who is sent to its backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CanaryRule {
    /// The name by which metrics count it.
    pub name: String,
    /// What a request must have. All of them must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<Match>,
    /// In place of `matches`: where a client says `always` to be sent to the backend, or `never` to be kept from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opt_in: Option<Source>,
}

/// One condition of a forcing rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Match {
    /// Where the value comes from.
    pub on: Source,
    /// What the value must be.
    #[serde(rename = "type")]
    pub kind: MatchType,
    /// What it is compared with. Not with `Present` and `Absent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// With `RegularExpression`: its size when it is compiled ([`crate::canary::expression_size`]), by which requests pay for it.
    /// None: the largest that is allowed.
    #[serde(rename = "compiledSize", default, skip_serializing_if = "Option::is_none")]
    pub size: Option<usize>,
}

/// A part of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Source {
    /// The request header of this name, in any case of letters.
    Header(String),
    /// The cookie of exactly this name.
    Cookie(String),
}

/// How a value is compared. Values are compared byte for byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum MatchType {
    /// It is this.
    Exact,
    /// It begins with this.
    Prefix,
    /// It ends with this.
    Suffix,
    /// It has this in it.
    Contains,
    /// This regular expression matches all of it.
    RegularExpression,
    /// It is there, whatever it is.
    Present,
    /// It is not there.
    Absent,
}

/// Whether a forcing rule beats a live session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Override {
    /// It does, for as long as it matches; then the session goes on as it was.
    #[default]
    Always,
    /// It does not: forcing rules are for clients without a session.
    Never,
}

/// One destination of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Backend {
    /// What tokens call this backend, unique in the rule: `NAME.NAMESPACE:PORT` of a Service or `HOST:PORT` of a
    /// `ServiceEntry`, with `/SUBSET` behind it where one is meant.
    pub key: String,
    /// The share of those clients that the module itself places, relative to the other backends' weights: by `hashOn`, or
    /// because they opted out of a backend. Everyone else follows the weights of the route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Whether its live sessions are released: its weight in the route was 0 when this was written, and the rule has another
    /// backend to go to. It counts until the route is seen to choose the backend.
    #[serde(default, skip_serializing_if = "is_default")]
    pub released: bool,
}

/// How the sessions of a rule are kept (GEP-1619).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Session {
    /// The name of the cookie or header.
    pub name: String,
    /// Where the token travels.
    #[serde(rename = "type", default)]
    pub transport: Transport,
    /// What a session is bound to.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pin: Pin,
    /// How long a session may last in all. None: without end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absolute_timeout: Option<Duration>,
    /// How long a session may go without a request. None: without end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<Duration>,
    /// How old the last-seen time of a token may become before the token is renewed. None: a twentieth of the idle
    /// timeout, at least 1 s and at most 60 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_interval: Option<Duration>,
    /// Whether a request is answered with 503 when the host of its session is gone.
    #[serde(default, skip_serializing_if = "is_default")]
    pub strict: bool,
    /// Whether the backend gets to see the token. Default: it is removed from the request.
    #[serde(default, skip_serializing_if = "is_default")]
    pub forward_token: bool,
    /// The cookie's attributes. Only with the transport `Cookie`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cookie: Cookie,
}

/// Where a token travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Transport {
    /// In a cookie.
    #[default]
    Cookie,
    /// In a request header and a response header of the same name.
    Header,
}

/// What a session is bound to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pin {
    /// A backend and one host of it.
    #[default]
    Host,
    /// A backend, any host of it.
    Backend,
}

/// The attributes of a session cookie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Cookie {
    /// Whether the browser keeps the cookie when it is closed.
    pub lifetime_type: LifetimeType,
    /// The `Path` attribute.
    pub path: String,
    /// The `Domain` attribute. None: the host that the client asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The `SameSite` attribute.
    pub same_site: SameSite,
    /// The `Secure` attribute.
    pub secure: Secure,
    /// The `HttpOnly` attribute.
    pub http_only: bool,
    /// The `Partitioned` attribute (CHIPS), which browsers take only together with `Secure`.
    pub partitioned: bool,
    /// Whether `Cache-Control: private` goes with each `Set-Cookie`, so that no shared cache hands it to others.
    pub private_cache: bool,
}

impl Default for Cookie {
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
    /// `Max-Age` is what is left of the absolute timeout.
    Permanent,
}

/// The `SameSite` attribute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SameSite {
    /// Sent on requests that start on the same site only.
    Strict,
    /// Also sent when a visitor follows a link from another site. The default, because with `Strict` such a visit would
    /// start a new session.
    #[default]
    Lax,
    /// Always sent; browsers demand `Secure` with it.
    None,
}

/// When the `Secure` attribute is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Secure {
    /// When the request's scheme is `https`.
    #[default]
    Auto,
    /// On every cookie.
    Always,
    /// On none.
    Never,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

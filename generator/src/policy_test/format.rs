//! The format of a test file, as users write it. Its JSON schema is derived from these types: their doc comments are its
//! descriptions.

#![expect(clippy::doc_markdown, reason = "these comments are descriptions in the JSON schema")]

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    expected_cookie::ExpectedCookie,
    values::{Entries, ExpectedHeader, OneOrMany},
};
use crate::api::field::{Any, Field, OptionalField, Port, Text};

/// Unit tests for policies. `mooring test` sends each request of the cases through the rules of the manifests, and compares
/// what becomes of it with what is expected.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(title = "PolicyTest")]
pub struct PolicyTest {
    /// `mooring.dev/v1alpha1`.
    #[serde(rename = "apiVersion")]
    #[schemars(schema_with = "api_version")]
    _api_version: Any,
    /// `PolicyTest`.
    #[serde(rename = "kind")]
    #[schemars(schema_with = "kind")]
    _kind: Any,
    /// It is ignored.
    #[serde(rename = "metadata", default)]
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    _metadata: Option<Any>,
    /// The manifests: files and directories, relative to the directory of this file. Default: that directory.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub manifests: Vec<Field<String>>,
    /// The GatewayClasses to treat as Istio's, as with `--gateway-class`.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub gateway_classes: Vec<Field<String>>,
    /// The domain of the cluster. Default: `cluster.local`.
    #[schemars(with = "Option<String>")]
    pub cluster_domain: OptionalField<String>,
    /// The pods that send the requests, as `NAMESPACE[/LABEL=VALUE,...]`: their sidecars serve the routes of the mesh.
    /// Default: a gateway receives the requests.
    #[schemars(with = "Option<String>")]
    pub as_sidecar: OptionalField<String>,
    /// The time of the first case (RFC 3339). Default: `2026-01-01T00:00:00Z`.
    #[schemars(with = "Option<String>")]
    pub start: OptionalField<Text>,
    /// The cases, in the order in which they run.
    #[schemars(with = "Vec<Case>", length(min = 1))]
    pub cases: Vec<Field<Case>>,
}

/// A case: one request, or the cross product of hosts, paths and methods, and what is expected of each.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Case {
    /// The name, which is unique in the file.
    #[schemars(with = "String", length(min = 1))]
    pub name: Field<String>,
    /// The request.
    #[schemars(with = "Request")]
    pub request: Field<Request>,
    /// The client: that of this earlier case, with the session that it has since then. Default: a new client.
    #[schemars(with = "Option<String>")]
    pub session: OptionalField<String>,
    /// The time that has passed since the case of `session`, or without `session` since the previous case, such as `10m`.
    /// Default: none.
    #[schemars(with = "Option<String>")]
    pub after: OptionalField<Text>,
    /// The time of the request (RFC 3339), instead of `after`.
    #[schemars(with = "Option<String>")]
    pub at: OptionalField<Text>,
    /// Where the draw among the weights falls, from 0 to 99: with weights of 90 and 10, a draw of 0 to 89 selects the first
    /// backend. A case needs it if it expects a backend that the weights select.
    #[schemars(with = "Option<u8>", range(min = 0, max = 99))]
    pub draw: OptionalField<Text>,
    /// Weights of backends instead of those in the manifests.
    #[serde(default)]
    #[schemars(with = "std::collections::BTreeMap<String, u32>")]
    pub weights: Entries<Field<u32>>,
    /// Versions of backends instead of those in the manifests, in rules whose policy names a version label.
    #[serde(default)]
    #[schemars(with = "std::collections::BTreeMap<String, String>")]
    pub versions: Entries<Field<Text>>,
    /// Backends without a healthy host, and hosts that are gone (as `IP:PORT`).
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub down: Vec<Field<String>>,
    /// What is expected of each request. Fields that are absent are not compared.
    #[serde(default)]
    #[schemars(with = "Option<Expect>")]
    pub expect: OptionalField<Expect>,
}

/// A request.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Request {
    /// The Gateway that receives it, as `NAMESPACE/NAME`. Needed if several Gateways have the port.
    #[schemars(with = "Option<String>")]
    pub gateway: OptionalField<String>,
    /// The port of the listener that receives it. Default: 80, or 443 for https; if the listeners have one port only, that one.
    #[schemars(with = "Option<u16>", range(min = 1))]
    pub port: OptionalField<Port>,
    /// The scheme. Default: `http`.
    #[schemars(with = "Option<Scheme>")]
    pub scheme: OptionalField<Scheme>,
    /// The host, or a list of hosts. Default: `example.com`.
    #[schemars(with = "Option<super::values::OneOrManySchema>")]
    pub host: OptionalField<OneOrMany>,
    /// The path with its query, or a list of paths. Default: `/`.
    #[schemars(with = "Option<super::values::OneOrManySchema>")]
    pub path: OptionalField<OneOrMany>,
    /// The method, or a list of methods. Default: `GET`.
    #[schemars(with = "Option<super::values::OneOrManySchema>")]
    pub method: OptionalField<OneOrMany>,
    /// The headers. A header with a list of values is sent once for each.
    #[serde(default)]
    #[schemars(with = "std::collections::BTreeMap<String, super::values::OneOrManySchema>")]
    pub headers: Entries<OneOrMany>,
    /// The cookies, besides that of the session.
    #[serde(default)]
    #[schemars(with = "std::collections::BTreeMap<String, String>")]
    pub cookies: Entries<String>,
}

/// A scheme.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// Plain HTTP.
    #[default]
    Http,
    /// HTTP over TLS.
    Https,
}

impl Scheme {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// What is expected of a request.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Expect {
    /// The rule that takes the request: its identity, such as `HTTPRoute/shop/cart/main`, or the end of it (`cart/main`,
    /// `main`). `none`: no route takes the request.
    #[schemars(with = "Option<String>")]
    pub rule: OptionalField<String>,
    /// The backend, as in metrics (`cart-v2.shop:80`), or only the name of the Service (`cart-v2`) or subset (`reviews/v2`).
    /// `none`: no backend gets the request.
    #[schemars(with = "Option<String>")]
    pub backend: OptionalField<String>,
    /// The host of the backend, as `IP:PORT`.
    #[schemars(with = "Option<String>")]
    pub host: OptionalField<String>,
    /// Why the request goes to the backend: `session`, `single`, `split`, `hash`, `failover` or `canary:NAME`, as in metrics.
    /// `none`: no rule of Mooring decides.
    #[schemars(
        with = "Option<String>",
        regex(pattern = "^(none|session|single|split|hash|failover|canary:.+)$")
    )]
    pub reason: OptionalField<String>,
    /// What became of the session.
    #[schemars(with = "Option<Session>")]
    pub session: OptionalField<Session>,
    /// The session cookie in the response: `present`, `absent`, or its attributes.
    #[schemars(with = "Option<super::expected_cookie::ExpectedCookieSchema>")]
    pub set_cookie: OptionalField<ExpectedCookie>,
    /// The session header in the response, for sessions of the type Header: `present`, `absent`, or its name.
    #[schemars(with = "Option<String>")]
    pub session_header: OptionalField<ExpectedHeader>,
    /// The status of the response. 200 is any response of a backend.
    #[schemars(with = "Option<u16>")]
    pub status: OptionalField<u16>,
}

/// What became of the session of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Session {
    /// The rule keeps no sessions.
    None,
    /// The client has no session.
    New,
    /// The session is live. If its last-seen time is renewed, the response has a new token.
    Resumed,
    /// The session is live, but the rule no longer has its backend.
    BackendRemoved,
    /// The session is live, but its backend is unreachable.
    BackendUnreachable,
    /// The session is live, but the policy releases the sessions of its backend, whose weight is 0.
    Released,
    /// The session is live and follows its version to another backend.
    Followed,
    /// The session is live, but its backend has another version now, and no other backend has its version.
    VersionRemoved,
    /// The session is live, but the share of its backend has fallen, and it was drawn again for another backend.
    Rebalanced,
    /// The session exceeded the idle timeout.
    ExpiredIdle,
    /// The session reached the absolute timeout.
    ExpiredAbsolute,
    /// The token was rejected, for any of the following reasons.
    Rejected,
    /// The value is not a token.
    RejectedMalformed,
    /// The token has another format version.
    RejectedVersion,
    /// The token has a key that is not in the ring.
    RejectedUnknownKey,
    /// The token belongs to another rule or session name.
    RejectedForeign,
    /// The token was modified.
    RejectedTampered,
    /// The token was issued in the future.
    RejectedFuture,
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

fn api_version(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "const": crate::kind::TEST_FILE.0 })
}

fn kind(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "const": crate::kind::TEST_FILE.1 })
}

/// The JSON schema of a test file.
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(PolicyTest).to_value()
}

//! `CanaryPolicy` (`mooring.dev/v1alpha1`). Its custom resource definition is derived from these types: their doc comments are
//! its descriptions.

#![expect(
    clippy::doc_markdown,
    reason = "these comments are descriptions in the custom resource definition"
)]

use mooring_policy::config::{LifetimeType, MatchType, Override, Transport};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::field::{Field, OptionalField, Port, Text, list};
#[cfg(feature = "cluster")]
use crate::api::policy_status::CanaryPolicyStatus;

/// CanaryPolicy selects which clients of a route reach which of its backends, and whether they stay there.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[cfg_attr(feature = "cluster", derive(kube::CustomResource))]
#[cfg_attr(
    feature = "cluster",
    kube(
        group = "mooring.dev",
        version = "v1alpha1",
        kind = "CanaryPolicy",
        namespaced,
        doc = "CanaryPolicy selects which clients of a route reach which of its backends, and whether they stay there.",
        category = "gateway-api",
        status = "CanaryPolicyStatus",
        printcolumn = r#"{"name": "Target", "type": "string", "jsonPath": ".spec.targetRef.name"}"#,
        printcolumn = r#"{"name": "Accepted", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Accepted\")].status"}"#,
        printcolumn = r#"{"name": "Programmed", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Programmed\")].status"}"#,
        printcolumn = r#"{"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Programmed\")].reason"}"#,
        printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "(has(self.rules) && size(self.rules) > 0) || has(self.split) || has(self.sticky) || \
             has(self.whenWeightZero) || has(self.rebalance) || has(self.versionLabel)",
    "message": "at least one of rules, split, sticky, whenWeightZero, rebalance and versionLabel must be specified",
}]))]
pub struct CanaryPolicySpec {
    /// The route that the policy targets, in the namespace of the policy.
    #[schemars(with = "TargetRef")]
    pub target_ref: Field<TargetRef>,
    /// Rules that send matching requests to one backend, regardless of the weights. The first rule that matches applies.
    #[serde(default, deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<CanaryRule>", length(max = 32))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub rules: Vec<Field<CanaryRule>>,
    /// How the other requests are split among the backends. The weights are those of the route.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Split>")]
    pub split: OptionalField<Split>,
    /// Keeps each client on the backend that served it first, even when the weights change. Any pod of that backend may serve it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Sticky>")]
    pub sticky: OptionalField<Sticky>,
    /// Whether a matching rule overrides a live session. Default: `Always`. Once the rule no longer matches, the session
    /// continues unchanged.
    #[serde(rename = "override", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Override>")]
    pub override_session: OptionalField<Override>,
    /// What happens to live sessions on a backend whose weight is 0. Default: `Keep`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<WhenWeightZero>")]
    pub when_weight_zero: OptionalField<WhenWeightZero>,
    /// Whether live sessions follow the weights when another backend gets a larger share. Default: `Never`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Rebalance>")]
    pub rebalance: OptionalField<Rebalance>,
    /// The name of the label whose value is the version of a backend, such as `rollouts-pod-template-hash` or
    /// `app.kubernetes.io/version`. The value is that in the selector of the Service, in the labels of the subset, or in the pod
    /// templates that the Service selects. Live sessions, including those of other policies, follow their version to another
    /// backend, and leave a backend that has got another version. Default: sessions do not depend on versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "Option<String>",
        length(min = 1, max = 317),
        regex(pattern = "^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$")
    )]
    pub version_label: OptionalField<String>,
}

/// What happens to live sessions on a backend whose weight is 0, including those of other policies. `Keep`: they stay, and
/// only new sessions avoid the backend (GEP-1619). `Release`: they leave it with their next request, once the gateway has the
/// configuration generated for that weight. If all weights are 0, they stay. Default: `Keep`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum WhenWeightZero {
    /// Sessions stay.
    Keep,
    /// Sessions leave the backend.
    Release,
}

/// Whether live sessions, including those of other policies, follow the weights when another backend gets a larger share.
/// `Never`: only new sessions do. `OnWeightIncrease`: with their next request, so many sessions leave each backend whose share has
/// fallen that the sessions follow the weights, once the gateway has the configuration generated for these weights. Sessions of a
/// backend whose share has risen stay, and `whenWeightZero` governs those of a backend of weight 0. Default: `Never`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Rebalance {
    /// Sessions stay.
    Never,
    /// Sessions follow the weights.
    OnWeightIncrease,
}

/// The route that a policy targets.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "(self.group == 'gateway.networking.k8s.io' && self.kind in ['HTTPRoute', 'GRPCRoute']) || \
             (self.group == 'networking.istio.io' && self.kind == 'VirtualService')",
    "message": "a CanaryPolicy can target an HTTPRoute or GRPCRoute of gateway.networking.k8s.io or a VirtualService of \
                networking.istio.io",
}]))]
pub struct TargetRef {
    /// The API group of the route.
    #[schemars(with = "String", length(max = 253))]
    pub group: Field<String>,
    /// The kind of the route.
    #[schemars(with = "String", length(min = 1, max = 63))]
    pub kind: Field<String>,
    /// The name of the route.
    #[schemars(with = "String", length(min = 1, max = 253))]
    pub name: Field<String>,
    /// The name of one rule of the route. Default: all rules. A policy for one rule takes precedence over a policy for the
    /// whole route.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", length(min = 1, max = 253))]
    pub section_name: OptionalField<String>,
}

/// A rule that sends matching requests to one backend.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "(has(self.matches) && size(self.matches) > 0) != has(self.optIn)",
        "message": "exactly one of matches and optIn must be specified",
    },
    {
        "rule": "has(self.backendRef) != has(self.destination)",
        "message": "exactly one of backendRef and destination must be specified",
    },
]))]
pub struct CanaryRule {
    /// The name of the rule in metrics. It is unique within the policy.
    #[schemars(with = "String", length(min = 1, max = 63), regex(pattern = "^[A-Za-z0-9_.-]+$"))]
    pub name: Field<String>,
    /// The conditions on a request. All of them must match.
    #[serde(default, deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<Match>", length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub matches: Vec<Field<Match>>,
    /// An alternative to `matches`: a header or cookie with which clients decide for themselves. The value `always` sends the
    /// client to the backend, `never` keeps it away.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Source>")]
    pub opt_in: OptionalField<Source>,
    /// The backend: one of the backends of the route. Its weight may be 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<BackendRef>")]
    pub backend_ref: OptionalField<BackendRef>,
    /// For a VirtualService, instead of `backendRef`: one of the destinations of the route.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Destination>")]
    pub destination: OptionalField<Destination>,
}

/// A condition on one header or one cookie.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.header) != has(self.cookie)",
    "message": "exactly one of header and cookie must be specified",
}]))]
pub struct Match {
    /// A request header. Its name is case-insensitive.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<ValueMatch>")]
    pub header: OptionalField<ValueMatch>,
    /// A cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<ValueMatch>")]
    pub cookie: OptionalField<ValueMatch>,
}

/// A condition on a value. Values are compared byte for byte.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.value) != (has(self.type) && self.type in ['Present', 'Absent'])",
    "message": "value must be specified, except with type Present or Absent, which take none",
}]))]
pub struct ValueMatch {
    /// The name of the header or cookie.
    #[schemars(
        with = "String",
        length(min = 1, max = 256),
        regex(pattern = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")
    )]
    pub name: Field<String>,
    /// How the value is compared. Default: `Exact`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<MatchType>")]
    pub kind: OptionalField<MatchType>,
    /// The value to compare with. A regular expression must match the whole value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", length(max = 1024))]
    pub value: OptionalField<String>,
}

/// The name of a header or of a cookie.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.header) != has(self.cookie)",
    "message": "exactly one of header and cookie must be specified",
}]))]
pub struct Source {
    /// A request header.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "Option<String>",
        length(min = 1, max = 256),
        regex(pattern = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")
    )]
    pub header: OptionalField<String>,
    /// A cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "Option<String>",
        length(min = 1, max = 256),
        regex(pattern = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")
    )]
    pub cookie: OptionalField<String>,
}

/// A backend of an HTTPRoute or GRPCRoute.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendRef {
    /// The name of the Service.
    #[schemars(with = "String", length(min = 1, max = 253))]
    pub name: Field<String>,
    /// The namespace of the Service. Default: the namespace of the policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", length(min = 1, max = 63))]
    pub namespace: OptionalField<String>,
    /// The port of the Service. Optional if the route has only one backend of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i32>", range(min = 1, max = 65_535))]
    pub port: OptionalField<Port>,
}

/// A destination, written as in the VirtualService.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Destination {
    /// The host: the short or full name of a Service, or a host of a ServiceEntry.
    #[schemars(with = "String", length(min = 1, max = 253))]
    pub host: Field<String>,
    /// A subset of the host, defined in its DestinationRule.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", length(min = 1, max = 253))]
    pub subset: OptionalField<String>,
    /// The port. Optional if the route has only one destination of this host and subset.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<PortSelector>")]
    pub port: OptionalField<PortSelector>,
}

/// A port number.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PortSelector {
    /// The number.
    #[schemars(with = "i32", range(min = 1, max = 65_535))]
    pub number: Field<Port>,
}

/// How requests that match no rule are split among the backends.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Split {
    /// The header or cookie that identifies a client. The same client always gets the same backend, and a change of weights
    /// moves as few clients as possible. Clients without it are split at random, which is the default for all.
    #[schemars(with = "Source", required)]
    pub hash_on: OptionalField<Source>,
    /// Input of the hash, besides the identity of the client. With the same seed, the same clients are the first to get the
    /// canary of every release. A seed per release, such as its version, selects other clients each time. Change it between
    /// releases only: a new seed assigns all clients again. Live sessions stay where they are. Default: no seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", length(min = 1, max = 64))]
    pub seed: OptionalField<String>,
}

/// A session that binds a client to a backend.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "!has(self.cookie) || !has(self.type) || self.type == 'Cookie'",
        "message": "cookie can only be set with type Cookie",
    },
    {
        "rule": "!has(self.header) || (has(self.type) && self.type == 'Header')",
        "message": "header can only be set with type Header",
    },
    {
        "rule": "!has(self.cookie) || !has(self.cookie.lifetimeType) || self.cookie.lifetimeType != 'Permanent' || \
                 has(self.absoluteTimeout)",
        "message": "absoluteTimeout must be specified when cookie lifetimeType is Permanent",
    },
]))]
pub struct Sticky {
    /// Whether a cookie or a header carries the token of the session. Default: `Cookie`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Transport>")]
    pub transport: OptionalField<Transport>,
    /// The maximum duration of a session (GEP-2257). Default: unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", regex(pattern = "^([0-9]{1,5}(h|m|s|ms)){1,4}$"))]
    pub absolute_timeout: OptionalField<Text>,
    /// The maximum time between two requests of a session (GEP-2257). Default: unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", regex(pattern = "^([0-9]{1,5}(h|m|s|ms)){1,4}$"))]
    pub idle_timeout: OptionalField<Text>,
    /// The cookie. Only for the type Cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<StickyCookie>")]
    pub cookie: OptionalField<StickyCookie>,
    /// The header. Only for the type Header.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<StickyHeader>")]
    pub header: OptionalField<StickyHeader>,
}

/// The cookie of a session.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StickyCookie {
    /// The name of the cookie. Default: a name per rule of the route.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "Option<String>",
        length(min = 1, max = 256),
        regex(pattern = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")
    )]
    pub name: OptionalField<String>,
    /// The `Path` attribute. Default: `/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", length(min = 1, max = 1024))]
    pub path: OptionalField<String>,
    /// Whether the cookie outlives the browser session. Default: `Session`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<LifetimeType>")]
    pub lifetime_type: OptionalField<LifetimeType>,
}

/// The header of a session.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StickyHeader {
    /// The name of the header in requests and responses.
    #[schemars(
        with = "String",
        length(min = 1, max = 256),
        regex(pattern = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")
    )]
    pub name: Field<String>,
}

//! `CanaryPolicy` (`mooring.dev/v1alpha1`). Its custom resource definition is made of these very types: the
//! descriptions in it are the comments here.

#![expect(
    clippy::doc_markdown,
    reason = "these comments are descriptions in the custom resource definition"
)]

use mooring_policy::config::{LifetimeType, MatchType, Override, Transport};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::field::{Field, OptionalField, Port, Text, list};

/// Who of a route's visitors reaches which of its backends, and who stays there.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[cfg_attr(feature = "cluster", derive(kube::CustomResource))]
#[cfg_attr(
    feature = "cluster",
    kube(
        group = "mooring.dev",
        version = "v1alpha1",
        kind = "CanaryPolicy",
        namespaced,
        doc = "Who of a route's visitors reaches which of its backends, and who stays there.",
        category = "gateway-api",
        printcolumn = r#"{"name": "Target", "type": "string", "jsonPath": ".spec.targetRef.name"}"#,
        printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "(has(self.rules) && size(self.rules) > 0) || has(self.split) || has(self.sticky) || \
             has(self.whenWeightZero)",
    "message": "at least one of rules, split, sticky and whenWeightZero must be specified",
}]))]
pub struct CanaryPolicySpec {
    /// The route that the policy is about, in the policy's namespace.
    #[schemars(with = "TargetRef")]
    pub target_ref: Field<TargetRef>,
    /// Who is sent to which backend whatever the weights are. The first rule that matches wins.
    #[serde(default, deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<CanaryRule>", length(max = 32))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub rules: Vec<Field<CanaryRule>>,
    /// How all others are split over the backends. The weights are those of the route.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Split>")]
    pub split: OptionalField<Split>,
    /// Keeps each client on the backend that it came to, whatever becomes of the weights. Any pod of the backend will do.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Sticky>")]
    pub sticky: OptionalField<Sticky>,
    /// Whether a rule that matches beats a live session. Default: `Always`; when it no longer matches, the session goes
    /// on as it was.
    #[serde(rename = "override", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Override>")]
    pub override_session: OptionalField<Override>,
    /// What becomes of the live sessions on a backend whose weight is 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<WhenWeightZero>")]
    pub when_weight_zero: OptionalField<WhenWeightZero>,
}

/// What becomes of the live sessions on a backend whose weight is 0, whichever policy keeps them. `Keep`: they stay, and
/// only new sessions avoid it (GEP-1619). `Release`: they leave it with their next request, as soon as the gateway has what
/// was generated for that weight; where the weights of all backends are 0, they stay. Default: `Keep`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum WhenWeightZero {
    /// They stay.
    Keep,
    /// They leave it.
    Release,
}

/// The route that a policy is about.
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
    /// The name of one rule of the route. Default: all of its rules. A policy for one rule beats one for the whole route.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", length(min = 1, max = 253))]
    pub section_name: OptionalField<String>,
}

/// Who is sent to which backend.
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
    /// The name by which metrics count the rule, unique in the policy.
    #[schemars(with = "String", length(min = 1, max = 63), regex(pattern = "^[A-Za-z0-9_.-]+$"))]
    pub name: Field<String>,
    /// What a request must have. All of them must hold.
    #[serde(default, deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<Match>", length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub matches: Vec<Field<Match>>,
    /// In place of `matches`: the header or cookie in which a client says `always` to be sent to the backend, or `never`
    /// to be kept from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Source>")]
    pub opt_in: OptionalField<Source>,
    /// The backend, one of the route's, also one with the weight 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<BackendRef>")]
    pub backend_ref: OptionalField<BackendRef>,
    /// In place of `backendRef`, for a VirtualService: one of the route's destinations.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Destination>")]
    pub destination: OptionalField<Destination>,
}

/// One condition: on a header or on a cookie.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.header) != has(self.cookie)",
    "message": "exactly one of header and cookie must be specified",
}]))]
pub struct Match {
    /// A request header; the case of letters in its name does not matter.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<ValueMatch>")]
    pub header: OptionalField<ValueMatch>,
    /// A cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<ValueMatch>")]
    pub cookie: OptionalField<ValueMatch>,
}

/// What a value must be. Values are compared byte for byte.
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
    /// What it is compared with. A regular expression must match the whole value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", length(max = 1024))]
    pub value: OptionalField<String>,
}

/// A header or a cookie, by its name.
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
    /// The namespace of the Service. Default: the policy's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", length(min = 1, max = 63))]
    pub namespace: OptionalField<String>,
    /// The port of the Service. It can be left out where the route has one backend of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i32>", range(min = 1, max = 65_535))]
    pub port: OptionalField<Port>,
}

/// A destination of a VirtualService, as it is written there.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Destination {
    /// The host: the name of a Service, its full name, or a host of a ServiceEntry.
    #[schemars(with = "String", length(min = 1, max = 253))]
    pub host: Field<String>,
    /// The subset, one of the host's DestinationRule.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", length(min = 1, max = 253))]
    pub subset: OptionalField<String>,
    /// The port. It can be left out where the route has one destination of this host and subset.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<PortSelector>")]
    pub port: OptionalField<PortSelector>,
}

/// A port by its number.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PortSelector {
    /// The number.
    #[schemars(with = "i32", range(min = 1, max = 65_535))]
    pub number: Field<Port>,
}

/// How those are split whom no rule sends anywhere.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Split {
    /// What tells who a client is: the same client always gets the same backend, and a change of weights moves no more
    /// clients than it must. Clients without it are split by chance, as all are by default.
    #[schemars(with = "Source", required)]
    pub hash_on: OptionalField<Source>,
    /// What the clients are drawn with. Under one seed, the same clients are the first to get the canary of every release;
    /// a seed for each release, such as its version, draws other clients each time. Change it between two releases: a new
    /// seed draws all clients again. Live sessions stay where they are. Default: no seed.
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
    /// Where the session's token travels. Default: `Cookie`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Transport>")]
    pub transport: OptionalField<Transport>,
    /// How long a session lasts in all (GEP-2257). Default: without end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", regex(pattern = "^([0-9]{1,5}(h|m|s|ms)){1,4}$"))]
    pub absolute_timeout: OptionalField<Text>,
    /// How long a session lasts without a request (GEP-2257). Default: without end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", regex(pattern = "^([0-9]{1,5}(h|m|s|ms)){1,4}$"))]
    pub idle_timeout: OptionalField<Text>,
    /// The cookie. Only with type Cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<StickyCookie>")]
    pub cookie: OptionalField<StickyCookie>,
    /// The header. Only with type Header.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<StickyHeader>")]
    pub header: OptionalField<StickyHeader>,
}

/// The cookie of a session.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StickyCookie {
    /// Its name. Default: one for each rule of the route.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "Option<String>",
        length(min = 1, max = 256),
        regex(pattern = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")
    )]
    pub name: OptionalField<String>,
    /// Its attribute `Path`. Default: `/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", length(min = 1, max = 1024))]
    pub path: OptionalField<String>,
    /// Whether the browser keeps it when it is closed. Default: `Session`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<LifetimeType>")]
    pub lifetime_type: OptionalField<LifetimeType>,
}

/// The header of a session.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StickyHeader {
    /// Its name, in requests and responses.
    #[schemars(
        with = "String",
        length(min = 1, max = 256),
        regex(pattern = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")
    )]
    pub name: Field<String>,
}

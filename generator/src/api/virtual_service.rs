//! `VirtualService` of Istio (`networking.istio.io`, v1, v1beta1 and v1alpha3).
//!
//! The types list all fields of an http route, because the target `envoy` must reject the fields that it does not
//! support.

use serde::{Deserialize, Deserializer, de};

use super::{
    canary::Destination,
    http_route_fields::{CorsPolicy, Fault, Headers, HttpRewrite, Mirror, MirrorPolicy, Retries, known},
};
use crate::api::field::{Any, Field, OptionalField, Pairs, list, nullable};

/// `spec`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VirtualServiceSpec {
    /// `hosts`.
    #[serde(default, deserialize_with = "list")]
    pub hosts: Vec<Field<String>>,
    /// `gateways`. If it is empty, `mesh`, which means all sidecars.
    #[serde(default, deserialize_with = "list")]
    pub gateways: Vec<Field<String>>,
    /// `http`.
    #[serde(default, deserialize_with = "list")]
    pub http: Vec<Field<HttpRoute>>,
    /// `tls`.
    #[serde(rename = "tls")]
    _tls: Option<Any>,
    /// `tcp`.
    #[serde(rename = "tcp")]
    _tcp: Option<Any>,
    /// `exportTo`. If it is empty, every namespace.
    #[serde(default, deserialize_with = "list")]
    pub export_to: Vec<Field<String>>,
}

/// One http route.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "Istio: HTTPRoute")]
pub struct HttpRoute {
    pub name: OptionalField<String>,
    #[serde(default, rename = "match", deserialize_with = "list")]
    pub matches: Vec<Field<HttpMatch>>,
    #[serde(default, deserialize_with = "list")]
    pub route: Vec<Field<RouteDestination>>,
    pub redirect: OptionalField<Any>,
    pub direct_response: OptionalField<Any>,
    pub delegate: OptionalField<Delegate>,
    #[serde(default, deserialize_with = "known::<_, HttpRewrite>")]
    pub rewrite: OptionalField<Any>,
    pub timeout: OptionalField<Any>,
    #[serde(default, deserialize_with = "known::<_, Retries>")]
    pub retries: OptionalField<Any>,
    #[serde(default, deserialize_with = "known::<_, Fault>")]
    pub fault: OptionalField<Any>,
    #[serde(default, deserialize_with = "known::<_, Mirror>")]
    pub mirror: OptionalField<Any>,
    #[serde(default, deserialize_with = "known::<_, Vec<MirrorPolicy>>")]
    pub mirrors: OptionalField<Any>,
    #[serde(alias = "mirror_percent")]
    pub mirror_percent: OptionalField<Any>,
    pub mirror_percentage: OptionalField<Any>,
    #[serde(default, deserialize_with = "known::<_, CorsPolicy>")]
    pub cors_policy: OptionalField<Any>,
    #[serde(default, deserialize_with = "known::<_, Headers>")]
    pub headers: OptionalField<Any>,
}

/// The `VirtualService` to which an http route delegates.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Delegate {
    /// `name`.
    pub name: Field<String>,
    /// `namespace`. If it is absent or empty, the namespace of the route.
    pub namespace: OptionalField<String>,
}

/// A destination with its weight.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteDestination {
    /// `destination`.
    pub destination: Field<Destination>,
    /// `weight`. The default is 100 for a single destination, and 0 otherwise.
    pub weight: OptionalField<u32>,
    /// `headers`.
    #[serde(default, deserialize_with = "known::<_, Headers>")]
    pub headers: OptionalField<Any>,
}

/// One match: a request must fulfil all of its conditions.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "Istio: HTTPMatchRequest")]
pub struct HttpMatch {
    pub name: OptionalField<String>,
    pub uri: OptionalField<StringMatch>,
    pub method: OptionalField<StringMatch>,
    #[serde(default, deserialize_with = "nullable")]
    pub headers: Matches,
    #[serde(default, deserialize_with = "nullable")]
    pub query_params: Matches,
    pub scheme: OptionalField<StringMatch>,
    pub authority: OptionalField<StringMatch>,
    pub port: OptionalField<u32>,
    #[serde(default, deserialize_with = "nullable")]
    pub source_labels: Pairs,
    #[serde(default, deserialize_with = "list")]
    pub gateways: Vec<Field<String>>,
    pub ignore_uri_case: OptionalField<bool>,
    #[serde(default, deserialize_with = "nullable")]
    pub without_headers: Matches,
    pub source_namespace: OptionalField<String>,
    pub stat_prefix: OptionalField<Any>,
}

/// A string match. Without a field, it matches any string.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StringMatch {
    /// `exact`.
    pub exact: OptionalField<String>,
    /// `prefix`.
    pub prefix: OptionalField<String>,
    /// `regex`.
    pub regex: OptionalField<String>,
}

/// Names of headers or query parameters, each with a match of its value.
#[derive(Clone, Debug, Default)]
pub struct Matches(pub Vec<(Field<String>, Field<StringMatch>)>);

impl<'de> Deserialize<'de> for Matches {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Matches;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a mapping")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Matches, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Matches(entries))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

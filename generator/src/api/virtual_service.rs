//! `VirtualService` of Istio (`networking.istio.io`, v1, v1beta1 and v1alpha3).
//!
//! Past this module its http routes are the rules of an [`HttpRouteSpec`] of the kind `VirtualService`. Istio applies the
//! matches and everything else in them; all fields are listed, so that a target that is not Istio can refuse those that it
//! does not have.

use serde::{Deserialize, Deserializer, de};

use super::{
    canary::Destination,
    route::{HttpRouteSpec, Match, Method, PathMatch, PathMatchType, Rule, ValueMatch, ValueMatchType},
};
use crate::{
    api::field::{Any, Field, OptionalField, Pairs, list, nullable},
    kind::Kind,
};

/// `spec`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VirtualServiceSpec {
    /// `hosts`.
    #[serde(default, deserialize_with = "list")]
    pub hosts: Vec<Field<String>>,
    /// `gateways`. Empty: `mesh`, all sidecars.
    #[serde(default, deserialize_with = "list")]
    pub gateways: Vec<Field<String>>,
    /// `http`.
    #[serde(default, deserialize_with = "list")]
    pub http: Vec<Field<HttpRoute>>,
    /// `tls`: no HTTP.
    #[serde(rename = "tls")]
    _tls: Option<Any>,
    /// `tcp`: likewise.
    #[serde(rename = "tcp")]
    _tcp: Option<Any>,
    /// `exportTo`. Empty: every namespace.
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
    pub rewrite: OptionalField<Any>,
    pub timeout: OptionalField<Any>,
    pub retries: OptionalField<Any>,
    pub fault: OptionalField<Any>,
    pub mirror: OptionalField<Any>,
    pub mirrors: OptionalField<Any>,
    #[serde(alias = "mirror_percent")]
    pub mirror_percent: OptionalField<Any>,
    pub mirror_percentage: OptionalField<Any>,
    pub cors_policy: OptionalField<Any>,
    pub headers: OptionalField<Any>,
}

/// The `VirtualService` that has the routes in place of this one.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Delegate {
    /// `name`.
    pub name: Field<String>,
    /// `namespace`. None or empty: that of the route.
    pub namespace: OptionalField<String>,
}

/// A destination with its weight.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteDestination {
    /// `destination`.
    pub destination: Field<Destination>,
    /// `weight`. None: everything where there is one destination, else nothing.
    pub weight: OptionalField<u32>,
    /// `headers`.
    pub headers: OptionalField<Any>,
}

/// One match: all of its parts must hold.
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

/// On which proxies a match is (istiod: `sourceMatchHTTP`). Nothing: on all of them.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// `gateways`. Where there are any, the labels and the namespace do not count.
    pub gateways: Vec<Field<String>>,
    /// `sourceLabels`.
    pub source_labels: Pairs,
    /// `sourceNamespace`.
    pub source_namespace: OptionalField<String>,
    /// `port`.
    pub port: OptionalField<u32>,
}

impl Scope {
    fn is_everywhere(&self) -> bool {
        self.gateways.is_empty()
            && self.source_labels.iter().next().is_none()
            && self.source_namespace.is_none()
            && self.port.is_none()
    }
}

/// How a text is compared. Nothing: it must be there.
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

/// Names, each with what its value must be.
#[derive(Clone, Debug, Default)]
pub struct Matches(pub(super) Vec<(Field<String>, Field<StringMatch>)>);

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

/// Something that only Istio does, and where it stands.
pub type OnlyIstio = Field<&'static str>;

fn only_istio<T>(what: &'static str, field: &Field<T>) -> OnlyIstio {
    field.put(what)
}

impl From<VirtualServiceSpec> for HttpRouteSpec {
    fn from(spec: VirtualServiceSpec) -> Self {
        let rules = spec.http.into_iter();
        Self {
            kind: Kind::VirtualService,
            parent_refs: Vec::new(),
            use_default_gateways: None,
            hostnames: spec.hosts,
            rules: rules
                .map(|rule| Field {
                    value: rule.value.into(),
                    at: rule.at,
                })
                .collect(),
            gateways: spec.gateways,
            export_to: spec.export_to,
        }
    }
}

impl HttpRoute {
    fn others(&self) -> impl Iterator<Item = OnlyIstio> {
        let others = [
            ("`redirect`", &self.redirect),
            ("`directResponse`", &self.direct_response),
            ("`rewrite`", &self.rewrite),
            ("`timeout`", &self.timeout),
            ("`retries`", &self.retries),
            ("`fault`", &self.fault),
            ("`mirror`", &self.mirror),
            ("`mirrors`", &self.mirrors),
            ("`mirrorPercent`", &self.mirror_percent),
            ("`mirrorPercentage`", &self.mirror_percentage),
            ("`corsPolicy`", &self.cors_policy),
            ("`headers`", &self.headers),
        ];
        let others = others.into_iter();
        let others = others.filter_map(|(what, field)| Some(only_istio(what, field.as_ref()?)));
        others.chain(self.delegate.as_ref().map(|field| only_istio("`delegate`", field)))
    }
}

impl From<HttpRoute> for Rule {
    fn from(route: HttpRoute) -> Self {
        let mut only_istio: Vec<OnlyIstio> = route.others().collect();
        let mut matches = Vec::new();
        for one in route.matches {
            let (converted, others) = one.value.convert();
            only_istio.extend(others);
            matches.push(Field {
                value: converted,
                at: one.at,
            });
        }
        Self {
            // Istio takes an empty name for none.
            name: route.name.filter(|name| !name.value.is_empty()),
            matches,
            filters: Vec::new(),
            backend_refs: Vec::new(),
            timeouts: None,
            retry: None,
            session_persistence: None,
            destinations: route.route,
            only_istio,
        }
    }
}

impl HttpMatch {
    fn others(&self) -> impl Iterator<Item = OnlyIstio> {
        let texts = [("`scheme`", &self.scheme), ("`authority`", &self.authority)].into_iter();
        let texts = texts.filter_map(|(what, field)| Some(only_istio(what, field.as_ref()?)));
        let case = self
            .ignore_uri_case
            .as_ref()
            .map(|field| only_istio("`ignoreUriCase`", field));
        let without = self.without_headers.0.first();
        let without = without.map(|(name, _)| only_istio("`withoutHeaders`", name));
        let prefix = self.stat_prefix.as_ref().map(|field| only_istio("`statPrefix`", field));
        texts.chain(case).chain(without).chain(prefix)
    }

    /// The match, and what is left over.
    fn convert(self) -> (Match, Vec<OnlyIstio>) {
        let mut left: Vec<OnlyIstio> = self.others().collect();
        let path = self.uri.as_ref().and_then(|uri| {
            let path = uri.value.path();
            if path.is_none() {
                left.push(only_istio("a `uri` that is neither exact nor prefix nor regex", uri));
            }
            path
        });
        let method = self.method.as_ref().and_then(|method| {
            let exact = method.value.exact.as_ref();
            let known = exact.and_then(|name| Some(name.put(Method::new(&name.value)?)));
            if known.is_none() {
                left.push(only_istio(
                    "a `method` that is not exactly one of the usual ones",
                    method,
                ));
            }
            known
        });
        let scope = Scope {
            gateways: self.gateways,
            source_labels: self.source_labels,
            source_namespace: self.source_namespace.filter(|namespace| !namespace.value.is_empty()),
            port: self.port.filter(|port| port.value != 0),
        };
        let one = Match {
            path,
            headers: self.headers.convert(),
            query_params: self.query_params.convert(),
            method,
            grpc: None,
            name: self.name.filter(|name| !name.value.is_empty()),
            scope: (!scope.is_everywhere()).then(|| Box::new(scope)),
        };
        (one, left)
    }
}

impl Matches {
    fn convert(self) -> Vec<ValueMatch> {
        let one = |(name, value): (Field<String>, Field<StringMatch>)| {
            let text = value.value;
            let (kind, text) = match (text.exact, text.prefix, text.regex) {
                (Some(exact), ..) => (ValueMatchType::Exact, exact),
                (None, Some(prefix), _) => (ValueMatchType::Prefix, prefix),
                (None, None, Some(regex)) => (ValueMatchType::RegularExpression, regex),
                (None, None, None) => {
                    let nothing = Field {
                        value: String::new(),
                        at: value.at,
                    };
                    (ValueMatchType::Present, nothing)
                }
            };
            ValueMatch {
                kind,
                name,
                value: text,
            }
        };
        self.0.into_iter().map(one).collect()
    }
}

impl StringMatch {
    fn path(&self) -> Option<PathMatch> {
        let kinds = [
            (PathMatchType::Exact, &self.exact),
            (PathMatchType::TextPrefix, &self.prefix),
            (PathMatchType::RegularExpression, &self.regex),
        ];
        let (kind, value) = kinds.into_iter().find(|(_, value)| value.is_some())?;
        Some(PathMatch {
            kind,
            value: value.clone(),
        })
    }
}

//! The conversion of `VirtualService`, and how it names gateways.
//!
//! Istio applies the matches and all other features of an http route. The model keeps the names of the features that Gateway
//! API lacks, because a local Envoy cannot serve them.

use super::{
    http_route::converted,
    route::{Match, OnlyIstio, PathMatch, PathMatchType, RouteSpec, Rule, Scope, ValueMatch, ValueMatchType},
};
use crate::{
    api::{
        field::Field,
        route::Method,
        virtual_service::{HttpMatch, HttpRoute, Matches, StringMatch, VirtualServiceSpec},
    },
    id::Id,
    kind::Kind,
};

/// The name of the sidecars in `gateways`.
pub const MESH: &str = "mesh";

/// The id of a gateway that a `VirtualService` in `namespace` names, or `None` for the sidecars (istiod:
/// `resolveGatewayName`).
#[must_use]
pub fn istio_gateway(name: &str, namespace: &str) -> Option<Id> {
    if name == MESH {
        return None;
    }
    Some(match (name.split_once('/'), name.split_once('.')) {
        (Some((".", name)), _) => Id::new(namespace, name),
        (Some((namespace, name)), _) => Id::new(namespace, name),
        // The deprecated form: name and namespace as in the host name of a Service.
        (None, Some((name, rest))) => Id::new(rest.split_once('.').map_or(rest, |(namespace, _)| namespace), name),
        (None, None) => Id::new(namespace, name),
    })
}

fn only_istio<T>(what: &'static str, field: &Field<T>) -> OnlyIstio {
    field.put(what)
}

impl From<VirtualServiceSpec> for RouteSpec {
    fn from(spec: VirtualServiceSpec) -> Self {
        Self {
            kind: Kind::VirtualService,
            parent_refs: Vec::new(),
            use_default_gateways: None,
            hostnames: spec.hosts,
            rules: converted(spec.http),
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
            // istiod treats an empty name as absent.
            name: route.name.filter(|name| !name.value.is_empty()),
            matches,
            destinations: route.route,
            only_istio,
            ..Self::default()
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

    /// The match, and its features that only Istio supports.
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
                left.push(only_istio("a `method` that is not an exact standard method", method));
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
            name: self.name.filter(|name| !name.value.is_empty()),
            scope: (!scope.is_everywhere()).then(|| Box::new(scope)),
            ..Match::EVERYTHING
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

//! Clusters: one for each Service port to which a rule routes, with the endpoints that istiod would send.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use serde_json::{Value, json};

use super::{super::http_filters::type_url, addresses::socket_address, served::Served, subsets};
use crate::{
    api::service::{AddressType, Conditions, Endpoint, EndpointSlice, Protocol},
    diagnostic::{Code, Diagnostic, Report},
    ir::{Backend, DRAINING_LABEL},
    kind::Kind,
    omissions::Omitted,
    resources::{Item, Resources},
};

/// The label by which a slice names its Service.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// The clusters of all rules, in the order of their names.
pub fn clusters<'a>(
    rules: impl Iterator<Item = &'a Served<'a>>,
    resources: &Resources,
    report: &mut Report,
) -> Vec<Value> {
    let mut backends: BTreeMap<String, &Backend> = BTreeMap::new();
    let mut grpc = BTreeSet::new();
    let mut ours = BTreeSet::new();
    for served in rules {
        let rule = served.rule;
        for backend in rule.backends.iter().chain(served.mirrors.iter().flatten()) {
            if rule.route.spec.kind == Kind::GrpcRoute {
                grpc.insert(backend.cluster());
            }
            backends.insert(backend.cluster(), backend);
        }
        if rule.uses_mooring() {
            ours.extend(rule.backends.iter().map(Backend::cluster));
        }
    }
    let slices = by_service(resources);
    let none = Vec::new();
    backends
        .iter()
        .map(|(name, backend)| {
            let id = &backend.concrete.id;
            let slices = slices.get(&(id.namespace.as_str(), id.name.as_str()));
            // If the protocol is not declared, istiod lets Envoy detect it. The backends of a GRPCRoute speak HTTP/2.
            let http2 = match backend.port.protocol() {
                Some(protocol) => protocol == Protocol::Http2,
                None => grpc.contains(name),
            };
            let mut found = Report::default();
            let cluster = cluster(name, backend, http2, slices.unwrap_or(&none), resources, &mut found);
            if ours.contains(name) {
                report.extend(found);
            } else {
                report.extend_harmless(found);
            }
            cluster
        })
        .collect()
}

/// The hosts of backends, by their keys. Those that get new sessions come first.
pub fn hosts<'a>(
    backends: impl Iterator<Item = &'a Backend<'a>>,
    resources: &Resources,
) -> BTreeMap<String, Vec<String>> {
    let slices = by_service(resources);
    let mut hosts = BTreeMap::new();
    for backend in backends {
        let id = &backend.concrete.id;
        let Some(slices) = slices.get(&(id.namespace.as_str(), id.name.as_str())) else {
            continue;
        };
        let drains = backend.concrete.metadata.labels.get(DRAINING_LABEL).is_some();
        // What is wrong with endpoints concerns the target that writes them.
        let found = endpoints(backend, drains, slices, resources, &mut Report::default());
        let mut found: Vec<(Health, SocketAddr)> =
            found.into_iter().map(|(address, health)| (health, address)).collect();
        found.sort_unstable();
        if !found.is_empty() {
            let addresses = found.into_iter().map(|(_, address)| address.to_string());
            hosts.insert(backend.key(), addresses.collect());
        }
    }
    hosts
}

type Slices<'a> = [&'a Item<EndpointSlice>];

/// The slices of each Service, by namespace and name.
fn by_service(resources: &Resources) -> BTreeMap<(&str, &str), Vec<&Item<EndpointSlice>>> {
    let mut slices: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for slice in resources.endpoint_slices.iter() {
        if let Some(service) = slice.metadata.labels.get(SERVICE_LABEL) {
            slices
                .entry((slice.id.namespace.as_str(), service))
                .or_default()
                .push(slice);
        }
    }
    slices
}

fn cluster(
    name: &str,
    backend: &Backend,
    http2: bool,
    slices: &Slices,
    resources: &Resources,
    report: &mut Report,
) -> Value {
    let drains = backend.concrete.metadata.labels.get(DRAINING_LABEL).is_some();
    let endpoints = endpoints(backend, drains, slices, resources, report);
    if endpoints.is_empty() && !report.has_errors() {
        let message = format!(
            "the Service {} has no endpoint on port {}: no EndpointSlice in the input has a ready endpoint for it",
            backend.concrete.id, backend.port.port.value
        );
        report.add(Diagnostic::warning(Code::BackendNotFound, message).at(backend.concrete.location()));
    }
    let lb_endpoints: Vec<Value> = endpoints.into_iter().map(lb_endpoint).collect();
    json!({
        "name": name,
        "type": "STATIC",
        "common_lb_config": drains.then(|| json!({
            "override_host_status": { "statuses": ["UNKNOWN", "HEALTHY", "DEGRADED", "DRAINING"] },
        })),
        "connect_timeout": "10s",
        "lb_policy": "LEAST_REQUEST",
        "load_assignment": { "cluster_name": name, "endpoints": [{ "lb_endpoints": lb_endpoints }] },
        "typed_extension_protocol_options": http2.then(|| json!({
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": type_url("envoy.extensions.upstreams.http.v3.HttpProtocolOptions"),
                "explicit_http_config": { "http2_protocol_options": {} },
            },
        })),
    })
}

fn lb_endpoint((address, health): (SocketAddr, Health)) -> Value {
    json!({
        "endpoint": { "address": socket_address(address) },
        "health_status": (health == Health::Draining).then_some("DRAINING"),
    })
}

/// Whether new sessions may be sent to an endpoint, or only existing ones. If an address has two entries, the better
/// one is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Health {
    Ready,
    Draining,
}

impl Health {
    /// The health status that istiod derives from the conditions of an endpoint, or `None` if it does not send the
    /// endpoint.
    fn new(conditions: Conditions, drains: bool) -> Option<Self> {
        let ready = conditions.ready.unwrap_or(true);
        let serving = conditions.serving.unwrap_or(ready);
        let terminating = conditions.terminating.unwrap_or(false);
        match (ready, terminating && serving && drains) {
            (true, _) => Some(Self::Ready),
            (false, true) => Some(Self::Draining),
            (false, false) => None,
        }
    }
}

/// The endpoints of a port, sorted by address.
fn endpoints(
    backend: &Backend,
    drains: bool,
    slices: &Slices,
    resources: &Resources,
    report: &mut Report,
) -> BTreeMap<SocketAddr, Health> {
    let mut endpoints = BTreeMap::new();
    for slice in slices {
        if slice.spec.address_type.value == AddressType::Fqdn {
            let message = "an EndpointSlice with the addressType FQDN is not supported by --target envoy";
            let location = slice.location_of(&slice.spec.address_type);
            report.add(Diagnostic::error(Code::Unsupported, message).at(location));
            report.omit(Omitted::Endpoints, slice.name(Kind::EndpointSlice));
            continue;
        }
        let Some(port) = target_port(backend, &slice.spec) else {
            continue;
        };
        for endpoint in &slice.spec.endpoints {
            let Some(health) = Health::new(endpoint.conditions, drains) else {
                continue;
            };
            if !subsets::selects(backend, slice, endpoint, resources, report) {
                continue;
            }
            if let Some(ip) = address(slice, endpoint, report) {
                let known = endpoints.entry(SocketAddr::new(ip, port)).or_insert(health);
                *known = health.min(*known);
            }
        }
    }
    endpoints
}

/// The port of the pods: the port of the slice with the name of the Service's port.
fn target_port(backend: &Backend, slice: &EndpointSlice) -> Option<u16> {
    let name = |name: &Option<crate::api::field::Field<String>>| {
        name.as_ref().map_or(String::new(), |name| name.value.clone())
    };
    let wanted = name(&backend.port.name);
    let named = slice.ports.iter().find(|port| name(&port.name) == wanted)?;
    named.port.as_ref().map(|port| port.value.get())
}

fn address(slice: &Item<EndpointSlice>, endpoint: &Endpoint, report: &mut Report) -> Option<IpAddr> {
    let field = endpoint.addresses.first()?;
    let ip: Option<IpAddr> = field.value.parse().ok();
    let fits = ip.filter(|ip| ip.is_ipv4() == (slice.spec.address_type.value == AddressType::IPv4));
    if fits.is_none() {
        let kind = match slice.spec.address_type.value {
            AddressType::IPv6 => "IPv6",
            _ => "IPv4",
        };
        let message = format!("`{}` is not an {kind} address", field.value);
        report.add(Diagnostic::error(Code::Invalid, message).at(slice.location_of(field)));
        report.omit(
            Omitted::Endpoints,
            format!("{} of {}", field.value, slice.name(Kind::EndpointSlice)),
        );
    }
    fits
}

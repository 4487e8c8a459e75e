//! Resolves the destinations of a `VirtualService` (hosts, ports and subsets) as Istio does.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    backends,
    binding::{Bindings, GroupKey},
    external_names, hosts,
    proxies::Proxies,
};
use crate::{
    api::{
        canary::Destination,
        field::Field,
        istio::{DestinationRuleSpec, Subset},
        service::ServicePort,
        virtual_service::RouteDestination,
    },
    diagnostic::{Code, Diagnostic, Report},
    id::Id,
    ir::{Backend, ProxyGroup, Role, VirtualHost, Workload, destination_rules, service_host},
    kind::Kind,
    mesh::ROOT_NAMESPACE,
    model::route::{self, RouteSpec},
    model::service::ServiceSpec,
    resources::{Item, Resources},
    suggest,
};

/// The ports and pods from which a route sends requests to its destinations.
pub struct Callers {
    /// The ports of the listeners of gateways.
    ports: BTreeSet<u16>,
    /// The ports of the listeners of sidecars.
    mesh_ports: BTreeSet<u16>,
    /// The pods of the proxies. If the route applies on no proxy, pods in the namespace of the route.
    pods: Vec<Workload>,
}

impl Callers {
    /// The callers of a route with these bindings.
    pub(super) fn new(route: &Item<RouteSpec>, bindings: &Bindings, proxies: &Proxies) -> Self {
        let found = bindings.keys().flat_map(|key| proxies.find(key));
        let mut pods: Vec<Workload> = found.filter_map(|(_, group)| group.selected_pods().cloned()).collect();
        if pods.is_empty() {
            pods.push(Workload {
                namespace: route.id.namespace.clone(),
                labels: BTreeMap::new(),
            });
        }
        let ports = |of_mesh: bool| {
            let of_these = bindings
                .iter()
                .filter(|(key, _)| matches!(key, GroupKey::Callers(_)) == of_mesh);
            of_these.flat_map(|(_, hosts)| hosts).map(|host| host.port).collect()
        };
        Self {
            ports: ports(false),
            mesh_ports: ports(true),
            pods,
        }
    }

    /// The callers of a rule in these virtual hosts of proxies.
    #[must_use]
    pub fn on(group: &ProxyGroup, virtual_hosts: &BTreeSet<VirtualHost>) -> Self {
        let ports = virtual_hosts.iter().map(|host| host.port).collect();
        let (ports, mesh_ports) = match group.role {
            Role::Sidecars(_) => (BTreeSet::new(), ports),
            Role::Gateway(_) | Role::Waypoint(_) => (ports, BTreeSet::new()),
        };
        Self {
            ports,
            mesh_ports,
            pods: group.selected_pods().into_iter().cloned().collect(),
        }
    }
}

/// Resolves the destinations of a rule, in order. Reports those that cannot be resolved.
pub fn resolve<'a>(
    route: &Item<RouteSpec>,
    rule: &route::Rule,
    callers: &Callers,
    resources: &'a Resources,
    report: &mut Report,
) -> Vec<Option<Backend<'a>>> {
    let several = rule.destinations.len() > 1;
    let references = rule.destinations.iter().enumerate();
    references
        .map(|(position, reference)| {
            let destination = &reference.value.destination.value;
            let backend = resolve_one(route, destination, callers, resources, report)?;
            Some(Backend {
                weight: weight(&reference.value, several),
                reference: position,
                ..backend
            })
        })
        .collect()
}

/// The weight of a destination. A single destination gets all requests. Of several, one without a weight gets none.
fn weight(reference: &RouteDestination, several: bool) -> u32 {
    match &reference.weight {
        _ if !several => 1,
        Some(weight) => weight.value,
        None => 0,
    }
}

/// Resolves a destination. Reports it if it cannot be resolved.
pub fn resolve_one<'a>(
    route: &Item<RouteSpec>,
    destination: &Destination,
    callers: &Callers,
    resources: &'a Resources,
    report: &mut Report,
) -> Option<Backend<'a>> {
    let service = hosts::find(route, &destination.host, resources, report)?;
    let concrete = external_names::concrete(service, &|| route.location_of(&destination.host), resources, report)?;
    let port = find_port(route, destination, (service, concrete), callers, report);
    let subset = subset_of(route, destination, service, callers, resources, report);
    let (Some(port), Ok(subset)) = (port, subset) else {
        return None;
    };
    Some(Backend {
        service,
        concrete,
        port,
        subset,
        weight: 1,
        version: None,
        reference: 0,
        domain: &resources.domain,
    })
}

/// The port of a destination: the port that it names, or else, for a gateway, the only port of the Service or the port of the
/// listener, and for a sidecar always the port of the listener (istiod: `GetDestinationCluster`, which knows only the port of the
/// listener of each Service in a sidecar).
fn find_port<'a>(
    route: &Item<RouteSpec>,
    raw: &Destination,
    (service, concrete): (&'a Item<ServiceSpec>, &'a Item<ServiceSpec>),
    callers: &Callers,
    report: &mut Report,
) -> Option<&'a ServicePort> {
    if let Some(wanted) = &raw.port {
        return backends::port(route, &wanted.value.number, concrete, report);
    }
    let only = match service.spec.ports.as_slice() {
        [only] if callers.mesh_ports.is_empty() || !callers.ports.is_empty() => Some(only.port.value.get()),
        _ => None,
    };
    let mut numbers = match only {
        Some(only) => BTreeSet::from([only]),
        None => callers.ports.clone(),
    };
    numbers.extend(&callers.mesh_ports);
    let mut numbers = numbers.into_iter();
    if let (Some(number), None) = (numbers.next(), numbers.next()) {
        let mut ports = concrete.spec.ports.iter();
        if let Some(port) = ports.find(|port| port.port.value.get() == number) {
            return Some(port);
        }
    }
    let called: Vec<String> = callers.mesh_ports.iter().map(u16::to_string).collect();
    let problem = match (service.spec.ports.as_slice(), called.as_slice()) {
        ([_], [_, ..]) => format!(
            "is called on port {}, where sidecars send requests for a destination without a port, so the destination must name one",
            called.join(" and ")
        ),
        _ => "does not have exactly one port, so the destination must name one".to_owned(),
    };
    report.add(backends::no_port(concrete, &problem).at(route.location_of(&raw.host)));
    None
}

/// The subset of a destination, if it names one. Reports a subset that does not exist.
fn subset_of<'a>(
    route: &Item<RouteSpec>,
    raw: &Destination,
    service: &Item<ServiceSpec>,
    callers: &Callers,
    resources: &'a Resources,
    report: &mut Report,
) -> Result<Option<&'a Subset>, NotThere> {
    let Some(wanted) = &raw.subset else { return Ok(None) };
    let subset = find_subset(route, service, wanted, callers, resources, report);
    subset.map(Some).ok_or(NotThere)
}

/// The error for a name that could not be resolved and has been reported.
struct NotThere;

/// Finds a subset of a Service in the `DestinationRule`s that apply to one of the gateways.
fn find_subset<'a>(
    route: &Item<RouteSpec>,
    service: &Item<ServiceSpec>,
    wanted: &Field<String>,
    callers: &Callers,
    resources: &'a Resources,
    report: &mut Report,
) -> Option<&'a Subset> {
    let host = service_host::cluster_host(service, &resources.domain);
    let host = host.as_str();
    let owner = service_host::cluster_namespace(service, &resources.domain);
    let pods = callers.pods.iter();
    let mut rules: Vec<_> = pods
        .flat_map(|client| destination_rules(host, &owner, client, resources))
        .collect();
    rules.dedup_by_key(|rule| &rule.id);
    let subsets = || rules.iter().flat_map(|rule| &rule.spec.subsets);
    if let Some(found) = subsets().find(|subset| subset.name.value == wanted.value) {
        return Some(found);
    }
    if resources.destination_rules.any_unread() {
        report.miss(Kind::DestinationRule, &Id::new("", host));
        return None;
    }
    let names: Vec<&str> = subsets().map(|subset| subset.name.value.as_str()).collect();
    let unseen: Vec<_> = resources.destination_rules_for(host).map(|(_, rule)| rule).collect();
    let known = match (rules.is_empty(), names.is_empty()) {
        (true, _) if !unseen.is_empty() => format!(
            "no DestinationRule for it applies to the gateway: it must be in the gateway's namespace, or the \
             namespace {owner} or {ROOT_NAMESPACE} must export it there"
        ),
        (true, _) => "the input has no DestinationRule for this host".to_owned(),
        (false, true) => "its DestinationRule has none".to_owned(),
        (false, false) => format!("there are {}", names.join(", ")),
    };
    let message = format!("the host `{host}` has no subset `{}`; {known}", wanted.value);
    let diagnostic = Diagnostic::error(Code::BackendNotFound, message).at(route.location_of(wanted));
    let shown = if rules.is_empty() { &unseen } else { &rules };
    let diagnostic = shown.iter().fold(diagnostic, |diagnostic, rule| {
        diagnostic.with(rule.location(), "the DestinationRule")
    });
    let full = |rule: &Item<DestinationRuleSpec>| resources.domain.full_name(&rule.spec.host.value, &rule.id.namespace);
    let meant = resources.destination_rules.iter().find(|rule| {
        let has_it = || rule.spec.subsets.iter().any(|subset| subset.name.value == wanted.value);
        rules.is_empty() && full(rule).split('.').next() == host.split('.').next() && has_it()
    });
    let diagnostic = meant.into_iter().fold(diagnostic, |diagnostic, rule| {
        let label = format!("this one is for the host `{}`", full(rule));
        diagnostic.with(rule.location_of(&rule.spec.host), label)
    });
    report.add(diagnostic.help_similar(suggest::find(&wanted.value, names)));
    None
}

/// Whether a backend is the one that a destination of a canary policy in `namespace` names.
pub fn means(raw: &Destination, namespace: &str, backend: &Backend) -> bool {
    let subset = |name: &Option<Field<String>>| name.as_ref().map(|name| name.value.clone());
    backend.domain.full_name(&raw.host.value, namespace) == backend.host()
        && subset(&raw.subset) == backend.subset.map(|subset| subset.name.value.clone())
        && raw
            .port
            .as_ref()
            .is_none_or(|port| port.value.number.value == backend.port.port.value)
}

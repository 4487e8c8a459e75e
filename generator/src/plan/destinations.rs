//! The destinations of a `VirtualService`: hosts, ports and subsets, as Istio resolves them.

use super::{Backend, backends};
use crate::{
    diagnostic::{Code, Diagnostic, Report},
    dns::{CLUSTER_DOMAIN, full_name},
    inventory::{Found, Id, Inventory, Item},
    kind::Kind,
    similar,
    wire::{
        Field,
        canary::Destination,
        istio::Subset,
        route::{self, HttpRouteSpec},
        service::{ServicePort, ServiceSpec},
        virtual_service::RouteDestination,
    },
};

/// The backends of a rule. References that lead nowhere are reported.
pub fn resolve<'a>(
    route: &'a Item<HttpRouteSpec>,
    rule: &'a route::Rule,
    inventory: &'a Inventory,
    report: &mut Report,
) -> Vec<Backend<'a>> {
    let several = rule.destinations.len() > 1;
    let mut backends = Vec::new();
    for (position, reference) in rule.destinations.iter().enumerate() {
        let weight = weight(&reference.value, several);
        let destination = &reference.value.destination.value;
        if let Some(backend) = resolve_one(route, position, destination, weight, inventory, report) {
            backends::merge(&mut backends, backend);
        }
    }
    backends
}

/// What one destination gets: all where it is the only one, and nothing where others have weights and it has none.
fn weight(reference: &RouteDestination, several: bool) -> u32 {
    match &reference.weight {
        _ if !several => 1,
        Some(weight) => weight.value,
        None => 0,
    }
}

fn resolve_one<'a>(
    route: &Item<HttpRouteSpec>,
    position: usize,
    raw: &'a Destination,
    weight: u32,
    inventory: &'a Inventory,
    report: &mut Report,
) -> Option<Backend<'a>> {
    let service = find_service(route, &raw.host, inventory, report)?;
    let host = full_name(&raw.host.value, &route.id.namespace);
    Some(Backend {
        service,
        port: find_port(route, raw, service, report)?,
        subset: match &raw.subset {
            Some(subset) => Some(find_subset(route, &host, subset, inventory, report)?),
            None => None,
        },
        weight,
        reference: position,
    })
}

fn find_service<'a>(
    route: &Item<HttpRouteSpec>,
    host: &Field<String>,
    inventory: &'a Inventory,
    report: &mut Report,
) -> Option<&'a Item<ServiceSpec>> {
    let full = full_name(&host.value, &route.id.namespace);
    if let Some(external) = inventory.external_service(&full) {
        return Some(external);
    }
    // It may be a host of a ServiceEntry that could not be read.
    let mut missing = |help: Option<String>| {
        report.miss(Kind::ServiceEntry, &Id::new("", &full));
        let message = format!("no Service and no ServiceEntry of the input has the host `{full}`");
        let diagnostic = Diagnostic::error(Code::BackendNotFound, message).at(route.place_of(host));
        report.add(help.into_iter().fold(diagnostic, Diagnostic::help));
    };
    let Some(id) = service_of(&full, &route.id.namespace) else {
        let service = full.split_once('.').map(|(name, namespace)| Id::new(namespace, name));
        let service = service.filter(|id| matches!(inventory.services.find(id), Found::Item(_)));
        let help = service.map(|id| {
            let host = format!("{}.{}{CLUSTER_DOMAIN}", id.name, id.namespace);
            format!("a Service in another namespace is named in full: `{host}`")
        });
        missing(help);
        return None;
    };
    match inventory.services.find(&id) {
        Found::Item(service) => Some(service),
        Found::Unknown => {
            report.miss(Kind::Service, &id);
            None
        }
        Found::Nothing(similar) => {
            missing(similar.map(|name| format!("did you mean `{name}`?")));
            None
        }
    }
}

/// The Service that a host stands for, if it is the name of one.
#[must_use]
pub fn service_of(host: &str, namespace: &str) -> Option<Id> {
    let full = full_name(host, namespace);
    let (name, namespace) = full.strip_suffix(CLUSTER_DOMAIN)?.split_once('.')?;
    Some(Id::new(namespace, name))
}

fn find_port<'a>(
    route: &Item<HttpRouteSpec>,
    raw: &Destination,
    service: &'a Item<ServiceSpec>,
    report: &mut Report,
) -> Option<&'a ServicePort> {
    if let Some(wanted) = &raw.port {
        return backends::port(route, &wanted.value.number, service, report);
    }
    if let [only] = service.spec.ports.as_slice() {
        return Some(only);
    }
    let problem = "does not have exactly one port, so the destination must name one";
    report.add(backends::no_port(service, problem).at(route.place_of(&raw.host)));
    None
}

/// A subset of a host: of any of its `DestinationRule`s, since Istio merges them.
fn find_subset<'a>(
    route: &Item<HttpRouteSpec>,
    host: &str,
    wanted: &Field<String>,
    inventory: &'a Inventory,
    report: &mut Report,
) -> Option<&'a Subset> {
    let rules: Vec<_> = inventory.destination_rules_of(host).collect();
    let subsets = || rules.iter().flat_map(|rule| &rule.spec.subsets);
    if let Some(found) = subsets().find(|subset| subset.name.value == wanted.value) {
        return Some(found);
    }
    if inventory.destination_rules.any_unread() {
        report.miss(Kind::DestinationRule, &Id::new("", host));
        return None;
    }
    let names: Vec<&str> = subsets().map(|subset| subset.name.value.as_str()).collect();
    let known = match (rules.is_empty(), names.is_empty()) {
        (true, _) => "the input has no DestinationRule for this host".to_owned(),
        (false, true) => "its DestinationRule has none".to_owned(),
        (false, false) => format!("there are {}", names.join(", ")),
    };
    let message = format!("the host `{host}` has no subset `{}`; {known}", wanted.value);
    let diagnostic = Diagnostic::error(Code::BackendNotFound, message).at(route.place_of(wanted));
    let diagnostic = rules.iter().fold(diagnostic, |diagnostic, rule| {
        diagnostic.with(rule.place(), "the DestinationRule")
    });
    report.add(diagnostic.help_similar(similar::find(&wanted.value, names)));
    None
}

/// The place of a destination's host in a canary policy, and whether a backend is what it means.
pub fn means(raw: &Destination, namespace: &str, backend: &Backend) -> bool {
    let subset = |name: &Option<Field<String>>| name.as_ref().map(|name| name.value.clone());
    full_name(&raw.host.value, namespace) == backend.host()
        && subset(&raw.subset) == backend.subset.map(|subset| subset.name.value.clone())
        && raw
            .port
            .as_ref()
            .is_none_or(|port| port.value.number.value == backend.port.port.value)
}

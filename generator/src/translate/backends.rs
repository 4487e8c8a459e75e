//! Resolves the `backendRefs` of a rule to Services, ports and weights.

use std::collections::BTreeMap;

use super::{external_names, hosts};
use crate::{
    api::{
        field::{Field, Port},
        filter::BackendRef,
        grant::ReferenceGrantSpec,
        service::{Protocol, ServicePort},
    },
    diagnostic::{Code, Diagnostic, Report},
    dns::ClusterDomain,
    id::Id,
    ir::{Backend, DRAINING_LABEL, Rule},
    kind::{CORE_GROUP, CORE_GROUP_HELP, Kind, NETWORKING_ISTIO, shown_group},
    location::SourceLocation,
    model::route::{self, RouteSpec},
    model::service::ServiceSpec,
    resources::{Found, Item, Resources},
};

/// The largest weight (Gateway API: `maximum`).
const MAX_WEIGHT: u32 = 1_000_000;

/// The maximum number of Services that a finding shows in addition to the first.
const MAX_SHOWN: usize = 4;

/// Resolves the references of a rule, in order. Reports those that cannot be resolved.
pub fn resolve<'a>(
    route: &Item<RouteSpec>,
    rule: &route::Rule,
    resources: &'a Resources,
    report: &mut Report,
) -> Vec<Option<Backend<'a>>> {
    let references = rule.backend_refs.iter().enumerate();
    references
        .map(|(position, reference)| resolve_one(route, position, reference, resources, report))
        .collect()
}

/// The backends of a rule. References to the same Envoy cluster become one backend with the sum of their weights.
pub fn merged<'a>(references: &[Option<Backend<'a>>]) -> Vec<Backend<'a>> {
    let mut backends: Vec<Backend> = Vec::new();
    for backend in references.iter().flatten() {
        merge(&mut backends, backend.clone());
    }
    backends
}

/// Adds a backend, or only its weight if there is already a backend with the same cluster.
fn merge<'a>(backends: &mut Vec<Backend<'a>>, backend: Backend<'a>) {
    let cluster = backend.cluster();
    let twin = backends.iter_mut().find(|other| other.cluster() == cluster);
    match twin {
        Some(twin) => twin.weight = twin.weight.saturating_add(backend.weight),
        None => backends.push(backend),
    }
}

/// All Services that a rule names, including those that are not in the input.
pub fn all_named(route: &Item<RouteSpec>, rule: &route::Rule, domain: &ClusterDomain) -> Vec<Id> {
    let references = rule.backend_refs.iter().map(|reference| &reference.value);
    let services = references.filter(|raw| is_service(raw) || is_misnamed_service(raw));
    let services = services.map(|raw| named(route, raw));
    let hosts = rule.destinations.iter().map(|one| &one.value.destination.value.host);
    let destinations = hosts.filter_map(|host| domain.service(&host.value, &route.id.namespace));
    services.chain(destinations).collect()
}

fn named(route: &Item<RouteSpec>, raw: &BackendRef) -> Id {
    let namespace = raw.namespace.as_ref();
    let namespace = namespace.map_or(&route.id.namespace, |namespace| &namespace.value);
    Id::new(namespace, &raw.name.value)
}

fn group_and_kind(raw: &BackendRef) -> (&str, &str) {
    let group = raw.group.as_ref().map_or("", |group| &group.value);
    let kind = raw.kind.as_ref().map_or("Service", |kind| &kind.value);
    (group, kind)
}

fn is_service(raw: &BackendRef) -> bool {
    group_and_kind(raw) == ("", "Service")
}

/// Whether the reference names a host: a Service, or a host of a `ServiceEntry` (istiod: `Hostname`).
fn is_host(raw: &BackendRef) -> bool {
    group_and_kind(raw) == (NETWORKING_ISTIO, "Hostname")
}

/// Whether the reference has the group `core`. Users write it, but to Kubernetes the name of the core group is empty.
fn is_misnamed_service(raw: &BackendRef) -> bool {
    group_and_kind(raw) == (CORE_GROUP, "Service")
}

/// Resolves a reference. Reports it if it cannot be resolved.
pub fn resolve_one<'a>(
    route: &Item<RouteSpec>,
    position: usize,
    reference: &Field<BackendRef>,
    resources: &'a Resources,
    report: &mut Report,
) -> Option<Backend<'a>> {
    let raw = &reference.value;
    check_kind(route, raw, report)?;
    let weight = weight(route, raw, report);
    let location = route.location_of(&raw.name);
    let by_host = is_host(raw);
    let service = if by_host {
        hosts::find(route, &raw.name, resources, report)?
    } else {
        find_service(&named(route, raw), location, resources, report)?
    };
    // A host needs no permission (istiod: `buildDestination`).
    if !by_host && service.id.namespace != route.id.namespace && !permitted(route, service, resources) {
        report_not_permitted(route, service, location, resources, report);
        return None;
    }
    let concrete = external_names::concrete(service, &|| location, resources, report)?;
    let port = find_port(route, raw, concrete, report)?;
    if route.spec.kind == Kind::GrpcRoute && matches!(port.protocol(), Some(Protocol::Http | Protocol::Other)) {
        warn_of_protocol(route, service, port, location, report);
    }
    Some(Backend {
        service,
        concrete,
        subset: None,
        port,
        weight,
        version: None,
        reference: position,
        domain: &resources.domain,
    })
}

/// The Service with this id. Reports it if it is not in the input.
fn find_service<'a>(
    id: &Id,
    location: SourceLocation,
    resources: &'a Resources,
    report: &mut Report,
) -> Option<&'a Item<ServiceSpec>> {
    match resources.services.find(id) {
        Found::Item(service) => Some(service),
        Found::Unknown => {
            report.miss(Kind::Service, id);
            None
        }
        Found::Nothing(instead) => {
            let message = format!("the Service {id} is not in the input");
            let error = Diagnostic::error(Code::BackendNotFound, message).at(location);
            report.add(error.instead(&instead));
            None
        }
    }
}

/// Reports that no `ReferenceGrant` permits a reference to a Service of another namespace.
fn report_not_permitted(
    route: &Item<RouteSpec>,
    service: &Item<ServiceSpec>,
    location: SourceLocation,
    resources: &Resources,
    report: &mut Report,
) {
    let id = &service.id;
    let message = format!(
        "{} must not refer to the Service {id}: it is in another namespace, and no ReferenceGrant there \
         permits it",
        route.title()
    );
    let help = format!(
        "add a ReferenceGrant in the namespace {} from {} in {} to Service",
        id.namespace, route.spec.kind, route.id.namespace
    );
    let diagnostic = Diagnostic::error(Code::RefNotPermitted, message)
        .at(location)
        .help(help);
    let mut grants = resources.reference_grants.iter();
    let elsewhere = grants.find(|grant| permits(&grant.spec, route, service));
    report.add(elsewhere.into_iter().fold(diagnostic, |diagnostic, grant| {
        let label = format!("this one permits it in the namespace {} only", grant.id.namespace);
        diagnostic.with(grant.location(), label)
    }));
    // A grant that could not be read might permit this. Only what is known to be permitted is accepted.
    report.miss(Kind::ReferenceGrant, id);
}

/// Warns of a `GRPCRoute` that leads to a port of another protocol.
fn warn_of_protocol(
    route: &Item<RouteSpec>,
    service: &Item<ServiceSpec>,
    port: &ServicePort,
    location: SourceLocation,
    report: &mut Report,
) {
    let message = format!(
        "{} leads to port {} of the Service {}, which declares a protocol other than HTTP/2: calls will fail",
        route.title(),
        port.port.value,
        service.id
    );
    let declared = port.app_protocol.as_ref().or(port.name.as_ref());
    let declared = declared.map_or(service.location(), |field| service.location_of(field));
    report.add(
        Diagnostic::warning(Code::Unsupported, message)
            .at(location)
            .with(declared, "declared here")
            .help("give the port `appProtocol: kubernetes.io/h2c` or a name that begins with `grpc`"),
    );
}

fn check_kind(route: &Item<RouteSpec>, raw: &BackendRef, report: &mut Report) -> Option<()> {
    if is_service(raw) || is_host(raw) {
        return Some(());
    }
    let (group, kind) = group_and_kind(raw);
    let field = raw.kind.as_ref().or(raw.group.as_ref()).unwrap_or(&raw.name);
    let (field, help) = match &raw.group {
        Some(field) if is_misnamed_service(raw) => (field, Some(CORE_GROUP_HELP)),
        _ => (field, None),
    };
    let group = shown_group(group);
    let message = format!("a backend must be a Service of the core group, but this is a {kind} of the group {group}");
    let diagnostic = Diagnostic::error(Code::Unsupported, message).at(route.location_of(field));
    report.add(help.into_iter().fold(diagnostic, Diagnostic::help));
    None
}

fn find_port<'a>(
    route: &Item<RouteSpec>,
    raw: &BackendRef,
    service: &'a Item<ServiceSpec>,
    report: &mut Report,
) -> Option<&'a ServicePort> {
    let Some(wanted) = &raw.port else {
        let message = format!(
            "the port is missing: a reference to a Service needs one ({} has {})",
            service.id,
            ports(service)
        );
        report.add(Diagnostic::error(Code::Invalid, message).at(route.location_of(&raw.name)));
        return None;
    };
    port(route, wanted, service, report)
}

/// The port with this number. Reports an error if the Service does not have it.
pub fn port<'a>(
    route: &Item<RouteSpec>,
    wanted: &Field<Port>,
    service: &'a Item<ServiceSpec>,
    report: &mut Report,
) -> Option<&'a ServicePort> {
    let found = service.spec.ports.iter().find(|port| port.port.value == wanted.value);
    if found.is_none() {
        report.add(no_port(service, &format!("has no port {}", wanted.value)).at(route.location_of(wanted)));
    }
    found
}

/// An error about the ports of a Service or of a host of a `ServiceEntry`. The caller adds the location of the
/// reference.
pub fn no_port(service: &Item<ServiceSpec>, problem: &str) -> Diagnostic {
    let (title, label) = match &service.spec.external_host {
        Some(host) => (
            format!("the host `{}` of ServiceEntry {}", host.value, service.id),
            "the ServiceEntry",
        ),
        None => (format!("the Service {}", service.id), "the Service"),
    };
    let message = format!("{title} {problem}; it has {}", ports(service));
    Diagnostic::error(Code::BackendNotFound, message).with(service.location(), label)
}

fn ports(service: &Item<ServiceSpec>) -> String {
    let ports: Vec<String> = service
        .spec
        .ports
        .iter()
        .map(|port| port.port.value.to_string())
        .collect();
    if ports.is_empty() {
        "none".to_owned()
    } else {
        ports.join(", ")
    }
}

fn weight(route: &Item<RouteSpec>, raw: &BackendRef, report: &mut Report) -> u32 {
    let Some(weight) = &raw.weight else { return 1 };
    if weight.value > MAX_WEIGHT {
        let message = format!("the weight is {}, and at most {MAX_WEIGHT} is allowed", weight.value);
        report.add(Diagnostic::error(Code::Invalid, message).at(route.location_of(weight)));
    }
    weight.value.min(MAX_WEIGHT)
}

/// Whether a `ReferenceGrant` in the Service's namespace permits the reference (GEP-709).
fn permitted(route: &Item<RouteSpec>, service: &Item<ServiceSpec>, resources: &Resources) -> bool {
    let mut grants = resources.reference_grants.of_namespace(&service.id.namespace);
    grants.any(|grant| permits(&grant.spec, route, service))
}

/// Whether a grant would permit the reference if it were in the Service's namespace.
fn permits(grant: &ReferenceGrantSpec, route: &Item<RouteSpec>, service: &Item<ServiceSpec>) -> bool {
    let kind = route.spec.kind.to_string();
    grant.permits((&kind, &route.id.namespace), ("Service", &service.id.name))
}

/// Reports backends with which a managed rule cannot work as intended.
pub fn check_for_sessions(rule: &Rule, report: &mut Report) {
    if !rule.is_managed() {
        return;
    }
    let location = rule.location_of(rule.spec);
    if rule.spec.value.backend_refs.is_empty() && rule.spec.value.destinations.is_empty() {
        let message = match rule.session {
            Some(_) => "this rule has no backendRefs, so it cannot keep sessions",
            None => "this rule has no backendRefs, so its canary has no backends",
        };
        report.add(Diagnostic::error(Code::Invalid, message).at(location));
    } else if !rule.backends.is_empty() && rule.backends.iter().all(|backend| backend.weight == 0) {
        let message =
            "the weights of all backends of this rule are 0: requests without a live session are answered with 500";
        report.add(Diagnostic::warning(Code::NoEffect, message).at(location));
    }
    for backend in rule.backends.iter().filter(|_| rule.session.is_some()) {
        warn_of_affinity(backend.service, report);
    }
}

/// Warns of `sessionAffinity`, which applies only to clients of the Service's own address.
fn warn_of_affinity(service: &Item<ServiceSpec>, report: &mut Report) {
    let affinity = service.spec.session_affinity.as_ref();
    if let Some(field) = affinity.filter(|field| field.value == "ClientIP") {
        let message = format!(
            "sessionAffinity of the Service {} has no effect here: a gateway sends requests to its pods, not to its \
             address",
            service.id
        );
        report.add(Diagnostic::warning(Code::NoEffect, message).at(service.location_of(field)));
    }
}

/// Services, each with its place.
type Places = BTreeMap<Id, SourceLocation>;

/// The Services whose sessions end as soon as their pod terminates: those without a label, and those that are used by subset. istiod
/// sends draining endpoints only for a Service with the label, and only clusters of whole Services use them, not those of subsets.
pub fn without_draining(rules: &[&Rule]) -> (Places, Places) {
    let backends: Vec<&Backend> = rules
        .iter()
        .filter(|rule| rule.host_session_filter().is_some())
        .flat_map(|rule| &rule.backends)
        .filter(|backend| backend.service_id().is_some())
        .collect();
    let services = |counts: fn(&Backend) -> bool| -> Places {
        let counted = backends.iter().filter(|backend| counts(backend));
        counted
            .map(|backend| (backend.concrete.id.clone(), backend.concrete.location()))
            .collect()
    };
    (
        services(|backend| backend.subset.is_none() && backend.concrete.metadata.labels.get(DRAINING_LABEL).is_none()),
        services(|backend| backend.subset.is_some()),
    )
}

/// Notes these Services.
pub fn note_draining(unlabelled: &Places, of_subsets: &Places, report: &mut Report) {
    note_services(
        unlabelled,
        "sessions leave a pod as soon as it terminates, since its Service does not let them stay until it is gone",
        &format!("to let them stay, give the Service the label `{DRAINING_LABEL}: mooring`"),
        report,
    );
    note_services(
        of_subsets,
        "sessions leave a pod of a subset as soon as it terminates: Istio lets only those of whole Services stay",
        "to let them stay, use a Service for each version instead of subsets",
        report,
    );
}

/// A note on several Services at once.
fn note_services(services: &Places, message: &str, help: &str, report: &mut Report) {
    let mut services = services.values();
    let Some(first) = services.next() else { return };
    let more = match services.len() {
        0..=MAX_SHOWN => String::new(),
        count => format!(" (this and {count} more Services)"),
    };
    let note = Diagnostic::note(Code::Draining, format!("{message}{more}"));
    let note = note.at(*first).help(help);
    let shown = services.take(MAX_SHOWN);
    report.add(shown.fold(note, |note, service| note.with(*service, "another such Service")));
}

//! Binds routes of the mesh to the sidecars of callers and to waypoints: routes of Gateway API whose parent is a Service or
//! a `ServiceEntry`, and `VirtualService`s of the gateway `mesh`, which waypoints refuse.
//!
//! A sidecar has one virtual host for each HTTP port of each host that it can call (istiod:
//! `BuildSidecarOutboundVirtualHosts`).

use std::collections::BTreeSet;

use super::{Bindings, GroupKey};
use crate::{
    api::{field::Field, route::ParentRef, service::Protocol},
    diagnostic::{Code, Diagnostic, Report},
    dns,
    id::Id,
    ir::{VirtualHost, Workload, service_host},
    kind::{Kind, mesh_parent},
    location::SourceLocation,
    model::{gateway::GatewaySpec, route::RouteSpec, service::ServiceSpec, virtual_service::MESH},
    resources::{Found, Item, Resources},
    translate::waypoints::{self, Unserved},
    visibility,
};

/// The port on which a sidecar serves a host of a `VirtualService` that is neither a Service nor a host of a
/// `ServiceEntry`.
const UNKNOWN_HOST_PORT: u16 = 80;

/// The help for a route that no caller serves.
const HELP: &str = "name the pods that call it with --callers NAMESPACE or --callers NAMESPACE/LABEL=VALUE";

/// A parent of a route of the mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeshParent {
    /// `Service` or `ServiceEntry`.
    pub kind: Kind,
    /// The object.
    pub id: Id,
}

/// The parent of a route in `namespace`, if it is a Service or a `ServiceEntry`.
pub fn parent(parent: &ParentRef, namespace: &str) -> Option<MeshParent> {
    let group = parent.group.as_ref()?.value.as_str();
    let kind = parent.kind.as_ref()?.value.as_str();
    let own = parent.namespace.as_ref().map(|namespace| namespace.value.as_str());
    Some(MeshParent {
        kind: mesh_parent(group, kind)?,
        id: Id::new(own.unwrap_or(namespace), &parent.name.value),
    })
}

/// Binds a route of Gateway API to the callers of a parent. `errors` gets references that cannot be resolved, and
/// `doubts` gets the reasons why no caller keeps sessions.
pub fn bind_parent(
    route: &Item<RouteSpec>,
    reference: &Field<ParentRef>,
    parent: &MeshParent,
    resources: &Resources,
    bindings: &mut Bindings,
    (errors, doubts): (&mut Report, &mut Report),
) {
    let location = route.location_of(&reference.value.name);
    let services = services(parent, resources);
    if services.is_empty() {
        report_missing(parent, resources, location, errors);
        return;
    }
    let wanted = reference.value.port.as_ref();
    let hosts = services.iter().flat_map(|service| {
        let ports = http_ports(service);
        let ports = ports.filter(move |port| wanted.is_none_or(|wanted| wanted.value.get() == *port));
        ports.map(|port| virtual_host(service, port, resources))
    });
    let hosts: BTreeSet<VirtualHost> = hosts.collect();
    let title = format!("{} {}", parent.kind, parent.id);
    if hosts.is_empty() {
        let ports = match wanted {
            Some(port) => format!("no HTTP port {}", port.value),
            None => "no HTTP port".to_owned(),
        };
        let location = wanted.map_or(location, |port| route.location_of(port));
        let message = format!("the {title} has {ports}, so sidecars do not route its requests");
        errors.add(Diagnostic::error(Code::NoMatchingParent, message).at(location));
        return;
    }
    // A route in another namespace than its parent applies only to callers in its own namespace (GEP-1426).
    let is_producer = route.id.namespace == parent.id.namespace;
    let reached = callers(resources).filter(|pods| is_producer || pods.is_in(&route.id.namespace));
    let reached: Vec<Workload> = reached.collect();
    let mut has_waypoint = false;
    for service in services {
        let found = waypoints::of_service(service, resources);
        has_waypoint |= found.is_some();
        bind_waypoint(route, service, found, location, (&hosts, bindings), (errors, doubts));
    }
    if reached.is_empty() && !has_waypoint {
        doubts.add(
            no_callers(route, &title, is_producer, resources)
                .at(location)
                .help(HELP),
        );
    }
    bind_callers(reached, &hosts, bindings);
}

fn bind_callers(reached: Vec<Workload>, hosts: &BTreeSet<VirtualHost>, bindings: &mut Bindings) {
    for pods in reached {
        let bound = bindings.entry(GroupKey::Callers(pods)).or_default();
        bound.extend(hosts.iter().cloned());
    }
}

/// Binds a route to the waypoint of a Service, if the waypoint applies the route.
fn bind_waypoint(
    route: &Item<RouteSpec>,
    service: &Item<ServiceSpec>,
    found: Option<Result<&Item<GatewaySpec>, Unserved>>,
    location: SourceLocation,
    (hosts, bindings): (&BTreeSet<VirtualHost>, &mut Bindings),
    (errors, doubts): (&mut Report, &mut Report),
) {
    let waypoint = match found {
        None => return,
        Some(Err(Unserved::Unread(id))) => return errors.miss(Kind::Gateway, &id),
        Some(Err(Unserved::Refused(error))) => return errors.add(error.with(location, "the parent of the route")),
        Some(Ok(waypoint)) => waypoint,
    };
    if !waypoints::applies_routes_of(&route.id.namespace, service, waypoint) {
        let message = format!(
            "the waypoint {} keeps no sessions for {}: it applies only routes in its own namespace and in the namespace \
             of the Service {}",
            waypoint.id,
            route.title(),
            service.id
        );
        doubts.add(Diagnostic::warning(Code::NoEffect, message).at(location));
        return;
    }
    let key = GroupKey::Waypoint {
        gateway: waypoint.id.clone(),
        service: service.id.clone(),
    };
    bindings.entry(key).or_default().extend(hosts.iter().cloned());
}

/// Reports the waypoints that apply a `VirtualService`. istiod gives patches no access to the routes of waypoints, and adds
/// the routes of a second `VirtualService` after those of the first, so session routes are not possible.
pub fn refused_by_waypoints(route: &Item<RouteSpec>, resources: &Resources) -> Report {
    let mut errors = Report::default();
    if !is_for_mesh(&route.spec) {
        return errors;
    }
    let names = route.spec.hostnames.iter();
    for name in names.filter(|name| dns::is_istio_host(&name.value)) {
        let full = resources.domain.full_name(&name.value, &route.id.namespace);
        for service in matching(&full, resources) {
            let Some(Ok(waypoint)) = waypoints::of_service(service, resources) else {
                continue;
            };
            if !waypoints::applies_routes_of(&route.id.namespace, service, waypoint) {
                continue;
            }
            let message = format!(
                "no sessions are kept for {} on the waypoint {} of the Service {}: session routes cannot precede the \
                 routes of a VirtualService there",
                route.title(),
                waypoint.id,
                service.id
            );
            let error = Diagnostic::error(Code::Unsupported, message).at(route.location_of(name));
            let error = error.with(waypoint.location(), "the waypoint");
            errors.add(error.help("use an HTTPRoute with the Service as its parent instead"));
        }
    }
    errors
}

fn no_callers(route: &Item<RouteSpec>, title: &str, is_producer: bool, resources: &Resources) -> Diagnostic {
    let message = if is_producer || resources.mesh.callers.is_empty() {
        format!("no sessions are kept on the parent {title}: --callers names no pods that call it")
    } else {
        format!(
            "no sessions are kept on the parent {title}: {} is in another namespace, so it applies only to callers in \
             the namespace {}, and --callers names none there",
            route.title(),
            route.id.namespace
        )
    };
    Diagnostic::warning(Code::NoEffect, message)
}

fn report_missing(parent: &MeshParent, resources: &Resources, location: SourceLocation, report: &mut Report) {
    let message = format!("the {} {} is not in the input", parent.kind, parent.id);
    let error = Diagnostic::error(Code::NoMatchingParent, message).at(location);
    match (parent.kind, resources.services.find(&parent.id)) {
        (Kind::Service, Found::Nothing(instead)) => report.add(error.instead(&instead)),
        (Kind::Service, _) => report.miss(Kind::Service, &parent.id),
        _ => {
            report.miss(parent.kind, &parent.id);
            report.add(error);
        }
    }
}

/// The Service, or the hosts of the `ServiceEntry`.
fn services<'a>(parent: &MeshParent, resources: &'a Resources) -> Vec<&'a Item<ServiceSpec>> {
    if parent.kind == Kind::Service {
        return resources.services.get(&parent.id).into_iter().collect();
    }
    let external = resources.external_services();
    external.filter(|service| service.id == parent.id).collect()
}

/// Binds a `VirtualService` to the callers, if it applies to the mesh.
pub fn bind_virtual_service(
    route: &Item<RouteSpec>,
    resources: &Resources,
    bindings: &mut Bindings,
    doubts: &mut Report,
) {
    if !is_for_mesh(&route.spec) {
        return;
    }
    let exported = &route.spec.export_to;
    let is_seen = |pods: &Workload| {
        let by = if pods.is_in_any_namespace() {
            &route.id.namespace
        } else {
            &pods.namespace
        };
        visibility::is_seen(visibility::texts(exported), &route.id.namespace, by)
    };
    let reached: Vec<Workload> = callers(resources).filter(is_seen).collect();
    if !reached.is_empty() {
        bind_callers(reached, &virtual_hosts(route, resources), bindings);
        return;
    }
    let reason = if resources.mesh.callers.is_empty() {
        "--callers names no pods that call its hosts"
    } else {
        "it is not exported to the namespace of any of the --callers"
    };
    let message = format!("no sessions are kept for {} in the mesh: {reason}", route.title());
    doubts.add(
        Diagnostic::warning(Code::NoEffect, message)
            .at(route.location())
            .help(HELP),
    );
}

/// Whether a `VirtualService` applies to sidecars. One without hosts is a delegate.
pub fn is_for_mesh(spec: &RouteSpec) -> bool {
    let named = spec.gateways.is_empty() || spec.gateways.iter().any(|name| name.value == MESH);
    named && !spec.hostnames.is_empty()
}

/// The virtual hosts of a `VirtualService` in a sidecar (istiod: `buildSidecarVirtualHostsForVirtualService`).
fn virtual_hosts(route: &Item<RouteSpec>, resources: &Resources) -> BTreeSet<VirtualHost> {
    let names = route.spec.hostnames.iter();
    let names = names.filter(|name| dns::is_istio_host(&name.value));
    let names = names.map(|name| resources.domain.full_name(&name.value, &route.id.namespace));
    let mut known = BTreeSet::new();
    let mut unknown = Vec::new();
    for name in names {
        let services = matching(&name, resources);
        if services.is_empty() {
            unknown.push(name.to_ascii_lowercase());
        }
        known.extend(services.into_iter().flat_map(|service| {
            http_ports(service)
                .map(|port| virtual_host(service, port, resources))
                .collect::<Vec<_>>()
        }));
    }
    let mut ports: BTreeSet<u16> = known.iter().map(|host| host.port).collect();
    if ports.is_empty() {
        ports.insert(UNKNOWN_HOST_PORT);
    }
    for hostname in unknown {
        known.extend(ports.iter().map(|port| VirtualHost {
            port: *port,
            hostname: hostname.clone(),
        }));
    }
    known
}

/// The Services and hosts of `ServiceEntry` objects that a host of a `VirtualService` matches.
fn matching<'a>(name: &str, resources: &'a Resources) -> Vec<&'a Item<ServiceSpec>> {
    if !name.starts_with('*') {
        let service = || resources.services.get(&resources.domain.service(name, "")?);
        return resources.external_service(name).or_else(service).into_iter().collect();
    }
    let all = resources.services.iter().chain(resources.external_services());
    let covered = |service: &&Item<ServiceSpec>| dns::covers(name, &service_host::host(service, &resources.domain));
    all.filter(covered).collect()
}

/// The ports on which a sidecar routes HTTP requests: those with an HTTP protocol, and those without a protocol, which
/// it detects.
fn http_ports(service: &Item<ServiceSpec>) -> impl Iterator<Item = u16> {
    let ports = service.spec.ports.iter();
    let http = ports.filter(|port| port.protocol().is_none_or(Protocol::is_http));
    http.map(|port| port.port.value.get())
}

fn virtual_host(service: &Item<ServiceSpec>, port: u16, resources: &Resources) -> VirtualHost {
    VirtualHost {
        port,
        hostname: service_host::host(service, &resources.domain).to_ascii_lowercase(),
    }
}

/// The callers that the command line names.
fn callers(resources: &Resources) -> impl Iterator<Item = Workload> {
    resources.mesh.callers.iter().map(Workload::from)
}

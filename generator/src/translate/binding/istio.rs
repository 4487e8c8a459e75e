//! Binds `VirtualService`s to Istio's own gateways and to host names.

use crate::{
    api::field::Field,
    diagnostic::{Code, Diagnostic, Report},
    dns,
    ir::VirtualHost,
    kind::Kind,
    model::gateway::{GatewaySpec, Listener},
    model::{route::RouteSpec, virtual_service::istio_gateway},
    resources::{Found, Item, Resources},
    translate::{
        binding::{Bindings, GroupKey},
        proxies::Proxies,
    },
    visibility,
};

/// The gateways that a `VirtualService` is on. Reports references that cannot be resolved.
pub fn bind(route: &Item<RouteSpec>, resources: &Resources, proxies: &Proxies, report: &mut Report) -> Bindings {
    check_hosts(route, report);
    let mut bindings = Bindings::new();
    for name in &route.spec.gateways {
        let Some(gateway) = find(route, name, resources, report) else {
            continue;
        };
        if let Some(diagnostic) = hidden(route, gateway, proxies) {
            report.add(diagnostic);
            continue;
        }
        let key = GroupKey::Gateway(Kind::IstioGateway, gateway.id.clone());
        let hosts = bindings.entry(key.clone()).or_default();
        for listener in &gateway.spec.listeners {
            hosts.extend(virtual_hosts(route, gateway, &listener.value, resources));
        }
        if hosts.is_empty() {
            bindings.remove(&key);
            let message = format!(
                "{} has no host in common with an HTTP server of Gateway {}",
                route.title(),
                gateway.id
            );
            let warning = Diagnostic::warning(Code::NoMatchingParent, message).at(route.location_of(name));
            report.add(warning.with(gateway.location(), "the Gateway"));
        }
    }
    bindings
}

fn find<'a>(
    route: &Item<RouteSpec>,
    name: &Field<String>,
    resources: &'a Resources,
    report: &mut Report,
) -> Option<&'a Item<GatewaySpec>> {
    let id = istio_gateway(&name.value, &route.id.namespace)?;
    match resources.istio_gateways.find(&id) {
        Found::Item(gateway) => Some(gateway),
        Found::Unknown => {
            report.miss(Kind::IstioGateway, &id);
            None
        }
        Found::Nothing(instead) => {
            let message = format!("the Gateway {id} of networking.istio.io is not in the input");
            let diagnostic = Diagnostic::error(Code::NoMatchingParent, message).at(route.location_of(name));
            report.add(diagnostic.instead(&instead));
            None
        }
    }
}

/// The virtual hosts of a `VirtualService` on a server.
fn virtual_hosts(
    route: &Item<RouteSpec>,
    gateway: &Item<GatewaySpec>,
    server: &Listener,
    resources: &Resources,
) -> Vec<VirtualHost> {
    if !server.speaks_http() {
        return Vec::new();
    }
    let host = server.hostname.as_ref().map_or("*", |host| &host.value);
    let (namespace, host) = host.split_once('/').unwrap_or(("*", host));
    let namespace = if namespace == "." {
        &gateway.id.namespace
    } else {
        namespace
    };
    if namespace != "*" && namespace != route.id.namespace {
        return Vec::new();
    }
    let names = route
        .spec
        .hostnames
        .iter()
        .filter(|name| dns::is_istio_host(&name.value));
    let names: Vec<String> = names
        .map(|name| resources.domain.full_name(&name.value, &route.id.namespace))
        .collect();
    let common = names.iter().filter_map(|name| dns::narrower(host, name));
    common
        .map(|hostname| VirtualHost {
            port: server.port.value.get(),
            // istiod compares hosts with their case and lower-cases the result.
            hostname: hostname.to_ascii_lowercase(),
        })
        .collect()
}

/// A warning if a `VirtualService` is not exported to the pods of a gateway.
fn hidden(route: &Item<RouteSpec>, gateway: &Item<GatewaySpec>, proxies: &Proxies) -> Option<Diagnostic> {
    let exported = &route.spec.export_to;
    let is_seen = |to: &str| visibility::is_seen(visibility::texts(exported), &route.id.namespace, to);
    let key = GroupKey::Gateway(Kind::IstioGateway, gateway.id.clone());
    let pods = proxies.find(&key);
    let mut namespaces: Vec<&str> = pods.map(|(_, pods)| pods.namespace()).collect();
    if namespaces.iter().any(|namespace| is_seen(namespace)) {
        return None;
    }
    let namespace = namespaces.pop()?;
    let message = format!(
        "{} is not exported to the namespace {namespace}, where the pods of Gateway {} run, so it is not on that \
         gateway",
        route.title(),
        gateway.id
    );
    let location = exported
        .first()
        .map_or(route.location(), |first| route.location_of(first));
    let warning = Diagnostic::warning(Code::NoMatchingParent, message).at(location);
    let help = format!("add {namespace} to exportTo, or name the namespace of the pods with --gateway-namespace");
    Some(warning.with(gateway.location(), "the Gateway").help(help))
}

/// Reports hosts that are invalid in a `VirtualService`. Istio rejects such an object.
fn check_hosts(route: &Item<RouteSpec>, report: &mut Report) {
    let wrong = route
        .spec
        .hostnames
        .iter()
        .filter(|name| !dns::is_istio_host(&name.value));
    for name in wrong {
        let message = format!(
            "`{}` is not a valid host of a VirtualService: use labels of letters, digits and `-` separated by dots, \
             optionally after `*`, without a namespace or a port",
            name.value
        );
        report.add(Diagnostic::error(Code::Invalid, message).at(route.location_of(name)));
    }
}

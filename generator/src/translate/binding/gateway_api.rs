//! Binds Gateway API routes to listeners and host names (`parentRefs`, `allowedRoutes`, `hostnames`).

use std::collections::BTreeSet;

use crate::{
    api::{
        field::Field,
        gateway::{AllowedRoutes, FromNamespaces},
        route::ParentRef,
    },
    diagnostic::{Code, Diagnostic, Report},
    dns,
    id::Id,
    ir::{ProxyGroup, VirtualHost},
    kind::{GATEWAY_API, Kind},
    location::{DocumentOffset, SourceLocation},
    model::gateway::{GatewaySpec, Listener},
    model::route::RouteSpec,
    omissions::Omitted,
    resources::{Found, Item, Resources},
    translate::binding::{Bindings, GroupKey, listener_sets, mesh, namespace_selectors},
};

/// Reports invalid host names of a route.
pub fn check_route(route: &Item<RouteSpec>, report: &mut Report) {
    check_hostnames(&route.spec.hostnames, route.offset, report);
}

/// Finds the listeners that accept a route, and the callers of its Services. Reports references that cannot be resolved.
/// `doubts` gets the reasons why callers keep no sessions.
pub fn bind(route: &Item<RouteSpec>, resources: &Resources, report: &mut Report, doubts: &mut Report) -> Bindings {
    if let Some(scope) = &route.spec.use_default_gateways {
        let message = "useDefaultGateways is not supported: name the Gateway in parentRefs";
        report.add(Diagnostic::error(Code::Unsupported, message).at(route.location_of(scope)));
    }
    if route.spec.parent_refs.is_empty() {
        let message = format!("{} has no parentRefs, so it is on no Gateway", route.title());
        report.add(Diagnostic::warning(Code::NoMatchingParent, message).at(route.location()));
    }
    let mut bindings = Bindings::new();
    for parent in &route.spec.parent_refs {
        if let Some(of_mesh) = mesh::parent(&parent.value, &route.id.namespace) {
            mesh::bind_parent(route, parent, &of_mesh, resources, &mut bindings, (report, doubts));
            continue;
        }
        let Some(owner) = Owner::find(route, parent, resources, report) else {
            continue;
        };
        match virtual_hosts(route, &parent.value, &owner, resources, report) {
            Ok(hosts) if hosts.is_empty() => report.miss(Kind::Gateway, owner.gateway),
            Ok(hosts) => bindings
                .entry(GroupKey::Gateway(Kind::Gateway, owner.gateway.clone()))
                .or_default()
                .extend(hosts),
            Err(reason) => {
                let message = format!(
                    "{} {} does not accept {}: {reason}",
                    owner.kind,
                    owner.id,
                    route.title()
                );
                let location = route.location_of(&parent.value.name);
                report.add(
                    Diagnostic::error(Code::NoMatchingParent, message)
                        .at(location)
                        .with(owner.location, format!("the {}", owner.kind)),
                );
            }
        }
    }
    bindings
}

/// The Gateway that a route in `namespace` names as its parent. `None` if the parent is of another kind.
pub fn gateway(parent: &ParentRef, namespace: &str) -> Option<Id> {
    let group = parent.group.as_ref().map_or(GATEWAY_API, |group| &group.value);
    let kind = parent.kind.as_ref().map_or("Gateway", |kind| &kind.value);
    let own = parent.namespace.as_ref().map(|namespace| namespace.value.as_str());
    ((group, kind) == (GATEWAY_API, "Gateway")).then(|| Id::new(own.unwrap_or(namespace), &parent.name.value))
}

/// The object whose listeners a route refers to: a Gateway or a listener set.
struct Owner<'a> {
    kind: Kind,
    id: &'a Id,
    offset: DocumentOffset,
    location: SourceLocation,
    /// The Gateway that serves the listeners.
    gateway: &'a Id,
    listeners: Vec<&'a Listener>,
}

impl<'a> Owner<'a> {
    fn of_gateway(gateway: &'a Item<GatewaySpec>) -> Self {
        Self {
            kind: Kind::Gateway,
            id: &gateway.id,
            offset: gateway.offset,
            location: gateway.location(),
            gateway: &gateway.id,
            listeners: gateway.spec.listeners.iter().map(|listener| &listener.value).collect(),
        }
    }

    /// Finds the owner that a route names. Reports references that cannot be resolved.
    fn find(
        route: &Item<RouteSpec>,
        parent: &Field<ParentRef>,
        resources: &'a Resources,
        report: &mut Report,
    ) -> Option<Self> {
        let Some(named) = listener_sets::named(&parent.value, &route.id.namespace) else {
            return find(route, parent, resources, report).map(Self::of_gateway);
        };
        let attached = listener_sets::find(route, parent, named, resources, report)?;
        let set = attached.set;
        let listeners = attached.listeners.into_iter().map(|listener| &listener.value);
        Some(Self {
            kind: attached.kind,
            id: &set.id,
            offset: set.offset,
            location: set.location(),
            gateway: &attached.gateway.id,
            listeners: listeners.collect(),
        })
    }
}

fn find<'a>(
    route: &Item<RouteSpec>,
    parent: &Field<ParentRef>,
    resources: &'a Resources,
    report: &mut Report,
) -> Option<&'a Item<GatewaySpec>> {
    let raw = &parent.value;
    let Some(id) = gateway(raw, &route.id.namespace) else {
        let kind = raw.kind.as_ref().map_or("Gateway", |kind| &kind.value);
        let message = format!(
            "no sessions are kept on the parent {kind} `{}`: a parent must be a Gateway, a ListenerSet, a Service or a ServiceEntry",
            raw.name.value
        );
        report.add(Diagnostic::warning(Code::Unsupported, message).at(route.location_of(&raw.name)));
        return None;
    };
    match resources.gateways.find(&id) {
        Found::Item(gateway) => Some(gateway),
        Found::Unknown => {
            report.miss(Kind::Gateway, &id);
            None
        }
        Found::Nothing(instead) => {
            let message = format!("the Gateway {id} is not in the input");
            let diagnostic = Diagnostic::error(Code::NoMatchingParent, message).at(route.location_of(&raw.name));
            report.add(diagnostic.instead(&instead));
            None
        }
    }
}

/// The virtual hosts of a route on these listeners, or the reason why no listener accepts it.
fn virtual_hosts(
    route: &Item<RouteSpec>,
    parent: &ParentRef,
    owner: &Owner,
    resources: &Resources,
    report: &mut Report,
) -> Result<BTreeSet<VirtualHost>, &'static str> {
    let named: Vec<&Listener> = owner
        .listeners
        .iter()
        .copied()
        .filter(|listener| names(parent, listener))
        .collect();
    if named.is_empty() {
        return Err("it has no listener of this sectionName or port");
    }
    // `check_gateway` reports the invalid ones.
    let sound = named.into_iter().filter(|listener| wrong_hostname(listener).is_none());
    let named: Vec<&Listener> = sound.collect();
    if named.is_empty() {
        return Ok(BTreeSet::new());
    }
    let http: Vec<&Listener> = named.into_iter().filter(|listener| listener.speaks_http()).collect();
    if http.is_empty() {
        return Err("its listener is neither HTTP nor HTTPS");
    }
    let allowing: Vec<&Listener> = http
        .into_iter()
        .filter(|listener| allows(listener, route, owner, resources, report))
        .collect();
    if allowing.is_empty() {
        return Err("the allowedRoutes of its listeners exclude it");
    }
    let common = allowing.into_iter().flat_map(|listener| {
        let hostnames = common_hostnames(listener, route).into_iter();
        hostnames.map(move |hostname| (listener, hostname))
    });
    let common: Vec<(&Listener, String)> = common.collect();
    if common.is_empty() {
        return Err("they have no hostname in common");
    }
    let own = common
        .into_iter()
        .filter(|(listener, hostname)| !is_of_another(hostname, listener, owner));
    let hosts: BTreeSet<VirtualHost> = own
        .map(|(listener, hostname)| VirtualHost {
            port: listener.port.value.get(),
            hostname,
        })
        .collect();
    if hosts.is_empty() {
        return Err("more specific listeners receive all requests for its hostnames");
    }
    Ok(hosts)
}

/// Whether a parent reference selects this listener.
fn names(parent: &ParentRef, listener: &Listener) -> bool {
    let section = parent.section_name.as_ref();
    let port = parent.port.as_ref();
    section.is_none_or(|name| name.value == listener.name.value)
        && port.is_none_or(|port| port.value == listener.port.value)
}

/// Whether a route is on a listener of a gateway, by the rules for `attachedRoutes` in its status.
pub fn is_on(route: &Item<RouteSpec>, listener: &Listener, gateway: &Item<GatewaySpec>, resources: &Resources) -> bool {
    let mut parents = route.spec.parent_refs.iter().map(|parent| &parent.value);
    parents.any(|parent| {
        self::gateway(parent, &route.id.namespace).is_some_and(|id| id == gateway.id) && names(parent, listener)
    }) && allows(
        listener,
        route,
        &Owner::of_gateway(gateway),
        resources,
        &mut Report::default(),
    ) && !common_hostnames(listener, route).is_empty()
}

/// Whether a more specific listener receives the requests for a host name (Gateway API: listener isolation; istiod:
/// `hostnameAllowedByIsolation`).
fn is_of_another(hostname: &str, listener: &Listener, owner: &Owner) -> bool {
    let mut others = owner
        .listeners
        .iter()
        .filter(|other| other.port.value == listener.port.value && other.speaks_http());
    let own = listener.host();
    others.any(|other| other.host() != own && dns::covers(own, other.host()) && dns::covers(other.host(), hostname))
}

fn allows(
    listener: &Listener,
    route: &Item<RouteSpec>,
    owner: &Owner,
    resources: &Resources,
    report: &mut Report,
) -> bool {
    let same = route.id.namespace == owner.id.namespace;
    let Some(AllowedRoutes { namespaces, kinds }) = &listener.allowed_routes else {
        return same;
    };
    let of_route = route.spec.kind.to_string();
    let allowed = kinds.iter().any(|kind| {
        let group = kind.group.as_ref().map_or(GATEWAY_API, |group| &group.value);
        (group, &kind.kind.value) == (GATEWAY_API, &of_route)
    });
    if !kinds.is_empty() && !allowed {
        return false;
    }
    let from = namespaces.as_ref().and_then(|namespaces| namespaces.from.as_ref());
    match from.map(|from| from.value) {
        None | Some(FromNamespaces::Same) => same,
        Some(FromNamespaces::All) => true,
        Some(FromNamespaces::None) => false,
        Some(FromNamespaces::Selector) => {
            let namespace = &route.id.namespace;
            let selector = namespaces.as_ref().and_then(|namespaces| namespaces.selector.as_ref());
            let selected = namespace_selectors::selects(selector, namespace, resources);
            let id = Id::new("", namespace);
            if selector.is_some() && matches!(resources.namespaces.find(&id), Found::Unknown) {
                report.miss(Kind::Namespace, &id);
            }
            if selected.is_none() {
                let message = format!(
                    "it is unknown whether this listener accepts routes from the namespace `{namespace}`, because its \
                     selector needs the labels of the Namespace, which is not in the input: the namespace is treated \
                     as selected"
                );
                let location = from.map_or(owner.location, |from| owner.offset.location(from));
                let warning = Diagnostic::warning(Code::NoMatchingParent, message).at(location);
                report.add(warning.help("add the Namespace to the input, with its labels"));
            }
            selected.unwrap_or(true)
        }
    }
}

/// The host names that a listener and a route have in common. If two overlap, the narrower one.
fn common_hostnames(listener: &Listener, route: &Item<RouteSpec>) -> BTreeSet<String> {
    let everything = "*";
    let of_listener = listener.host();
    let of_route = route.spec.hostnames.iter().map(|hostname| hostname.value.as_str());
    let of_route = of_route.chain(route.spec.hostnames.is_empty().then_some(everything));
    let common = of_route.filter_map(|hostname| dns::narrower(of_listener, hostname));
    common.map(str::to_owned).collect()
}

/// Reports listeners with invalid host names, which accept no routes.
fn check(gateway: &Item<GatewaySpec>, report: &mut Report) {
    for listener in &gateway.spec.listeners {
        let Some(hostname) = wrong_hostname(&listener.value) else {
            continue;
        };
        check_hostnames([hostname], gateway.offset, report);
        let name = format!("{}#{}", gateway.name(Kind::Gateway), listener.value.name.value);
        report.omit(Omitted::Listener, name);
    }
}

fn wrong_hostname(listener: &Listener) -> Option<&Field<String>> {
    let hostname = listener
        .hostname
        .as_ref()
        .filter(|hostname| !hostname.value.is_empty())?;
    (!dns::is_hostname(&hostname.value)).then_some(hostname)
}

fn check_hostnames<'a>(
    hostnames: impl IntoIterator<Item = &'a Field<String>>,
    offset: DocumentOffset,
    report: &mut Report,
) {
    for hostname in hostnames
        .into_iter()
        .filter(|hostname| !dns::is_hostname(&hostname.value))
    {
        let message = format!(
            "`{}` is not a valid hostname: use lower-case labels separated by dots, optionally after `*.`, without a \
             port; an IP address is not allowed",
            hostname.value
        );
        report.add(Diagnostic::error(Code::Invalid, message).at(offset.location(hostname)));
    }
}

/// Reports the errors in the listeners of a gateway. They count as errors only if a rule with sessions or canaries
/// needs the gateway.
pub fn check_gateway(group: &ProxyGroup, needed: &BTreeSet<(Kind, Id)>, report: &mut Report) {
    let Some(gateway) = group.gateway() else { return };
    let mut found = Report::default();
    for item in gateway.items().filter(|item| item.spec.kind() == Kind::Gateway) {
        check(item, &mut found);
    }
    let is_needed = |item: &Item<GatewaySpec>| needed.contains(&(item.spec.kind(), item.id.clone()));
    if gateway.items().any(is_needed) {
        report.extend(found);
    } else {
        report.extend_harmless(found);
    }
}

//! Warns if the input lacks routes of a gateway.
//!
//! The objects that are generated for a gateway contain the rules of all its routes. If the input has only some of the routes, the
//! others lose their sessions and canaries. Three things reveal this: the number of routes in the status of a Gateway, the namespaces
//! from which a listener accepts routes, and the existing objects that would be replaced.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    api::{field::Field, gateway::FromNamespaces},
    diagnostic::{Code, Diagnostic, Report},
    id::Id,
    ir::{Gateway, Ir, ProxyGroup},
    kind::Kind,
    location::SourceLocation,
    model::gateway::Listener,
    model::route::RouteSpec,
    resources::{Found, Item, Resources},
    rule_id::route_of_rule,
    source::{Coverage, Home},
    translate::binding::{gateway_api, namespace_selectors},
};

/// The maximum number of routes or namespaces that a warning names.
const MAX_NAMED: usize = 5;

/// The help for all these warnings.
const HELP: &str = "give one run the routes and policies of all teams on the Gateway";

/// Reports objects of an earlier run that contain rules of routes that are not in the input. `prunes` says whether this
/// run removes objects from the output directory that it no longer generates.
pub fn check_earlier(ir: &Ir, resources: &Resources, prunes: bool, report: &mut Report) {
    let managed = ir.proxies.iter().filter(|group| group.is_managed());
    let replaced: BTreeSet<Id> = managed.map(ProxyGroup::object_id).collect();
    check_replaced(&replaced, resources, prunes, report);
}

/// The same for a run that writes these `WasmPlugin`s.
pub fn check_replaced(replaced: &BTreeSet<Id>, resources: &Resources, prunes: bool, report: &mut Report) {
    for earlier in &resources.earlier {
        let removed = prunes && earlier.home == Home::Directory;
        if !removed && !replaced.contains(&earlier.id) {
            continue;
        }
        let lost = earlier.routes.iter().filter(|((kind, id), _)| {
            let unknown = matches!(resources.routes_of(*kind).find(id), Found::Nothing(_));
            unknown && resources.coverage.may_lack(&id.namespace)
        });
        let lost: Vec<(&(Kind, Id), &SourceLocation)> = lost.collect();
        let Some((_, location)) = lost.first() else { continue };
        let names: Vec<String> = lost.iter().map(|((kind, id), _)| format!("{kind} {id}")).collect();
        let (what, verb) = match names.as_slice() {
            [one] => (format!("rules of {one}, which"), "is"),
            several => (
                format!("rules of {} routes ({}), which", several.len(), named(several)),
                "are",
            ),
        };
        let message = format!(
            "the WasmPlugin {} of an earlier run holds {what} {verb} not in the input: they lose their sessions and canaries",
            earlier.id
        );
        let help = format!("{HELP}; if a route was deleted, no action is needed");
        report.add(
            Diagnostic::warning(Code::PartialInput, message)
                .at(**location)
                .help(help),
        );
    }
}

/// Reports a Gateway that probably has more routes than the input.
pub fn check(group: &ProxyGroup, resources: &Resources, report: &mut Report) {
    let Some(gateway) = group.gateway().filter(|_| group.is_managed()) else {
        return;
    };
    // Routes that could not be read have been reported.
    let complete = resources.coverage == Coverage::Everything || resources.any_route_unread();
    if complete || gateway.item.spec.kind() == Kind::IstioGateway {
        return;
    }
    let listeners = gateway.item.spec.listeners.iter().map(|listener| &listener.value);
    let listeners: Vec<&Listener> = listeners.filter(|listener| listener.speaks_http()).collect();
    check_attached(group, gateway, &listeners, resources, report);
    if let Coverage::Namespaces(read) = &resources.coverage {
        let mut untold = listeners
            .iter()
            .filter(|listener| attached(gateway, listener).is_none());
        let Some(from) = untold.find_map(|listener| takes_others(listener, resources)) else {
            return;
        };
        let read: Vec<String> = read.iter().cloned().collect();
        let message = format!(
            "Gateway {} takes routes from namespaces that were not read: only {} were",
            gateway.item.id,
            named(&read)
        );
        let warning = Diagnostic::warning(Code::PartialInput, message).at(gateway.item.location_of(from));
        report.add(warning.help("read them too with --namespace, or all namespaces without it"));
    }
}

/// Compares the number of routes in the status of each listener with the routes in the input.
fn check_attached(
    group: &ProxyGroup,
    gateway: &Gateway,
    listeners: &[&Listener],
    resources: &Resources,
    report: &mut Report,
) {
    let mut warning: Option<Diagnostic> = None;
    for listener in listeners {
        let Some(attached) = attached(gateway, listener) else {
            continue;
        };
        let known = known(group, gateway, listener, resources);
        if usize::try_from(attached.value).is_ok_and(|attached| attached <= known) {
            continue;
        }
        let routes = if attached.value == 1 { "route" } else { "routes" };
        let counted = format!("{} {routes} on the listener `{}`", attached.value, listener.name.value);
        let location = gateway.item.location_of(attached);
        warning = Some(if let Some(warning) = warning {
            warning.with(location, format!("and {counted}, and the input has {known}"))
        } else {
            let message = format!(
                "the status of Gateway {} counts {counted}, and the input has {known} of them",
                gateway.item.id
            );
            Diagnostic::warning(Code::PartialInput, message).at(location).help(HELP)
        });
    }
    if let Some(warning) = warning {
        report.add(warning);
    }
}

/// The number of routes on a listener, according to the status of the Gateway.
fn attached<'g>(gateway: &Gateway<'g>, listener: &Listener) -> Option<&'g Field<u32>> {
    gateway.item.spec.attached_routes.get(&listener.name.value)
}

/// The number of routes in the input that are on a listener, including session routes, because the status counts those
/// too. If the input has no session routes, the cluster may still have them, so those that this run generates are
/// counted.
fn known(group: &ProxyGroup, gateway: &Gateway, listener: &Listener, resources: &Resources) -> usize {
    let routes = resources.http_routes.iter().chain(resources.grpc_routes.iter());
    let on_listener = routes.filter(|route| gateway_api::is_on(route, listener, gateway.item, resources));
    let routes: BTreeMap<(Kind, &Id), &Item<RouteSpec>> =
        on_listener.map(|route| ((route.spec.kind, &route.id), route)).collect();
    let session_routes = if resources.generated.is_empty() {
        let rules = group.managed_rules().map(|attached| &attached.rule);
        let rules = rules.filter(|rule| routes.contains_key(&(rule.route.spec.kind, &rule.route.id)));
        rules.fold(0, |sum: usize, rule| sum.saturating_add(rule.session_route_objects()))
    } else {
        let of = resources.generated.values().filter_map(|rule| route_of_rule(rule));
        of.filter(|(kind, id)| routes.contains_key(&(*kind, id))).count()
    };
    routes.len().saturating_add(session_routes)
}

/// The field of a listener that accepts routes from namespaces that were not read.
fn takes_others<'l>(listener: &'l Listener, resources: &Resources) -> Option<&'l Field<FromNamespaces>> {
    let namespaces = listener.allowed_routes.as_ref()?.namespaces.as_ref()?;
    let from = namespaces.from.as_ref()?;
    let others = match from.value {
        FromNamespaces::All => true,
        FromNamespaces::Selector => {
            let names = namespaces.selector.as_ref().map(namespace_selectors::names);
            match names {
                None => false,
                Some(None) => true,
                Some(Some(names)) => names.iter().any(|name| resources.coverage.may_lack(name)),
            }
        }
        FromNamespaces::Same | FromNamespaces::None => false,
    };
    others.then_some(from)
}

/// Joins names with commas, and cuts a long list.
fn named(names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().take(MAX_NAMED).map(String::as_str).collect();
    let shown = shown.join(", ");
    match names.len().saturating_sub(MAX_NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

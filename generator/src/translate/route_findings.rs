//! Reports errors in whole routes and in objects that could not be read. They count as errors only if sessions or
//! canaries depend on them.

use std::collections::BTreeSet;

use super::{
    binding::{Bindings, gateway_api, istio, listener_sets, mesh},
    proxies::Proxies,
};
use crate::{
    attachment::Attachments,
    diagnostic::{Code, Diagnostic, Report},
    id::Id,
    ir::{Backend, Rule},
    kind::Kind,
    model::{route::RouteSpec, virtual_service::istio_gateway},
    omissions::Omitted,
    resources::{Item, Resources, Unread},
};

/// The errors in a route, apart from its rules.
#[derive(Default)]
pub struct RouteFindings {
    /// Errors in the route itself.
    whole: Report,
    /// Errors in the parents of the route. They do no harm if another parent accepts the route.
    parents: Report,
    /// The reasons why callers in the mesh keep no sessions for the route.
    mesh: Report,
}

impl RouteFindings {
    /// Finds the proxies on which a route applies.
    pub fn bind(&mut self, route: &Item<RouteSpec>, resources: &Resources, proxies: &Proxies) -> Bindings {
        if route.spec.kind == Kind::VirtualService {
            let mut bindings = istio::bind(route, resources, proxies, &mut self.parents);
            let mut doubts = Report::default();
            mesh::bind_virtual_service(route, resources, &mut bindings, &mut doubts);
            let refused = mesh::refused_by_waypoints(route, resources);
            if bindings.is_empty() && !refused.has_errors() {
                self.mesh = doubts;
            }
            self.parents.extend(refused);
            return bindings;
        }
        gateway_api::check_route(route, &mut self.whole);
        gateway_api::bind(route, resources, &mut self.parents, &mut self.mesh)
    }

    /// Reports the errors. Returns whether the route is valid and can be attached to its gateways.
    pub fn report(self, route: &Item<RouteSpec>, uses_mooring: bool, on_gateway: bool, report: &mut Report) -> bool {
        let sound = !self.whole.has_errors();
        let somewhere = on_gateway || !self.parents.has_errors();
        if uses_mooring {
            report.extend(self.whole);
            report.extend(self.mesh);
            for (kind, id) in self.parents.missed() {
                report.miss(*kind, id);
            }
        } else {
            report.extend_harmless(self.whole);
        }
        if uses_mooring && !on_gateway {
            report.extend(self.parents);
        } else {
            report.extend_harmless(self.parents);
        }
        if uses_mooring && !(sound && somewhere) {
            report.omit(Omitted::Route, route.name(route.spec.kind));
        }
        sound
    }
}

/// Reports the delegates of a `VirtualService` that istiod leaves out, and a delegate that no `VirtualService`
/// delegates to.
pub fn report_delegates(route: &Item<RouteSpec>, uses_mooring: bool, resources: &Resources, report: &mut Report) {
    if let Some(merged) = resources.delegations.of_root(&route.id)
        && route.spec.kind == Kind::VirtualService
    {
        for finding in &merged.findings {
            report.add(finding.clone());
        }
        for delegate in merged.unread.iter().filter(|_| uses_mooring) {
            report.miss(Kind::VirtualService, delegate);
        }
    }
    if uses_mooring && route.spec.kind == Kind::VirtualService && route.spec.hostnames.is_empty() {
        let message = format!(
            "{} has no hosts, so it is a delegate, and no VirtualService of the input delegates to it",
            route.title()
        );
        report.add(Diagnostic::warning(Code::NoEffect, message).at(route.location()));
    }
}

/// The objects that the sessions and canaries of a route depend on.
pub fn dependencies<'r>(
    route: &Item<RouteSpec>,
    rules: impl Iterator<Item = &'r Rule<'r>>,
    resources: &Resources,
) -> Vec<(Kind, Id)> {
    let namespace = &route.id.namespace;
    let parents = route.spec.parent_refs.iter();
    let parents = parents.filter_map(|parent| gateway_api::gateway(&parent.value, namespace));
    let sets = route.spec.parent_refs.iter();
    let sets: Vec<(Kind, Id)> = sets
        .filter_map(|parent| listener_sets::named(&parent.value, namespace))
        .collect();
    let of_sets = sets
        .iter()
        .filter_map(|(kind, id)| resources.listener_sets_of(*kind).get(id));
    let of_sets: Vec<Id> = of_sets.filter_map(listener_sets::gateway).collect();
    let classic = route.spec.gateways.iter();
    let classic = classic.filter_map(|name| istio_gateway(&name.value, namespace));
    let rules: Vec<&Rule> = rules.filter(|rule| rule.uses_mooring()).collect();
    let services = rules
        .iter()
        .flat_map(|rule| &rule.backends)
        .filter_map(Backend::service_id);
    let of_mesh = route.spec.parent_refs.iter();
    let of_mesh = of_mesh.filter_map(|parent| mesh::parent(&parent.value, namespace));
    let mut dependencies = vec![(route.spec.kind, route.id.clone())];
    dependencies.extend(rules.iter().map(|rule| (route.spec.kind, rule.written.id.clone())));
    dependencies.extend(parents.chain(of_sets).map(|id| (Kind::Gateway, id)));
    dependencies.extend(of_mesh.map(|parent| (parent.kind, parent.id)));
    dependencies.extend(sets);
    dependencies.extend(classic.map(|id| (Kind::IstioGateway, id)));
    dependencies.extend(services.map(|id| (Kind::Service, id.clone())));
    dependencies
}

/// Reports the objects that could not be read. This is an error if the object is a policy, or if sessions or canaries
/// depend on it.
pub fn report_unread(
    resources: &Resources,
    attachments: &Attachments,
    needed: &BTreeSet<(Kind, Id)>,
    report: &mut Report,
) {
    for unread in &resources.unread {
        let diagnostic = unread.diagnostic.clone();
        if !is_needed(unread, needed, resources, attachments, report) {
            report.add(diagnostic.harmless());
            continue;
        }
        report.add(diagnostic);
        let what = if unread.kind.is_policy() {
            Omitted::Policy
        } else {
            Omitted::Object
        };
        report.omit(what, &unread.label);
    }
}

fn is_needed(
    unread: &Unread,
    needed: &BTreeSet<(Kind, Id)>,
    resources: &Resources,
    attachments: &Attachments,
    report: &Report,
) -> bool {
    let kind = unread.kind;
    let missed = || report.missed().iter().any(|(other, _)| *other == kind);
    let this = |id: &Id| {
        let object = (kind, id.clone());
        needed.contains(&object) || report.missed().contains(&object)
    };
    match (kind, &unread.id) {
        (kind, _) if kind.is_policy() => true,
        (kind, id) if kind.is_route() => wants_us(unread, resources, attachments) || id.as_ref().is_some_and(this),
        (Kind::EndpointSlice | Kind::Pod, _) => resources.mesh.local,
        (Kind::ServiceEntry | Kind::ReferenceGrant | Kind::DestinationRule, _) | (_, None) => missed(),
        (_, Some(id)) => this(id),
    }
}

/// Whether a route that could not be read is known or likely to have sessions.
fn wants_us(unread: &Unread, resources: &Resources, attachments: &Attachments) -> bool {
    let Some(id) = &unread.id else { return true };
    let Some(wants) = &unread.wants else {
        // A second document for a route that is already known does not count on its own.
        return !resources.has_route(unread.kind, id);
    };
    wants.persistence
        || wants.backends.iter().any(|(namespace, name)| {
            let service = match unread.kind {
                Kind::VirtualService => resources.domain.service(name, &id.namespace),
                _ => Some(Id::new(namespace.as_deref().unwrap_or(&id.namespace), name)),
            };
            service.is_some_and(|service| attachments.of(&service).is_some())
        })
}

//! Translates the resources to the intermediate representation and reports errors, as `internal/gatewayapi` does in
//! Envoy Gateway.
//!
//! This module generates no output. The targets in `crate::emit` do, from the [`Ir`].

use std::{collections::BTreeSet, rc::Rc};

use crate::{
    attachment::Attachments,
    diagnostic::{Code, Diagnostic, Report},
    id::Id,
    ir::{Ir, ProxyGroup, Rule},
    kind::Kind,
    model::route::RouteSpec,
    policies::{self, Policy},
    resources::{Found, Item, Resources},
};

mod backends;
mod binding;
mod budget;
mod canaries;
mod canary_backends;
mod canary_memory;
mod checks;
mod cookie_domains;
mod cookie_paths;
mod destinations;
mod draft;
mod external_names;
mod gateway_class;
mod hosts;
mod mirrors;
mod notes;
mod proxies;
mod route_findings;
mod rules;
mod scope;
mod services;
mod session_matches;
mod unnamed_http_routes;
mod versions;
mod waypoints;
mod workloads;

pub(crate) use backends::all_named;
pub(crate) use binding::gateway_api::gateway as parent_gateway;
pub(crate) use binding::named::Named;
pub use checks::partial_input::{check_earlier, check_replaced};
pub use destinations::Callers;
pub(crate) use gateway_class::is_waypoint;
pub use mirrors::mirrors;
pub use notes::Notes;
pub(crate) use proxies::{check_named, pods_of};
pub(crate) use route_findings::report_unread;
pub use scope::Scope;
pub(crate) use waypoints::USE_WAYPOINT;

use binding::GroupKey;
use canaries::Canaries;
use checks::{callers, exports, filter_config, name_conflicts, partial_input, session_routes, waypoints_used};
use proxies::Proxies;
use route_findings::RouteFindings;
use rules::Input;

/// Translates the resources. Reports errors and leaves out what is invalid.
pub fn translate<'a>(resources: &'a Resources, report: &mut Report) -> Ir<'a> {
    let policies = policies::policies(resources, report);
    let attachments = Attachments::new(&policies, &resources.services, report);
    translate_attached(resources, &attachments, report)
}

/// Translates the resources with policies that have already been read and attached.
pub fn translate_attached<'a>(resources: &'a Resources, attachments: &Attachments, report: &mut Report) -> Ir<'a> {
    let canaries = Canaries::new(resources, report);
    let proxies = Proxies::new(resources, None);
    check_named(resources, report);
    let routes: Vec<&Item<RouteSpec>> = resources.routes().collect();
    let found = of_routes(&routes, resources, attachments, (canaries, proxies), report);
    // A route that could not be read may lead to the Service.
    if !resources.any_route_unread() {
        report.extend(unused(
            attachments,
            |service| found.backends.contains(service),
            resources,
        ));
    }
    found.notes.report(report);
    report_unread(resources, attachments, &found.dependencies, report);
    found.ir
}

/// The translation of some routes.
#[derive(Debug)]
pub struct Part<'a> {
    /// The proxies and rules.
    pub ir: Ir<'a>,
    /// The Services that a route leads to.
    pub backends: BTreeSet<Id>,
    /// The objects that rules with sessions or canaries depend on.
    pub dependencies: BTreeSet<(Kind, Id)>,
    /// What is noted for all rules of a run together.
    pub notes: Notes,
}

/// Translates a part of the resources, and reports what only concerns this part.
pub fn part<'a>(resources: &'a Resources, attachments: &Attachments, scope: &Scope, report: &mut Report) -> Part<'a> {
    let canaries = Canaries::of(&scope.canaries, resources, report);
    let proxies = Proxies::new(resources, Some(scope));
    let routes = scope.routes.iter();
    let routes: Vec<_> = routes
        .filter_map(|(kind, id)| resources.routes_of(*kind).get(id))
        .collect();
    of_routes(&routes, resources, attachments, (canaries, proxies), report)
}

fn of_routes<'a>(
    routes: &[&'a Item<RouteSpec>],
    resources: &'a Resources,
    attachments: &Attachments,
    (canaries, mut proxies): (Canaries<'a>, Proxies<'a>),
    report: &mut Report,
) -> Part<'a> {
    let mut found = Routes::default();
    for route in routes {
        found.add(route, resources, attachments, &canaries, &mut proxies, report);
    }
    let mut proxies = proxies.finish(&found.dependencies, report);
    report.extend(resources.doubt_of_domain(found.need_domain));
    for group in &mut proxies {
        check_group(group, resources, report);
    }
    let notes = Notes::new(&proxies, resources, report);
    Part {
        ir: Ir {
            proxies,
            rules: found.rules,
            canaries: canaries.into_policies(),
        },
        backends: found.backends,
        dependencies: found.dependencies,
        notes,
    }
}

/// The result of translating the routes.
#[derive(Default)]
struct Routes<'a> {
    /// The rules of all routes, including those that no proxy serves.
    rules: Vec<Rc<Rule<'a>>>,
    /// The Services that a route leads to.
    backends: BTreeSet<Id>,
    /// The objects that rules with sessions or canaries depend on.
    dependencies: BTreeSet<(Kind, Id)>,
    /// Whether a rule with sessions or canaries depends on the domain of the cluster.
    need_domain: bool,
}

impl<'a> Routes<'a> {
    /// Translates a route and attaches its rules to the proxies.
    fn add(
        &mut self,
        route: &'a Item<RouteSpec>,
        resources: &'a Resources,
        attachments: &Attachments,
        canaries: &Canaries<'a>,
        proxies: &mut Proxies<'a>,
        report: &mut Report,
    ) {
        let is_virtual_service = route.spec.kind == Kind::VirtualService;
        // The rules of a delegate are handled with the route that delegates to it.
        if is_virtual_service && resources.delegations.is_used(&route.id) {
            return;
        }
        let mut found = RouteFindings::default();
        let mut bindings = found.bind(route, resources, proxies);
        let Some(chosen) = proxies.retain_chosen(&mut bindings) else {
            let rules = route.spec.rules.iter();
            self.backends
                .extend(rules.flat_map(|rule| all_named(route, &rule.value, &resources.domain)));
            return;
        };
        let input = Input {
            resources,
            attachments,
            canaries,
            proxies,
            chosen: &chosen,
        };
        let rules = rules::of_route(route, &bindings, input, report);
        let uses_mooring = rules.iter().any(|(rule, _)| rule.uses_mooring());
        let attached = found.report(route, uses_mooring, !bindings.is_empty(), report);
        if uses_mooring {
            let rules = rules.iter().map(|(rule, _)| rule);
            self.dependencies
                .extend(route_findings::dependencies(route, rules, resources));
        }
        let by_host = || bindings.keys().any(|key| !matches!(key, GroupKey::Gateway(..)));
        self.need_domain |= uses_mooring && (is_virtual_service || by_host());
        route_findings::report_delegates(route, uses_mooring, resources, report);
        for (mut rule, reach) in rules {
            self.backends
                .extend(all_named(rule.written, &rule.spec.value, &resources.domain));
            if !attached {
                rule.refuse();
            }
            let rule = Rc::new(rule);
            self.rules.push(rule.clone());
            if !attached || !rule.routable {
                continue;
            }
            match reach {
                Some(reach) => proxies.attach_matches(&rule, reach.attachments()),
                None => proxies.attach(&rule, &bindings),
            }
        }
    }
}

/// Checks the rules of a group of proxies together, and takes sessions and canaries from those that exceed a limit or
/// conflict.
fn check_group(group: &mut ProxyGroup, resources: &Resources, report: &mut Report) {
    callers::refuse_replaced(group, report);
    cookie_domains::check(group, report);
    name_conflicts::resolve(group, report);
    session_matches::forward_tokens(group, report);
    canary_memory::enforce(group, report);
    budget::enforce(group, report);
    name_conflicts::warn_of_cookies(group, report);
    session_routes::warn_of_many(group, report);
    exports::warn(group, report);
    filter_config::check(group, report);
    partial_input::check(group, resources, report);
    callers::warn(group, resources, report);
    waypoints_used::warn(group, resources, report);
}

/// The findings about policies for Services that no route leads to.
pub(crate) fn unused(attachments: &Attachments, is_routed: impl Fn(&Id) -> bool, resources: &Resources) -> Report {
    let mut report = Report::default();
    for (service, policy) in attachments.iter().filter(|(service, _)| !is_routed(service)) {
        report.extend(without_route(service, policy, resources));
    }
    report
}

/// The finding about a policy for a Service that no route leads to. None, if there is no such Service.
pub(crate) fn without_route(service: &Id, policy: &Policy, resources: &Resources) -> Report {
    let mut report = Report::default();
    if matches!(resources.services.find(service), Found::Item(_)) {
        let message = format!(
            "{} has no effect on the Service {service}: no route leads there",
            policy.title()
        );
        let target = policy.targets.iter().find(|target| target.value == service.name);
        let location = target.map_or(policy.location, |target| target.location);
        report.add(Diagnostic::warning(Code::NoEffect, message).at(location));
    }
    report
}

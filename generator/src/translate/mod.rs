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
    policies,
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
mod proxies;
mod route_findings;
mod rules;
mod services;
mod session_matches;
mod waypoints;
mod workloads;

pub use checks::partial_input::check_earlier;
pub use destinations::Callers;
pub use mirrors::mirrors;

use binding::GroupKey;
use canaries::Canaries;
use checks::{
    callers, consistent_hash, exports, filter_config, name_conflicts, partial_input, rule_names, session_routes,
    waypoints_used,
};
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
    let mut proxies = Proxies::new(resources);
    proxies::check_named(resources, report);
    let mut routes = Routes::default();
    for route in resources.routes() {
        routes.add(route, resources, attachments, &canaries, &mut proxies, report);
    }
    // A route that could not be read may lead to the Service.
    if !resources.any_route_unread() {
        report_unused(attachments, &routes.backends, resources, report);
    }
    let mut proxies = proxies.finish(&routes.dependencies, report);
    report.extend(resources.doubt_of_domain(routes.need_domain));
    for group in &mut proxies {
        check_group(group, resources, report);
    }
    note_rules(&proxies, resources, report);
    route_findings::report_unread(resources, attachments, &routes.dependencies, report);
    Ir {
        proxies,
        rules: routes.rules,
        canaries: canaries.into_policies(),
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
                .extend(rules.flat_map(|rule| backends::all_named(route, &rule.value, &resources.domain)));
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
                .extend(backends::all_named(rule.written, &rule.spec.value, &resources.domain));
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

/// Reports warnings and notes on the rules of all proxies.
fn note_rules(groups: &[ProxyGroup], resources: &Resources, report: &mut Report) {
    let attached = groups.iter().flat_map(|group| &group.rules);
    let rules: Vec<&Rule> = attached.map(|attached| &*attached.rule).collect();
    for rule in &rules {
        cookie_paths::warn(rule, report);
    }
    backends::note_draining(rules.iter().copied(), report);
    rule_names::note_unnamed(&rules, report);
    consistent_hash::note(groups, resources, report);
}

/// Reports policies for Services that no route leads to.
fn report_unused(attachments: &Attachments, routed: &BTreeSet<Id>, resources: &Resources, report: &mut Report) {
    let unused = attachments.iter().filter(|(service, _)| !routed.contains(service));
    let there = unused.filter(|(service, _)| matches!(resources.services.find(service), Found::Item(_)));
    for (service, policy) in there {
        let message = format!(
            "{} has no effect on the Service {service}: no route leads there",
            policy.title()
        );
        let target = policy.targets.iter().find(|target| target.value == service.name);
        let location = target.map_or(policy.location, |target| target.location);
        report.add(Diagnostic::warning(Code::NoEffect, message).at(location));
    }
}

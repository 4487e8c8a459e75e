//! Translates the resources to the intermediate representation and reports errors, as `internal/gatewayapi` does in
//! Envoy Gateway.
//!
//! This module generates no output. The targets in `crate::emit` do, from the [`Ir`].

use std::{collections::BTreeSet, rc::Rc};

use crate::{
    attachment::Attachments,
    diagnostic::{Code, Diagnostic, Report},
    id::Id,
    ir::{Gateway, Ir, Rule},
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
mod gateways;
mod mirrors;
mod route_findings;
mod rules;
mod services;
mod session_matches;
mod workloads;

pub use checks::partial_input::check_earlier;
pub use destinations::Callers;
pub use mirrors::mirrors;

use canaries::Canaries;
use checks::{consistent_hash, exports, filter_config, name_conflicts, partial_input, rule_names, session_routes};
use gateways::Gateways;
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
    let mut gateways = Gateways::new(resources);
    gateways::check_named(resources, report);
    let mut routes = Routes::default();
    for route in resources.routes() {
        routes.add(route, resources, attachments, &canaries, &mut gateways, report);
    }
    // A route that could not be read may lead to the Service.
    if !resources.any_route_unread() {
        report_unused(attachments, &routes.backends, resources, report);
    }
    let mut gateways = gateways.finish(&routes.dependencies, report);
    report.extend(resources.doubt_of_domain(routes.need_domain));
    for gateway in &mut gateways {
        check_gateway(gateway, resources, report);
    }
    note_rules(&gateways, resources, report);
    route_findings::report_unread(resources, attachments, &routes.dependencies, report);
    Ir {
        gateways,
        rules: routes.rules,
        canaries: canaries.into_policies(),
    }
}

/// The result of translating the routes.
#[derive(Default)]
struct Routes<'a> {
    /// The rules of all routes, including those that no gateway serves.
    rules: Vec<Rc<Rule<'a>>>,
    /// The Services that a route leads to.
    backends: BTreeSet<Id>,
    /// The objects that rules with sessions or canaries depend on.
    dependencies: BTreeSet<(Kind, Id)>,
    /// Whether a rule with sessions or canaries depends on the domain of the cluster.
    need_domain: bool,
}

impl<'a> Routes<'a> {
    /// Translates a route and attaches its rules to the gateways.
    fn add(
        &mut self,
        route: &'a Item<RouteSpec>,
        resources: &'a Resources,
        attachments: &Attachments,
        canaries: &Canaries<'a>,
        gateways: &mut Gateways<'a>,
        report: &mut Report,
    ) {
        let kind = match route.spec.kind {
            Kind::VirtualService => Kind::IstioGateway,
            _ => Kind::Gateway,
        };
        // The rules of a delegate are handled with the route that delegates to it.
        if kind == Kind::IstioGateway && resources.delegations.is_used(&route.id) {
            return;
        }
        let mut found = RouteFindings::default();
        let mut bindings = found.bind(route, resources, gateways);
        let Some(chosen) = gateways.retain_chosen(kind, &mut bindings) else {
            let rules = route.spec.rules.iter();
            self.backends
                .extend(rules.flat_map(|rule| backends::all_named(route, &rule.value, &resources.domain)));
            return;
        };
        let input = Input {
            resources,
            attachments,
            canaries,
            gateways,
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
        self.need_domain |= uses_mooring && kind == Kind::IstioGateway;
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
                Some(reach) => gateways.attach_matches(&rule, reach.attachments()),
                None => gateways.attach(&rule, kind, &bindings),
            }
        }
    }
}

/// Checks the rules of a gateway together, and takes sessions and canaries from those that exceed a limit or conflict.
fn check_gateway(gateway: &mut Gateway, resources: &Resources, report: &mut Report) {
    cookie_domains::check(gateway, report);
    name_conflicts::resolve(gateway, report);
    session_matches::forward_tokens(gateway, report);
    canary_memory::enforce(gateway, report);
    budget::enforce(gateway, report);
    name_conflicts::warn_of_cookies(gateway, report);
    session_routes::warn_of_many(gateway, report);
    exports::warn(gateway, report);
    filter_config::check(gateway, report);
    partial_input::check(gateway, resources, report);
}

/// Reports warnings and notes on the rules of all gateways.
fn note_rules(gateways: &[Gateway], resources: &Resources, report: &mut Report) {
    let attached = gateways.iter().flat_map(|gateway| &gateway.rules);
    let rules: Vec<&Rule> = attached.map(|attached| &*attached.rule).collect();
    for rule in &rules {
        cookie_paths::warn(rule, report);
    }
    backends::note_draining(rules.iter().copied(), report);
    rule_names::note_unnamed(&rules, report);
    consistent_hash::note(gateways, resources, report);
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

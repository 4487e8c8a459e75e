//! Translates the resources to the intermediate representation and reports errors, as `internal/gatewayapi` does in
//! Envoy Gateway.
//!
//! This module generates no output. The targets in `crate::emit` do, from the [`Ir`].

use std::{collections::BTreeSet, rc::Rc};

use crate::{
    attachment::Attachments,
    diagnostic::{Code, Diagnostic, Report},
    id::Id,
    ir::{Ir, Rule},
    kind::Kind,
    policies,
    resources::{Found, Resources},
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
    let mut all_rules = Vec::new();
    let mut routed = BTreeSet::new();
    let mut needed = BTreeSet::new();
    let mut needs_domain = false;
    gateways::check_named(resources, report);
    for route in resources.routes() {
        let kind = match route.spec.kind {
            Kind::VirtualService => Kind::IstioGateway,
            _ => Kind::Gateway,
        };
        // The rules of a delegate are handled with the route that delegates to it.
        if kind == Kind::IstioGateway && resources.delegations.is_used(&route.id) {
            continue;
        }
        let mut found = RouteFindings::default();
        let mut bindings = found.bind(route, resources, &gateways);
        let Some(chosen) = gateways.retain_chosen(kind, &mut bindings) else {
            let rules = route.spec.rules.iter();
            routed.extend(rules.flat_map(|rule| backends::all_named(route, &rule.value, &resources.domain)));
            continue;
        };
        let on_gateway = !bindings.is_empty();
        let input = Input {
            resources,
            attachments,
            canaries: &canaries,
            gateways: &gateways,
            chosen: &chosen,
        };
        let rules = rules::of_route(route, &bindings, input, report);
        let uses_mooring = rules.iter().any(|(rule, _)| rule.uses_mooring());
        let attached = found.report(route, uses_mooring, on_gateway, report);
        if uses_mooring {
            needed.extend(route_findings::dependencies(
                route,
                rules.iter().map(|(rule, _)| rule),
                resources,
            ));
        }
        needs_domain |= uses_mooring && kind == Kind::IstioGateway;
        route_findings::report_delegates(route, uses_mooring, resources, report);
        for (mut rule, reach) in rules {
            routed.extend(backends::all_named(rule.written, &rule.spec.value, &resources.domain));
            if !attached {
                rule.refuse();
            }
            let rule = Rc::new(rule);
            all_rules.push(rule.clone());
            if !attached || !rule.routable {
                continue;
            }
            match reach {
                Some(reach) => gateways.attach_matches(&rule, reach.attachments()),
                None => gateways.attach(&rule, kind, &bindings),
            }
        }
    }
    // A route that could not be read may lead to the Service.
    if !resources.any_route_unread() {
        report_unused(attachments, &routed, resources, report);
    }
    let mut gateways = gateways.finish(&needed, report);
    report.extend(resources.doubt_of_domain(needs_domain));
    for gateway in &mut gateways {
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
    let attached = gateways.iter().flat_map(|gateway| &gateway.rules);
    let attached: Vec<&Rule> = attached.map(|attached| &*attached.rule).collect();
    for rule in &attached {
        cookie_paths::warn(rule, report);
    }
    backends::note_draining(attached.iter().copied(), report);
    rule_names::note_unnamed(&attached, report);
    consistent_hash::note(&gateways, resources, report);
    route_findings::report_unread(resources, attachments, &needed, report);
    Ir {
        gateways,
        rules: all_rules,
        canaries: canaries.into_policies(),
    }
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

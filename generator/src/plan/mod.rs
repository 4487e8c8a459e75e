//! What is to be generated, whatever the target: for each gateway its rules, with their names, backends and sessions.
//!
//! Not for output: the targets read a [`Plan`] and write their own formats.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    attachment::Attachments,
    diagnostic::{Code, Diagnostic, Report},
    dialect,
    inventory::{Found, Id, Inventory},
    kind::Kind,
};

mod aliases;
mod backends;
mod budget;
mod canaries;
mod canary_memory;
mod classes;
mod classic;
mod collisions;
mod cookie_domains;
mod cookie_paths;
mod destination_rules;
mod destinations;
mod draft;
mod gateway;
mod gateways;
mod hashes;
mod listener_sets;
mod listeners;
mod matches;
mod mirrors;
mod names;
mod namespaces;
mod partial;
mod pods;
mod reach;
mod rule;
mod rules;
mod services;
mod session_matches;
mod session_routes;
mod whole;

pub use aliases::cluster_host;
pub use backends::{Backend, DRAINING_LABEL};
pub use destination_rules::of_host as destination_rules;
pub use destinations::{Callers, service_of};
pub use gateway::{Gateway, HostFilters, Placed};
pub use listeners::{VirtualHost, covers};
pub use mirrors::mirrors;
pub(crate) use names::hash;
pub use names::route_of;
pub use partial::check_earlier;
pub use pods::Workload;
pub use rule::{Rule, Session};

pub use canaries::{Applied, Canaries};
use gateways::Gateways;
use rules::Input;
use whole::OfRoute;

/// Everything that is to be generated.
#[derive(Debug)]
pub struct Plan<'a> {
    /// The gateways in the order of their ids, also those without sessions.
    pub gateways: Vec<Gateway<'a>>,
    /// The rules of all routes, also those that are on no gateway.
    pub rules: Vec<Arc<Rule<'a>>>,
    /// The canary policies.
    pub canaries: Canaries<'a>,
}

impl<'a> Plan<'a> {
    /// Finds out what is to be generated. Whatever is wrong is reported.
    pub fn new(inventory: &'a Inventory, report: &mut Report) -> Self {
        let policies = dialect::policies(inventory, report);
        let attachments = Attachments::new(&policies, &inventory.services, report);
        Self::with(inventory, &attachments, report)
    }

    /// The same with policies that have been read and attached before.
    pub fn with(inventory: &'a Inventory, attachments: &Attachments, report: &mut Report) -> Self {
        let canaries = Canaries::new(inventory, report);
        let mut gateways = Gateways::new(inventory);
        let mut all_rules = Vec::new();
        let mut routed = BTreeSet::new();
        let mut needed = BTreeSet::new();
        let mut needs_domain = false;
        gateways::check_named(inventory, report);
        for route in inventory.routes() {
            let kind = match route.spec.kind {
                Kind::VirtualService => Kind::IstioGateway,
                _ => Kind::Gateway,
            };
            // Its rules are those of the route that delegates to it.
            if kind == Kind::IstioGateway && inventory.delegations.is_used(&route.id) {
                continue;
            }
            let mut found = OfRoute::default();
            let mut placements = found.place(route, inventory, &gateways);
            let Some(part) = gateways.keep(kind, &mut placements) else {
                let rules = route.spec.rules.iter();
                routed.extend(rules.flat_map(|rule| backends::all_named(route, &rule.value, &inventory.domain)));
                continue;
            };
            let on_gateway = !placements.is_empty();
            let input = Input {
                inventory,
                attachments,
                canaries: &canaries,
                gateways: &gateways,
                part: &part,
            };
            let rules = rules::of_route(route, &placements, input, report);
            let concerns_us = rules.iter().any(|(rule, _)| rule.concerns_us());
            let placed = found.report(route, concerns_us, on_gateway, report);
            if concerns_us {
                needed.extend(whole::needs(route, rules.iter().map(|(rule, _)| rule), inventory));
            }
            needs_domain |= concerns_us && kind == Kind::IstioGateway;
            whole::report_delegates(route, concerns_us, inventory, report);
            for (mut rule, reach) in rules {
                routed.extend(backends::all_named(rule.written, &rule.wire.value, &inventory.domain));
                if !placed {
                    rule.refuse();
                }
                let rule = Arc::new(rule);
                all_rules.push(rule.clone());
                if !placed || !rule.routable {
                    continue;
                }
                match reach {
                    Some(reach) => gateways.place_parts(&rule, reach),
                    None => gateways.place(&rule, kind, &placements),
                }
            }
        }
        // A route may lead there that could not be read.
        if !inventory.any_route_unread() {
            report_unused(attachments, &routed, inventory, report);
        }
        let mut gateways = gateways.settle(&needed, report);
        report.extend(inventory.doubt_of_domain(needs_domain));
        for gateway in &mut gateways {
            cookie_domains::check(gateway, report);
            collisions::resolve(gateway, report);
            gateway.forward_tokens(report);
            canary_memory::keep(gateway, report);
            budget::keep(gateway, report);
            collisions::warn_of_cookies(gateway, report);
            session_routes::warn_of_many(gateway, report);
            gateway.warn_of_hidden(report);
            partial::check(gateway, inventory, report);
        }
        let placed = gateways.iter().flat_map(|gateway| &gateway.rules);
        let placed: Vec<&Rule> = placed.map(|placed| &*placed.rule).collect();
        for rule in &placed {
            cookie_paths::warn(rule, report);
        }
        backends::note_draining(placed.iter().copied(), report);
        names::note_unnamed(&placed, report);
        hashes::note(&gateways, inventory, report);
        whole::judge_unread(inventory, attachments, &needed, report);
        Self {
            gateways,
            rules: all_rules,
            canaries,
        }
    }
}

/// Policies for Services to which no route leads.
fn report_unused(attachments: &Attachments, routed: &BTreeSet<Id>, inventory: &Inventory, report: &mut Report) {
    let unused = attachments.iter().filter(|(service, _)| !routed.contains(service));
    let there = unused.filter(|(service, _)| matches!(inventory.services.find(service), Found::Item(_)));
    for (service, policy) in there {
        let message = format!(
            "{} has no effect on the Service {service}: no route leads there",
            policy.title()
        );
        let target = policy.targets.iter().find(|target| target.value == service.name);
        let place = target.map_or(policy.place, |target| target.place);
        report.add(Diagnostic::warning(Code::NoEffect, message).at(place));
    }
}

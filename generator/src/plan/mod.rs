//! What is to be generated, whatever the target: for each gateway its rules, with their names, backends and sessions.
//!
//! Not for output: the targets read a [`Plan`] and write their own formats.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    attachment::Attachments,
    diagnostic::{Code, Diagnostic, Report},
    dialect,
    inventory::{Found, Id, Inventory, Item},
    kind::Kind,
    left_out::What,
    wire::route::HttpRouteSpec,
};

mod backends;
mod budget;
mod canaries;
mod classic;
mod collisions;
mod cookie_domains;
mod destinations;
mod draft;
mod gateway;
mod listeners;
mod matches;
mod names;
mod namespaces;
mod rule;
mod services;
mod session_matches;
mod session_routes;
mod whole;

pub use backends::{Backend, DRAINING_LABEL};
pub use classic::Workload;
pub use destinations::service_of;
pub use gateway::{Gateway, HostFilters, Placed};
pub use listeners::VirtualHost;
pub use rule::{Refused, Rule, Session};

use canaries::Target;
pub use canaries::{Applied, Canaries};
use draft::Draft;
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
        for route in inventory.routes() {
            let classic = route.spec.kind == Kind::VirtualService;
            let mut found = OfRoute::default();
            let placements = found.place(route, inventory);
            let on_gateway = !placements.is_empty();
            let rules = rules(route, on_gateway, inventory, attachments, &canaries, report);
            let concerns_us = rules.iter().any(Rule::concerns_us);
            let placed = found.report(route, concerns_us, on_gateway, report);
            if concerns_us {
                needed.extend(whole::needs(route, &rules));
            }
            for mut rule in rules {
                routed.extend(backends::all_named(route, &rule.wire.value));
                if !placed {
                    rule.refuse();
                }
                let rule = Arc::new(rule);
                all_rules.push(rule.clone());
                for (id, virtual_hosts) in placements.iter().filter(|_| placed && rule.routable) {
                    if let Some(gateway) = gateways.get_mut(classic, id) {
                        gateway.place(&rule, virtual_hosts);
                    }
                }
            }
        }
        // A route may lead there that could not be read.
        if !inventory.any_route_unread() {
            report_unused(attachments, &routed, inventory, report);
        }
        let mut gateways = gateways.all;
        gateways.retain(|gateway| gateway.check(&needed, report));
        for gateway in &mut gateways {
            cookie_domains::check(gateway, report);
            collisions::resolve(gateway, report);
            gateway.forward_tokens(report);
            budget::keep(gateway, report);
            collisions::warn_of_cookies(gateway, report);
            session_routes::warn_of_many(gateway, report);
        }
        let placed = gateways.iter().flat_map(|gateway| &gateway.rules);
        backends::note_draining(placed.map(|placed| &*placed.rule), report);
        whole::judge_unread(inventory, attachments, &needed, report);
        Self {
            gateways,
            rules: all_rules,
            canaries,
        }
    }
}

/// The gateways, found by their ids.
struct Gateways<'a> {
    all: Vec<Gateway<'a>>,
    positions: BTreeMap<(bool, &'a Id), usize>,
}

impl<'a> Gateways<'a> {
    fn new(inventory: &'a Inventory) -> Self {
        let mut all: Vec<Gateway> = Vec::new();
        let mut positions = BTreeMap::new();
        for item in inventory.gateways.iter().chain(inventory.istio_gateways.iter()) {
            let workload = Workload::of(item, inventory);
            positions.insert((workload.is_some(), &item.id), all.len());
            let shared = all
                .iter()
                .position(|other| workload.is_some() && other.workload == workload);
            if let Some(gateway) = shared.and_then(|position| all.get_mut(position)) {
                gateway.others.push(item);
                positions.extend(shared.map(|position| ((true, &item.id), position)));
                continue;
            }
            all.push(Gateway {
                item,
                others: Vec::new(),
                workload,
                rules: Vec::new(),
            });
        }
        Self { all, positions }
    }

    fn get_mut(&mut self, classic: bool, id: &Id) -> Option<&mut Gateway<'a>> {
        self.all.get_mut(*self.positions.get(&(classic, id))?)
    }
}

/// The rules of a route.
fn rules<'a>(
    route: &'a Item<HttpRouteSpec>,
    on_gateway: bool,
    inventory: &'a Inventory,
    attachments: &Attachments,
    canaries: &Canaries,
    report: &mut Report,
) -> Vec<Rule<'a>> {
    let before = report.errors();
    let inline = dialect::inline(route, report);
    if report.errors() > before && inline.iter().flatten().all(|inline| inline.sound) {
        report.leave_out(What::Annotations, route.name(route.spec.kind));
    }
    let mut drafts = Vec::new();
    for ((index, wire), inline) in route.spec.rules.iter().enumerate().zip(inline) {
        let mut found = Report::default();
        if route.spec.kind != Kind::VirtualService {
            matches::check(route, &wire.value, &mut found);
        }
        let routable = !found.has_errors();
        let backends = match route.spec.kind {
            Kind::VirtualService => destinations::resolve(route, &wire.value, inventory, &mut found),
            _ => backends::resolve(route, &wire.value, inventory, &mut found),
        };
        let name = wire.value.name.as_ref().map(|name| name.value.as_str());
        let id = names::route_id(route.spec.kind, &route.id, name, index);
        let target = Target {
            kind: route.spec.kind,
            route: &route.id,
            section: name,
            title: &format!("the rule {id}"),
            place: route.place_of(wire),
        };
        let attached = match &inline {
            Some(_) => None,
            None => services::attached(route, wire, &backends, attachments, &mut found),
        };
        // Also where the Service is not there, or must not be used.
        let named = || backends::all_named(route, &wire.value);
        let meant = inline.is_some() || named().iter().any(|service| attachments.of(service).is_some());
        let own = match (&inline, &attached) {
            (Some(inline), _) => Some(inline.policy.clone()),
            (None, Some(attached)) => attached.session.clone(),
            (None, None) => None,
        };
        let mut of_canary = Report::default();
        let canary = canaries.apply(target, own.as_ref(), &backends, &mut of_canary);
        let concerns_us = meant || canary.is_some();
        // A canary with which something is wrong on this rule costs the rule no sessions of its own.
        let (canary, wrong) = match canary {
            Some(canary) if !canary.sound => {
                of_canary.leave_out(
                    What::Attachment,
                    format!("{}/{} on {id}", Kind::CanaryPolicy, canary.policy),
                );
                (None, Some(canary))
            }
            canary => (canary, None),
        };
        report.extend(of_canary);
        let sticky = canary
            .as_ref()
            .and_then(|canary| Some((canary.sticky.clone()?, canary)));
        let (policy, from) = match (own, sticky) {
            (None, Some((sticky, canary))) => {
                let from = (Kind::CanaryPolicy, canary.policy.clone());
                (Some(sticky), Some(from))
            }
            (own, _) => {
                let from = attached.map(|attached| (attached.policy.kind, attached.policy.id.clone()));
                (own, from)
            }
        };
        let sound = inline.is_none_or(|inline| inline.sound);
        let rule = Rule {
            route,
            index,
            wire,
            name: match route.spec.kind {
                Kind::VirtualService => name.unwrap_or_default().to_owned(),
                _ => names::route_name(&route.id, name, index),
            },
            session: policy.map(|policy| Session::new(&policy, from, &id, sound)),
            id,
            canary,
            refused: Refused {
                canary: wrong,
                ..Refused::default()
            },
            routable,
            backends,
        };
        let mut draft = Draft {
            rule,
            found,
            concerns_us,
        };
        draft.check(on_gateway, inventory);
        if !sound {
            draft.rule.refuse();
        }
        drafts.push(draft);
    }
    draft::check_names(&mut drafts);
    drafts.into_iter().map(|draft| draft.settle(report)).collect()
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

//! What is to be generated, whatever the target: for each gateway its rules, with their names, backends and sessions.
//!
//! Not for output: the targets read a [`Plan`] and write their own formats.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use mooring_policy::{
    config::{self, Config, Pin, Transport},
    rule::RouteTable,
};

use crate::{
    attachment::Attachments,
    diagnostic::{Code, Diagnostic, Report},
    dialect,
    inventory::{Found, Id, Inventory, Item},
    kind::Kind,
    left_out::What,
    session::SessionPolicy,
    source::Place,
    wire::{
        Field,
        gateway::GatewaySpec,
        route::{self, HttpRouteSpec},
    },
};

mod backends;
mod budget;
mod canaries;
mod classic;
mod collisions;
mod cookie_domains;
mod destinations;
mod draft;
mod listeners;
mod matches;
mod names;
mod namespaces;
mod services;
mod session_matches;
mod session_routes;
mod whole;

pub use backends::{Backend, DRAINING_LABEL};
pub use classic::Workload;
pub use listeners::VirtualHost;

use canaries::Target;
pub use canaries::{Applied, Canaries};
use draft::Draft;
use whole::OfRoute;

/// From how many routes on it takes longer to look for the route of a request once more than to avoid it.
const LARGE_VIRTUAL_HOST: usize = 80;

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

/// One gateway.
#[derive(Debug)]
pub struct Gateway<'a> {
    /// The object; of several that share their pods, the first.
    pub item: &'a Item<GatewaySpec>,
    /// The others.
    pub others: Vec<&'a Item<GatewaySpec>>,
    /// The pods, if the gateway is one of Istio's own API.
    pub workload: Option<Workload>,
    /// The rules on it, in the order of the routes' ids and of the rules.
    pub rules: Vec<Placed<'a>>,
}

/// A rule on a gateway.
#[derive(Debug)]
pub struct Placed<'a> {
    /// The rule.
    pub rule: Arc<Rule<'a>>,
    /// The virtual hosts in which it is.
    pub virtual_hosts: BTreeSet<VirtualHost>,
}

/// What Envoy's filters do for the rules of a virtual host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostFilters {
    /// Some sessions are bound to hosts.
    pub pins_hosts: bool,
    /// Some of these are strict.
    pub strict: bool,
    /// Headers are set without choosing the route again.
    pub relays: bool,
}

/// A rule of a route.
#[derive(Clone, Debug)]
pub struct Rule<'a> {
    /// The route.
    pub route: &'a Item<HttpRouteSpec>,
    /// The rule's position in the route.
    pub index: usize,
    /// The rule as it is written.
    pub wire: &'a Field<route::Rule>,
    /// The name of the Envoy routes that it becomes.
    pub name: String,
    /// The name of the object with its session routes, if it has any.
    pub session_routes: String,
    /// The identity that tokens are bound to.
    pub id: String,
    /// How its sessions are kept, if they are.
    pub session: Option<Session>,
    /// What a `CanaryPolicy` makes of it, if one holds for it.
    pub canary: Option<Applied>,
    /// What it would have of these, were nothing wrong with it.
    pub refused: Refused,
    /// Whether Envoy takes its matches.
    pub routable: bool,
    /// Its backends, in the order of the text.
    pub backends: Vec<Backend<'a>>,
}

/// What a rule does not get since something is wrong with it.
#[derive(Clone, Debug, Default)]
pub struct Refused {
    /// Whether it is refused as a whole.
    pub whole: bool,
    /// Its sessions.
    pub session: Option<Session>,
    /// Its canaries, also where it has sessions all the same.
    pub canary: Option<Applied>,
}

/// How the sessions of a rule are kept.
#[derive(Clone, Debug)]
pub struct Session {
    /// What the filter is told.
    pub config: config::Session,
    /// The policy that says so. None: the rule itself.
    pub policy: Option<(Kind, Id)>,
    /// Where the `Domain` of its cookie was written.
    pub domain_place: Option<Place>,
    /// Whether nothing is wrong with that.
    pub sound: bool,
}

impl Session {
    /// What a policy makes of the sessions of the rule with this id.
    fn new(policy: &SessionPolicy, from: Option<(Kind, Id)>, rule_id: &str, sound: bool) -> Self {
        let domain = policy.cookie.domain.as_ref();
        Self {
            config: policy.session(&names::default_session(rule_id)),
            policy: from,
            domain_place: domain.map(|_| policy.place_of_attribute("Domain")),
            sound,
        }
    }
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

impl Rule<'_> {
    /// The names of the Envoy routes that it becomes: one, or with names on the matches of a `VirtualService` several.
    pub fn envoy_names(&self) -> impl Iterator<Item = String> {
        let matches = &self.wire.value.matches;
        let names: BTreeSet<String> = match matches.as_slice() {
            [] => BTreeSet::from([self.name.clone()]),
            matches => matches.iter().map(|one| self.envoy_name(&one.value)).collect(),
        };
        names.into_iter().filter(|name| !name.is_empty())
    }

    /// The name of the first of these routes.
    #[must_use]
    pub fn first_envoy_name(&self) -> String {
        let first = self.wire.value.matches.first();
        first.map_or_else(|| self.name.clone(), |one| self.envoy_name(&one.value))
    }

    /// The name of the Envoy route of a match.
    #[must_use]
    pub fn envoy_name(&self, one: &route::Match) -> String {
        match &one.name {
            Some(name) if !name.value.is_empty() => format!("{}.{}", self.name, name.value),
            _ => self.name.clone(),
        }
    }

    /// Takes sessions and canaries from it: requests go where the route says, and nothing more.
    pub fn refuse(&mut self) {
        self.refused.whole |= self.concerns_us();
        self.refused.session = self.session.take().or(self.refused.session.take());
        self.refused.canary = self.canary.take().or(self.refused.canary.take());
    }

    /// Whether it is refused as a whole.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.refused.whole
    }

    /// Whether it keeps sessions or has canaries, or would, were nothing wrong with it.
    #[must_use]
    pub fn concerns_us(&self) -> bool {
        self.is_managed() || self.refused.whole || self.refused.canary.is_some()
    }

    /// What the filter is told about it, as one of its Envoy routes.
    #[must_use]
    pub fn config(&self, route: String, virtual_hosts: Vec<String>) -> config::Rule {
        config::Rule {
            route,
            virtual_hosts,
            id: self.id.clone(),
            session: self.session.as_ref().map(|session| session.config.clone()),
            backends: self.backend_configs(),
            canary: self.canary().cloned(),
        }
    }

    /// Whether the filter has anything to do with it.
    #[must_use]
    pub fn is_managed(&self) -> bool {
        self.session.is_some() || self.canary().is_some()
    }

    /// Whether each of its backends has a session route.
    #[must_use]
    pub fn has_session_routes(&self) -> bool {
        self.is_managed() && self.backends.len() > 1
    }

    /// The name of one of the objects with its session routes, which are numbered from 1 on.
    #[must_use]
    pub fn session_routes(&self, number: usize) -> String {
        match number {
            1 => self.session_routes.clone(),
            _ => format!("{}-{number}", self.session_routes),
        }
    }

    /// How many Envoy routes it is in a virtual host, without its session routes.
    #[must_use]
    pub fn route_count(&self) -> usize {
        self.wire.value.matches.len().max(1)
    }

    /// How many Envoy routes its session routes are there.
    #[must_use]
    pub fn session_route_count(&self) -> usize {
        let backends = if self.has_session_routes() {
            self.backends.len()
        } else {
            0
        };
        // In a VirtualService the key is enough.
        let by_key = self.route.spec.kind == Kind::VirtualService;
        backends.saturating_mul(if by_key { 1 } else { self.route_count() })
    }

    /// Who is sent to which backend whatever the weights are, and how the rest is split.
    #[must_use]
    pub fn canary(&self) -> Option<&config::Canary> {
        self.canary.as_ref()?.config.as_ref()
    }

    /// What the filter is told of its backends.
    fn backend_configs(&self) -> Vec<config::Backend> {
        let places_clients = self
            .canary()
            .is_some_and(|canary| canary.hash_on.is_some() || canary.rules.iter().any(|rule| rule.opt_in.is_some()));
        let backends = self.backends.iter();
        backends.map(|backend| backend.config(places_clients)).collect()
    }

    /// Its sessions, if they are bound to hosts.
    #[must_use]
    pub fn pins_hosts(&self) -> Option<&Session> {
        self.session.as_ref().filter(|session| session.config.pin == Pin::Host)
    }
}

impl Placed<'_> {
    /// What the filter is told about the rule.
    pub fn configs(&self) -> impl Iterator<Item = config::Rule> {
        let hosts: Vec<String> = self.virtual_hosts.iter().map(VirtualHost::name).collect();
        let names = self.rule.envoy_names();
        names.map(move |name| self.rule.config(name, hosts.clone()))
    }

    /// Takes sessions and canaries from the rule, on this gateway only.
    fn refuse(&mut self) {
        Arc::make_mut(&mut self.rule).refuse();
    }
}

impl<'a> Gateway<'a> {
    /// Puts a rule on it. A rule that comes by two gateways of the same pods is there once.
    fn place(&mut self, rule: &Arc<Rule<'a>>, virtual_hosts: &BTreeSet<VirtualHost>) {
        // It is on all its gateways before the next one comes.
        if let Some(placed) = self.rules.last_mut().filter(|placed| Arc::ptr_eq(&placed.rule, rule)) {
            return placed.virtual_hosts.extend(virtual_hosts.iter().cloned());
        }
        self.rules.push(Placed {
            rule: rule.clone(),
            virtual_hosts: virtual_hosts.clone(),
        });
    }

    /// The virtual hosts that have rules with which the filter has to do, and what Envoy's filters do there.
    #[must_use]
    pub fn managed_hosts(&self) -> BTreeMap<&VirtualHost, HostFilters> {
        let mut hosts: BTreeMap<&VirtualHost, HostFilters> = BTreeMap::new();
        for placed in self.managed_rules() {
            let session = placed.rule.pins_hosts();
            for host in &placed.virtual_hosts {
                let filters = hosts.entry(host).or_default();
                filters.pins_hosts |= session.is_some();
                filters.strict |= session.is_some_and(|session| session.config.strict);
                filters.relays |= session.is_some_and(|session| session.config.transport == Transport::Cookie);
            }
        }
        let mut routes: BTreeMap<&VirtualHost, usize> = BTreeMap::new();
        for placed in &self.rules {
            for host in &placed.virtual_hosts {
                let sum = routes.entry(host).or_default();
                let count = placed.rule.route_count();
                *sum = sum
                    .saturating_add(count)
                    .saturating_add(placed.rule.session_route_count());
            }
        }
        for (host, filters) in &mut hosts {
            filters.relays &= routes.get(host).is_some_and(|count| *count > LARGE_VIRTUAL_HOST);
        }
        hosts
    }

    /// Leaves the token in requests where another rule of the virtual host matches on the header in which it comes: without it,
    /// Envoy could choose that rule instead.
    fn forward_tokens(&mut self, report: &mut Report) {
        let forwarded = session_matches::forwarded(self, report);
        for placed in self
            .rules
            .iter_mut()
            .filter(|placed| forwarded.contains(&placed.rule.id))
        {
            if let Some(session) = &mut Arc::make_mut(&mut placed.rule).session {
                session.config.forward_token = true;
            }
        }
    }

    /// Whether it can be generated: one that would be every pod cannot. `needed` is what sessions and canaries need.
    fn check(&self, needed: &BTreeSet<(Kind, Id)>, report: &mut Report) -> bool {
        let kind = match &self.workload {
            Some(_) => Kind::IstioGateway,
            None => Kind::Gateway,
        };
        let mut found = Report::default();
        for diagnostic in self.items().filter_map(classic::check_selector) {
            found.add(diagnostic);
        }
        let sound = !found.has_errors();
        if kind == Kind::Gateway {
            listeners::check(self.item, &mut found);
        }
        if !self.items().any(|item| needed.contains(&(kind, item.id.clone()))) {
            report.extend_harmless(found);
            return true;
        }
        if !sound {
            found.leave_out(What::Gateway, self.item.name(Kind::Gateway));
        }
        report.extend(found);
        sound
    }

    /// All its objects.
    pub fn items(&self) -> impl Iterator<Item = &'a Item<GatewaySpec>> {
        std::iter::once(self.item).chain(self.others.iter().copied())
    }

    /// Whether the filter has anything to do on it.
    #[must_use]
    pub fn is_managed(&self) -> bool {
        self.managed_rules().next().is_some()
    }

    /// The rules with which the filter has anything to do.
    pub fn managed_rules(&self) -> impl Iterator<Item = &Placed<'_>> {
        self.rules.iter().filter(|placed| placed.rule.is_managed())
    }

    /// The rules that keep sessions.
    pub fn session_rules(&self) -> impl Iterator<Item = (&Placed<'_>, &Session)> {
        self.rules
            .iter()
            .filter_map(|placed| Some((placed, placed.rule.session.as_ref()?)))
    }

    /// The plugin configuration, checked by the code that will read it.
    pub fn config(&self, report: &mut Report) -> Config {
        let rules = self.managed_rules().flat_map(Placed::configs);
        let config = Config {
            version: config::VERSION,
            rules: rules.collect(),
        };
        // Each rule has been asked about: this is the last resort, and then about everything.
        if let Err(refusal) = RouteTable::try_from(config.clone()) {
            let message = format!(
                "the filter would refuse the configuration of Gateway {}: {refusal}",
                self.item.id
            );
            report.add(Diagnostic::error(Code::Invalid, message).at(self.item.place()));
            report.abort();
        }
        config
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
            session_routes: names::session_routes(&route.id, &id),
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

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
    inventory::{Id, Inventory, Item},
    kind::Kind,
    source::Place,
    wire::{
        Field,
        gateway::GatewaySpec,
        route::{self, HttpRouteSpec},
    },
};

mod backends;
mod canaries;
mod classic;
mod collisions;
mod cookie_domains;
mod destinations;
mod listeners;
mod matches;
mod names;
mod namespaces;
mod services;
mod session_matches;
mod session_routes;

pub use backends::{Backend, DRAINING_LABEL};
pub use classic::Workload;
pub use listeners::VirtualHost;
pub use session_matches::forwarded;

use canaries::Target;
pub use canaries::{Applied, Canaries};

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
#[derive(Debug)]
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
    /// Its backends, in the order of the text.
    pub backends: Vec<Backend<'a>>,
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
        let mut gateways = Gateways::new(inventory, report);
        let mut all_rules = Vec::new();
        let mut routed = BTreeSet::new();
        for route in inventory.routes() {
            let classic = route.spec.kind == Kind::VirtualService;
            let placements = if classic {
                classic::place(route, inventory, report)
            } else {
                listeners::place(route, inventory, report)
            };
            for rule in rules(route, inventory, attachments, &canaries, report) {
                routed.extend(rule.backends.iter().filter_map(Backend::service_id).cloned());
                let rule = Arc::new(rule);
                all_rules.push(rule.clone());
                if classic && !placements.is_empty() {
                    classic::check_name(&rule, report);
                }
                for (id, virtual_hosts) in &placements {
                    if let Some(gateway) = gateways.get_mut(classic, id) {
                        gateway.place(&rule, virtual_hosts);
                    }
                }
            }
        }
        // A route may lead there that could not be read.
        if !report.has_errors() {
            report_unused(attachments, &routed, report);
        }
        let mut gateways = gateways.all;
        for gateway in &mut gateways {
            if gateway.workload.is_none() {
                listeners::check(gateway.item, report);
            }
            collisions::check(gateway, report);
            collisions::warn_of_cookies(gateway, report);
            cookie_domains::check(gateway, report);
        }
        let rules = gateways.iter().flat_map(|gateway| &gateway.rules);
        backends::note_draining(rules.map(|placed| &*placed.rule), report);
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
    fn new(inventory: &'a Inventory, report: &mut Report) -> Self {
        let mut all: Vec<Gateway> = Vec::new();
        let mut positions = BTreeMap::new();
        for item in inventory.gateways.iter().chain(inventory.istio_gateways.iter()) {
            let workload = Workload::of(item, inventory, report);
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

    /// How many Envoy routes it is in a virtual host, with its session routes.
    #[must_use]
    pub fn route_count(&self) -> usize {
        let matches = self.wire.value.matches.len().max(1);
        let of_sessions = if self.has_session_routes() {
            self.backends.len()
        } else {
            0
        };
        matches.saturating_mul(of_sessions.saturating_add(1))
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
                *sum = sum.saturating_add(placed.rule.route_count());
            }
        }
        for (host, filters) in &mut hosts {
            filters.relays &= routes.get(host).is_some_and(|count| *count > LARGE_VIRTUAL_HOST);
        }
        hosts
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
        let named = self.managed_rules();
        let named = named.flat_map(|placed| placed.rule.envoy_names().map(move |name| (placed, name)));
        let rules = named.map(|(placed, route)| config::Rule {
            route,
            virtual_hosts: placed.virtual_hosts.iter().map(VirtualHost::name).collect(),
            id: placed.rule.id.clone(),
            session: placed.rule.session.as_ref().map(|session| session.config.clone()),
            backends: placed.rule.backend_configs(),
            canary: placed.rule.canary().cloned(),
        });
        let config = Config {
            version: config::VERSION,
            rules: rules.collect(),
        };
        // What is known to be wrong need not be said again.
        if !report.has_errors()
            && let Err(refusal) = RouteTable::try_from(config.clone())
        {
            let message = format!(
                "the filter would refuse the configuration of Gateway {}: {refusal}",
                self.item.id
            );
            report.add(Diagnostic::error(Code::Invalid, message).at(self.item.place()));
        }
        config
    }
}

/// The rules of a route.
fn rules<'a>(
    route: &'a Item<HttpRouteSpec>,
    inventory: &'a Inventory,
    attachments: &Attachments,
    canaries: &Canaries,
    report: &mut Report,
) -> Vec<Rule<'a>> {
    if route.spec.kind != Kind::VirtualService {
        matches::check(route, report);
    }
    let inline = dialect::inline(route, report);
    let mut rules = Vec::new();
    for ((index, wire), inline) in route.spec.rules.iter().enumerate().zip(inline) {
        let backends = match route.spec.kind {
            Kind::VirtualService => destinations::resolve(route, &wire.value, inventory, report),
            _ => backends::resolve(route, &wire.value, inventory, report),
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
            None => services::attached(route, wire, &backends, attachments, report),
        };
        let (own, sound) = match (&inline, &attached) {
            (Some(inline), _) => (Some(inline.policy.clone()), inline.sound),
            (None, Some(attached)) => (attached.session.clone(), attached.policy.sound),
            (None, None) => (None, true),
        };
        let canary = canaries.apply(target, own.as_ref(), &backends, report);
        let sticky = canary
            .as_ref()
            .and_then(|canary| Some((canary.sticky.clone()?, canary)));
        let (policy, from, sound) = match (own, sticky) {
            (None, Some((sticky, canary))) => {
                let from = (Kind::CanaryPolicy, canary.policy.clone());
                (Some(sticky), Some(from), canary.sound)
            }
            (own, _) => {
                let from = attached.map(|attached| (attached.policy.kind, attached.policy.id.clone()));
                (own, from, sound)
            }
        };
        let session = policy.map(|policy| Session {
            config: policy.session(&names::default_session(&id)),
            policy: from,
            domain_place: policy
                .cookie
                .domain
                .as_ref()
                .map(|_| policy.place_of_attribute("Domain")),
            sound,
        });
        let rule = Rule {
            route,
            index,
            wire,
            name: match route.spec.kind {
                Kind::VirtualService => name.unwrap_or_default().to_owned(),
                _ => names::route_name(&route.id, name, index),
            },
            session_routes: names::session_routes(&route.id, &id),
            id,
            session,
            canary,
            backends,
        };
        backends::check_for_sessions(&rule, report);
        session_routes::check(&rule, inventory, report);
        if rule.is_managed() {
            session_matches::check(&rule, report);
        }
        rules.push(rule);
    }
    // Where the filter has nothing to do, the names of a VirtualService are nobody's business.
    if route.spec.kind != Kind::VirtualService || rules.iter().any(Rule::is_managed) {
        names::check_rule_names(route, report);
    }
    rules
}

/// Policies for Services to which no route leads.
fn report_unused(attachments: &Attachments, routed: &BTreeSet<Id>, report: &mut Report) {
    for (service, policy) in attachments.iter().filter(|(service, _)| !routed.contains(service)) {
        let message = format!(
            "{} has no effect on the Service {service}: no route leads there",
            policy.title()
        );
        let target = policy.targets.iter().find(|target| target.value == service.name);
        let place = target.map_or(policy.place, |target| target.place);
        report.add(Diagnostic::warning(Code::NoEffect, message).at(place));
    }
}

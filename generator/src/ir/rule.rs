//! A rule of a route: its names, its backends, its sessions and canaries.

use std::collections::BTreeSet;

use mooring_policy::config::{self, BoundTo};

use super::{
    backend::Backend,
    canary::{AttachedCanary, Routing},
    names,
};
use crate::{
    api::field::Field,
    delegation::MergedRoute,
    diagnostic::Reported,
    id::Id,
    kind::Kind,
    location::SourceLocation,
    model::route::{self, RouteSpec},
    resources::Item,
    session::Session,
};

/// How many rules a route may have, and how many matches they may have together (Gateway API: `maxItems`, and a CEL rule).
const MAX_RULES: usize = 16;
const MAX_MATCHES: usize = 128;

/// A rule of a route.
#[derive(Clone, Debug)]
pub struct Rule<'a> {
    /// The route.
    pub route: &'a Item<RouteSpec>,
    /// The object in which it stands: the route, or a `VirtualService` to which the route delegates.
    pub written: &'a Item<RouteSpec>,
    /// Its position there.
    pub position: usize,
    /// Its position in the route.
    pub index: usize,
    /// How the delegate and the route came together, if it stands in a delegate.
    pub delegated: Option<&'a MergedRoute>,
    /// The rule as it is written.
    pub spec: &'a Field<route::Rule>,
    /// Those of its matches that count: all that it has, or those that are on a gateway.
    pub matches: Vec<&'a Field<route::Match>>,
    /// The name of the Envoy routes that it becomes.
    pub name: String,
    /// The identity that tokens are bound to.
    pub id: String,
    /// How its sessions are kept, if they are.
    pub session: Option<Session>,
    /// What a `CanaryPolicy` makes of it, if one holds for it.
    pub canary: Option<AttachedCanary>,
    /// What it would have of these, were nothing wrong with it.
    pub refused: Refused,
    /// Whether Envoy takes its matches.
    pub routable: bool,
    /// The gateways that are generated for, where the command line leaves out others of the route.
    pub part: Option<String>,
    /// Where each reference of it leads, in the order of the text. None: nowhere.
    pub references: Vec<Option<Backend<'a>>>,
    /// Its backends, in the order of the text: each once, however often it is referred to.
    pub backends: Vec<Backend<'a>>,
}

/// What an error takes from a rule.
#[derive(Clone, Debug, Default)]
pub struct Refused {
    /// Whether it is refused as a whole.
    pub whole: bool,
    /// Its session, if that is valid.
    pub session: Option<Result<Session, Reported>>,
    /// Its canary policy. The rule may still have a session.
    pub canary: Option<AttachedCanary>,
}

/// The objects that a rule belongs to and its name in each, the one in which it stands first.
#[must_use]
pub fn sections<'a>(
    route: &'a Item<RouteSpec>,
    written: &'a Item<RouteSpec>,
    position: usize,
    delegated: Option<&MergedRoute>,
) -> Vec<(&'a Id, Option<&'a str>)> {
    let name = |item: &'a Item<RouteSpec>, position: usize| {
        let rule = item.spec.rules.get(position)?;
        Some(rule.value.name.as_ref()?.value.as_str())
    };
    let mut sections = vec![(&written.id, name(written, position))];
    sections.extend(delegated.map(|merged| (&route.id, name(route, merged.root))));
    sections
}

impl Rule<'_> {
    /// Its name in an object: in the route, in a delegate, or that of the route that delegates.
    #[must_use]
    pub fn section_in(&self, object: &Id) -> Option<&str> {
        let sections = sections(self.route, self.written, self.position, self.delegated);
        let mut own = sections.into_iter().filter(|(id, _)| *id == object);
        own.find_map(|(_, section)| section)
    }

    /// The location of something that is written in it.
    #[must_use]
    pub fn location_of<F>(&self, field: &Field<F>) -> SourceLocation {
        self.written.location_of(field)
    }

    /// The same rule with the matches at these positions only.
    #[must_use]
    pub fn with_matches(&self, positions: &BTreeSet<usize>) -> Self {
        let all = self.spec.value.matches.iter().enumerate();
        let kept = all.filter(|(position, _)| positions.contains(position));
        Self {
            matches: kept.map(|(_, one)| one).collect(),
            ..self.clone()
        }
    }

    /// The names of the Envoy routes that it becomes: one, or with names on the matches of a `VirtualService` several.
    pub fn envoy_names(&self) -> impl Iterator<Item = String> {
        let names: BTreeSet<String> = match self.matches.as_slice() {
            [] => BTreeSet::from([self.name.clone()]),
            matches => matches.iter().map(|one| self.envoy_name(&one.value)).collect(),
        };
        names.into_iter().filter(|name| !name.is_empty())
    }

    /// The name of the first of these routes.
    #[must_use]
    pub fn first_envoy_name(&self) -> String {
        let first = self.matches.first();
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
        self.refused.whole |= self.uses_mooring();
        self.refused.session = self.session.take().map(Ok).or(self.refused.session.take());
        self.refused.canary = self.canary.take().or(self.refused.canary.take());
    }

    /// Takes the canary policy from it, with the session if that is the policy's.
    pub fn refuse_canary(&mut self) {
        let Some(canary) = &self.canary else { return };
        let policy = Some((Kind::CanaryPolicy, canary.policy.clone()));
        if self.session.as_ref().is_none_or(|session| session.policy == policy) {
            return self.refuse();
        }
        self.refused.canary = self.canary.take();
    }

    /// Whether it is refused as a whole.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.refused.whole
    }

    /// Whether it keeps sessions or has canaries, or would, were nothing wrong with it.
    #[must_use]
    pub fn uses_mooring(&self) -> bool {
        self.is_managed() || self.refused.whole || self.refused.canary.is_some()
    }

    /// What the filter is told about it, as one of its Envoy routes. `position` is that of its canary, if it has one.
    #[must_use]
    pub fn config(&self, route: String, virtual_hosts: Vec<String>, position: usize) -> config::RuleConfig {
        config::RuleConfig {
            route,
            virtual_hosts,
            id: self.id.clone(),
            session: self.session.as_ref().map(|session| session.config.clone()),
            backends: self.backend_configs(),
            canary: self.canary().map(|routing| config::RuleCanaryConfig {
                position,
                backends: routing
                    .backends
                    .iter()
                    .map(|key| self.backend(key.as_deref()?))
                    .collect(),
            }),
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
        let first = names::session_route_object(&self.route.id, &self.id, self.part.as_deref());
        match number {
            1 => first,
            _ => format!("{first}-{number}"),
        }
    }

    /// Whether its identity is its position among other rules. The rules of a `VirtualService` with sessions have names.
    #[must_use]
    pub fn is_known_by_position(&self) -> bool {
        let named = self.spec.value.name.is_some() || self.route.spec.kind == Kind::VirtualService;
        !named && self.route.spec.rules.len() > 1
    }

    /// How many of its session routes are in one object.
    #[must_use]
    pub fn session_routes_per_object(&self) -> usize {
        let room = MAX_MATCHES.checked_div(self.route_count());
        room.unwrap_or(MAX_RULES).clamp(1, MAX_RULES)
    }

    /// How many objects its session routes are.
    #[must_use]
    pub fn session_route_objects(&self) -> usize {
        if self.has_session_routes() && self.route.spec.kind != Kind::VirtualService {
            self.backends.len().div_ceil(self.session_routes_per_object())
        } else {
            0
        }
    }

    /// How many Envoy routes it is in a virtual host, without its session routes.
    #[must_use]
    pub fn route_count(&self) -> usize {
        self.matches.len().max(1)
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
    pub fn canary(&self) -> Option<&Routing> {
        self.canary.as_ref()?.routing.as_ref().ok()?.as_ref()
    }

    /// The position of the backend with this key.
    fn backend(&self, key: &str) -> Option<usize> {
        self.backends.iter().position(|backend| backend.key() == key)
    }

    /// The configuration of its backends.
    #[must_use]
    pub fn backend_configs(&self) -> Vec<config::BackendConfig> {
        let selects_by_hash = self.canary().is_some_and(|Routing { compiled, backends }| {
            let mut rules = compiled.config.rules.iter().zip(backends);
            compiled.config.hash_on.is_some() || rules.any(|(rule, backend)| rule.opt_in.is_some() && backend.is_some())
        });
        let releases = self.releases();
        let backends = self.backends.iter();
        backends
            .map(|backend| backend.config(selects_by_hash, releases))
            .collect()
    }

    /// Whether its sessions leave a backend of weight 0. Where no backend has a weight, they have nowhere to go.
    fn releases(&self) -> bool {
        let wanted = self.session.is_some() && self.canary.as_ref().is_some_and(|canary| canary.releases);
        wanted && self.backends.iter().any(|backend| backend.weight > 0)
    }

    /// Its sessions, if they are bound to hosts.
    #[must_use]
    pub fn host_session_filter(&self) -> Option<&Session> {
        self.session
            .as_ref()
            .filter(|session| session.config.bound_to == BoundTo::Host)
    }
}

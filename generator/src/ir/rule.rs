//! A rule of a route with its names, backends, session and canary.

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

/// The maximum number of rules in a route, and of matches in all its rules together (Gateway API: `maxItems`, and a CEL
/// rule).
const MAX_RULES: usize = 16;
const MAX_MATCHES: usize = 128;

/// A rule of a route.
#[derive(Clone, Debug)]
pub struct Rule<'a> {
    /// The route.
    pub route: &'a Item<RouteSpec>,
    /// The object that contains the rule: the route, or a `VirtualService` to which the route delegates.
    pub written: &'a Item<RouteSpec>,
    /// The position of the rule in that object.
    pub position: usize,
    /// The position of the rule among all rules of the route, including those of delegates.
    pub index: usize,
    /// The merge of the route and its delegate, if a delegate contains the rule.
    pub delegated: Option<&'a MergedRoute>,
    /// The rule as the user wrote it.
    pub spec: &'a Field<route::Rule>,
    /// The matches that apply: all matches of the rule, or, for an attached rule, those that are on the gateway.
    pub matches: Vec<&'a Field<route::Match>>,
    /// The name of its Envoy routes. Names of matches are appended to it.
    pub name: String,
    /// The identity that tokens are bound to.
    pub id: String,
    /// The session configuration, if the rule keeps sessions.
    pub session: Option<Session>,
    /// The canary policy that applies to the rule, if any.
    pub canary: Option<AttachedCanary>,
    /// The label whose value is the version of a backend, if a policy names one.
    pub version_label: Option<String>,
    /// The session and canary that the rule lost because of errors.
    pub refused: Refused,
    /// Whether Envoy accepts its matches.
    pub routable: bool,
    /// The gateways of the route that this run generates for, or `None` if it generates for all of them.
    pub chosen_gateways: Option<String>,
    /// The backend of each reference, in source order. `None` if the reference could not be resolved.
    pub references: Vec<Option<Backend<'a>>>,
    /// The backends in source order, without duplicates.
    pub backends: Vec<Backend<'a>>,
}

/// What a rule lost because of errors.
#[derive(Clone, Debug, Default)]
pub struct Refused {
    /// Whether the rule lost both its session and its canary.
    pub whole: bool,
    /// The session that the rule lost. An error if the session itself is invalid.
    pub session: Option<Result<Session, Reported>>,
    /// The canary policy that the rule lost. The rule may still have a session.
    pub canary: Option<AttachedCanary>,
}

/// The objects that a rule belongs to, with its name in each. The object that contains the rule comes first.
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
    /// The name of the rule in an object: the route or the delegate. In a route that delegates, this is the name of the
    /// http route that refers to the delegate.
    #[must_use]
    pub fn section_in(&self, object: &Id) -> Option<&str> {
        let sections = sections(self.route, self.written, self.position, self.delegated);
        let mut own = sections.into_iter().filter(|(id, _)| *id == object);
        own.find_map(|(_, section)| section)
    }

    /// The location of a field of the rule.
    #[must_use]
    pub fn location_of<F>(&self, field: &Field<F>) -> SourceLocation {
        self.written.location_of(field)
    }

    /// A copy of the rule that has only the matches at these positions.
    #[must_use]
    pub fn with_matches(&self, positions: &BTreeSet<usize>) -> Self {
        let all = self.spec.value.matches.iter().enumerate();
        let kept = all.filter(|(position, _)| positions.contains(position));
        Self {
            matches: kept.map(|(_, one)| one).collect(),
            ..self.clone()
        }
    }

    /// The names of its Envoy routes. There are several if matches of a `VirtualService` have names. The name is empty if neither the
    /// http route nor the match has one.
    pub fn envoy_names(&self) -> impl Iterator<Item = String> {
        let names: BTreeSet<String> = match self.matches.as_slice() {
            [] => BTreeSet::from([self.name.clone()]),
            matches => matches.iter().map(|one| self.envoy_name(&one.value)).collect(),
        };
        names.into_iter()
    }

    /// Whether the rule is an http route of a `VirtualService` that has no name.
    #[must_use]
    pub fn is_unnamed_http_route(&self) -> bool {
        self.route.spec.kind == Kind::VirtualService && self.spec.value.name.is_none()
    }

    /// The path of the object from which istiod makes the Envoy routes of the rule, as it is in their metadata. `None` for a route of
    /// Gateway API.
    #[must_use]
    pub fn object_path(&self) -> Option<String> {
        let Id { namespace, name } = &self.route.id;
        let path = || format!("/apis/networking.istio.io/v1/namespaces/{namespace}/virtual-service/{name}");
        (self.route.spec.kind == Kind::VirtualService).then(path)
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

    /// Removes the session and the canary. Envoy then routes requests as the route says, without Mooring.
    pub fn refuse(&mut self) {
        self.refused.whole |= self.uses_mooring();
        self.refused.session = self.session.take().map(Ok).or(self.refused.session.take());
        self.refused.canary = self.canary.take().or(self.refused.canary.take());
    }

    /// Removes the canary policy. If the policy sets the session, or there is no session, refuses the whole rule.
    pub fn refuse_canary(&mut self) {
        let Some(canary) = &self.canary else { return };
        let policy = Some((Kind::CanaryPolicy, canary.policy.clone()));
        if self.session.as_ref().is_none_or(|session| session.policy == policy) {
            return self.refuse();
        }
        if canary.version_label.is_some() {
            self.version_label = None;
        }
        self.refused.canary = self.canary.take();
    }

    /// Whether the rule lost both its session and its canary because of errors.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.refused.whole
    }

    /// Whether the rule keeps sessions or has a canary, or would without its errors.
    #[must_use]
    pub fn uses_mooring(&self) -> bool {
        self.is_managed() || self.refused.whole || self.refused.canary.is_some()
    }

    /// The filter configuration for one Envoy route of the rule. `position` is the position of its canary in the
    /// configuration; it is ignored if the rule has no canary.
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
            rebalance: self.rebalances(),
        }
    }

    /// Whether the rule keeps sessions or has a canary, so that the filter must handle its requests.
    #[must_use]
    pub fn is_managed(&self) -> bool {
        self.session.is_some() || self.canary().is_some()
    }

    /// Whether the backends have session routes. A rule with one backend needs none.
    #[must_use]
    pub fn has_session_routes(&self) -> bool {
        self.is_managed() && self.backends.len() > 1
    }

    /// The name of an object with session routes of the rule. Objects are numbered from 1.
    #[must_use]
    pub fn session_routes(&self, number: usize) -> String {
        let first = names::session_route_object(&self.route.id, &self.id, self.chosen_gateways.as_deref());
        match number {
            1 => first,
            _ => format!("{first}-{number}"),
        }
    }

    /// The names of the Envoy routes that istiod makes of its session routes. Empty for a `VirtualService`.
    pub fn session_route_names(&self) -> impl Iterator<Item = String> {
        let is_route = self.has_session_routes() && self.route.spec.kind != Kind::VirtualService;
        let count = if is_route { self.backends.len() } else { 0 };
        let size = self.session_routes_per_object();
        (0..count).map(move |position| {
            let number = position.checked_div(size).unwrap_or_default().saturating_add(1);
            let object = Id::new(&self.route.id.namespace, &self.session_routes(number));
            names::route_name(&object, None, position.checked_rem(size).unwrap_or_default())
        })
    }

    /// Whether the position of the rule identifies it, because it has no name and the route has other rules. This never
    /// applies to a `VirtualService`: it is the only one without a name there that keeps sessions.
    #[must_use]
    pub fn is_known_by_position(&self) -> bool {
        let named = self.spec.value.name.is_some() || self.route.spec.kind == Kind::VirtualService;
        !named && self.route.spec.rules.len() > 1
    }

    /// How many session routes fit in one object.
    #[must_use]
    pub fn session_routes_per_object(&self) -> usize {
        let room = MAX_MATCHES.checked_div(self.route_count());
        room.unwrap_or(MAX_RULES).clamp(1, MAX_RULES)
    }

    /// The number of objects with session routes. For a `VirtualService` it is 0: its session routes are patches.
    #[must_use]
    pub fn session_route_objects(&self) -> usize {
        if self.has_session_routes() && self.route.spec.kind != Kind::VirtualService {
            self.backends.len().div_ceil(self.session_routes_per_object())
        } else {
            0
        }
    }

    /// The number of Envoy routes of the rule in a virtual host, without session routes.
    #[must_use]
    pub fn route_count(&self) -> usize {
        self.matches.len().max(1)
    }

    /// The number of Envoy routes that session routes add to a virtual host.
    #[must_use]
    pub fn session_route_count(&self) -> usize {
        let backends = if self.has_session_routes() {
            self.backends.len()
        } else {
            0
        };
        // A session route of a named http route matches on the key alone, so each backend needs one route.
        let by_key = self.route.spec.kind == Kind::VirtualService && self.spec.value.name.is_some();
        backends.saturating_mul(if by_key { 1 } else { self.route_count() })
    }

    /// The canary of the rule, if its policy adds one.
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
        let needs_weights = selects_by_hash || self.rebalances();
        let (releases, has_versions) = (self.releases(), self.has_versions());
        let backends = self.backends.iter();
        backends
            .map(|backend| backend.config(needs_weights, releases, has_versions))
            .collect()
    }

    /// Whether sessions follow the version of their backend.
    #[must_use]
    pub fn has_versions(&self) -> bool {
        self.session.is_some() && self.version_label.is_some()
    }

    /// Whether sessions follow the weights when another backend gets a larger share.
    #[must_use]
    pub fn rebalances(&self) -> bool {
        self.session.is_some() && self.canary.as_ref().is_some_and(|canary| canary.rebalances)
    }

    /// Whether sessions leave a backend of weight 0. If all weights are 0, sessions stay, because no other backend
    /// could take them.
    fn releases(&self) -> bool {
        let wanted = self.session.is_some() && self.canary.as_ref().is_some_and(|canary| canary.releases);
        wanted && self.backends.iter().any(|backend| backend.weight > 0)
    }

    /// The session of the rule, if it is bound to hosts.
    #[must_use]
    pub fn host_session_filter(&self) -> Option<&Session> {
        self.session
            .as_ref()
            .filter(|session| session.config.bound_to == BoundTo::Host)
    }
}

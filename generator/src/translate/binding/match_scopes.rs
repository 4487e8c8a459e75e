//! Resolves the scopes of the matches of a `VirtualService`: a match can be limited to sidecars, to a gateway, to pods or to a port
//! (istiod: `sourceMatchHTTP`, `TranslateRoute`).

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    ir::{VirtualHost, Workload},
    model::{
        route::{self, RouteSpec, Scope},
        virtual_service::istio_gateway,
    },
    resources::{Item, Resources},
    translate::{
        binding::{Bindings, GroupKey, match_attachment::MatchAttachment},
        proxies::Proxies,
    },
};

/// The virtual hosts of a rule, each with the positions of the matches that apply in it.
type Hosts = BTreeMap<VirtualHost, BTreeSet<usize>>;

/// The virtual hosts of a rule with limited matches, by the positions of the gateways.
#[derive(Debug)]
pub struct Reach {
    hosts: BTreeMap<usize, Hosts>,
}

impl Reach {
    /// Resolves the scopes of a rule whose route is on these gateways. `None` if no match is limited, so that the rule
    /// is everywhere its route is. `written` is the object that contains the rule. If it is unknown whether a match is
    /// on a gateway, the match counts as being there.
    pub fn new(
        rule: &route::Rule,
        written: &Item<RouteSpec>,
        bindings: &Bindings,
        proxies: &Proxies,
        resources: &Resources,
    ) -> Option<Self> {
        rule.matches.iter().find(|one| one.value.scope.is_some())?;
        let mut reach = Self { hosts: BTreeMap::new() };
        let everywhere = bindings.iter().flat_map(|(key, virtual_hosts)| {
            let found = proxies.find(key);
            found.map(move |(position, group)| (key, position, group, virtual_hosts))
        });
        for (key, position, group, virtual_hosts) in everywhere {
            let hosts = reach.hosts.entry(position).or_default();
            for host in virtual_hosts {
                for (index, one) in rule.matches.iter().enumerate() {
                    let scope = one.value.scope.as_ref();
                    let on = scope.map_or(Some(true), |scope| {
                        is_on(scope, written, (key, group.selected_pods()), host.port, resources)
                    });
                    if on.unwrap_or(true) {
                        hosts.entry(host.clone()).or_default().insert(index);
                    }
                }
            }
        }
        reach.hosts.retain(|_, hosts| !hosts.is_empty());
        Some(reach)
    }

    /// Whether the rule is on no gateway.
    pub fn is_nowhere(&self) -> bool {
        self.hosts.is_empty()
    }

    /// Whether the rule has a virtual host in common with another rule of its route.
    pub fn meets(&self, other: &Self) -> bool {
        self.hosts.iter().any(|(gateway, hosts)| {
            let others = other.hosts.get(gateway);
            others.is_some_and(|others| hosts.keys().any(|host| others.contains_key(host)))
        })
    }

    /// Groups the virtual hosts of each gateway by the matches that apply in them.
    pub fn attachments(self) -> impl Iterator<Item = MatchAttachment> {
        self.hosts.into_iter().flat_map(|(gateway, hosts)| {
            let mut by_matches: BTreeMap<BTreeSet<usize>, BTreeSet<VirtualHost>> = BTreeMap::new();
            for (host, matches) in hosts {
                by_matches.entry(matches).or_default().insert(host);
            }
            let by_matches = by_matches.into_iter();
            by_matches.map(move |(matches, virtual_hosts)| MatchAttachment {
                group: gateway,
                virtual_hosts,
                matches,
            })
        })
    }
}

/// Whether a match applies on a port of a gateway. `None` if that depends on labels of its pods that are not known.
fn is_on(
    scope: &Scope,
    written: &Item<RouteSpec>,
    (key, workload): (&GroupKey, Option<&Workload>),
    port: u16,
    resources: &Resources,
) -> Option<bool> {
    if scope
        .port
        .as_ref()
        .is_some_and(|wanted| wanted.value != u32::from(port))
    {
        return Some(false);
    }
    if !scope.gateways.is_empty() {
        let mut named = scope.gateways.iter();
        let is_named = named.any(|name| match (key, istio_gateway(&name.value, &written.id.namespace)) {
            (GroupKey::Gateway(_, gateway), Some(named)) => *gateway == named,
            (GroupKey::Callers(_), named) => named.is_none(),
            (GroupKey::Gateway(..), None) | (GroupKey::Waypoint { .. }, _) => false,
        });
        return Some(is_named);
    }
    let workload = workload?;
    // Where the route does not apply, its session routes are not inserted either.
    let of_all = matches!(key, GroupKey::Callers(pods) if pods.is_in_any_namespace());
    match &scope.source_namespace {
        Some(namespace) if namespace.value != workload.namespace && !of_all => Some(false),
        _ => workload.has_labels(&scope.source_labels, resources),
    }
}

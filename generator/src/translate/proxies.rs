//! Groups the gateways of the input by their pods, selects those to generate for, and adds the callers that the command line
//! names and the waypoints of the input.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use super::{
    binding::{Bindings, GroupKey, gateway_api, listener_sets, match_attachment::MatchAttachment},
    gateway_class,
    scope::Scope,
    waypoints,
    workloads::Pods,
};
use crate::{
    diagnostic::{Code, Diagnostic, Report},
    dns::ClusterDomain,
    id::Id,
    ir::{AttachedRule, Gateway, ProxyGroup, Role, Rule, VirtualHost, Waypoint, Workload},
    kind::Kind,
    model::{gateway::GatewaySpec, service::ServiceSpec},
    omissions::Omitted,
    resources::{Found, Instead, Item, Resources},
};

/// The gateways of a route that this run generates for, or `None` for all of them. Other runs generate for the other
/// gateways, so names of generated objects must differ between the runs.
pub struct ChosenGateways(pub Option<String>);

/// The groups of proxies, with lookup by what routes bind to.
pub struct Proxies<'a> {
    all: Vec<ProxyGroup<'a>>,
    /// The positions in `all`. A Gateway with several groups of pods has several.
    positions: BTreeMap<GroupKey, BTreeSet<usize>>,
    found: Vec<(&'a Item<GatewaySpec>, Report)>,
    chosen: &'a BTreeSet<Id>,
}

impl<'a> Proxies<'a> {
    /// Finds the pods of all gateways, and adds the callers and the waypoints. Errors are reported later, in
    /// [`Self::finish`], when it is known which gateways are needed. With a scope, only what belongs to it is there.
    pub fn new(resources: &'a Resources, scope: Option<&Scope>) -> Self {
        let chosen = &resources.mesh.gateways;
        let mut proxies = Self {
            all: Vec::new(),
            positions: BTreeMap::new(),
            found: Vec::new(),
            chosen,
        };
        // A local Envoy plays the gateways or one sidecar.
        let is_sidecar = resources.mesh.local && !resources.mesh.callers.is_empty();
        let items: Vec<&Item<GatewaySpec>> = match scope {
            _ if is_sidecar => Vec::new(),
            None => resources
                .gateways
                .iter()
                .chain(resources.istio_gateways.iter())
                .collect(),
            Some(scope) => scope
                .gateways
                .iter()
                .filter_map(|(kind, id)| gateway(*kind, id, resources))
                .collect(),
        };
        let with_mesh = scope.is_none_or(|scope| scope.mesh);
        let mut groups = Vec::new();
        for item in items {
            let Pods { groups: pods, found } = pods_of(item, resources);
            proxies.found.push((item, found));
            groups.extend(pods.into_iter().map(|pods| (item, pods)));
        }
        let is_chosen = |item: &Item<GatewaySpec>| chosen.is_empty() || chosen.contains(&item.id);
        // Objects for a group of pods contain the rules of all its gateways, so gateways that share pods are included
        // too.
        let shared: BTreeSet<Workload> = groups
            .iter()
            .filter(|(item, _)| is_chosen(item))
            .filter_map(|(_, pods)| pods.clone())
            .collect();
        for (item, pods) in groups {
            if is_chosen(item) || pods.as_ref().is_some_and(|pods| shared.contains(pods)) {
                proxies.insert(item, pods);
            }
        }
        for group in &mut proxies.all {
            let Role::Gateway(gateway) = &mut group.role else {
                continue;
            };
            let sets = gateway.items().filter(|item| item.spec.allowed_listeners.is_some());
            let sets = sets.flat_map(|item| listener_sets::of_gateway(item, resources));
            gateway.sets = sets.map(|attached| (attached.set, attached.listeners)).collect();
        }
        if !with_mesh {
            return proxies;
        }
        for callers in &resources.mesh.callers {
            proxies.insert_callers(Workload::from(callers));
        }
        for service in resources.services.iter() {
            if let Some(Ok(item)) = waypoints::of_service(service, resources)
                && is_chosen(item)
            {
                proxies.insert_waypoint(item, service, &resources.domain);
            }
        }
        proxies
    }

    fn insert_callers(&mut self, pods: Workload) {
        self.push(GroupKey::Callers(pods.clone()), Role::Sidecars(pods));
    }

    fn insert_waypoint(
        &mut self,
        item: &'a Item<GatewaySpec>,
        service: &'a Item<ServiceSpec>,
        domain: &'a ClusterDomain,
    ) {
        let key = GroupKey::Waypoint {
            gateway: item.id.clone(),
            service: service.id.clone(),
        };
        self.push(key, Role::Waypoint(Waypoint { item, service, domain }));
    }

    fn insert(&mut self, item: &'a Item<GatewaySpec>, workload: Option<Workload>) {
        let key = GroupKey::Gateway(item.spec.kind(), item.id.clone());
        let shared = self
            .all
            .iter_mut()
            .enumerate()
            .find_map(|(position, group)| match &mut group.role {
                Role::Gateway(gateway) if workload.is_some() && gateway.workload == workload => {
                    Some((position, gateway))
                }
                _ => None,
            });
        if let Some((position, gateway)) = shared {
            gateway.others.push(item);
            self.positions.entry(key).or_default().insert(position);
            return;
        }
        let gateway = Gateway {
            item,
            others: Vec::new(),
            workload,
            sets: Vec::new(),
        };
        self.push(key, Role::Gateway(gateway));
    }

    fn push(&mut self, key: GroupKey, role: Role<'a>) {
        self.positions.entry(key).or_default().insert(self.all.len());
        self.all.push(ProxyGroup {
            role,
            rules: Vec::new(),
        });
    }

    /// Removes the bindings to gateways that this run does not generate for. `None` if the route is on no gateway that
    /// the command line selects.
    pub fn retain_chosen(&self, bindings: &mut Bindings) -> Option<ChosenGateways> {
        let before = bindings.len();
        bindings.retain(|key, _| self.positions.contains_key(key));
        if self.chosen.is_empty() || bindings.len() == before {
            return Some(ChosenGateways(None));
        }
        let names: Vec<String> = bindings.keys().map(GroupKey::to_string).collect();
        Some(ChosenGateways(Some(names.join(",")))).filter(|_| !names.is_empty())
    }

    /// Finds the groups that a route binds to, each with its position. A Gateway has one for each group of its pods.
    pub fn find<'g>(&'g self, key: &GroupKey) -> impl Iterator<Item = (usize, &'g ProxyGroup<'a>)> {
        let positions = self.positions.get(key).into_iter().flatten();
        positions.filter_map(|position| Some((*position, self.all.get(*position)?)))
    }

    /// Attaches a rule to all proxies of its route.
    pub fn attach(&mut self, rule: &Rc<Rule<'a>>, bindings: &Bindings) {
        for (key, virtual_hosts) in bindings {
            for position in self.positions.get(key).into_iter().flatten() {
                if let Some(group) = self.all.get_mut(*position) {
                    attach(group, rule, virtual_hosts);
                }
            }
        }
    }

    /// Attaches a rule with limited matches. Each attached copy has only the matches that apply there.
    pub fn attach_matches(&mut self, rule: &Rule<'a>, attachments: impl Iterator<Item = MatchAttachment>) {
        for attached in attachments {
            if let Some(group) = self.all.get_mut(attached.group) {
                group.rules.push(AttachedRule {
                    rule: Rc::new(rule.with_matches(&attached.matches)),
                    virtual_hosts: attached.virtual_hosts,
                });
            }
        }
    }

    /// Reports the errors in gateways and returns the proxies with their rules. `needed` are the objects that sessions
    /// and canaries depend on. An error in another gateway is reported as harmless.
    pub fn finish(self, needed: &BTreeSet<(Kind, Id)>, report: &mut Report) -> Vec<ProxyGroup<'a>> {
        let waypoints = self.all.iter().filter_map(ProxyGroup::waypoint);
        let waypoints: BTreeSet<&Id> = waypoints.map(|waypoint| &waypoint.item.id).collect();
        for (item, mut found) in self.found {
            let kind = item.spec.kind();
            let key = GroupKey::Gateway(kind, item.id.clone());
            let served = self.chosen.is_empty() || self.positions.contains_key(&key);
            let is_needed = served && needed.contains(&(kind, item.id.clone()));
            if !is_needed && waypoints.contains(&item.id) {
                continue;
            }
            if is_needed || self.chosen.contains(&item.id) {
                if found.has_errors() {
                    found.omit(Omitted::Gateway, item.name(kind));
                }
                report.extend(found);
            } else if found.has_errors() {
                report.extend_harmless(found);
            }
        }
        for group in &self.all {
            gateway_api::check_gateway(group, needed, report);
        }
        self.all
    }
}

/// Adds a rule to a group of proxies. A rule that is on two gateways with the same pods is added once.
fn attach<'a>(group: &mut ProxyGroup<'a>, rule: &Rc<Rule<'a>>, virtual_hosts: &BTreeSet<VirtualHost>) {
    // A rule is added to all its gateways before the next rule.
    let last = group.rules.last_mut();
    if let Some(attached) = last.filter(|attached| Rc::ptr_eq(&attached.rule, rule)) {
        return attached.virtual_hosts.extend(virtual_hosts.iter().cloned());
    }
    group.rules.push(AttachedRule {
        rule: rule.clone(),
        virtual_hosts: virtual_hosts.clone(),
    });
}

fn gateway<'a>(kind: Kind, id: &Id, resources: &'a Resources) -> Option<&'a Item<GatewaySpec>> {
    match kind {
        Kind::Gateway => resources.gateways.get(id),
        _ => resources.istio_gateways.get(id),
    }
}

/// The pods of a gateway. A gateway whose class is not supported has none.
pub fn pods_of(item: &Item<GatewaySpec>, resources: &Resources) -> Pods {
    let refusal = gateway_class::refusal(item, resources).filter(|_| !resources.mesh.local);
    let Some(refusal) = refusal else {
        return Pods::find(item, resources);
    };
    let mut none = Pods::default();
    none.found.add(refusal);
    none
}

/// Reports gateways that the command line names and that are not in the input.
pub fn check_named(resources: &Resources, report: &mut Report) {
    let Resources {
        gateways,
        istio_gateways,
        mesh,
        ..
    } = resources;
    for id in &mesh.gateways {
        let (one, other) = (gateways.find(id), istio_gateways.find(id));
        if let (Found::Nothing(instead), Found::Nothing(other)) = (one, other) {
            let instead = if instead.help().is_some() { instead } else { other };
            report.add(not_there("--gateway", "Gateway", id, &instead));
            report.omit(Omitted::Gateway, format!("{}/{id}", Kind::Gateway));
        }
    }
    for id in mesh.gateway_namespaces.gateways() {
        if let Found::Nothing(instead) = istio_gateways.find(id) {
            let what = "Gateway of networking.istio.io";
            report.add(not_there("--gateway-namespace", what, id, &instead));
        }
    }
}

fn not_there(flag: &str, what: &str, id: &Id, instead: &Instead) -> Diagnostic {
    let message = format!("{flag} names the {what} {id}, which is not in the input");
    let error = Diagnostic::error(Code::NoMatchingParent, message);
    instead.help().into_iter().fold(error, Diagnostic::help)
}

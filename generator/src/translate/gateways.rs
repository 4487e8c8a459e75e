//! Groups the gateways of the input by their pods, and selects those to generate for.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use super::{
    binding::{
        gateway_api::{self, Bindings},
        listener_sets,
        match_attachment::MatchAttachment,
    },
    gateway_class,
    workloads::Pods,
};
use crate::{
    diagnostic::{Code, Diagnostic, Report},
    id::Id,
    ir::{AttachedRule, Gateway, Rule, VirtualHost, Workload},
    kind::Kind,
    model::gateway::GatewaySpec,
    omissions::Omitted,
    resources::{Found, Instead, Item, Resources},
};

/// The gateways of a route that this run generates for, or `None` for all of them. Other runs generate for the other
/// gateways, so names of generated objects must differ between the runs.
pub struct ChosenGateways(pub Option<String>);

/// The gateways, with lookup by kind and id.
pub struct Gateways<'a> {
    all: Vec<Gateway<'a>>,
    /// The positions in `all`. A Gateway with several groups of pods has several.
    positions: BTreeMap<(Kind, &'a Id), BTreeSet<usize>>,
    found: Vec<(&'a Item<GatewaySpec>, Report)>,
    chosen: &'a BTreeSet<Id>,
}

impl<'a> Gateways<'a> {
    /// Finds the pods of all gateways. Errors are reported later, in [`Self::finish`], when it is known which gateways
    /// are needed.
    pub fn new(resources: &'a Resources) -> Self {
        let chosen = &resources.mesh.gateways;
        let mut gateways = Self {
            all: Vec::new(),
            positions: BTreeMap::new(),
            found: Vec::new(),
            chosen,
        };
        let items = resources.gateways.iter().chain(resources.istio_gateways.iter());
        let mut groups = Vec::new();
        for item in items {
            let Pods { groups: pods, found } = pods(item, resources);
            gateways.found.push((item, found));
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
                gateways.insert(item, pods);
            }
        }
        for gateway in &mut gateways.all {
            let sets = gateway.items().filter(|item| item.spec.allowed_listeners.is_some());
            let sets = sets.flat_map(|item| listener_sets::of_gateway(item, resources));
            gateway.sets = sets.map(|attached| (attached.set, attached.listeners)).collect();
        }
        gateways
    }

    fn insert(&mut self, item: &'a Item<GatewaySpec>, workload: Option<Workload>) {
        let shared = self
            .all
            .iter()
            .position(|other| workload.is_some() && other.workload == workload);
        let position = shared.unwrap_or(self.all.len());
        self.positions
            .entry((item.spec.kind(), &item.id))
            .or_default()
            .insert(position);
        match self.all.get_mut(position) {
            Some(gateway) => gateway.others.push(item),
            None => self.all.push(Gateway {
                item,
                others: Vec::new(),
                workload,
                sets: Vec::new(),
                rules: Vec::new(),
            }),
        }
    }

    /// Removes the bindings to gateways that this run does not generate for. `None` if the route is on no gateway that
    /// the command line selects.
    pub fn retain_chosen(&self, kind: Kind, bindings: &mut Bindings) -> Option<ChosenGateways> {
        let before = bindings.len();
        bindings.retain(|id, _| self.positions.contains_key(&(kind, id)));
        if self.chosen.is_empty() || bindings.len() == before {
            return Some(ChosenGateways(None));
        }
        let names: Vec<String> = bindings.keys().map(Id::to_string).collect();
        Some(ChosenGateways(Some(names.join(",")))).filter(|_| !names.is_empty())
    }

    /// Finds the entries of a Gateway, each with its position. There is one for each group of its pods.
    pub fn find<'g>(&'g self, kind: Kind, id: &'g Id) -> impl Iterator<Item = (usize, &'g Gateway<'a>)> {
        let positions = self.positions.get(&(kind, id)).into_iter().flatten();
        positions.filter_map(|position| Some((*position, self.all.get(*position)?)))
    }

    /// Attaches a rule to all gateways of its route.
    pub fn attach(&mut self, rule: &Rc<Rule<'a>>, kind: Kind, bindings: &Bindings) {
        for (id, virtual_hosts) in bindings {
            for position in self.positions.get(&(kind, id)).into_iter().flatten() {
                if let Some(gateway) = self.all.get_mut(*position) {
                    attach(gateway, rule, virtual_hosts);
                }
            }
        }
    }

    /// Attaches a rule with limited matches. Each attached copy has only the matches that apply there.
    pub fn attach_matches(&mut self, rule: &Rule<'a>, attachments: impl Iterator<Item = MatchAttachment>) {
        for attached in attachments {
            if let Some(gateway) = self.all.get_mut(attached.gateway) {
                gateway.rules.push(AttachedRule {
                    rule: Rc::new(rule.with_matches(&attached.matches)),
                    virtual_hosts: attached.virtual_hosts,
                });
            }
        }
    }

    /// Reports the errors in gateways and returns the gateways with their rules. `needed` are the objects that sessions
    /// and canaries depend on. An error in another gateway is reported as harmless.
    pub fn finish(self, needed: &BTreeSet<(Kind, Id)>, report: &mut Report) -> Vec<Gateway<'a>> {
        for (item, mut found) in self.found {
            let kind = item.spec.kind();
            let served = self.chosen.is_empty() || self.positions.contains_key(&(kind, &item.id));
            let is_needed = served && needed.contains(&(kind, item.id.clone()));
            if is_needed || self.chosen.contains(&item.id) {
                if found.has_errors() {
                    found.omit(Omitted::Gateway, item.name(kind));
                }
                report.extend(found);
            } else if found.has_errors() {
                report.extend_harmless(found);
            }
        }
        for gateway in &self.all {
            gateway_api::check_gateway(gateway, needed, report);
        }
        self.all
    }
}

/// Adds a rule to a gateway. A rule that is on two gateways with the same pods is added once.
fn attach<'a>(gateway: &mut Gateway<'a>, rule: &Rc<Rule<'a>>, virtual_hosts: &BTreeSet<VirtualHost>) {
    // A rule is added to all its gateways before the next rule.
    let last = gateway.rules.last_mut();
    if let Some(attached) = last.filter(|attached| Rc::ptr_eq(&attached.rule, rule)) {
        return attached.virtual_hosts.extend(virtual_hosts.iter().cloned());
    }
    gateway.rules.push(AttachedRule {
        rule: rule.clone(),
        virtual_hosts: virtual_hosts.clone(),
    });
}

/// The pods of a gateway. A gateway whose class is not supported has none.
fn pods(item: &Item<GatewaySpec>, resources: &Resources) -> Pods {
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

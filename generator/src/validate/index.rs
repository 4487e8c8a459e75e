//! An index of the rules and proxies of the intermediate representation.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    id::Id,
    ir::{Ir, Role, Rule, Workload},
    kind::Kind,
};

/// The proxies on which a rule applies.
#[derive(Default)]
pub struct OnProxies<'a> {
    /// The gateways.
    pub gateways: Vec<&'a Id>,
    /// The callers.
    pub callers: Vec<&'a Workload>,
    /// The waypoints, each with its Service.
    pub waypoints: Vec<(&'a Id, &'a Id)>,
}

/// Finds rules and proxies in the intermediate representation.
pub struct Index<'a> {
    /// The rules by the Services of their backends.
    pub by_service: BTreeMap<&'a Id, Vec<&'a Rule<'a>>>,
    /// The rules by their routes and, for delegated rules, by the delegates.
    pub by_route: BTreeMap<(Kind, &'a Id), Vec<&'a Rule<'a>>>,
    /// The proxies by the ids of the rules on them.
    pub proxies: BTreeMap<&'a str, OnProxies<'a>>,
}

impl<'a> Index<'a> {
    /// Indexes the rules and proxies.
    pub fn new(ir: &'a Ir) -> Self {
        let mut index = Self {
            by_service: BTreeMap::new(),
            by_route: BTreeMap::new(),
            proxies: BTreeMap::new(),
        };
        for rule in &ir.rules {
            let services: BTreeSet<&Id> = rule.backends.iter().map(|backend| &backend.service.id).collect();
            for service in services {
                index.by_service.entry(service).or_default().push(rule);
            }
            let route = (rule.route.spec.kind, &rule.route.id);
            index.by_route.entry(route).or_default().push(rule);
            if rule.delegated.is_some() {
                let delegate = (rule.route.spec.kind, &rule.written.id);
                index.by_route.entry(delegate).or_default().push(rule);
            }
        }
        let managed = ir.rules.iter().filter(|rule| rule.is_managed());
        let managed: BTreeSet<&str> = managed.map(|rule| rule.id.as_str()).collect();
        for group in &ir.proxies {
            // A rule that is left out on this gateway keeps no sessions there.
            let omissions = |rule: &Rule| managed.contains(rule.id.as_str()) && !rule.is_managed();
            for attached in group.rules.iter().filter(|attached| !omissions(&attached.rule)) {
                let on = index.proxies.entry(&attached.rule.id).or_default();
                match &group.role {
                    // A Gateway with several groups of pods occurs several times.
                    Role::Gateway(gateway) if on.gateways.contains(&&gateway.item.id) => {}
                    Role::Gateway(gateway) => on.gateways.push(&gateway.item.id),
                    Role::Sidecars(pods) => on.callers.push(pods),
                    Role::Waypoint(waypoint) => on.waypoints.push((&waypoint.item.id, &waypoint.service.id)),
                }
            }
        }
        index
    }
}

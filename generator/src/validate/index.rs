//! An index of the rules and gateways of the intermediate representation.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    id::Id,
    ir::{Ir, Rule},
    kind::Kind,
};

/// Finds rules and gateways in the intermediate representation.
pub struct Index<'a> {
    /// The rules by the Services of their backends.
    pub by_service: BTreeMap<&'a Id, Vec<&'a Rule<'a>>>,
    /// The rules by their routes and, for delegated rules, by the delegates.
    pub by_route: BTreeMap<(Kind, &'a Id), Vec<&'a Rule<'a>>>,
    /// The gateways by the ids of the rules on them.
    pub gateways: BTreeMap<&'a str, Vec<&'a Id>>,
}

impl<'a> Index<'a> {
    /// Indexes the rules and gateways.
    pub fn new(ir: &'a Ir) -> Self {
        let mut index = Self {
            by_service: BTreeMap::new(),
            by_route: BTreeMap::new(),
            gateways: BTreeMap::new(),
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
        for gateway in &ir.gateways {
            // A rule that is left out on this gateway keeps no sessions there.
            let omissions = |rule: &Rule| managed.contains(rule.id.as_str()) && !rule.is_managed();
            for attached in gateway.rules.iter().filter(|attached| !omissions(&attached.rule)) {
                let gateways = index.gateways.entry(&attached.rule.id).or_default();
                // A Gateway with several groups of pods occurs several times.
                if !gateways.contains(&&gateway.item.id) {
                    gateways.push(&gateway.item.id);
                }
            }
        }
        index
    }
}

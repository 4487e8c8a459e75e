//! An index of the rules and proxies of the intermediate representation.

use std::collections::{BTreeMap, BTreeSet};

use super::status::{Cause, Condition};
use crate::{
    diagnostic::Report,
    id::Id,
    ir::{Ir, ProxyGroup, Role, Rule, Workload},
    kind::Kind,
    omissions::Omitted,
    resources::Resources,
    translate::all_named,
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

/// A rule in a group of proxies.
pub struct OnGroup<'a> {
    /// The proxies.
    pub group: &'a ProxyGroup<'a>,
    /// The rule as it is there: without a session or canary that it loses on these proxies.
    pub rule: &'a Rule<'a>,
    /// Whether an error leaves out its session and canary there.
    pub is_left_out: bool,
}

/// Finds rules and proxies in the intermediate representation.
pub struct Index<'a> {
    /// The rules by the Services of their backends, including backends that an error leaves out.
    pub by_service: BTreeMap<Id, Vec<&'a Rule<'a>>>,
    /// The rules by their routes and, for delegated rules, by the delegates.
    pub by_route: BTreeMap<(Kind, &'a Id), Vec<&'a Rule<'a>>>,
    /// The proxies by the ids of the rules on them.
    pub proxies: BTreeMap<&'a str, OnProxies<'a>>,
    /// The groups of proxies that serve each rule, with or without its session and canary.
    groups: BTreeMap<&'a str, Vec<OnGroup<'a>>>,
    /// The ids of the rules that lose their session and canary on a proxy because of an error.
    left_out: BTreeSet<&'a str>,
    /// The ids of the rules with a canary policy on any proxy.
    with_canary: BTreeSet<&'a str>,
    /// The ids of the rules that errors leave out on all proxies.
    refused: BTreeSet<String>,
}

impl<'a> Index<'a> {
    /// Indexes the rules and proxies of resources, and what the report says that errors leave out.
    pub fn new(ir: &'a Ir, resources: &Resources, report: &Report) -> Self {
        let mut index = Self {
            by_service: BTreeMap::new(),
            by_route: BTreeMap::new(),
            proxies: BTreeMap::new(),
            groups: BTreeMap::new(),
            left_out: BTreeSet::new(),
            with_canary: BTreeSet::new(),
            refused: report.omissions().names(Omitted::Rule).map(ToOwned::to_owned).collect(),
        };
        for rule in &ir.rules {
            let mut services: BTreeSet<Id> = all_named(rule.written, &rule.spec.value, &resources.domain)
                .into_iter()
                .collect();
            services.extend(rule.backends.iter().map(|backend| backend.service.id.clone()));
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
        let omitted: BTreeSet<&str> = report.omissions().names(Omitted::Gateway).collect();
        for group in &ir.proxies {
            let is_omitted = omitted.contains(group.name().as_str());
            for attached in &group.rules {
                let rule = &attached.rule;
                // A rule that is left out on this gateway keeps no sessions there.
                let is_left_out = managed.contains(rule.id.as_str()) && (is_omitted || !rule.is_managed());
                index.groups.entry(&rule.id).or_default().push(OnGroup {
                    group,
                    rule,
                    is_left_out,
                });
                if is_left_out {
                    index.left_out.insert(&rule.id);
                    continue;
                }
                if rule.canary.is_some() {
                    index.with_canary.insert(&rule.id);
                }
                let on = index.proxies.entry(&rule.id).or_default();
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

    /// The groups of proxies that serve a rule.
    pub fn groups_of(&self, rule: &Rule) -> impl Iterator<Item = &OnGroup<'a>> {
        self.groups.get(rule.id.as_str()).into_iter().flatten()
    }

    /// What happens to the session and canary of a rule.
    pub fn condition(&self, rule: &Rule) -> Condition {
        let id = rule.id.as_str();
        // Without errors, it would be managed.
        if self.is_refused(rule) || !rule.is_managed() {
            Condition::Invalid
        } else if self.proxies.contains_key(id) {
            Condition::Accepted
        } else if self.left_out.contains(id) {
            Condition::Invalid
        } else {
            Condition::NoEffect(Cause::NoProxy)
        }
    }

    /// Whether an error leaves out the rule on all proxies.
    pub fn is_refused(&self, rule: &Rule) -> bool {
        rule.is_refused() || self.refused.contains(&rule.id)
    }

    /// What happens to the canary policy of a rule.
    pub fn canary_condition(&self, rule: &Rule) -> Condition {
        match self.condition(rule) {
            Condition::Accepted if !self.with_canary.contains(rule.id.as_str()) => Condition::Invalid,
            condition => condition,
        }
    }
}

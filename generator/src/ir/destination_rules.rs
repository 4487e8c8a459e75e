//! Selects the `DestinationRule`s that apply to a host at a gateway (istiod: `PushContext.destinationRule`).
//!
//! istiod searches three namespaces and uses the first that has a matching rule: the namespace of the gateway, the
//! namespace of the Service, and the root namespace of the mesh. Rules of the last two must be exported to the gateway.
//! Within a namespace, the most specific host wins. Rules with the same host are merged, the oldest first.

use std::cmp::Reverse;

use super::workload::Workload;
use crate::{
    api::istio::DestinationRuleSpec,
    mesh::ROOT_NAMESPACE,
    resources::{Item, Resources},
    visibility,
};

type Rule = Item<DestinationRuleSpec>;

/// The rules that apply to `host` at the gateway `client`, in the order in which istiod merges them. `namespace` is
/// that of the Service.
#[must_use]
pub fn destination_rules<'a>(
    host: &str,
    namespace: &str,
    client: &Workload,
    resources: &'a Resources,
) -> Vec<&'a Rule> {
    let own = |rule: &&Rule| visible_at_home(rule) && (client.namespace != ROOT_NAMESPACE || is_private(rule));
    let of_client = most_specific(host, &client.namespace, own, resources);
    if !of_client.is_empty() {
        return of_one_workload(of_client, client, resources);
    }
    for owner in [namespace, ROOT_NAMESPACE] {
        let mut exported = most_specific(host, owner, |rule| !is_private(rule), resources);
        exported.retain(|rule| {
            let exported = visibility::texts(&rule.spec.export_to);
            exported.clone().next().is_none() || visibility::names(exported, "", &client.namespace)
        });
        if !exported.is_empty() {
            return exported;
        }
    }
    Vec::new()
}

/// Whether a rule applies to gateways in its own namespace.
fn visible_at_home(rule: &Rule) -> bool {
    let own = &rule.id.namespace;
    let exported = visibility::texts(&rule.spec.export_to);
    rule.spec.workload_selector.is_some() || exported.clone().next().is_none() || visibility::names(exported, own, own)
}

/// Whether a rule applies in its own namespace only. A rule with a `workloadSelector` always does.
fn is_private(rule: &Rule) -> bool {
    let exported = visibility::texts(&rule.spec.export_to);
    rule.spec.workload_selector.is_some() || visibility::is_private(exported, &rule.id.namespace)
}

/// The rules of a namespace with the most specific host that covers `host`.
fn most_specific<'a>(
    host: &str,
    namespace: &str,
    counts: impl Fn(&&Rule) -> bool,
    resources: &'a Resources,
) -> Vec<&'a Rule> {
    let covering = resources.destination_rules_for(host);
    let mut rules: Vec<(&str, &Rule)> = covering
        .filter(|(_, rule)| rule.id.namespace == namespace && counts(rule))
        .collect();
    // An exact name is more specific than a wildcard, and a long wildcard more than a short one (istiod:
    // `MoreSpecific`).
    let specificity = |host: &str| (host.starts_with('*'), Reverse(host.len()));
    let Some(first) = rules.iter().map(|(host, _)| *host).min_by_key(|host| specificity(host)) else {
        return Vec::new();
    };
    rules.retain(|(host, _)| *host == first);
    let mut rules: Vec<&Rule> = rules.into_iter().map(|(_, rule)| rule).collect();
    rules.sort_by_key(|rule| {
        let created = rule
            .metadata
            .creation_timestamp
            .as_ref()
            .map(|field| field.value.as_str());
        (created.is_none(), created, &rule.id.name)
    });
    rules
}

/// The rules whose `workloadSelector` selects the client, or the rules without a selector if no selector matches.
fn of_one_workload<'a>(rules: Vec<&'a Rule>, client: &Workload, resources: &Resources) -> Vec<&'a Rule> {
    let selects = |rule: &&&Rule| {
        let selector = rule.spec.workload_selector.as_ref();
        selector.is_some_and(|selector| client.has_labels(&selector.match_labels, resources) == Some(true))
    };
    let of_these: Vec<&Rule> = rules.iter().filter(selects).copied().collect();
    if !of_these.is_empty() {
        return of_these;
    }
    let for_all = rules.into_iter();
    for_all.filter(|rule| rule.spec.workload_selector.is_none()).collect()
}

//! Determines the status of each `CanaryPolicy`.

use std::collections::BTreeMap;

use super::{
    index::Index,
    status::{Condition, PolicyStatus, TargetStatus},
};
use crate::{
    canary::Canary,
    id::Id,
    ir::{Ir, Rule, TargetedCanary},
    kind::Kind,
    resources::Resources,
};

/// The status of these policies.
pub fn statuses(ids: &[&Id], resources: &Resources, ir: &Ir, index: &Index) -> Vec<PolicyStatus> {
    let mut targets: BTreeMap<&Id, TargetStatus> = ir
        .canaries
        .iter()
        .map(|targeted| (&targeted.policy.item.id, target_status(targeted, index)))
        .collect();
    let policies = ids.iter().filter_map(|id| resources.canary_policies.get(id));
    policies
        .map(|item| PolicyStatus {
            kind: Kind::CanaryPolicy,
            id: item.id.clone(),
            location: Some(item.location()),
            // A policy whose target is not a route has no target status.
            targets: targets.remove(&item.id).into_iter().collect(),
        })
        .collect()
}

fn target_status(targeted: &TargetedCanary, index: &Index) -> TargetStatus {
    let policy = &targeted.policy;
    let mut rules = Vec::new();
    let condition = if policy.settings.is_err() {
        Condition::Invalid
    } else if !targeted.target_found {
        Condition::TargetNotFound
    } else {
        rules = on_rules(policy, index);
        Condition::for_target(&rules)
    };
    TargetStatus {
        kind: policy.target_kind,
        id: policy.target.value.clone(),
        section: policy.section.as_ref().map(|section| section.value.clone()),
        condition,
        rules,
    }
}

/// The condition of a policy on each rule that it targets.
fn on_rules(policy: &Canary, index: &Index) -> Vec<(String, Condition)> {
    let rules = index.by_route.get(&(policy.target_kind, &policy.target.value));
    let rules = rules.into_iter().flatten().filter(|rule| reaches(policy, rule));
    rules
        .map(|rule| (rule.id.clone(), on_rule(policy, rule, index)))
        .collect()
}

fn reaches(policy: &Canary, rule: &Rule) -> bool {
    match &policy.section {
        Some(section) => rule.section_in(&policy.target.value) == Some(&section.value),
        // It skips rules without backends, or without backends of the policy.
        None => rule.canary.is_some() || rule.refused.canary.is_some(),
    }
}

fn on_rule(policy: &Canary, rule: &Rule, index: &Index) -> Condition {
    let Some(canary) = rule.canary.as_ref().or(rule.refused.canary.as_ref()) else {
        return Condition::Conflicted(None);
    };
    if canary.policy == policy.item.id {
        return if canary.routing.is_ok() {
            index.canary_condition(rule)
        } else {
            Condition::Invalid
        };
    }
    let other = Some(format!("{} {}", Kind::CanaryPolicy, canary.policy));
    if (policy.section.is_none() && canary.of_section) || canary.target != policy.target.value {
        Condition::Overridden(other)
    } else {
        Condition::Conflicted(other)
    }
}

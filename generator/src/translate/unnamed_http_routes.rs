//! Http routes of a `VirtualService` without a name, as Flagger and Argo Rollouts write them.
//!
//! The Envoy route of such an http route has no name. Its metadata names the `VirtualService`, but not the http route. So Envoy can
//! tell at most one of them from the other routes of a virtual host. Routes that Envoy answers itself do not count: they lead to no
//! cluster.

use std::collections::BTreeSet;

use super::draft::Draft;
use crate::{
    diagnostic::{Code, Diagnostic},
    ir::Rule,
    kind::Kind,
    model::route,
};

/// The number of each http route in its identity, if it has no name. Those with destinations are counted first, so that neither an
/// http route with a name nor a redirect changes the identity of another one. Argo Rollouts adds named ones during a release.
pub fn numbers<'r>(rules: impl Iterator<Item = &'r route::Rule>) -> Vec<usize> {
    let rules: Vec<&route::Rule> = rules.collect();
    let counts = |rule: &route::Rule| rule.name.is_none() && !rule.destinations.is_empty();
    let (mut next, mut next_other) = (0_usize, rules.iter().filter(|rule| counts(rule)).count());
    let number = |rule: &route::Rule| {
        let next = if counts(rule) { &mut next } else { &mut next_other };
        let number = *next;
        *next = next.saturating_add(1);
        number
    };
    rules.into_iter().map(number).collect()
}

/// Reports http routes with sessions or canaries whose Envoy routes have no name, if the virtual host has another such http route of the
/// `VirtualService`.
pub fn check(drafts: &mut [Draft]) {
    let is_named = |draft: &Draft| draft.rule.spec.value.name.is_some();
    let others_are_managed = drafts.iter().any(|draft| is_named(draft) && draft.rule.is_managed());
    let mut findings = Vec::new();
    for (position, this) in drafts.iter().enumerate() {
        let rule = &this.rule;
        if rule.route.spec.kind != Kind::VirtualService || is_named(this) || !rule.is_managed() {
            continue;
        }
        let names: BTreeSet<String> = rule.envoy_names().collect();
        let is_alike = |other: &Draft| {
            let rule = &other.rule;
            let same_name = || rule.envoy_names().any(|name| names.contains(&name));
            !is_named(other) && !rule.spec.value.destinations.is_empty() && same_name() && this.meets(other)
        };
        let mut others = drafts.iter().enumerate();
        let other = others.find(|(other, draft)| *other != position && is_alike(draft));
        let Some((_, other)) = other else { continue };
        let passed_over = others_are_managed && is_of_whole_policy(rule);
        findings.push((position, finding(rule, &other.rule, passed_over), passed_over));
    }
    for (position, finding, passed_over) in findings {
        let Some(draft) = drafts.get_mut(position) else {
            continue;
        };
        draft.found.add(finding);
        if passed_over {
            draft.rule.session = None;
            draft.rule.canary = None;
            draft.uses_mooring = false;
        }
    }
}

/// Whether the rule has sessions and canaries only by a `CanaryPolicy` for the whole route. Such a policy passes over what it does not fit.
fn is_of_whole_policy(rule: &Rule) -> bool {
    let Some(canary) = rule.canary.as_ref().filter(|canary| !canary.of_section) else {
        return false;
    };
    let policy = Some((Kind::CanaryPolicy, canary.policy.clone()));
    rule.session.as_ref().is_none_or(|session| session.policy == policy)
}

fn finding(rule: &Rule, other: &Rule, passed_over: bool) -> Diagnostic {
    let message = format!(
        "{}, http route {}: neither it nor http route {} has a name, so Envoy cannot tell them apart",
        rule.route.title(),
        rule.index,
        other.index
    );
    let diagnostic = if passed_over {
        Diagnostic::warning(
            Code::NoEffect,
            format!("{message}: it keeps no sessions and has no canary"),
        )
    } else {
        Diagnostic::error(Code::Invalid, message)
    };
    diagnostic
        .at(rule.location_of(rule.spec))
        .with(other.location_of(other.spec), "the other one")
        .help("give them names that no other route on the gateway has, such as `- name: reviews`")
}

//! The state of each policy on each ancestor, for its status in a cluster (GEP-713), and the findings about each object.
//!
//! `crate::validate` determines the condition of a policy on each rule. This module distributes the rules to the ancestors, and adds
//! the text of the findings and the generated objects. It expects that each object is a source of its own, as in an input from a
//! cluster: the file of a finding then identifies the object.

use std::collections::BTreeMap;

use crate::{
    attachment::Attachments,
    diagnostic::{Code, Report},
    emit::Output,
    id::Id,
    ir::{Ir, ProxyGroup, Role, Rule},
    kind::Kind,
    model::{gateway::GatewaySpec, virtual_service::istio_gateway},
    policies::Policy,
    resources::{Item, Resources},
    translate::parent_gateway,
    validate::{
        self, Subjects,
        index::{Index, OnGroup},
        status::{Cause, Condition, PolicyStatus, TargetStatus},
    },
};

mod findings;
mod notices;
mod objects;
mod state;

pub(crate) use notices::notices;
pub use notices::{Notice, Notices};
pub(crate) use state::PartialState;
pub use state::{Ancestor, AncestorState, ObjectName, Outcome, PolicyState};

use findings::Findings;
use objects::Objects;

/// The states of all policies, and what is found about each object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct States {
    /// The states of the policies by kind, namespace and name.
    pub policies: BTreeMap<(Kind, Id), PolicyState>,
    /// What the owner of an object should know.
    pub notices: Notices,
}

/// The states after `crate::generate::emit` has generated the outputs.
#[must_use]
pub fn states(
    ir: &Ir,
    resources: &Resources,
    policies: &[Policy],
    attachments: &Attachments,
    outputs: &[Output],
    report: &Report,
) -> States {
    let subjects = Subjects {
        policies: policies.iter().collect(),
        canaries: resources.canary_policies.iter().map(|item| &item.id).collect(),
        concerns: &|_| true,
    };
    let mut policies = states_of(&subjects, ir, resources, attachments, outputs.iter(), report);
    for (policy, state) in unread(resources) {
        policies.entry(policy).or_default().set_unread(state);
    }
    States {
        policies: policies
            .into_iter()
            .map(|(policy, state)| (policy, state.finish()))
            .collect(),
        notices: notices(notices::objects(resources), report),
    }
}

/// The states of these policies in a part of the input, without those of policies that cannot be read.
pub(crate) fn states_of<'o>(
    subjects: &Subjects,
    ir: &Ir,
    resources: &Resources,
    attachments: &Attachments,
    outputs: impl Iterator<Item = &'o Output>,
    report: &Report,
) -> BTreeMap<(Kind, Id), PartialState> {
    let index = Index::new(ir, resources, report);
    let context = Context {
        findings: Findings::new(report),
        objects: Objects::new(outputs),
        index: &index,
    };
    let statuses = validate::policy_statuses(subjects, resources, attachments, ir, &index);
    statuses
        .iter()
        .map(|status| ((status.kind, status.id.clone()), context.policy(status)))
        .collect()
}

/// The states of the policies that cannot be read.
pub(crate) fn unread(resources: &Resources) -> impl Iterator<Item = ((Kind, Id), AncestorState)> {
    let policies = resources.unread.iter().filter(|unread| unread.kind.is_policy());
    policies.filter_map(|unread| {
        let mut state = AncestorState::new(Outcome::Invalid);
        state.find(findings::text(&unread.diagnostic));
        Some(((unread.kind, unread.id.clone()?), state))
    })
}

/// What the state of each policy is determined from.
struct Context<'a> {
    findings: Findings<'a>,
    objects: Objects<'a>,
    index: &'a Index<'a>,
}

impl Context<'_> {
    fn policy(&self, policy: &PolicyStatus) -> PartialState {
        let mut state = PartialState::default();
        if policy.targets.is_empty() {
            let mut unread = AncestorState::new(Outcome::Invalid);
            self.add_own(policy, None, &[Code::Invalid], &mut unread);
            state.set_unread(unread);
        }
        for target in &policy.targets {
            self.target(policy, target, &mut state);
        }
        state
    }

    /// Adds the state of a policy on one of its targets.
    fn target(&self, policy: &PolicyStatus, target: &TargetStatus, state: &mut PartialState) {
        // It is about retries, which are Istio's.
        if (policy.kind, &target.condition) == (Kind::XBackendTrafficPolicy, &Condition::NoEffect(Cause::NoSession)) {
            return;
        }
        let own = Ancestor {
            kind: target.kind,
            id: target.id.clone(),
        };
        let conditions: BTreeMap<&str, &Condition> = target
            .rules
            .iter()
            .map(|(rule, condition)| (rule.as_str(), condition))
            .collect();
        let mut anywhere = false;
        for rule in self.rules(target) {
            // A policy for a whole route skips some of its rules.
            let condition = conditions.get(rule.id.as_str()).copied();
            let Some(condition) = condition.or_else(|| target.rules.is_empty().then_some(&target.condition)) else {
                continue;
            };
            for on in self.index.groups_of(rule) {
                let on_group = self.on_group(policy, target, rule, condition, on);
                for ancestor in ancestors(rule, on.group, &own) {
                    anywhere = true;
                    state.add(&own, ancestor, on_group.clone());
                }
            }
        }
        if anywhere {
            return;
        }
        // Without rules, the condition is that of the target.
        let rules = target.rules.iter().map(|(rule, condition)| (Some(rule), condition));
        let alone = target.rules.is_empty().then_some((None, &target.condition));
        for (rule, condition) in rules.chain(alone) {
            if !concerns_mooring(policy.kind, condition) {
                continue;
            }
            let mut state_of_rule = AncestorState::new(outcome(condition));
            self.explain(policy, target, condition, &mut state_of_rule);
            if let Some(rule) = rule {
                self.explain_rule(policy, rule, condition, None, &mut state_of_rule);
            }
            state.add_unserved(own.clone(), state_of_rule);
        }
    }

    /// The rules that a target stands for, whether or not the policy applies to them.
    fn rules(&self, target: &TargetStatus) -> Vec<&Rule<'_>> {
        let rules = match target.kind {
            Kind::Service => self.index.by_service.get(&target.id),
            kind => self.index.by_route.get(&(kind, &target.id)),
        };
        let section = target.section.as_deref();
        let rules = rules.into_iter().flatten().copied();
        rules
            .filter(|rule| section.is_none() || rule.section_in(&target.id) == section)
            .collect()
    }

    /// The state of a policy on a rule in one group of proxies.
    fn on_group(
        &self,
        policy: &PolicyStatus,
        target: &TargetStatus,
        rule: &Rule,
        condition: &Condition,
        on: &OnGroup,
    ) -> AncestorState {
        let left_out = *condition == Condition::Accepted && !applies(policy, on);
        let condition = if left_out { &Condition::Invalid } else { condition };
        let mut state = AncestorState::new(outcome(condition));
        self.explain(policy, target, condition, &mut state);
        // Otherwise the condition is that of the policy itself, and not about the rule.
        if !target.rules.is_empty() {
            self.explain_rule(policy, &rule.id, condition, Some(on), &mut state);
        }
        if state.outcome == Outcome::Applies {
            state.objects = self.objects.of(on.group, on.rule);
            // A CanaryPolicy applies to a rule, and the session may still be another policy's.
            let session = on.rule.session.as_ref().and_then(|session| session.policy.as_ref());
            if session == Some(&(policy.kind, policy.id.clone())) {
                state.session_pods.insert(on.group.pods());
            }
        }
        state
    }

    /// Adds the findings about the policy itself.
    fn explain(&self, policy: &PolicyStatus, target: &TargetStatus, condition: &Condition, state: &mut AncestorState) {
        let codes: &[Code] = match condition {
            Condition::Accepted | Condition::Overridden(_) => &[Code::Accepted, Code::NoEffect, Code::Unsupported],
            Condition::Invalid if target.condition == Condition::Invalid => {
                &[Code::Invalid, Code::Duplicate, Code::Unsupported, Code::TooLarge]
            }
            Condition::Invalid => &[],
            Condition::Conflicted(_) => &[Code::Conflicted],
            Condition::TargetNotFound => &[Code::TargetNotFound],
            Condition::NoEffect(_) => &[Code::NoEffect],
        };
        self.add_own(policy, Some(target), codes, state);
    }

    /// Adds the findings in the policy with these codes. Of those that name a target, only those that name this one count.
    fn add_own(&self, policy: &PolicyStatus, target: Option<&TargetStatus>, codes: &[Code], state: &mut AncestorState) {
        let Some(location) = policy.location else { return };
        let found = self.findings.of_file(location.file);
        let found = found.filter(|found| codes.contains(&found.code()));
        let name = target.map(|target| target.id.to_string());
        for found in found {
            let about_targets = matches!(found.code(), Code::TargetNotFound | Code::Conflicted);
            let about_this = name.as_ref().is_none_or(|name| found.message().contains(name.as_str()));
            if !about_targets || about_this {
                state.find(findings::text(found));
            }
        }
    }

    /// Adds the reason why the policy does not apply to a rule.
    fn explain_rule(
        &self,
        policy: &PolicyStatus,
        rule: &str,
        condition: &Condition,
        on: Option<&OnGroup>,
        state: &mut AncestorState,
    ) {
        let reason = match condition {
            Condition::Accepted | Condition::TargetNotFound | Condition::NoEffect(Cause::NoSession | Cause::NoRule) => {
                return;
            }
            Condition::Invalid => {
                let Some(found) = self.findings.cause(policy, rule, on) else {
                    return;
                };
                findings::text(found)
            }
            Condition::Conflicted(Some(other)) => format!("{other} applies"),
            Condition::Conflicted(None) => "not every backend of the rule has the policy".to_owned(),
            Condition::Overridden(None) => "the rule's own sessionPersistence applies".to_owned(),
            Condition::Overridden(Some(other)) => format!("{other} is for this rule alone"),
            Condition::NoEffect(Cause::NoProxy) => "no proxy serves the rule".to_owned(),
        };
        state.find(format!("{rule}: {reason}"));
    }
}

/// Whether a policy that applies to a rule applies to it on these proxies.
fn applies(policy: &PolicyStatus, on: &OnGroup) -> bool {
    let kept = match policy.kind {
        Kind::CanaryPolicy => on.rule.canary.is_some(),
        _ => on.rule.session.is_some(),
    };
    kept && !on.is_left_out
}

fn outcome(condition: &Condition) -> Outcome {
    match condition {
        Condition::Accepted => Outcome::Applies,
        Condition::Conflicted(_) => Outcome::Conflicted,
        Condition::Overridden(_) => Outcome::Overridden,
        Condition::Invalid => Outcome::Invalid,
        Condition::TargetNotFound => Outcome::TargetNotFound,
        Condition::NoEffect(_) => Outcome::NoEffect,
    }
}

/// Whether Mooring reports a policy that affects none of its proxies. Other implementations serve the shared kinds too: their
/// policies may be for other gateways.
fn concerns_mooring(kind: Kind, condition: &Condition) -> bool {
    *condition != Condition::NoEffect(Cause::NoProxy) || kind == Kind::CanaryPolicy
}

/// The ancestors on which a group of proxies serves a rule: its Gateways, or the target of the policy in the mesh.
fn ancestors(rule: &Rule, group: &ProxyGroup, target: &Ancestor) -> Vec<Ancestor> {
    let gateway = |item: &Item<GatewaySpec>| Ancestor {
        kind: item.spec.kind(),
        id: item.id.clone(),
    };
    match &group.role {
        Role::Gateway(of_group) => {
            let all: Vec<&Item<GatewaySpec>> = of_group.items().collect();
            // Gateways that share their pods share a group, and the route may name only one of them.
            let named = all.iter().filter(|item| names(rule, item));
            let named: Vec<Ancestor> = named.map(|item| gateway(item)).collect();
            if named.is_empty() {
                all.into_iter().map(gateway).collect()
            } else {
                named
            }
        }
        Role::Waypoint(waypoint) => vec![gateway(waypoint.item)],
        Role::Sidecars(_) => vec![target.clone()],
    }
}

/// Whether the route of a rule names a Gateway. A route on a listener set does not.
fn names(rule: &Rule, item: &Item<GatewaySpec>) -> bool {
    let (route, namespace) = (&rule.route.spec, &rule.route.id.namespace);
    let parents = route.parent_refs.iter();
    let gateways = route.gateways.iter();
    if item.spec.kind() == Kind::IstioGateway {
        let mut named = gateways.filter_map(|name| istio_gateway(&name.value, namespace));
        named.any(|id| id == item.id)
    } else {
        let mut named = parents.filter_map(|parent| parent_gateway(&parent.value, namespace));
        named.any(|id| id == item.id)
    }
}

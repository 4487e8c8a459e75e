//! `mooring validate`: reports the status of each policy and each rule, in the terms of GEP-713.
//!
//! This module makes no decisions. It reads, attaches and translates policies as `mooring generate` does and reports
//! the result. `text` and `json` are the output formats.

use crate::{
    attachment::Attachments,
    diagnostic::Report,
    document::{self, Outcome, RawObjects},
    emit::{envoy, target::Target},
    id::{DEFAULT_NAMESPACE, Id},
    ir::Rule,
    kind::Kind,
    mesh::Mesh,
    policies::{self, Policy},
    resources::{Found, Resources},
    source::Sources,
    translate,
};

mod canary;
mod index;
mod json;
mod status;
mod text;

use index::{Index, OnProxies};
pub use json::json;
pub use status::{Condition, PolicyStatus, RuleStatus, TargetStatus, Validation};
pub use text::text;

/// Determines the status of every policy, and reports what the target does not support.
pub fn validate(sources: &Sources, target: Target, mesh: &Mesh, report: &mut Report) -> Validation {
    let local = target == Target::Envoy;
    let mesh = Mesh { local, ..mesh.clone() };
    let outcomes = document::read(sources, report);
    let unread: Vec<PolicyStatus> = outcomes.iter().filter_map(unread).collect();
    let resources = Resources::new(outcomes, sources, mesh);
    let policies = policies::policies(&resources, report);
    let attachments = Attachments::new(&policies, &resources.services, report);
    let ir = translate::translate_attached(&resources, &attachments, report);
    match target {
        Target::Istio => translate::check_earlier(&ir, &resources, false, report),
        Target::Envoy => {
            // Only the diagnostics are needed, not the configuration.
            let raw = RawObjects::new(sources);
            let _bootstrap = envoy::emit(&ir, &resources, &raw, &envoy::Options::default(), report);
        }
    }
    let index = Index::new(&ir);
    let status = |policy: &Policy| PolicyStatus {
        kind: policy.kind,
        id: policy.id.clone(),
        location: Some(policy.location),
        targets: policy
            .targets
            .iter()
            .map(|target| {
                let service = Id::new(&policy.id.namespace, &target.value);
                target_status(policy, service, &resources, &attachments, &index)
            })
            .collect(),
    };
    let of_services = policies.iter().map(status);
    let of_routes = canary::statuses(&resources, &ir, &index);
    Validation {
        policies: of_services.chain(of_routes).chain(unread).collect(),
        rules: ir.rules.iter().filter_map(|rule| rule_status(rule, &index)).collect(),
    }
}

/// The status of a policy that cannot be read.
fn unread(outcome: &Outcome) -> Option<PolicyStatus> {
    let Outcome::Broken(broken) = outcome else {
        return None;
    };
    let (kind, name) = (broken.kind, broken.name.as_ref()?);
    if !kind.is_policy() {
        return None;
    }
    let namespace = name.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
    Some(PolicyStatus {
        kind,
        id: Id::new(namespace, &name.name),
        location: None,
        targets: Vec::new(),
    })
}

fn target_status(
    policy: &Policy,
    service: Id,
    resources: &Resources,
    attachments: &Attachments,
    index: &Index,
) -> TargetStatus {
    let mut rules = Vec::new();
    let condition = if policy.session.is_err() {
        Condition::Invalid
    } else if let Found::Nothing(_) = resources.services.find(&service) {
        Condition::TargetNotFound
    } else if policy.session().is_none() {
        Condition::NoEffect
    } else {
        match attachments.of(&service) {
            Some(accepted) if std::ptr::eq(accepted, policy) => {
                rules = on_rules(policy, &service, index);
                Condition::for_target(&rules)
            }
            other => Condition::Conflicted(other.map(Policy::title)),
        }
    };
    TargetStatus {
        kind: Kind::Service,
        id: service,
        section: None,
        condition,
        rules,
    }
}

/// The condition of an accepted policy on each rule that leads to the Service.
fn on_rules(policy: &Policy, service: &Id, index: &Index) -> Vec<(String, Condition)> {
    let status = |rule: &&Rule| {
        let session = rule.session.as_ref().map(|session| &session.policy);
        let refused = rule.refused.session.as_ref();
        let refused = refused.map(|session| session.as_ref().map_or(&None, |session| &session.policy));
        let condition = match session.or(refused) {
            Some(None) => Condition::Overridden(None),
            Some(Some((kind, id))) if (*kind, id) == (policy.kind, &policy.id) => Condition::Accepted,
            Some(Some((kind, id))) => Condition::Conflicted(Some(format!("{kind} {id}"))),
            None => Condition::Conflicted(None),
        };
        (rule.id.clone(), condition)
    };
    let rules = index.by_service.get(service).into_iter().flatten();
    rules.map(status).collect()
}

fn rule_status(rule: &Rule, index: &Index) -> Option<RuleStatus> {
    let session = rule.session.clone().map(Ok).or(rule.refused.session.clone())?;
    let none = OnProxies::default();
    let OnProxies {
        gateways,
        callers,
        waypoints,
    } = index.proxies.get(rule.id.as_str()).unwrap_or(&none);
    let condition = if rule.is_refused() {
        Condition::Invalid
    } else {
        Condition::Accepted
    };
    let from_policy = session.as_ref().is_ok_and(|session| session.policy.is_some());
    let own = (!from_policy).then_some(condition);
    Some(RuleStatus {
        id: rule.id.clone(),
        route: (rule.route.spec.kind, rule.route.id.clone()),
        location: rule.location_of(rule.spec),
        gateways: gateways.iter().map(|gateway| (*gateway).clone()).collect(),
        callers: callers.iter().map(|pods| (*pods).clone()).collect(),
        waypoints: waypoints
            .iter()
            .map(|(waypoint, service)| ((*waypoint).clone(), (*service).clone()))
            .collect(),
        canary: (rule.canary.as_ref().or(rule.refused.canary.as_ref())).map(|canary| canary.policy.clone()),
        session,
        session_routes: rule.session_route_count(),
        own,
    })
}

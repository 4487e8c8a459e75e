//! `mooring validate`: reports the status of each policy and each rule, in the terms of GEP-713.
//!
//! This module makes no decisions. It reads, attaches and translates policies and generates objects as `mooring generate`
//! does, and reports the result. `text` and `json` are the output formats.

use crate::{
    attachment::Attachments,
    diagnostic::Report,
    document::{self, Outcome},
    emit::{
        FailStrategy, envoy,
        istio::{self, IstioVersion},
        target::Target,
    },
    generate::{self, TargetOptions},
    id::{DEFAULT_NAMESPACE, Id},
    ir::{Ir, Rule},
    kind::Kind,
    mesh::Mesh,
    policies::{self, Policy},
    resources::{Found, Resources},
    source::Sources,
    translate,
};

mod canary;
pub(crate) mod index;
mod json;
mod rule;
pub(crate) mod status;
mod text;

use index::Index;
pub use json::json;
pub use status::{
    BackendStatus, CanaryRuleStatus, CanaryStatus, Cause, Condition, PolicyStatus, RuleStatus, TargetStatus, Validation,
};
pub use text::text;

/// Determines the status of every policy and rule for a target. Reports what `mooring generate` reports for it, except for
/// findings about the module.
pub fn validate(
    sources: &Sources,
    target: Target,
    version: IstioVersion,
    mesh: &Mesh,
    report: &mut Report,
) -> Validation {
    let options = options(target, version, mesh);
    let outcomes = document::read(sources, report);
    let unread: Vec<PolicyStatus> = outcomes.iter().filter_map(unread).collect();
    let resources = Resources::new(outcomes, sources, options.mesh(mesh));
    let policies = policies::policies(&resources, report);
    let attachments = Attachments::new(&policies, &resources.services, report);
    let mut ir = translate::translate_attached(&resources, &attachments, report);
    // Only the findings are needed, and what is left out because of them.
    let _outputs = generate::emit(&mut ir, &resources, sources, &options, report);
    let index = Index::new(&ir, &resources, report);
    let subjects = Subjects {
        policies: policies.iter().collect(),
        canaries: resources.canary_policies.iter().map(|item| &item.id).collect(),
        concerns: &|_| true,
    };
    let statuses = policy_statuses(&subjects, &resources, &attachments, &ir, &index);
    Validation {
        target,
        policies: statuses.into_iter().chain(unread).collect(),
        rules: ir.rules.iter().filter_map(|rule| rule::status(rule, &index)).collect(),
    }
}

/// The policies whose state is determined.
pub(crate) struct Subjects<'s> {
    /// The policies for Services.
    pub policies: Vec<&'s Policy>,
    /// The policies for routes.
    pub canaries: Vec<&'s Id>,
    /// Which of the Services that are targets are meant.
    pub concerns: &'s dyn Fn(&Id) -> bool,
}

/// The status of each policy that can be read: first the policies for Services, then those for routes.
pub(crate) fn policy_statuses(
    subjects: &Subjects,
    resources: &Resources,
    attachments: &Attachments,
    ir: &Ir,
    index: &Index,
) -> Vec<PolicyStatus> {
    let status = |policy: &Policy| PolicyStatus {
        kind: policy.kind,
        id: policy.id.clone(),
        location: Some(policy.location),
        targets: policy
            .targets
            .iter()
            .map(|target| Id::new(&policy.id.namespace, &target.value))
            .filter(|service| (subjects.concerns)(service))
            .map(|service| target_status(policy, service, resources, attachments, index))
            .collect(),
    };
    let of_services = subjects.policies.iter().copied().map(status);
    let canaries = canary::statuses(&subjects.canaries, resources, ir, index);
    of_services.chain(canaries).collect()
}

/// The options of a target, with a module about which there is nothing to report.
fn options(target: Target, version: IstioVersion, mesh: &Mesh) -> TargetOptions {
    match target {
        Target::Istio => TargetOptions::Istio(istio::Options {
            url: "oci://module".to_owned(),
            sha256: Some("0".repeat(64)),
            fail_strategy: FailStrategy::Open,
            version,
            prunes: mesh.gateways.is_empty(),
            plugin: istio::Plugin::default(),
            metadata: istio::Metadata::default(),
        }),
        Target::Envoy => TargetOptions::Envoy(envoy::Options::default()),
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
        Condition::NoEffect(Cause::NoSession)
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
            Some(Some((kind, id))) if (*kind, id) == (policy.kind, &policy.id) => index.condition(rule),
            Some(Some((kind, id))) => Condition::Conflicted(Some(format!("{kind} {id}"))),
            None if index.is_refused(rule) => Condition::Invalid,
            None => Condition::Conflicted(None),
        };
        (rule.id.clone(), condition)
    };
    let rules = index.by_service.get(service).into_iter().flatten();
    rules.map(status).collect()
}

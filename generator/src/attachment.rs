//! Which policy applies to which Service (GEP-713).

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    conflict,
    diagnostic::{Code, Diagnostic, Report},
    id::Id,
    kind::Kind,
    model::service::ServiceSpec,
    omissions::Omitted,
    policies::Policy,
    reads::{self, Read},
    resources::{Found, Items},
};

/// The policy of each Service that has one.
#[derive(Debug)]
pub struct Attachments<'a> {
    by_service: Policies<'a>,
}

/// The policies by their Services.
#[derive(Debug)]
enum Policies<'a> {
    /// Those of one run.
    OfRun(BTreeMap<Id, &'a Policy>),
    /// Those that a planner keeps.
    Kept(&'a BTreeMap<Id, Arc<Policy>>),
}

impl Default for Attachments<'_> {
    fn default() -> Self {
        Self {
            by_service: Policies::OfRun(BTreeMap::new()),
        }
    }
}

impl<'a> Attachments<'a> {
    /// Finds the policy of each Service. Unknown targets and conflicts are reported.
    pub fn new(policies: &'a [Policy], services: &Items<ServiceSpec>, report: &mut Report) -> Self {
        let mut candidates: BTreeMap<Id, Vec<&Policy>> = BTreeMap::new();
        for policy in policies {
            check_targets(policy, services, report);
            // An invalid policy does not take part (GEP-713).
            if policy.session.is_ok() {
                for target in &policy.targets {
                    let service = Id::new(&policy.id.namespace, &target.value);
                    candidates.entry(service).or_default().push(policy);
                }
            }
        }
        let mut by_service = BTreeMap::new();
        for (service, candidates) in candidates {
            if let Some(policy) = accepted(&service, &candidates, report) {
                by_service.insert(service, policy);
            }
        }
        Self {
            by_service: Policies::OfRun(by_service),
        }
    }

    /// The policies that a planner keeps.
    #[must_use]
    pub fn kept(by_service: &'a BTreeMap<Id, Arc<Policy>>) -> Self {
        Self {
            by_service: Policies::Kept(by_service),
        }
    }

    /// The policy of a Service.
    #[must_use]
    pub fn of(&self, service: &Id) -> Option<&'a Policy> {
        reads::note(Read::Attachment(service));
        match &self.by_service {
            Policies::OfRun(policies) => policies.get(service).copied(),
            Policies::Kept(policies) => policies.get(service).map(Arc::as_ref),
        }
    }

    /// Every Service that has a policy, with the policy.
    pub fn iter(&self) -> impl Iterator<Item = (&Id, &'a Policy)> {
        let (of_run, kept) = match &self.by_service {
            Policies::OfRun(policies) => (Some(policies), None),
            Policies::Kept(policies) => (None, Some(*policies)),
        };
        let of_run = of_run.into_iter().flatten().map(|(service, policy)| (service, *policy));
        let kept = kept.into_iter().flatten();
        of_run.chain(kept.map(|(service, policy)| (service, policy.as_ref())))
    }
}

/// Reports the targets of a policy that do not exist.
pub fn check_targets(policy: &Policy, services: &Items<ServiceSpec>, report: &mut Report) {
    for target in &policy.targets {
        let service = Id::new(&policy.id.namespace, &target.value);
        let found = services.find(&service);
        if let Found::Unknown = found {
            report.miss(Kind::Service, &service);
        }
        if let Found::Nothing(instead) = found {
            let message = format!(
                "{} targets the Service {service}, which is not in the input",
                policy.title()
            );
            let diagnostic = Diagnostic::error(Code::TargetNotFound, message).at(target.location);
            report.add(diagnostic.instead(&instead));
            let name = format!("{}/{} on Service/{service}", policy.kind, policy.id);
            report.omit(Omitted::Attachment, name);
        }
    }
}

/// The policy that is accepted for a Service. Policies of one kind conflict whatever they set; those of different kinds only if
/// both set a session.
pub fn accepted<'a>(service: &Id, candidates: &[&'a Policy], report: &mut Report) -> Option<&'a Policy> {
    let of_kind = |kind: Kind| candidates.iter().copied().filter(move |policy| policy.kind == kind);
    let about = format!("targets the Service {service} too");
    let winners: Vec<&Policy> = [Kind::BackendLbPolicy, Kind::XBackendTrafficPolicy]
        .into_iter()
        .filter_map(|kind| conflict::resolve(of_kind(kind).collect(), &about, report))
        .filter(|policy| policy.session().is_some())
        .collect();
    conflict::resolve(winners, &about, report)
}

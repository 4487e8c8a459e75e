//! Which policy applies to which Service (GEP-713).

use std::collections::BTreeMap;

use crate::{
    conflict,
    diagnostic::{Code, Diagnostic, Report},
    id::Id,
    kind::Kind,
    model::service::ServiceSpec,
    omissions::Omitted,
    policies::Policy,
    resources::{Found, Items},
};

/// The policy of each Service that has one.
#[derive(Debug, Default)]
pub struct Attachments<'a> {
    by_service: BTreeMap<Id, &'a Policy>,
}

impl<'a> Attachments<'a> {
    /// Finds the policy of each Service. Unknown targets and conflicts are reported.
    pub fn new(policies: &'a [Policy], services: &Items<ServiceSpec>, report: &mut Report) -> Self {
        let mut candidates: BTreeMap<Id, Vec<&Policy>> = BTreeMap::new();
        for policy in policies {
            for target in &policy.targets {
                let service = Id::new(&policy.id.namespace, &target.value);
                let found = services.find(&service);
                if let Found::Unknown = found {
                    report.miss(Kind::Service, &service);
                }
                if let Found::Nothing(instead) = found {
                    let name = format!("{}/{} on Service/{service}", policy.kind, policy.id);
                    report.omit(Omitted::Attachment, name);
                    let message = format!(
                        "{} targets the Service {service}, which is not in the input",
                        policy.title()
                    );
                    let diagnostic = Diagnostic::error(Code::TargetNotFound, message).at(target.location);
                    report.add(diagnostic.instead(&instead));
                }
                // An invalid policy does not take part (GEP-713).
                if policy.session.is_ok() {
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
        Self { by_service }
    }

    /// The policy of a Service.
    #[must_use]
    pub fn of(&self, service: &Id) -> Option<&'a Policy> {
        self.by_service.get(service).copied()
    }

    /// Every Service that has a policy, with the policy.
    pub fn iter(&self) -> impl Iterator<Item = (&Id, &'a Policy)> {
        self.by_service.iter().map(|(service, policy)| (service, *policy))
    }
}

/// The policy that is accepted for a Service. Policies of one kind conflict whatever they set; those of different kinds only if
/// both set a session.
fn accepted<'a>(service: &Id, candidates: &[&'a Policy], report: &mut Report) -> Option<&'a Policy> {
    let of_kind = |kind: Kind| candidates.iter().copied().filter(move |policy| policy.kind == kind);
    let about = format!("targets the Service {service} too");
    let winners: Vec<&Policy> = [Kind::BackendLbPolicy, Kind::XBackendTrafficPolicy]
        .into_iter()
        .filter_map(|kind| conflict::resolve(of_kind(kind).collect(), &about, report))
        .filter(|policy| policy.session().is_some())
        .collect();
    conflict::resolve(winners, &about, report)
}

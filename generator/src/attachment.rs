//! Which policy holds for which Service, and what becomes of policies in conflict (GEP-713).
//!
//! The oldest policy is established and beats all others as a whole; policies of the same age, and policies of which
//! not all ages are known, are ordered by namespace and name.

use std::collections::BTreeMap;

use crate::{
    api::service::ServiceSpec,
    canary::Canary,
    diagnostic::{Code, Diagnostic, Report},
    id::Id,
    kind::Kind,
    location::SourceLocation,
    omissions::Omitted,
    policies::Policy,
    resources::{Found, Items},
};

/// The established policy of every Service that has one.
#[derive(Debug, Default)]
pub struct Attachments<'a> {
    by_service: BTreeMap<Id, &'a Policy>,
}

impl<'a> Attachments<'a> {
    /// Finds the established policy of each Service. Unknown targets and conflicts are reported.
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
                // A policy that is wrong does not take part (GEP-713).
                if policy.sound {
                    candidates.entry(service).or_default().push(policy);
                }
            }
        }
        let mut by_service = BTreeMap::new();
        for (service, candidates) in candidates {
            if let Some(established) = settle(&service, &candidates, report) {
                by_service.insert(service, established);
            }
        }
        Self { by_service }
    }

    /// The policy of a Service that says how sessions are kept.
    #[must_use]
    pub fn of(&self, service: &Id) -> Option<&'a Policy> {
        self.by_service.get(service).copied()
    }

    /// Every Service that has a policy, and the policy.
    pub fn iter(&self) -> impl Iterator<Item = (&Id, &'a Policy)> {
        self.by_service.iter().map(|(service, policy)| (service, *policy))
    }
}

/// The policy that is established for a Service. Policies of one kind exclude each other whatever they say; those of
/// different kinds only in what both say about sessions.
fn settle<'a>(service: &Id, candidates: &[&'a Policy], report: &mut Report) -> Option<&'a Policy> {
    let of_kind = |kind: Kind| candidates.iter().copied().filter(move |policy| policy.kind == kind);
    let about = format!("targets the Service {service} too");
    let winners: Vec<&Policy> = [Kind::BackendLbPolicy, Kind::XBackendTrafficPolicy]
        .into_iter()
        .filter_map(|kind| established(of_kind(kind).collect(), &about, report))
        .filter(|policy| policy.session.is_some())
        .collect();
    established(winners, &about, report)
}

/// What decides which of several policies holds.
pub trait Rival {
    /// When it was created, if that is known.
    fn created(&self) -> Option<&str>;
    /// Who it is.
    fn rank(&self) -> (&Id, Kind);
    /// Where its name stands.
    fn location(&self) -> SourceLocation;
    /// Whether it loses anything by giving way.
    fn matters(&self) -> bool;
}

impl Rival for Policy {
    fn created(&self) -> Option<&str> {
        self.created.as_deref()
    }

    fn rank(&self) -> (&Id, Kind) {
        (&self.id, self.kind)
    }

    fn location(&self) -> SourceLocation {
        self.location
    }

    fn matters(&self) -> bool {
        self.session.is_some()
    }
}

impl Rival for Canary<'_> {
    fn created(&self) -> Option<&str> {
        self.created.as_deref()
    }

    fn rank(&self) -> (&Id, Kind) {
        (&self.item.id, Kind::CanaryPolicy)
    }

    fn location(&self) -> SourceLocation {
        self.item.location()
    }

    fn matters(&self) -> bool {
        true
    }
}

/// The policy that beats all others; the others are reported.
pub fn established<'a, P: Rival>(mut rivals: Vec<&'a P>, about: &str, report: &mut Report) -> Option<&'a P> {
    let by_age = rivals.iter().all(|policy| policy.created().is_some());
    rivals.sort_by_key(|policy| (by_age.then_some(policy.created()), policy.rank()));
    let title = |policy: &P| {
        let (id, kind) = policy.rank();
        format!("{kind} {id}")
    };
    let mut rivals = rivals.into_iter();
    let winner = rivals.next()?;
    for loser in rivals.filter(|policy| policy.matters()) {
        let reason = match (by_age, loser.created() == winner.created()) {
            (true, false) => "is older",
            (true, true) => "is as old and comes first by namespace and name",
            (false, _) => "comes first by namespace and name (the age of at least one of them is not known)",
        };
        let message = format!(
            "{} is not accepted: {} {about} and {reason}",
            title(loser),
            title(winner)
        );
        report.add(
            Diagnostic::warning(Code::Conflicted, message)
                .at(loser.location())
                .with(winner.location(), "this policy holds"),
        );
    }
    Some(winner)
}

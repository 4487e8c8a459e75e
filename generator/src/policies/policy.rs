//! The policies that target Services, whatever their kind.

use super::target;
use crate::{
    api::{
        field::Field,
        policy::{SessionPersistence, TargetRef},
    },
    conflict::{self, Candidate},
    diagnostic::{Report, Reported},
    id::Id,
    kind::Kind,
    location::{SourceLocation, Spanned},
    omissions::Omitted,
    resources::{Item, Resources},
    session::{
        Session,
        annotations::{self, Annotations},
        persistence,
    },
};

/// A policy that targets Services.
#[derive(Debug)]
pub struct Policy {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace and name.
    pub id: Id,
    /// The location of its name.
    pub location: SourceLocation,
    /// When it was created (RFC 3339, UTC), if that is known.
    pub created: Option<String>,
    /// The Services that it targets, in its own namespace.
    pub targets: Vec<Spanned<String>>,
    /// The session that it sets, if it sets one. An invalid policy has none and does not take part in conflicts (GEP-713).
    pub session: Result<Option<Session>, Reported>,
}

impl Policy {
    /// Kind, namespace and name.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{} {}", self.kind, self.id)
    }

    /// The session that it sets, if it is valid and sets one.
    #[must_use]
    pub fn session(&self) -> Option<&Session> {
        self.session.as_ref().ok()?.as_ref()
    }
}

impl Candidate for Policy {
    fn created(&self) -> Option<&str> {
        self.created.as_deref()
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn id(&self) -> &Id {
        &self.id
    }

    fn location(&self) -> SourceLocation {
        self.location
    }

    fn has_effect(&self) -> bool {
        self.session().is_some()
    }
}

/// Every policy in the input, in the order of kinds and ids. Everything that is invalid is reported.
pub fn policies(resources: &Resources, report: &mut Report) -> Vec<Policy> {
    annotations::warn_elsewhere(resources, report);
    let of_kind = |kind: Kind, ids: Vec<&Id>, report: &mut Report| {
        let policies = ids.into_iter().filter_map(|id| policy(kind, id, resources, report));
        policies.collect::<Vec<_>>()
    };
    let ids = resources.backend_lb_policies.iter().map(|item| &item.id).collect();
    let mut policies = of_kind(Kind::BackendLbPolicy, ids, report);
    let ids = resources
        .x_backend_traffic_policies
        .iter()
        .map(|item| &item.id)
        .collect();
    policies.extend(of_kind(Kind::XBackendTrafficPolicy, ids, report));
    policies
}

/// One policy. None: it is not in the input.
pub fn policy(kind: Kind, id: &Id, resources: &Resources, report: &mut Report) -> Option<Policy> {
    if kind == Kind::BackendLbPolicy {
        let item = resources.backend_lb_policies.get(id)?;
        let persistence = item.spec.session_persistence.as_ref();
        return Some(parse(kind, item, &item.spec.target_refs, persistence, report));
    }
    // `retryConstraint` is left to Istio.
    let item = resources.x_backend_traffic_policies.get(id)?;
    let persistence = item.spec.session_persistence.as_ref();
    Some(parse(kind, item, &item.spec.target_refs, persistence, report))
}

fn parse<S>(
    kind: Kind,
    item: &Item<S>,
    targets: &[Field<TargetRef>],
    raw: Option<&Field<SessionPersistence>>,
    report: &mut Report,
) -> Policy {
    let mut found = Report::default();
    let transports = raw.map(persistence::transport).into_iter();
    let annotations = Annotations::parse(&item.metadata.annotations, item.offset, transports, &mut found);
    let policy = || Some((kind, item.id.clone()));
    let session = raw.map(|raw| persistence::parse(raw, policy(), &annotations, item.offset, &mut found));
    let created = conflict::created(item, &mut found);
    let targets = target::parse(targets, item, &mut found);
    let session = found.result().and(session.transpose());
    if session.is_err() {
        found.omit(Omitted::Policy, item.name(kind));
    }
    report.extend(found);
    Policy {
        kind,
        id: item.id.clone(),
        location: item.location(),
        created,
        targets,
        session,
    }
}

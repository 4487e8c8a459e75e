//! The wire shapes in which session persistence has been written, each in its own module, all becoming
//! [`SessionPolicy`]. A new dialect is a new module here and a line in [`policies`].
//!
//! Not for attachment: which rules a policy reaches is decided by `crate::attachment`.

use crate::{
    api::{field::Field, policy::SessionPersistence},
    diagnostic::{Code, Diagnostic, Report},
    id::Id,
    kind::Kind,
    location::{DocumentOffset, SourceLocation, Spanned},
    omissions::Omitted,
    resources::{Item, Resources},
    session::SessionPolicy,
};

mod annotations;
mod backend_lb_policy;
mod inline;
mod persistence;
mod sticky;
mod target;
mod x_backend_traffic_policy;

pub use inline::{Inline, inline};
pub use sticky::sticky;

/// A policy that targets Services, of any dialect.
#[derive(Debug)]
pub struct Policy {
    /// Its kind.
    pub kind: Kind,
    /// Who it is.
    pub id: Id,
    /// Where its name stands.
    pub location: SourceLocation,
    /// When it was created (RFC 3339, UTC), if that is known.
    pub created: Option<String>,
    /// The Services that it targets, in its own namespace.
    pub targets: Vec<Spanned<String>>,
    /// How it keeps sessions, if it says anything about that.
    pub session: Option<SessionPolicy>,
    /// Whether nothing is wrong with it.
    pub sound: bool,
}

impl Policy {
    /// Kind, namespace and name.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{} {}", self.kind, self.id)
    }
}

/// Every policy in the input, in the order of kinds and ids. Whatever is wrong with one is reported.
pub fn policies(resources: &Resources, report: &mut Report) -> Vec<Policy> {
    annotations::warn_elsewhere(resources, report);
    let mut policies = Vec::new();
    for item in resources.backend_lb_policies.iter() {
        policies.push(backend_lb_policy::read(item, report));
    }
    for item in resources.x_backend_traffic_policies.iter() {
        policies.push(x_backend_traffic_policy::read(item, report));
    }
    policies
}

/// What is the same for all policies that target Services.
fn policy<S>(
    kind: Kind,
    item: &Item<S>,
    targets: &[Field<crate::api::policy::TargetRef>],
    persistence: Option<&Field<SessionPersistence>>,
    report: &mut Report,
) -> Policy {
    let errors = report.errors();
    let overrides = annotations::Overrides::read(&item.metadata.annotations, item.offset, report);
    let mut session = persistence.map(|persistence| persistence::read(persistence, item.offset, report));
    overrides.apply(session.as_mut_slice(), report);
    if let Some(session) = &session {
        session.check(report);
    }
    let created = created(item, report);
    let targets = target::read(targets, item, report);
    let sound = report.errors() == errors;
    if !sound {
        report.omit(Omitted::Policy, item.name(kind));
    }
    Policy {
        kind,
        id: item.id.clone(),
        location: item.location(),
        created,
        targets,
        session,
        sound,
    }
}

/// `creationTimestamp`, as the API server writes it: such texts sort as the times do.
pub fn created<S>(item: &Item<S>, report: &mut Report) -> Option<String> {
    let field = item.metadata.creation_timestamp.as_ref()?;
    let pattern = "0000-00-00T00:00:00Z";
    let fits = field.value.len() == pattern.len()
        && field
            .value
            .chars()
            .zip(pattern.chars())
            .all(|(found, wanted)| match wanted {
                '0' => found.is_ascii_digit(),
                other => found == other,
            });
    if !fits {
        let message = format!("`{}` is not a time such as 2026-01-31T12:00:00Z", field.value);
        report.add(Diagnostic::error(Code::Invalid, message).at(item.location_of(field)));
        return None;
    }
    Some(field.value.clone())
}

/// A field's value with its place.
pub fn spanned<T: Clone>(field: &Field<T>, offset: DocumentOffset) -> Spanned<T> {
    Spanned {
        value: field.value.clone(),
        location: offset.location(field),
    }
}

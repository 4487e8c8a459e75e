//! Conflict resolution between policies (GEP-713): the oldest one wins.
//!
//! Policies of the same age are ordered by namespace and name. So are all of them if the age of one is not known.

use crate::{
    diagnostic::{Code, Diagnostic, Report},
    id::Id,
    kind::Kind,
    location::SourceLocation,
    resources::Item,
};

/// A policy that may be in conflict with others.
pub trait Candidate {
    /// When it was created, if that is known.
    fn created(&self) -> Option<&str>;
    /// Its kind.
    fn kind(&self) -> Kind;
    /// Its namespace and name.
    fn id(&self) -> &Id;
    /// The location of its name.
    fn location(&self) -> SourceLocation;
    /// Whether it would have an effect if it won.
    fn has_effect(&self) -> bool;
}

/// The policy that wins. Of the others, those that would have an effect are reported. `about` completes the sentence "POLICY …".
pub fn resolve<'a, P: Candidate>(mut candidates: Vec<&'a P>, about: &str, report: &mut Report) -> Option<&'a P> {
    let by_age = candidates.iter().all(|policy| policy.created().is_some());
    candidates.sort_by_key(|policy| (by_age.then_some(policy.created()), policy.id(), policy.kind()));
    let title = |policy: &P| format!("{} {}", policy.kind(), policy.id());
    let mut candidates = candidates.into_iter();
    let winner = candidates.next()?;
    for loser in candidates.filter(|policy| policy.has_effect()) {
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
                .with(winner.location(), "this policy applies"),
        );
    }
    Some(winner)
}

/// `creationTimestamp`, in the form that the API server writes. Such texts sort like the times.
pub fn created<S>(item: &Item<S>, report: &mut Report) -> Option<String> {
    let field = item.metadata.creation_timestamp.as_ref()?;
    let pattern = "0000-00-00T00:00:00Z";
    let mut pairs = field.value.chars().zip(pattern.chars());
    let fits = field.value.len() == pattern.len()
        && pairs.all(|(found, wanted)| match wanted {
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

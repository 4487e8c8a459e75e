//! The status of policies and rules, in the terms of GEP-713.

use crate::{diagnostic::Reported, id::Id, ir::Workload, kind::Kind, location::SourceLocation, session::Session};

/// The condition of a policy on a target or a rule (GEP-713).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The policy applies.
    Accepted,
    /// Another policy applies. The value is its name, if known.
    Conflicted(Option<String>),
    /// Something more specific applies. The value is the name of the policy; `None` is the rule's own
    /// `sessionPersistence`.
    Overridden(Option<String>),
    /// The policy is invalid.
    Invalid,
    /// The target does not exist.
    TargetNotFound,
    /// The policy configures no session.
    NoEffect,
}

impl Condition {
    /// The reason as GEP-713 names it.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Conflicted(_) => "Conflicted",
            Self::Overridden(_) => "Overridden",
            Self::Invalid => "Invalid",
            Self::TargetNotFound => "TargetNotFound",
            Self::NoEffect => "NoEffect",
        }
    }

    /// The condition on a target, from the conditions on its rules. It is `Conflicted` if the policy lost every rule to
    /// other policies.
    #[must_use]
    pub fn for_target(rules: &[(String, Self)]) -> Self {
        let lost = |(_, condition): &&(String, Self)| matches!(condition, Self::Conflicted(_));
        match rules.iter().find(lost) {
            Some((_, first)) if rules.iter().filter(lost).count() == rules.len() => first.clone(),
            _ => Self::Accepted,
        }
    }
}

/// The result of a validation.
#[derive(Debug)]
pub struct Validation {
    /// The policies for Services, in the order of kinds and ids, then those for routes; policies that cannot be read are last.
    pub policies: Vec<PolicyStatus>,
    /// The rules that keep sessions, in the order of the routes.
    pub rules: Vec<RuleStatus>,
}

/// The status of a policy.
#[derive(Debug)]
pub struct PolicyStatus {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace and name.
    pub id: Id,
    /// Its location, unless it cannot be read.
    pub location: Option<SourceLocation>,
    /// Its targets. Empty if the targets are invalid.
    pub targets: Vec<TargetStatus>,
}

/// The status of a policy on one of its targets.
#[derive(Debug)]
pub struct TargetStatus {
    /// The kind of the target.
    pub kind: Kind,
    /// The target.
    pub id: Id,
    /// The targeted rule, or `None` for the whole object.
    pub section: Option<String>,
    /// The condition of the policy on the target.
    pub condition: Condition,
    /// The rules of the targeted route, or those with the targeted Service as a backend, and the condition on each.
    pub rules: Vec<(String, Condition)>,
}

impl RuleStatus {
    /// Whether any proxy keeps its sessions.
    #[must_use]
    pub fn is_served(&self) -> bool {
        !(self.gateways.is_empty() && self.callers.is_empty() && self.waypoints.is_empty())
    }
}

/// A rule that keeps sessions.
#[derive(Debug)]
pub struct RuleStatus {
    /// Its identity.
    pub id: String,
    /// Its route.
    pub route: (Kind, Id),
    /// Its location.
    pub location: SourceLocation,
    /// Its gateways.
    pub gateways: Vec<Id>,
    /// The callers whose sidecars keep its sessions.
    pub callers: Vec<Workload>,
    /// The waypoints that keep its sessions, each with the Service that it serves.
    pub waypoints: Vec<(Id, Id)>,
    /// Its canary policy.
    pub canary: Option<Id>,
    /// Its session. An error if its own `sessionPersistence` is invalid.
    pub session: Result<Session, Reported>,
    /// The number of its session routes in each of its virtual hosts.
    pub session_routes: usize,
    /// The condition of its own `sessionPersistence`, if it has one.
    pub own: Option<Condition>,
}

//! The status of policies and rules, in the terms of GEP-713.

use mooring_policy::config::{CanaryConfig, MatchConfig, SourceConfig};

use crate::{
    diagnostic::Reported, emit::target::Target, id::Id, ir::Workload, kind::Kind, location::SourceLocation,
    session::Session,
};

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
    /// The policy or the rule is invalid.
    Invalid,
    /// The target does not exist.
    TargetNotFound,
    /// The policy is valid, and nothing happens.
    NoEffect(Cause),
}

/// Why a valid policy has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It configures no session.
    NoSession,
    /// No rule leads to its Service, or it skips all rules of its route.
    NoRule,
    /// No proxy serves the rule.
    NoProxy,
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
            Self::NoEffect(_) => "NoEffect",
        }
    }

    /// The condition on a target, from the conditions on its rules: `Accepted` if the policy applies to any of them, else the
    /// condition on the first.
    #[must_use]
    pub fn for_target(rules: &[(String, Self)]) -> Self {
        let mut conditions = rules.iter().map(|(_, condition)| condition);
        if conditions.clone().any(|condition| *condition == Self::Accepted) {
            return Self::Accepted;
        }
        conditions.next().cloned().unwrap_or(Self::NoEffect(Cause::NoRule))
    }
}

/// The result of a validation for one target.
#[derive(Debug)]
pub struct Validation {
    /// The target.
    pub target: Target,
    /// The policies for Services, in the order of kinds and ids, then those for routes; policies that cannot be read are last.
    pub policies: Vec<PolicyStatus>,
    /// The rules that keep sessions or have canaries, in the order of the routes.
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

/// A rule that keeps sessions or has a canary, or would without an error.
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
    /// What happens to its session and canary: `Accepted`, `Invalid` if an error leaves them out everywhere, or `NoEffect` if no
    /// proxy serves the rule.
    pub condition: Condition,
    /// Its session. An error if its own `sessionPersistence` is invalid; `None` for a canary without sessions.
    pub session: Option<Result<Session, Reported>>,
    /// The condition of its own `sessionPersistence`, if it has one.
    pub own: Option<Condition>,
    /// Its backends.
    pub backends: Vec<BackendStatus>,
    /// Whether its sessions follow the weights when another backend gets a larger share.
    pub rebalances: bool,
    /// Its canary.
    pub canary: Option<CanaryStatus>,
    /// The number of its session routes in each of its virtual hosts.
    pub session_routes: usize,
}

/// A backend of a rule.
#[derive(Debug)]
pub struct BackendStatus {
    /// Its key in tokens: Service, namespace, port and subset.
    pub key: String,
    /// Its weight in the route.
    pub weight: u32,
    /// Its share of new sessions, in thousandths.
    pub share: u32,
    /// Whether its live sessions are released, because its weight is 0.
    pub released: bool,
    /// Its version, if sessions follow versions.
    pub version: Option<String>,
}

/// The canary policy of a rule.
#[derive(Debug)]
pub struct CanaryStatus {
    /// The policy.
    pub policy: Id,
    /// Its canary, if it has one and an error does not leave it out.
    pub config: Option<CanaryConfig>,
    /// The rules of the canary, in order.
    pub rules: Vec<CanaryRuleStatus>,
}

/// A rule of a canary, for one rule of the route.
#[derive(Debug)]
pub struct CanaryRuleStatus {
    /// Its name.
    pub name: String,
    /// The conditions on a request.
    pub matches: Vec<MatchConfig>,
    /// The header or cookie by which clients choose.
    pub opt_in: Option<SourceConfig>,
    /// The key of its backend, or `None` if the rule of the route does not have that backend.
    pub backend: Option<String>,
}

impl RuleStatus {
    /// Whether any proxy keeps its sessions, or sends its requests to canaries.
    #[must_use]
    pub fn is_served(&self) -> bool {
        !(self.gateways.is_empty() && self.callers.is_empty() && self.waypoints.is_empty())
    }

    /// Whether an error leaves out its session and canary.
    #[must_use]
    pub fn is_left_out(&self) -> bool {
        self.condition == Condition::Invalid
    }

    /// Its session, if there is a valid one.
    #[must_use]
    pub fn valid_session(&self) -> Option<&Session> {
        self.session.as_ref()?.as_ref().ok()
    }
}

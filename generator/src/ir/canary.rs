//! The canary policies of rules.

use std::rc::Rc;

use crate::{
    canary::{Canary, CompiledCanary},
    diagnostic::Reported,
    id::Id,
    location::Spanned,
    session::Session,
};

/// A canary policy, and whether its target exists.
#[derive(Debug)]
pub struct TargetedCanary<'a> {
    /// The policy.
    pub policy: Canary<'a>,
    /// Whether its target is in the input. A target that could not be read counts as found.
    pub target_found: bool,
}

/// A canary policy that applies to a rule.
#[derive(Clone, Debug)]
pub struct AttachedCanary {
    /// The policy.
    pub policy: Id,
    /// Whether it targets this rule by `sectionName` and not the whole route.
    pub of_section: bool,
    /// The object that it targets.
    pub target: Id,
    /// The session that it sets for the rule.
    pub sticky: Option<Session>,
    /// Whether sessions leave a backend of weight 0.
    pub releases: bool,
    /// Whether sessions follow the weights when another backend gets a larger share.
    pub rebalances: bool,
    /// The label whose value is the version of a backend.
    pub version_label: Option<Spanned<String>>,
    /// The canary of the rule, if the policy adds one. An error if the policy is invalid for this rule.
    pub routing: Result<Option<Routing>, Reported>,
}

/// The canary of a rule.
#[derive(Clone, Debug)]
pub struct Routing {
    /// The canary of the policy.
    pub compiled: Rc<CompiledCanary>,
    /// For each rule of the policy, the key of its backend, or `None` if the route rule does not have that backend.
    pub backends: Vec<Option<String>>,
}

//! The canary policies of rules.

use std::rc::Rc;

use crate::{
    canary::{Canary, CompiledCanary},
    diagnostic::Reported,
    id::Id,
    session::Session,
};

/// A canary policy, and whether its target exists.
#[derive(Debug)]
pub struct TargetedCanary<'a> {
    /// The policy.
    pub policy: Canary<'a>,
    /// Whether its target is in the input, as far as can be known.
    pub target_found: bool,
}

/// A policy on a rule that it applies to.
#[derive(Clone, Debug)]
pub struct AttachedCanary {
    /// The policy.
    pub policy: Id,
    /// Whether its target is this rule, and not the whole route.
    pub of_section: bool,
    /// The object that it targets.
    pub target: Id,
    /// The session that it sets for the rule.
    pub sticky: Option<Session>,
    /// Whether sessions leave a backend of weight 0.
    pub releases: bool,
    /// The canary of the rule, if the policy adds one. An error if the policy does not fit this rule.
    pub routing: Result<Option<Routing>, Reported>,
}

/// The canary of a rule.
#[derive(Clone, Debug)]
pub struct Routing {
    /// The canary of the policy.
    pub compiled: Rc<CompiledCanary>,
    /// For each of its match rules the key of the backend, if the route rule has it.
    pub backends: Vec<Option<String>>,
}

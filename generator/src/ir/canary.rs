//! The canary policies of rules.

use std::sync::Arc;

use crate::{
    canary::{Canary, CompiledCanary},
    id::Id,
    session::SessionPolicy,
};

/// A canary policy, and whether its target exists.
#[derive(Debug)]
pub struct TargetedCanary<'a> {
    /// The policy.
    pub policy: Canary<'a>,
    /// Whether its target is in the input, as far as can be known.
    pub target_found: bool,
}

/// What the policy that holds for a rule makes of it.
#[derive(Clone, Debug)]
pub struct AttachedCanary {
    /// The policy.
    pub policy: Id,
    /// Whether it is about this rule alone.
    pub of_section: bool,
    /// The object that it targets.
    pub target: Id,
    /// The session that it keeps.
    pub sticky: Option<SessionPolicy>,
    /// Whether sessions leave a backend of weight 0.
    pub releases: bool,
    /// What the filter is told, if it is told anything.
    pub routing: Option<Routing>,
    /// Whether nothing is wrong with it on this rule.
    pub sound: bool,
}

/// What the filter is told about the canaries of a rule.
#[derive(Clone, Debug)]
pub struct Routing {
    /// What it is told of the policy, for all rules.
    pub compiled: Arc<CompiledCanary>,
    /// The key of the backend of each forcing rule, where the rule has it.
    pub backends: Vec<Option<String>>,
}

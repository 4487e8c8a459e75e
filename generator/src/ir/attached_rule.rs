//! A rule as it is attached to a gateway.

use std::{collections::BTreeSet, rc::Rc};

use mooring_policy::config;

use super::{rule::Rule, virtual_host::VirtualHost};

/// A rule attached to a gateway.
#[derive(Debug)]
pub struct AttachedRule<'a> {
    /// The rule.
    pub rule: Rc<Rule<'a>>,
    /// The virtual hosts in which the rule applies.
    pub virtual_hosts: BTreeSet<VirtualHost>,
}

impl AttachedRule<'_> {
    /// The filter configuration of the rule in these Envoy virtual hosts, one entry for each of its Envoy routes. `position`
    /// is the position of its canary in the configuration; it is ignored if the rule has no canary.
    pub fn configs(&self, hosts: Vec<String>, position: usize) -> impl Iterator<Item = config::RuleConfig> {
        let names = self.rule.envoy_names();
        names.map(move |name| self.rule.config(name, hosts.clone(), position))
    }

    /// Removes the session and the canary of the rule, on this gateway only.
    pub fn refuse(&mut self) {
        Rc::make_mut(&mut self.rule).refuse();
    }

    /// Removes the canary policy from the rule, on this gateway only.
    pub fn refuse_canary(&mut self) {
        Rc::make_mut(&mut self.rule).refuse_canary();
    }
}

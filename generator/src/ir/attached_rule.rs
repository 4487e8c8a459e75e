//! A rule on a gateway.

use std::{collections::BTreeSet, rc::Rc};

use mooring_policy::config;

use super::{rule::Rule, virtual_host::VirtualHost};

/// A rule on a gateway.
#[derive(Debug)]
pub struct AttachedRule<'a> {
    /// The rule.
    pub rule: Rc<Rule<'a>>,
    /// The virtual hosts in which it is.
    pub virtual_hosts: BTreeSet<VirtualHost>,
}

impl AttachedRule<'_> {
    /// What the filter is told about the rule, whose canary, if it has one, has this position.
    pub fn configs(&self, position: usize) -> impl Iterator<Item = config::RuleConfig> {
        let hosts: Vec<String> = self.virtual_hosts.iter().map(VirtualHost::name).collect();
        let names = self.rule.envoy_names();
        names.map(move |name| self.rule.config(name, hosts.clone(), position))
    }

    /// Takes sessions and canaries from the rule, on this gateway only.
    pub fn refuse(&mut self) {
        Rc::make_mut(&mut self.rule).refuse();
    }

    /// Takes the canary policy from the rule, on this gateway only.
    pub fn refuse_canary(&mut self) {
        Rc::make_mut(&mut self.rule).refuse_canary();
    }
}

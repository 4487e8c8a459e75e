//! Rules that are not yet known to be valid. Each collects its own errors, so that an error in one rule does not affect
//! the others.

use std::collections::BTreeMap;

use mooring_policy::{backend::Backend, rule::InvalidRule, session::Session};

use super::{
    backends,
    binding::match_scopes::Reach,
    checks::{rule_names, session_routes},
    session_matches,
};
use crate::{
    diagnostic::{Code, Diagnostic, Report},
    ir::Rule,
    kind::Kind,
    omissions::Omitted,
    resources::Resources,
};

/// A rule with the errors and warnings about it.
pub struct Draft<'a> {
    /// The rule.
    pub rule: Rule<'a>,
    /// The reach of the rule, or `None` if it is everywhere its route is.
    pub reach: Option<Reach>,
    /// The errors and warnings about the rule.
    pub found: Report,
    /// Whether any policy applies to the rule or is meant to.
    pub uses_mooring: bool,
}

impl<'a> Draft<'a> {
    /// Checks whether the rule can keep sessions and have canaries.
    pub fn check(&mut self, resources: &Resources) {
        let Self { rule, found, .. } = self;
        backends::check_for_sessions(rule, found);
        session_routes::check(rule, resources, found);
        if rule.is_managed() {
            session_matches::check(rule, found);
        }
    }

    /// Reports the findings and returns the rule, without session and canary if it has errors. If no policy applies to
    /// the rule, its errors are reported as harmless.
    pub fn finish(mut self, report: &mut Report) -> (Rule<'a>, Option<Reach>) {
        if !self.uses_mooring {
            report.extend_harmless(self.found);
            return (self.rule, self.reach);
        }
        if !self.found.forbids()
            && self.rule.is_managed()
            && let Err(invalid) = check_parts(&self.rule)
        {
            let message = format!("the filter would refuse the rule {}: {invalid}", self.rule.id);
            let location = self.rule.location_of(self.rule.spec);
            self.found.add(Diagnostic::error(Code::Invalid, message).at(location));
        }
        if self.found.forbids() || self.rule.is_refused() {
            // An invalid session of the rule itself has been reported for the route.
            match self.rule.refused.session {
                Some(Err(error)) if !self.found.has_errors() => {
                    self.found.omit_because(error, Omitted::Rule, &self.rule.id);
                }
                _ => self.found.omit(Omitted::Rule, &self.rule.id),
            }
            self.rule.refuse();
        }
        report.extend(self.found);
        (self.rule, self.reach)
    }

    /// Whether Envoy could confuse the rule with another rule of its route that has the same name or, as it, has none. Rules of a
    /// `VirtualService` on different proxies do not conflict.
    pub fn meets(&self, other: &Self) -> bool {
        match (&self.reach, &other.reach) {
            (None, None) => true,
            (Some(one), None) | (None, Some(one)) => !one.is_nowhere(),
            (Some(one), Some(other)) => one.meets(other),
        }
    }
}

/// Checks the backends and the session of a rule as the filter does.
fn check_parts(rule: &Rule) -> Result<(), InvalidRule> {
    for backend in rule.backend_configs() {
        Backend::new(&backend, &rule.id)?;
    }
    if let Some(session) = &rule.session {
        Session::new(&session.config, &rule.id)?;
    }
    Ok(())
}

/// Checks that the names of rules are valid and unique in a route (Gateway API: `SectionName`, CEL rule). If two rules
/// have the same name, the later one is left out, or, if only one of them uses Mooring, that one.
pub fn check_names(drafts: &mut [Draft]) {
    let mut seen: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for position in 0..drafts.len() {
        let Some(this) = drafts.get(position) else { continue };
        let (rule, uses_mooring) = (&this.rule, this.uses_mooring);
        let Some(name) = &rule.spec.value.name else { continue };
        // The names in a VirtualService matter only for rules that use Mooring.
        let counts = uses_mooring || rule.route.spec.kind != Kind::VirtualService;
        let wrong = rule_names::wrong_rule_name(rule).filter(|_| counts);
        let namesakes = seen.get(&name.value).into_iter().flatten();
        let mut namesakes = namesakes.filter_map(|other| Some((*other, drafts.get(*other)?)));
        let twice = namesakes.find(|(_, draft)| draft.meets(this));
        let twice = twice.map(|(other, draft)| {
            let victim = if draft.uses_mooring && !uses_mooring {
                other
            } else {
                position
            };
            (
                victim,
                rule_names::same_name(rule, &draft.rule),
                counts || draft.uses_mooring,
            )
        });
        seen.entry(name.value.clone()).or_default().push(position);
        if let (Some(diagnostic), Some(draft)) = (wrong, drafts.get_mut(position)) {
            draft.found.add(diagnostic);
        }
        if let Some((victim, diagnostic, true)) = twice
            && let Some(draft) = drafts.get_mut(victim)
        {
            draft.found.add(diagnostic);
        }
    }
}

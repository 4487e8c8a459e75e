//! Decides which `CanaryPolicy` applies to each rule.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use super::canary_backends;
use crate::{
    api::{
        canary::{CanaryRule, Rebalance, WhenWeightZero},
        field::Field,
    },
    canary::{self, Canary, Settings},
    conflict,
    diagnostic::{Code, Diagnostic, Report, Reported},
    id::Id,
    ir::{AttachedCanary, Backend, Routing, TargetedCanary},
    kind::Kind,
    location::SourceLocation,
    model::route,
    omissions::Omitted,
    resources::{Found, Instead, Resources},
    session::Session,
};

/// The help for a policy that is not meant for all rules.
const SECTION_HELP: &str = "to target one rule of the route, name it in the sectionName of targetRef";

/// The canary policies of the input, by their targets.
#[derive(Debug)]
pub struct Canaries<'a> {
    by_route: BTreeMap<(Kind, Id), Vec<TargetedCanary<'a>>>,
}

/// A rule that a policy may apply to.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The kind of the route.
    pub kind: Kind,
    /// The objects that the rule belongs to, with its name in each. The most specific object is first, the route last.
    pub sections: &'a [(&'a Id, Option<&'a str>)],
    /// Whether the rule has a name, so that its name in Envoy does not depend on its position.
    pub named: bool,
    /// What messages call the rule.
    pub title: &'a str,
    /// The location of the rule.
    pub location: SourceLocation,
    /// Whether the rule names any backend.
    pub has_backends: bool,
}

/// The backends of a rule, and those of all rules of its route.
#[derive(Clone, Copy, Debug)]
pub struct RouteBackends<'b, 'a> {
    /// The backends of the rule.
    pub own: &'b [Backend<'a>],
    /// The backends of all rules, rule by rule.
    pub all: &'b [Vec<Backend<'a>>],
}

impl<'a> Canaries<'a> {
    /// Reads the policies. Reports targets that are not in the input.
    pub fn new(resources: &'a Resources, report: &mut Report) -> Self {
        Self::of(resources.canary_policies.iter().map(|item| &item.id), resources, report)
    }

    /// The same for these policies.
    pub fn of<'i>(ids: impl IntoIterator<Item = &'i Id>, resources: &'a Resources, report: &mut Report) -> Self {
        let mut by_route: BTreeMap<_, Vec<TargetedCanary>> = BTreeMap::new();
        let items = ids.into_iter().filter_map(|id| resources.canary_policies.get(id));
        for policy in canary::policies(items, report) {
            let found = check_target(&policy, resources, report);
            if !found {
                report.omit(Omitted::Policy, policy.item.name(Kind::CanaryPolicy));
            }
            let route = (policy.target_kind, policy.target.value.clone());
            by_route.entry(route).or_default().push(TargetedCanary {
                policy,
                target_found: found,
            });
        }
        Self { by_route }
    }

    /// All policies whose targets are routes.
    pub fn into_policies(self) -> Vec<TargetedCanary<'a>> {
        self.by_route.into_values().flatten().collect()
    }

    /// Applies the policy of a rule. `session` is the session that the rule already has. `None` if no policy applies.
    pub fn apply(
        &self,
        target: Target,
        session: Option<&Result<Session, Reported>>,
        backends: RouteBackends,
        report: &mut Report,
    ) -> Option<AttachedCanary> {
        let policy = self.accepted(target, report)?;
        let settings = policy.settings.as_ref().ok()?;
        if !target.has_backends && policy.section.is_none() && backends.all.iter().any(|backends| !backends.is_empty())
        {
            report.add(passed_over(policy, target, "leads to no backend"));
            return None;
        }
        if let (Some(Ok(session)), Some(sticky)) = (session, &settings.sticky) {
            let message = format!(
                "sticky of {} has no effect on {}, which already has a session policy: that policy binds clients to a \
                 pod and therefore to its backend",
                policy.title(),
                target.title
            );
            let warning = Diagnostic::warning(Code::NoEffect, message).at(sticky.locations.whole);
            report.add(warning.with(session.locations.whole, "the session policy"));
        }
        let routing = routing(policy, settings, target, backends, report);
        let keeps_sessions = session.is_some() || settings.sticky.is_some();
        let spec = &policy.item.spec;
        let mut of_sessions = OfSessions {
            policy,
            target,
            keeps_sessions,
            report,
        };
        let when_weight_zero = of_sessions.field("whenWeightZero", spec.when_weight_zero.as_ref());
        let rebalance = of_sessions.field("rebalance", spec.rebalance.as_ref());
        let version_label = of_sessions.field("versionLabel", spec.version_label.as_ref());
        let about_sessions =
            settings.sticky.is_some() || when_weight_zero.is_some() || rebalance.is_some() || version_label.is_some();
        if matches!(routing, Ok(None)) && !about_sessions && policy.section.is_none() {
            return None;
        }
        Some(AttachedCanary {
            policy: policy.item.id.clone(),
            of_section: policy.section.is_some(),
            target: policy.target.value.clone(),
            sticky: settings.sticky.clone().filter(|_| session.is_none()),
            releases: when_weight_zero.is_some_and(|field| field.value == WhenWeightZero::Release),
            rebalances: rebalance.is_some_and(|field| field.value == Rebalance::OnWeightIncrease),
            version_label: version_label.map(|field| policy.item.spanned(field)),
            routing,
        })
    }

    /// The policy that is accepted for a rule. Reports the policies that lose against it.
    fn accepted(&self, target: Target, report: &mut Report) -> Option<&Canary<'a>> {
        let mut accepted: Option<&Canary> = None;
        for (object, section) in target.sections {
            let Some(on_object) = self.by_route.get(&(target.kind, (*object).clone())) else {
                continue;
            };
            // An invalid policy does not take part (GEP-713).
            let valid = || {
                on_object
                    .iter()
                    .filter(|entry| entry.policy.settings.is_ok())
                    .map(|entry| &entry.policy)
            };
            let of_section = valid().filter(|policy| {
                let wanted = policy.section.as_ref();
                wanted.is_some_and(|wanted| Some(wanted.value.as_str()) == *section)
            });
            let whole = valid().filter(|policy| policy.section.is_none());
            let of_section = conflict::resolve(of_section.collect(), &format!("targets {} too", target.title), report);
            let whole = conflict::resolve(
                whole.collect(),
                &format!("targets {} {object} too", target.kind),
                report,
            );
            for policy in [of_section, whole].into_iter().flatten() {
                match accepted {
                    None => accepted = Some(policy),
                    Some(special) => report.add(more_specific(target, special, policy)),
                }
            }
        }
        accepted
    }
}

/// The note that one policy is more specific than another.
fn more_specific(target: Target, special: &Canary, general: &Canary) -> Diagnostic {
    let reason = if special.target.value == general.target.value {
        "a policy with a sectionName is more specific than one for the whole route"
    } else {
        "a policy for a delegate is more specific than one for a VirtualService that delegates to it"
    };
    let message = format!(
        "{} applies to {} instead of {}: {reason}",
        special.title(),
        target.title,
        general.title()
    );
    let note = Diagnostic::note(Code::Accepted, message).at(special.item.location());
    note.with(general.item.location(), "this policy applies to the other rules")
}

/// Whether the target of a policy is in the input. Reports a missing target. A target that could not be read counts as
/// found.
fn check_target(policy: &Canary, resources: &Resources, report: &mut Report) -> bool {
    let route = match resources.routes_of(policy.target_kind).find(&policy.target.value) {
        Found::Item(route) => route,
        Found::Unknown => {
            report.miss(policy.target_kind, &policy.target.value);
            return true;
        }
        Found::Nothing(instead) => {
            missing(policy, &instead, report);
            return false;
        }
    };
    let name = |rule: &'_ route::Rule| Some(rule.name.as_ref()?.value.clone());
    let names: Vec<String> = route.spec.rules.iter().filter_map(|rule| name(&rule.value)).collect();
    let Some(section) = policy
        .section
        .as_ref()
        .filter(|section| !names.contains(&section.value))
    else {
        return true;
    };
    let names: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    let known: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    let known = if known.is_empty() {
        "none of its rules has a name".to_owned()
    } else {
        format!("its rules are called {}", known.join(", "))
    };
    let message = format!(
        "{} {} has no rule with the name `{}`; {known}",
        policy.target_kind, policy.target.value, section.value
    );
    let diagnostic = Diagnostic::error(Code::TargetNotFound, message).at(section.location);
    report.add(diagnostic.help_similar(crate::suggest::find(&section.value, names)));
    false
}

fn missing(policy: &Canary, instead: &Instead, report: &mut Report) {
    let message = format!(
        "{} targets the {} {}, which is not in the input",
        policy.title(),
        policy.target_kind,
        policy.target.value
    );
    let diagnostic = Diagnostic::error(Code::TargetNotFound, message).at(policy.target.location);
    report.add(diagnostic.instead(instead));
}

/// The note that a policy for the whole route does not apply to a rule, or only in part.
fn passed_over(policy: &Canary, target: Target, reason: &str) -> Diagnostic {
    let message = format!(
        "{} targets the whole {} {} but skips {}, which {reason}",
        policy.title(),
        target.kind,
        policy.target.value,
        target.title
    );
    let note = Diagnostic::note(Code::NoEffect, message).at(target.location);
    note.with(policy.target.location, "the policy").help(SECTION_HELP)
}

/// The fields of a policy that concern the sessions of a rule, whichever policy keeps them.
struct OfSessions<'p, 'a> {
    policy: &'p Canary<'a>,
    target: Target<'p>,
    keeps_sessions: bool,
    report: &'p mut Report,
}

impl OfSessions<'_, '_> {
    /// The field of this name. If the rule keeps no sessions, reports that the field has no effect.
    fn field<'f, T>(&mut self, name: &str, field: Option<&'f Field<T>>) -> Option<&'f Field<T>> {
        let Self { policy, target, .. } = self;
        let field = field?;
        if self.keeps_sessions {
            return Some(field);
        }
        if policy.section.is_none() {
            let reason = format!("keeps no sessions, with {name}");
            self.report.add(passed_over(policy, *target, &reason));
        } else {
            let message = format!(
                "{name} of {} has no effect on {}, which keeps no sessions",
                policy.title(),
                target.title
            );
            let warning = Diagnostic::warning(Code::NoEffect, message).at(policy.item.location_of(field));
            self.report.add(warning.with(target.location, "the rule"));
        }
        None
    }
}

/// The canary of a rule. If the policy targets the whole route, a route rule may lack a backend of the policy, but a
/// backend that no rule has is an error.
fn routing(
    policy: &Canary,
    settings: &Settings,
    target: Target,
    backends: RouteBackends,
    report: &mut Report,
) -> Result<Option<Routing>, Reported> {
    let mut keys = Vec::new();
    for rule in &policy.item.spec.rules {
        keys.push(backend_key(policy, &rule.value, target, backends, report));
    }
    let keys = keys.into_iter().collect::<Result<Vec<Option<String>>, Reported>>()?;
    let compiled = Rc::clone(&settings.compiled);
    // A policy that only keeps sessions adds no canary.
    let adds = compiled.config.hash_on.is_some() || keys.iter().any(Option::is_some);
    Ok(adds.then_some(Routing {
        compiled,
        backends: keys,
    }))
}

/// The key of the backend of a canary rule. `None` if the route rule lacks the backend and this is not an error.
fn backend_key(
    policy: &Canary,
    rule: &CanaryRule,
    target: Target,
    backends: RouteBackends,
    report: &mut Report,
) -> Result<Option<String>, Reported> {
    let (problem, location) = match canary_backends::find(policy, rule, backends.own) {
        Ok(backend) => return Ok(Some(backend.key())),
        // The references of the route rule are invalid and have been reported.
        Err(_) if backends.own.is_empty() => return Ok(None),
        Err(not_found) => not_found,
    };
    if policy.section.is_none() && canary_backends::any_has(policy, rule, backends.all) {
        let reason = format!("{problem}, with the canary rule `{}`", rule.name.value);
        report.add(passed_over(policy, target, &reason));
        return Ok(None);
    }
    let location = location.unwrap_or(policy.item.location_of(&rule.name));
    let error = Diagnostic::error(Code::BackendNotFound, format!("{} {problem}", target.title));
    let error = error.at(location).with(target.location, "the rule");
    Err(report.reject(if policy.section.is_none() && target.named {
        error.help(SECTION_HELP)
    } else {
        error
    }))
}

//! Which `CanaryPolicy` holds for which rule, and which of the rule's backends it means.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{binding::istio, destinations};
use crate::{
    api::{
        canary::{CanaryRule, Destination, WhenWeightZero},
        field::Field,
    },
    attachment::established,
    canary::{self, Canary},
    diagnostic::{Code, Diagnostic, Report},
    id::Id,
    ir::{AttachedCanary, Backend, Routing, TargetedCanary},
    kind::Kind,
    location::SourceLocation,
    model::route::{self, RouteSpec},
    omissions::Omitted,
    resources::{Found, Instead, Item, Resources},
    session::SessionPolicy,
};

/// What to do about a policy that is not meant for all rules.
const SECTION_HELP: &str = "to mean one rule of the route, name it in the sectionName of targetRef";

/// The canary policies of the input, by their targets.
#[derive(Debug)]
pub struct Canaries<'a> {
    by_route: BTreeMap<(Kind, Id), Vec<TargetedCanary<'a>>>,
}

/// A rule to which a policy may apply.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// What the route is.
    pub kind: Kind,
    /// The objects that it belongs to, with its name in each, if it has one; the most specific first, the route last.
    pub sections: &'a [(&'a Id, Option<&'a str>)],
    /// Whether it has a name in Envoy that is not its position.
    pub named: bool,
    /// What messages call the rule.
    pub title: &'a str,
    /// Where it stands.
    pub location: SourceLocation,
    /// Whether requests go to any backend.
    pub leads_on: bool,
}

/// The backends of a rule, and those of all rules of its route.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'b, 'a> {
    /// Of the rule.
    pub own: &'b [Backend<'a>],
    /// Of all of them, rule by rule.
    pub all: &'b [Vec<Backend<'a>>],
}

impl<'a> Canaries<'a> {
    /// Reads the policies. Targets that are not there are reported.
    pub fn new(resources: &'a Resources, report: &mut Report) -> Self {
        let mut by_route: BTreeMap<_, Vec<TargetedCanary>> = BTreeMap::new();
        for policy in canary::policies(resources, report) {
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

    /// What becomes of a rule that has this session policy already, if any. None: no policy holds for it.
    pub fn apply(
        &self,
        target: Target,
        session: Option<&SessionPolicy>,
        choice: Choice,
        report: &mut Report,
    ) -> Option<AttachedCanary> {
        let policy = self.of(target, report)?;
        if !target.leads_on && policy.section.is_none() && choice.all.iter().any(|backends| !backends.is_empty()) {
            report.add(passed_over(policy, target, "leads to no backend"));
            return None;
        }
        if let (Some(session), Some(sticky)) = (session, &policy.sticky) {
            let message = format!(
                "sticky of {} adds nothing to {}, which has a session policy already: that one binds clients to a pod, and \
                 so to its backend",
                policy.title(),
                target.title
            );
            let warning = Diagnostic::warning(Code::NoEffect, message).at(sticky.location);
            report.add(warning.with(session.location, "the session policy"));
        }
        let (routing, sound) = routing(policy, target, choice, report);
        let keeps_sessions = session.is_some() || policy.sticky.is_some();
        let when_weight_zero = when_weight_zero(policy, target, keeps_sessions, report);
        let about_sessions = policy.sticky.is_some() || when_weight_zero.is_some();
        if sound && routing.is_none() && !about_sessions && policy.section.is_none() {
            return None;
        }
        Some(AttachedCanary {
            policy: policy.item.id.clone(),
            of_section: policy.section.is_some(),
            target: policy.target.value.clone(),
            sticky: policy.sticky.clone().filter(|_| session.is_none()),
            releases: when_weight_zero == Some(WhenWeightZero::Release),
            routing,
            sound,
        })
    }

    /// The policy that holds for a rule. Those that give way are reported.
    fn of(&self, target: Target, report: &mut Report) -> Option<&Canary<'a>> {
        // What has no name cannot be found in Envoy: of a VirtualService only the named routes are meant.
        let reached = target.kind != Kind::VirtualService || target.named;
        let mut holding: Option<&Canary> = None;
        for (object, section) in target.sections {
            let Some(on_object) = self.by_route.get(&(target.kind, (*object).clone())) else {
                continue;
            };
            // A policy that is wrong does not take part (GEP-713).
            let valid = || {
                on_object
                    .iter()
                    .filter(|entry| entry.policy.valid)
                    .map(|entry| &entry.policy)
            };
            let of_section = valid().filter(|policy| {
                let wanted = policy.section.as_ref();
                wanted.is_some_and(|wanted| Some(wanted.value.as_str()) == *section)
            });
            let whole = valid().filter(|policy| policy.section.is_none() && reached);
            let of_section = established(of_section.collect(), &format!("targets {} too", target.title), report);
            let whole = established(
                whole.collect(),
                &format!("targets {} {object} too", target.kind),
                report,
            );
            for policy in [of_section, whole].into_iter().flatten() {
                match holding {
                    None => holding = Some(policy),
                    Some(special) => report.add(more_specific(target, special, policy)),
                }
            }
        }
        holding
    }
}

/// What is said where one policy is more specific than another.
fn more_specific(target: Target, special: &Canary, general: &Canary) -> Diagnostic {
    let reason = if special.target.value == general.target.value {
        "a policy with a sectionName is more specific than one for the whole route"
    } else {
        "a policy for a delegate is more specific than one for a VirtualService that delegates to it"
    };
    let message = format!(
        "for {} {} holds and not {}: {reason}",
        target.title,
        special.title(),
        general.title()
    );
    let note = Diagnostic::note(Code::Accepted, message).at(special.item.location());
    note.with(general.item.location(), "this one holds for the other rules")
}

/// Whether what a policy targets is there, as far as can be known. What is not is reported.
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
    if policy.section.is_none() && policy.target_kind == Kind::VirtualService {
        return check_unnamed(policy, route, resources, report);
    }
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

/// What becomes of the routes without a name of a `VirtualService` that is targeted as a whole. Whether any has a name.
fn check_unnamed(policy: &Canary, route: &Item<RouteSpec>, resources: &Resources, report: &mut Report) -> bool {
    // The names of a delegate's routes are made of those of the routes that delegate to it.
    let all: Vec<&Field<route::Rule>> = if resources.delegations.is_used(&route.id) {
        resources.delegations.of_delegate(&route.id).collect()
    } else {
        let own = resources
            .rules_of(route)
            .into_iter()
            .filter(|rule| rule.delegated.is_none());
        own.map(|rule| rule.rule).collect()
    };
    let meant = |rule: &route::Rule| !istio::is_of_mesh(rule) && !rule.destinations.is_empty();
    let rules = || all.iter().filter(|rule| meant(&rule.value));
    let unnamed = || rules().filter(|rule| rule.value.name.is_none());
    let Some(first) = unnamed().next() else { return true };
    let delegates = resources.rules_of(route).iter().any(|rule| rule.delegated.is_some());
    let all = unnamed().count() == rules().count() && !delegates;
    let diagnostic = if all {
        let message = format!(
            "{} targets {}, and none of its http routes has a name: routes are found in Envoy by their names",
            policy.title(),
            route.title()
        );
        Diagnostic::error(Code::TargetNotFound, message)
    } else {
        let message = format!(
            "{} holds for the named http routes of {}, and this one has no name",
            policy.title(),
            route.title()
        );
        Diagnostic::warning(Code::NoEffect, message)
    };
    let diagnostic = diagnostic
        .at(route.location_of(first))
        .with(policy.target.location, "the policy");
    report.add(diagnostic.help("add a name that no other route on the gateway has, such as `- name: reviews`"));
    !all
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

/// What is said of a rule for which a policy for the whole route does not hold, or not in full.
fn passed_over(policy: &Canary, target: Target, reason: &str) -> Diagnostic {
    let message = format!(
        "{} targets the whole {} {} and passes over {}, which {reason}",
        policy.title(),
        target.kind,
        policy.target.value,
        target.title
    );
    let note = Diagnostic::note(Code::NoEffect, message).at(target.location);
    note.with(policy.target.location, "the policy").help(SECTION_HELP)
}

/// What becomes of the sessions on a backend of weight 0, if the policy says so. Where the rule keeps no sessions, that is
/// reported.
fn when_weight_zero(
    policy: &Canary,
    target: Target,
    keeps_sessions: bool,
    report: &mut Report,
) -> Option<WhenWeightZero> {
    let field = policy.item.spec.when_weight_zero.as_ref()?;
    if keeps_sessions {
        return Some(field.value);
    }
    if policy.section.is_none() {
        report.add(passed_over(policy, target, "keeps no sessions, with whenWeightZero"));
    } else {
        let message = format!(
            "whenWeightZero of {} has no effect on {}, which keeps no sessions",
            policy.title(),
            target.title
        );
        let warning = Diagnostic::warning(Code::NoEffect, message).at(policy.item.location_of(field));
        report.add(warning.with(target.location, "the rule"));
    }
    None
}

/// What the filter is told about the canaries of a rule, and whether nothing is wrong with it. Where a policy is for the whole
/// route, some of its rules may lack a backend; one that no rule has is an error.
fn routing(policy: &Canary, target: Target, choice: Choice, report: &mut Report) -> (Option<Routing>, bool) {
    let Some(compiled) = &policy.compiled else {
        return (None, false);
    };
    let mut sound = true;
    let mut backend = |rule: &CanaryRule| match find(policy, rule, choice.own) {
        Ok(backend) => Some(backend.key()),
        // Its own references lead nowhere, which has been reported.
        Err(_) if choice.own.is_empty() => None,
        Err((problem, _)) if policy.section.is_none() && any_has(policy, rule, choice.all) => {
            let reason = format!("{problem}, with the canary rule `{}`", rule.name.value);
            report.add(passed_over(policy, target, &reason));
            None
        }
        Err((problem, location)) => {
            let location = location.unwrap_or(policy.item.location_of(&rule.name));
            let diagnostic = Diagnostic::error(Code::BackendNotFound, format!("{} {problem}", target.title));
            let diagnostic = diagnostic.at(location).with(target.location, "the rule");
            sound = false;
            report.add(if policy.section.is_none() && target.named {
                diagnostic.help(SECTION_HELP)
            } else {
                diagnostic
            });
            None
        }
    };
    let rules = policy.item.spec.rules.iter();
    let backends: Vec<Option<String>> = rules.map(|rule| backend(&rule.value)).collect();
    // A policy that only keeps sessions adds nothing here.
    let says = compiled.config.hash_on.is_some() || backends.iter().any(Option::is_some);
    let routing = Routing {
        compiled: Arc::clone(compiled),
        backends,
    };
    (says.then_some(routing), sound)
}

/// Whether some rule of the route has the backend that a canary rule means.
fn any_has(policy: &Canary, rule: &CanaryRule, all: &[Vec<Backend>]) -> bool {
    all.iter().any(|backends| find(policy, rule, backends).is_ok())
}

type NotFound = (String, Option<SourceLocation>);

/// The backend that a canary rule means.
fn find<'b, 'a>(policy: &Canary, rule: &CanaryRule, backends: &'b [Backend<'a>]) -> Result<&'b Backend<'a>, NotFound> {
    if let Some(destination) = &rule.destination {
        return find_destination(policy, destination, backends);
    }
    let Some(reference) = &rule.backend_ref else {
        return Err(("has no backend".to_owned(), None));
    };
    let raw = &reference.value;
    let namespace = raw
        .namespace
        .as_ref()
        .map_or(&policy.item.id.namespace, |field| &field.value);
    let service = Id::new(namespace, &raw.name.value);
    let named = backends.iter().filter(|backend| backend.service.id == service);
    let named: Vec<&Backend> = named
        .filter(|backend| {
            raw.port
                .as_ref()
                .is_none_or(|port| port.value == backend.port.port.value)
        })
        .collect();
    let location = Some(policy.item.location_of(&raw.name));
    let port = raw
        .port
        .as_ref()
        .map_or(String::new(), |port| format!(" on port {}", port.value));
    let known: Vec<String> = backends.iter().map(|backend| format!("`{}`", backend.key())).collect();
    let known = known.join(", ");
    match named.as_slice() {
        [one] => Ok(one),
        [] => Err((format!("has no backend {service}{port}; it has {known}"), location)),
        _ => Err((
            format!("has several backends {service}, so the port is needed; it has {known}"),
            location,
        )),
    }
}

/// The destination that a canary rule means.
fn find_destination<'b, 'a>(
    policy: &Canary,
    destination: &Field<Destination>,
    backends: &'b [Backend<'a>],
) -> Result<&'b Backend<'a>, NotFound> {
    let raw = &destination.value;
    let meant = |backend: &&Backend| destinations::means(raw, &policy.item.id.namespace, backend);
    let meant: Vec<&Backend> = backends.iter().filter(meant).collect();
    let known: Vec<String> = backends.iter().map(|backend| format!("`{}`", backend.key())).collect();
    let known = known.join(", ");
    let subset = raw.subset.as_ref();
    let subset = subset.map_or(String::new(), |subset| format!(" with the subset {}", subset.value));
    let port = raw.port.as_ref();
    let port = port.map_or(String::new(), |port| format!(" on port {}", port.value.number.value));
    let full_name = |backend: &Backend| backend.domain.full_name(&raw.host.value, &policy.item.id.namespace);
    let host = backends.first().map_or_else(|| raw.host.value.clone(), full_name);
    let location = Some(policy.item.location_of(raw.subset.as_ref().unwrap_or(&raw.host)));
    match meant.as_slice() {
        [one] => Ok(one),
        [] => Err((
            format!("has no destination {host}{subset}{port}; it has {known}"),
            location,
        )),
        _ => Err((
            format!("has several destinations {host}{subset}, so the port is needed; it has {known}"),
            location,
        )),
    }
}

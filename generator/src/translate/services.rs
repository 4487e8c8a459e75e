//! Decides which policy of its Services applies to a rule, and which of its fields (GEP-1619). A route may use a
//! Service of another namespace, whose owners must not control the sessions of the route.
//!
//! `crate::attachment` resolves conflicts on one Service.

use mooring_policy::config::CookieConfig;

use crate::{
    api::field::Field,
    attachment::Attachments,
    conflict,
    diagnostic::{Code, Diagnostic, Report},
    ir::Backend,
    location::SourceLocation,
    model::route::{self, RouteSpec},
    policies::Policy,
    resources::Item,
    session::{DEFAULT_NAME, Session},
};

/// The session that the policies of a rule's Services set for the rule.
///
/// A policy in the namespace of the route applies to the whole rule, even if it targets only some of its Services. This
/// is the first of the three options that GEP-1619 allows. A policy in another namespace applies only if no policy in
/// the namespace of the route does, and if all backends that get new sessions have it.
pub fn attached(
    route: &Item<RouteSpec>,
    spec: &Field<route::Rule>,
    backends: &[Backend],
    attachments: &Attachments,
    report: &mut Report,
) -> Option<Session> {
    let location = route.location_of(spec);
    let mut own: Vec<&Policy> = Vec::new();
    let mut foreign: Vec<&Policy> = Vec::new();
    for backend in backends {
        let policy = backend.service_id().and_then(|service| attachments.of(service));
        let Some(policy) = policy else { continue };
        let policies = if policy.id.namespace == route.id.namespace {
            &mut own
        } else {
            &mut foreign
        };
        if !policies.iter().any(|other| std::ptr::eq(*other, policy)) {
            policies.push(policy);
        }
    }
    let about = format!("applies to another backend of this rule of {}", route.title());
    let Some(policy) = conflict::resolve(own, &about, report) else {
        return from_elsewhere(route, location, backends, &foreign, attachments, report);
    };
    for loser in foreign.iter().filter(|loser| loser.session().is_some()) {
        let message = format!(
            "{} is not accepted: {} {about}, and is in the namespace of the route",
            loser.title(),
            policy.title()
        );
        let warning = Diagnostic::warning(Code::Conflicted, message).at(loser.location);
        report.add(warning.with(policy.location, "this policy applies"));
    }
    let attached = |backend: &&Backend| {
        backend
            .service_id()
            .and_then(|service| attachments.of(service))
            .is_some()
    };
    let without = backends.iter().filter(|backend| !attached(backend));
    let without: Vec<String> = without.map(|backend| backend.service.id.to_string()).collect();
    if !without.is_empty() {
        let message = format!(
            "{} applies to all backends of this rule, including {}, which it does not target: a session needs one \
             policy for the whole rule",
            policy.title(),
            without.join(", ")
        );
        let diagnostic = Diagnostic::warning(Code::Accepted, message).at(location);
        report.add(diagnostic.with(policy.location, "the policy"));
    }
    policy.session().cloned()
}

/// The session of a policy in another namespace that applies to a rule. Reports the policies that do not apply.
fn from_elsewhere<'a>(
    route: &Item<RouteSpec>,
    location: SourceLocation,
    backends: &[Backend],
    policies: &[&'a Policy],
    attachments: &Attachments<'a>,
    report: &mut Report,
) -> Option<Session> {
    let mut holding = None;
    for policy in policies.iter().filter(|policy| policy.session().is_some()) {
        let chosen = || backends.iter().filter(|backend| backend.weight > 0);
        let without = without(policy, chosen(), attachments);
        if without.is_empty() && chosen().next().is_some() {
            holding = Some(*policy);
            continue;
        }
        let reason = if without.is_empty() {
            "no backend has a weight above 0".to_owned()
        } else {
            format!("{} of this rule does not have it", without.join(", "))
        };
        let message = format!(
            "{} does not apply to this rule of {}: a policy in another namespace than the route applies only if every \
             backend with a weight above 0 has it, and {reason}",
            policy.title(),
            route.title()
        );
        let warning = Diagnostic::warning(Code::NoEffect, message).at(location);
        report.add(warning.with(policy.location, "the policy"));
    }
    let policy = holding?;
    let mut session = policy.session()?.clone();
    leave_to_owner(&mut session, policy, route, report);
    Some(session)
}

/// The backends that do not have a policy.
fn without<'b>(
    policy: &Policy,
    backends: impl Iterator<Item = &'b Backend<'b>>,
    attachments: &Attachments,
) -> Vec<String> {
    let has = |backend: &&Backend| {
        let attached = backend.service_id().and_then(|service| attachments.of(service));
        attached.is_some_and(|attached| std::ptr::eq(attached, policy))
    };
    let without = backends.filter(|backend| !has(backend));
    without.map(|backend| backend.service.id.to_string()).collect()
}

/// Resets the fields that only the owner of a route may set: which cookie or header carries the token, whether a request
/// fails if its pod is gone, and whether sessions follow their version to another backend.
fn leave_to_owner(session: &mut Session, policy: &Policy, route: &Item<RouteSpec>, report: &mut Report) {
    let CookieConfig { domain, path, .. } = CookieConfig::default();
    let Session {
        config,
        locations,
        version_label,
        ..
    } = session;
    let reset = [
        ("the session name", "name", locations.get("name").is_some()),
        ("the cookie's Domain", "domain", config.cookie.domain != domain),
        ("the cookie's Path", "path", config.cookie.path != path),
        ("strict", "strict", config.strict),
        ("the version label", "versionLabel", version_label.is_some()),
    ];
    DEFAULT_NAME.clone_into(&mut config.name);
    config.cookie.domain = domain;
    config.cookie.path = path;
    config.strict = false;
    *version_label = None;
    for (what, field, is_set) in reset {
        let location = locations.get_or_whole(field);
        locations.remove(field);
        if !is_set {
            continue;
        }
        let message = format!(
            "{what} that {} sets is ignored for {}: the policy is in another namespace than the route, so the default \
             applies",
            policy.title(),
            route.title()
        );
        let help = format!(
            "set it in a sessionPersistence of the route or in a policy in the namespace {}",
            route.id.namespace
        );
        report.add(Diagnostic::warning(Code::NoEffect, message).at(location).help(help));
    }
}

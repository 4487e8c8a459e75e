//! The validation as JSON, for programs. `docs/validation.md` documents the format. Fields may be added but are never
//! removed.

use std::collections::HashMap;

use serde_json::{Value, json as value};

use super::status::{BackendStatus, CanaryStatus, Condition, PolicyStatus, RuleStatus, Validation};
use crate::{
    diagnostic::{Diagnostic, Report, Severity},
    emit::target::Target,
    id::Id,
    location::SourceLocation,
    source::Sources,
};

/// The version of the format.
const VERSION: u32 = 1;

/// Renders validations of one input as JSON. A policy or rule that has the same status for several targets is listed once.
#[must_use]
pub fn json(validations: &[Validation], report: &Report, sources: &Sources) -> String {
    let policies = validations.iter().map(|validation| {
        let policies = validation.policies.iter().map(|status| policy(status, sources));
        (validation.target, policies.collect())
    });
    let rules = validations.iter().map(|validation| {
        let rules = validation.rules.iter().map(|status| rule(status, sources));
        (validation.target, rules.collect())
    });
    let targets: Vec<Target> = validations.iter().map(|validation| validation.target).collect();
    let findings = report.sorted();
    let findings: Vec<Value> = findings.iter().map(|found| finding(found, &targets, sources)).collect();
    let left_out = report.omissions().iter().map(|(what, name, error)| {
        let place = error.and_then(|error| error.location);
        value!({
            "type": what.name(),
            "name": name,
            "code": error.map(|error| error.code.name()),
            "location": place.map(|place| location(place, sources)),
        })
    });
    let mut whole = value!({
        "version": VERSION,
        "valid": !report.has_errors(),
        "forTargets": names(&targets),
        "policies": merged(policies),
        "rules": merged(rules),
        "leftOut": left_out.collect::<Vec<Value>>(),
        "findings": findings,
    });
    whole.sort_all_objects();
    format!("{whole:#}\n")
}

/// The objects of each target, equal ones once, with the targets of each.
fn merged(of_targets: impl Iterator<Item = (Target, Vec<Value>)>) -> Vec<Value> {
    let mut merged: Vec<(Value, Vec<Target>)> = Vec::new();
    let mut positions: HashMap<String, usize> = HashMap::new();
    for (target, objects) in of_targets {
        for object in objects {
            let next = merged.len();
            let position = *positions.entry(object.to_string()).or_insert(next);
            match merged.get_mut(position) {
                Some((_, targets)) => targets.push(target),
                None => merged.push((object, vec![target])),
            }
        }
    }
    let with_targets = |(mut object, targets): (Value, Vec<Target>)| {
        if let Some(fields) = object.as_object_mut() {
            fields.insert("forTargets".to_owned(), names(&targets).into());
        }
        object
    };
    merged.into_iter().map(with_targets).collect()
}

fn names(targets: &[Target]) -> Vec<&'static str> {
    targets.iter().map(|target| target.name()).collect()
}

fn policy(status: &PolicyStatus, sources: &Sources) -> Value {
    let targets = status.targets.iter().map(|target| {
        let rules = target
            .rules
            .iter()
            .map(|(id, found)| with_condition(value!({ "id": id }), found));
        let mut fields = value!({
            "kind": target.kind.to_string(),
            "namespace": target.id.namespace,
            "name": target.id.name,
            "rules": rules.collect::<Vec<Value>>(),
        });
        if let (Some(fields), Some(section)) = (fields.as_object_mut(), &target.section) {
            fields.insert("sectionName".to_owned(), section.as_str().into());
        }
        with_condition(fields, &target.condition)
    });
    let whole = if status.targets.is_empty() {
        Condition::Invalid.reason()
    } else {
        overall(status)
    };
    value!({
        "kind": status.kind.to_string(),
        "namespace": status.id.namespace,
        "name": status.id.name,
        "condition": whole,
        "location": status.location.map(|found| location(found, sources)),
        "targets": targets.collect::<Vec<Value>>(),
    })
}

/// The condition of the whole policy: accepted if it is accepted on any target, otherwise the condition on the first
/// target.
fn overall(status: &PolicyStatus) -> &'static str {
    let conditions = || status.targets.iter().map(|target| &target.condition);
    let accepted = conditions().find(|condition| **condition == Condition::Accepted);
    accepted
        .or_else(|| conditions().next())
        .map_or("Invalid", Condition::reason)
}

fn with_condition(mut fields: Value, condition: &Condition) -> Value {
    if let Some(fields) = fields.as_object_mut() {
        fields.insert("condition".to_owned(), condition.reason().into());
        let other = match condition {
            Condition::Conflicted(Some(other)) => Some(("conflictsWith", other)),
            Condition::Overridden(Some(other)) => Some(("overriddenBy", other)),
            _ => None,
        };
        fields.extend(other.map(|(field, other)| (field.to_owned(), other.as_str().into())));
    }
    fields
}

fn rule(status: &RuleStatus, sources: &Sources) -> Value {
    let (kind, id) = &status.route;
    let gateways = status
        .gateways
        .iter()
        .map(|gateway| value!({ "namespace": gateway.namespace, "name": gateway.name }));
    let callers = status.callers.iter();
    let callers = callers.map(|pods| value!({ "namespace": pods.namespace, "labels": pods.labels }));
    let named = |id: &Id| value!({ "namespace": id.namespace, "name": id.name });
    let waypoints = status.waypoints.iter();
    let waypoints =
        waypoints.map(|(waypoint, service)| value!({ "waypoint": named(waypoint), "service": named(service) }));
    let session = status.valid_session();
    let policy = session.and_then(|session| session.policy.as_ref());
    let policy = policy.map(|(kind, id)| {
        value!({
            "kind": kind.to_string(),
            "namespace": id.namespace,
            "name": id.name,
        })
    });
    let canary_policy = status.canary.as_ref().map(|canary| named(&canary.policy));
    let canary = status.canary.as_ref().and_then(canary);
    let backends = status.backends.iter().map(backend);
    value!({
        "id": status.id,
        "route": { "kind": kind.to_string(), "namespace": id.namespace, "name": id.name },
        "location": location(status.location, sources),
        "gateways": gateways.collect::<Vec<Value>>(),
        "callers": callers.collect::<Vec<Value>>(),
        "waypoints": waypoints.collect::<Vec<Value>>(),
        "policy": policy,
        "canaryPolicy": canary_policy,
        "canary": canary,
        "backends": backends.collect::<Vec<Value>>(),
        "condition": status.condition.reason(),
        "session": session.map(|session| &session.config),
        "sessionRoutes": status.session_routes,
        "rebalance": status.rebalances,
        "strict": session.is_some_and(|session| session.config.strict),
    })
}

fn backend(status: &BackendStatus) -> Value {
    value!({
        "key": status.key,
        "weight": status.weight,
        "percent": f64::from(status.share) / 10.0,
        "released": status.released,
        "version": status.version,
    })
}

/// The canary of a rule, unless its policy only keeps sessions.
fn canary(status: &CanaryStatus) -> Option<Value> {
    let config = status.config.as_ref()?;
    let rules = status.rules.iter();
    let rules = rules.map(|rule| {
        value!({
            "name": rule.name,
            "matches": rule.matches,
            "optIn": rule.opt_in,
            "backend": rule.backend,
        })
    });
    Some(value!({
        "rules": rules.collect::<Vec<Value>>(),
        "override": config.override_session,
        "hashOn": config.hash_on,
        "seed": config.seed,
    }))
}

fn finding(found: &Diagnostic, targets: &[Target], sources: &Sources) -> Value {
    let related = found.related().map(|(other, message)| {
        value!({
            "message": message,
            "location": location(other, sources),
        })
    });
    value!({
        "severity": match found.severity() {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        },
        "code": found.code().name(),
        "message": found.message(),
        "location": found.location().map(|here| location(here, sources)),
        "related": related.collect::<Vec<Value>>(),
        "help": found.advice(),
        "forTargets": found.target().map_or_else(|| names(targets), |target| names(&[target])),
    })
}

fn location(location: SourceLocation, sources: &Sources) -> Value {
    value!({ "file": sources.name(location.file), "line": location.line, "column": location.column })
}

//! The validation as JSON, for programs. `docs/validation.md` documents the format. Fields may be added but are never
//! removed.

use serde_json::{Value, json as value};

use super::status::{Condition, PolicyStatus, RuleStatus, Validation};
use crate::{
    diagnostic::{Diagnostic, Report, Severity},
    id::Id,
    location::SourceLocation,
    source::Sources,
};

/// The version of the format.
const VERSION: u32 = 1;

/// Renders the validation as JSON.
#[must_use]
pub fn json(validation: &Validation, report: &Report, sources: &Sources) -> String {
    let policies: Vec<Value> = validation
        .policies
        .iter()
        .map(|status| policy(status, sources))
        .collect();
    let rules: Vec<Value> = validation.rules.iter().map(|status| rule(status, sources)).collect();
    let findings = report.sorted();
    let findings: Vec<Value> = findings.iter().map(|found| finding(found, sources)).collect();
    let mut whole = value!({
        "version": VERSION,
        "valid": !report.has_errors(),
        "policies": policies,
        "rules": rules,
        "findings": findings,
    });
    whole.sort_all_objects();
    format!("{whole:#}\n")
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
    let session = status.session.as_ref().ok();
    let policy = session.and_then(|session| session.policy.as_ref());
    let policy = policy.map(|(kind, id)| {
        value!({
            "kind": kind.to_string(),
            "namespace": id.namespace,
            "name": id.name,
        })
    });
    let canary = status.canary.as_ref();
    let canary = canary.map(|id| value!({ "namespace": id.namespace, "name": id.name }));
    value!({
        "id": status.id,
        "route": { "kind": kind.to_string(), "namespace": id.namespace, "name": id.name },
        "location": location(status.location, sources),
        "gateways": gateways.collect::<Vec<Value>>(),
        "callers": callers.collect::<Vec<Value>>(),
        "waypoints": waypoints.collect::<Vec<Value>>(),
        "policy": policy,
        "canaryPolicy": canary,
        "condition": status.own.as_ref().map_or("Accepted", Condition::reason),
        "session": session.map(|session| &session.config),
        "sessionRoutes": status.session_routes,
        "strict": session.is_some_and(|session| session.config.strict),
    })
}

fn finding(found: &Diagnostic, sources: &Sources) -> Value {
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
        "code": format!("{:?}", found.code()),
        "message": found.message(),
        "location": found.location().map(|here| location(here, sources)),
        "related": related.collect::<Vec<Value>>(),
        "help": found.advice(),
    })
}

fn location(location: SourceLocation, sources: &Sources) -> Value {
    value!({ "file": sources.name(location.file), "line": location.line, "column": location.column })
}

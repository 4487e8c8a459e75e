//! Finds the version of each backend of a rule: the value of the label that a policy names.
//!
//! Argo Rollouts writes the label `rollouts-pod-template-hash` into the selectors of its Services or into the labels of its
//! subsets. Flagger copies the labels of the canary's pod template to that of the primary. So the selector and the subset count
//! first: they apply to all pods of the backend. The pod templates count only if all that the backend selects agree.

use std::collections::{BTreeMap, BTreeSet};

use super::canaries::Target;
use crate::{
    diagnostic::{Code, Diagnostic, Report, Reported},
    dns,
    ir::{AttachedCanary, Backend, Rule},
    location::Spanned,
    resources::Resources,
    session::Session,
};

/// The field of a session that an annotation sets to the label.
const FIELD: &str = "versionLabel";

/// The label that the policies of a rule name. That of a canary policy takes precedence. A warning is added if they differ.
pub fn label(
    target: Target,
    session: Option<&Result<Session, Reported>>,
    canary: Option<&AttachedCanary>,
    report: &mut Report,
) -> Option<Spanned<String>> {
    let session = session?.as_ref().ok()?;
    let of_session = session.version_label.clone().map(|value| Spanned {
        value,
        location: session.locations.get_or_whole(FIELD),
    });
    let of_canary = canary.and_then(|canary| canary.version_label.clone());
    let (Some(canary), Some(session)) = (&of_canary, &of_session) else {
        return of_canary.or(of_session);
    };
    if canary.value != session.value {
        let message = format!(
            "the version label `{}` has no effect on {}: a CanaryPolicy names `{}` for it",
            session.value, target.title, canary.value
        );
        let warning = Diagnostic::warning(Code::NoEffect, message).at(session.location);
        report.add(warning.with(canary.location, "this label applies"));
    }
    of_canary
}

/// Sets the versions of the backends of a rule. Reports the backends that have none.
pub fn set(rule: &mut Rule, label: &Spanned<String>, resources: &Resources, report: &mut Report) {
    let mut unknown = Vec::new();
    for backend in &mut rule.backends {
        match version(backend, &label.value, resources) {
            Ok(version) => backend.version = Some(version),
            Err(reason) => unknown.push(format!("{}, because {reason}", backend.key())),
        }
    }
    if unknown.is_empty() {
        return;
    }
    let message = format!(
        "the label `{}` does not tell the version of each backend of the rule {}, so sessions stay on these backends whatever \
         their version: {}",
        label.value,
        rule.id,
        unknown.join("; ")
    );
    let warning = Diagnostic::warning(Code::NoEffect, message).at(label.location);
    report.add(warning.with(rule.location_of(rule.spec), "the rule").help(
        "the label must be in the selector of the Service, in the labels of the subset, or in the template of every Deployment, \
         StatefulSet and DaemonSet whose pods the backend selects, and these must be in the input",
    ));
}

/// The version of a backend, or why it has none.
fn version(backend: &Backend, label: &str, resources: &Resources) -> Result<String, String> {
    let mut selected = backend.concrete.spec.selector.to_map();
    let of_subset = backend.subset.map(|subset| subset.labels.to_map()).unwrap_or_default();
    let found: BTreeSet<&str> = [&selected, &of_subset]
        .into_iter()
        .filter_map(|labels| labels.get(label).map(String::as_str))
        .collect();
    if let Some(version) = agreed(&found, "the Service and the subset select")? {
        return Ok(version);
    }
    if selected.is_empty() {
        return Err("its Service has no selector".to_owned());
    }
    selected.extend(of_subset);
    of_templates(&backend.concrete.id.namespace, &selected, label, resources)
}

/// The version that the templates of the pods with these labels agree on, or why they do not.
fn of_templates(
    namespace: &str,
    selected: &BTreeMap<String, String>,
    label: &str,
    resources: &Resources,
) -> Result<String, String> {
    let templates = resources.pod_templates_of(namespace);
    let mut found = BTreeSet::new();
    let mut missing = false;
    for labels in templates.filter(|labels| labels.include(selected)) {
        match labels.get(label) {
            Some(version) => {
                found.insert(version);
            }
            None => missing = true,
        }
    }
    if missing && !found.is_empty() {
        return Err("some of its pod templates do not have it".to_owned());
    }
    if missing {
        return Err("its pod templates do not have it".to_owned());
    }
    agreed(&found, "its pod templates have")?
        .ok_or_else(|| "no pod template that it selects is in the input".to_owned())
}

/// The only one of these values. An error if there are several, or if it is empty or no value of a label.
fn agreed(values: &BTreeSet<&str>, which: &str) -> Result<Option<String>, String> {
    let mut all = values.iter().copied();
    match (all.next(), all.next()) {
        (None, _) => Ok(None),
        (Some(one), None) if !one.is_empty() && dns::is_label_value(one) => Ok(Some(one.to_owned())),
        (Some(one), None) => Err(format!("{which} the value `{one}`")),
        _ => {
            let values: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
            Err(format!("{which} different values: {}", values.join(", ")))
        }
    }
}

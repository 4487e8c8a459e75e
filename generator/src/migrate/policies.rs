//! Policies beside routes: a `CanaryPolicy`, and a policy with the sessions of a Service.

use serde_json::{Map, Value, json};

use super::{
    ingress::Ingress,
    options::PolicyKind,
    output::{ApiKind, Objects},
    paths::Backend,
};
use crate::{
    diagnostic::{Code, Diagnostic, Report},
    id::Id,
    location::SourceLocation,
};

/// A canary of an `HTTPRoute`.
pub struct CanaryOf<'a> {
    /// The canary Ingress.
    pub canary: &'a Ingress<'a>,
    /// Its backend.
    pub backend: &'a Backend,
    /// The namespace and name of the route.
    pub route: &'a Id,
    /// The name of the rule. None: all rules of the route.
    pub section: Option<&'a str>,
    /// Whether the rule has sessions, which precede the rules of a canary in ingress-nginx.
    pub sessions: bool,
}

/// Writes the `CanaryPolicy`, if the canary has more than a weight.
pub fn add_canary(of: &CanaryOf, main: &Ingress, objects: &mut Objects, report: &mut Report) {
    let Some(rules) = &of.canary.canary else { return };
    if let Some(location) = rules.legacy.filter(|_| of.sessions) {
        let message = "`affinity-canary-behavior: legacy` is not translated: a session of Mooring also keeps the client on the \
                       canary, as `sticky` does";
        report.add(Diagnostic::warning(Code::Unsupported, message).at(location));
    }
    if rules.rules.is_empty() {
        return;
    }
    let with_backend = rules.rules.iter().cloned().map(|mut rule| {
        if let Some(rule) = rule.as_object_mut() {
            let backend = json!({ "name": of.backend.service.name, "port": of.backend.port });
            rule.insert("backendRef".to_owned(), backend);
        }
        rule
    });
    let spec = json!({
        "targetRef": {
            "group": "gateway.networking.k8s.io",
            "kind": "HTTPRoute",
            "name": of.route.name,
            "sectionName": of.section,
        },
        "rules": with_backend.collect::<Vec<Value>>(),
        "override": of.sessions.then_some("Never"),
    });
    let origins = [main.item, of.canary.item];
    let id = Id::new(&of.route.namespace, &of.canary.item.id.name);
    let kind = ("mooring.dev/v1alpha1", "CanaryPolicy");
    objects.add(kind, &id, json!({ "spec": spec }), &origins);
}

/// Writes the policy with the sessions of a Service.
pub fn add_sessions(
    service: &Id,
    persistence: &Value,
    annotations: Map<String, Value>,
    kind: PolicyKind,
    origins: &[(String, SourceLocation)],
    objects: &mut Objects,
) {
    let kind: ApiKind = match kind {
        PolicyKind::XBackendTrafficPolicy => ("gateway.networking.x-k8s.io/v1alpha1", "XBackendTrafficPolicy"),
        PolicyKind::BackendLBPolicy => ("gateway.networking.k8s.io/v1alpha2", "BackendLBPolicy"),
    };
    let id = Id::new(&service.namespace, &format!("{}-sessions", service.name));
    let annotations = Some(annotations).filter(|annotations| !annotations.is_empty());
    let fields = json!({
        "metadata": { "annotations": annotations },
        "spec": {
            "targetRefs": [{ "group": "", "kind": "Service", "name": service.name }],
            "sessionPersistence": persistence,
        },
    });
    objects.add_from(kind, &id, fields, origins);
}

//! Services that are not exported to the namespace of a gateway.

use crate::{
    diagnostic::{Code, Diagnostic, Report},
    ir::{ProxyGroup, Workload},
    visibility,
};

/// Warns of backends that are not visible to the pods of a gateway (`exportTo`).
pub fn warn(group: &ProxyGroup, report: &mut Report) {
    let namespace = group.namespace();
    if group.callers().is_some_and(Workload::is_in_any_namespace) {
        return;
    }
    for attached in group.managed_rules() {
        for backend in &attached.rule.backends {
            let Some(location) = visibility::hides(backend.concrete, namespace) else {
                continue;
            };
            let message = format!(
                "the Service {} is not exported to the namespace {namespace}, where the pods of {} run: Istio \
                 has no cluster for it there and answers 503",
                backend.concrete.id,
                group.title()
            );
            let warning = Diagnostic::warning(Code::BackendNotFound, message).at(location);
            report.add(warning.with(attached.rule.location_of(attached.rule.spec), "the rule"));
        }
    }
}

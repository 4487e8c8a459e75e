//! Checks the waypoints between gateways and the pods of their backends.

use crate::{
    diagnostic::{Code, Diagnostic, Report},
    ir::ProxyGroup,
    resources::Resources,
    translate::waypoints,
};

/// Warns of sessions of a gateway that are bound to pods, if the gateway sends the requests through a waypoint. The waypoint
/// selects a pod again.
pub fn warn(group: &ProxyGroup, resources: &Resources, report: &mut Report) {
    if group.gateway().is_none() {
        return;
    }
    let bound = group.managed_rules().map(|attached| &attached.rule);
    for rule in bound.filter(|rule| rule.host_session_filter().is_some()) {
        for backend in &rule.backends {
            let service = backend.concrete;
            let (Some(Ok(waypoint)), Some(label)) = (
                waypoints::of_service(service, resources),
                waypoints::ingress_label(service, resources),
            ) else {
                continue;
            };
            let message = format!(
                "sessions of the rule {} do not stay on a pod: {} sends requests for the Service {} through the waypoint \
                 {}, which selects a pod again",
                rule.id,
                group.title(),
                service.id,
                waypoint.id
            );
            let warning = Diagnostic::warning(Code::NoEffect, message).at(label);
            let warning = warning.with(rule.location_of(rule.spec), "the rule");
            report.add(warning.help("keep the sessions at the waypoint: in a route with the Service as its parent"));
        }
    }
}

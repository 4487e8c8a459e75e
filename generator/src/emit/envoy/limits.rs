//! What this target cannot do, each with its place.

use crate::{
    diagnostic::{Code, Diagnostic, Report},
    inventory::Item,
    plan::{Plan, Rule},
    source::Place,
    wire::gateway::GatewaySpec,
};

/// Reports everything in the input that needs more than this target has.
pub fn check(plan: &Plan, report: &mut Report) {
    for gateway in &plan.gateways {
        for item in gateway.items() {
            check_gateway(item, report);
        }
        for placed in &gateway.rules {
            check_rule(&placed.rule, report);
        }
    }
}

fn check_gateway(item: &Item<GatewaySpec>, report: &mut Report) {
    for listener in &item.spec.listeners {
        let protocol = &listener.value.protocol;
        if protocol.value != "HTTP" {
            let what = format!("a listener with the protocol {}", protocol.value);
            let diagnostic = diagnostic(&what, item.place_of(protocol));
            report.add(diagnostic.help("a local Envoy serves listeners with the protocol HTTP"));
        }
    }
    for (what, field) in [
        ("`tls` of a Gateway", &item.spec.tls),
        ("`backendTLS` of a Gateway", &item.spec.backend_tls),
    ] {
        if let Some(field) = field {
            unsupported(what, item.place_of(field), report);
        }
    }
}

fn check_rule(rule: &Rule, report: &mut Report) {
    let Item { origin, .. } = rule.route;
    let wire = &rule.wire.value;
    for filter in &wire.filters {
        unsupported("a filter of a rule", origin.place(filter), report);
    }
    for filter in wire.backend_refs.iter().flat_map(|reference| &reference.value.filters) {
        unsupported("a filter of one backend", origin.place(filter), report);
    }
    if let Some(timeouts) = &wire.timeouts {
        unsupported("`timeouts` of a rule", origin.place(timeouts), report);
    }
    if let Some(retry) = &wire.retry {
        unsupported("`retry` of a rule", origin.place(retry), report);
    }
    for only in &wire.only_istio {
        unsupported(
            &format!("{} of a VirtualService", only.value),
            origin.place(only),
            report,
        );
    }
    for headers in wire.destinations.iter().filter_map(|one| one.value.headers.as_ref()) {
        unsupported("`headers` of one destination", origin.place(headers), report);
    }
    for backend in &rule.backends {
        if let Some(host) = &backend.service.spec.external_host {
            unsupported("a host of a ServiceEntry", backend.service.place_of(host), report);
        }
        if let Some(kind) = backend
            .service
            .spec
            .service_type
            .as_ref()
            .filter(|kind| kind.value == "ExternalName")
        {
            unsupported("a Service of type ExternalName", backend.service.place_of(kind), report);
        }
    }
}

fn unsupported(what: &str, place: Place, report: &mut Report) {
    report.add(diagnostic(what, place));
}

fn diagnostic(what: &str, place: Place) -> Diagnostic {
    Diagnostic::error(Code::Unsupported, format!("{what} is not supported by --target envoy")).at(place)
}

//! What this target cannot do, each with its place.

use crate::{
    diagnostic::{Code, Diagnostic, Report},
    inventory::Item,
    kind::Kind,
    left_out::What,
    plan::{Plan, Rule},
    source::Place,
    wire::gateway::{GatewaySpec, Listener},
};

/// Reports everything in the input that needs more than this target has, and is left out. About rules without sessions and
/// canaries that is no more than a note.
pub fn check(plan: &Plan, report: &mut Report) {
    for gateway in &plan.gateways {
        for item in gateway.items() {
            check_gateway(item, report);
        }
        for placed in &gateway.rules {
            let mut found = Report::default();
            check_rule(&placed.rule, &mut found);
            if placed.rule.concerns_us() {
                report.extend(found);
            } else {
                report.extend_harmless(found);
            }
        }
    }
}

/// Whether this target serves a listener.
pub fn serves(listener: &Listener) -> bool {
    listener.protocol.value == "HTTP"
}

fn check_gateway(item: &Item<GatewaySpec>, report: &mut Report) {
    let name = item.name(Kind::Gateway);
    for listener in item.spec.listeners.iter().filter(|listener| !serves(&listener.value)) {
        let protocol = &listener.value.protocol;
        let what = format!("a listener with the protocol {}", protocol.value);
        let diagnostic = diagnostic(&what, item.place_of(protocol));
        report.add(diagnostic.help("a local Envoy serves listeners with the protocol HTTP"));
        report.leave_out(What::Listener, format!("{name}#{}", listener.value.name.value));
    }
    for (what, field) in [
        ("`tls` of a Gateway", &item.spec.tls),
        ("`backendTLS` of a Gateway", &item.spec.backend_tls),
    ] {
        if let Some(field) = field {
            unsupported(what, item.place_of(field), &name, report);
        }
    }
}

fn check_rule(rule: &Rule, report: &mut Report) {
    let Item { origin, .. } = rule.route;
    let wire = &rule.wire.value;
    let mut unsupported = |what: &str, place: Place| unsupported(what, place, &rule.id, report);
    for filter in &wire.filters {
        unsupported("a filter of a rule", origin.place(filter));
    }
    for filter in wire.backend_refs.iter().flat_map(|reference| &reference.value.filters) {
        unsupported("a filter of one backend", origin.place(filter));
    }
    if let Some(timeouts) = &wire.timeouts {
        unsupported("`timeouts` of a rule", origin.place(timeouts));
    }
    if let Some(retry) = &wire.retry {
        unsupported("`retry` of a rule", origin.place(retry));
    }
    for only in &wire.only_istio {
        unsupported(&format!("{} of a VirtualService", only.value), origin.place(only));
    }
    for headers in wire.destinations.iter().filter_map(|one| one.value.headers.as_ref()) {
        unsupported("`headers` of one destination", origin.place(headers));
    }
    for backend in &rule.backends {
        if let Some(host) = &backend.service.spec.external_host {
            unsupported("a host of a ServiceEntry", backend.service.place_of(host));
        }
        if let Some(kind) = backend
            .service
            .spec
            .service_type
            .as_ref()
            .filter(|kind| kind.value == "ExternalName" && std::ptr::eq(backend.service, backend.concrete))
        {
            unsupported("a Service of type ExternalName", backend.service.place_of(kind));
        }
    }
}

fn unsupported(what: &str, place: Place, of: &str, report: &mut Report) {
    report.add(diagnostic(what, place));
    report.leave_out(What::Feature, format!("{what}: {of}"));
}

fn diagnostic(what: &str, place: Place) -> Diagnostic {
    Diagnostic::error(Code::Unsupported, format!("{what} is not supported by --target envoy")).at(place)
}

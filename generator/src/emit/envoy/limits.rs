//! What of Gateways this target cannot do, each with its place.

use crate::{
    diagnostic::{Code, Diagnostic, Report},
    inventory::Item,
    kind::Kind,
    left_out::What,
    plan::{Gateway, Plan},
    source::Place,
    wire::gateway::{GatewaySpec, Listener},
};

/// Reports everything in the Gateways that needs more than this target has, and is left out.
pub fn check(plan: &Plan, report: &mut Report) {
    for item in plan.gateways.iter().flat_map(Gateway::items) {
        check_gateway(item, report);
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

fn unsupported(what: &str, place: Place, of: &str, report: &mut Report) {
    report.add(diagnostic(what, place));
    report.leave_out(What::Feature, format!("{what}: {of}"));
}

fn diagnostic(what: &str, place: Place) -> Diagnostic {
    Diagnostic::error(Code::Unsupported, format!("{what} is not supported by --target envoy")).at(place)
}

//! What of Gateways this target cannot do, each with its place.

use crate::{
    diagnostic::{Code, Diagnostic, Report},
    inventory::Item,
    plan::{Gateway, Plan},
    source::Place,
    wire::gateway::{GatewaySpec, Listener},
};

/// Reports everything in the Gateways that needs more than this target has.
pub fn check(plan: &Plan, report: &mut Report) {
    for item in plan.gateways.iter().flat_map(Gateway::items) {
        check_gateway(item, report);
    }
}

/// Whether this target serves a listener.
pub fn serves(listener: &Listener) -> bool {
    listener.speaks_http()
}

fn check_gateway(item: &Item<GatewaySpec>, report: &mut Report) {
    for listener in item.spec.listeners.iter().filter(|listener| !serves(&listener.value)) {
        let protocol = &listener.value.protocol;
        let what = format!("a listener with the protocol {}", protocol.value);
        let note = note(&what, item.place_of(protocol));
        report.add(note.help("a local Envoy serves listeners with the protocol HTTP or HTTPS"));
    }
    for (what, field) in [
        ("`tls` of a Gateway", &item.spec.tls),
        ("`backendTLS` of a Gateway", &item.spec.backend_tls),
    ] {
        if let Some(field) = field {
            report.add(note(what, item.place_of(field)));
        }
    }
}

fn note(what: &str, place: Place) -> Diagnostic {
    Diagnostic::note(Code::Unsupported, format!("{what} is not served by --target envoy")).at(place)
}

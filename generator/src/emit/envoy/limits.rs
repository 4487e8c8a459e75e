//! The features of Gateways that this target does not support, with their locations.

use crate::{
    diagnostic::{Code, Diagnostic, Report},
    ir::{Gateway, Ir, ProxyGroup},
    location::SourceLocation,
    model::gateway::{GatewaySpec, Listener},
    resources::Item,
};

/// Reports each feature of the Gateways that this target does not support.
pub fn check(ir: &Ir, report: &mut Report) {
    let gateways = || ir.proxies.iter().filter_map(ProxyGroup::gateway);
    for item in gateways().flat_map(Gateway::items) {
        check_gateway(item, report);
    }
    let of_sets = gateways().flat_map(Gateway::set_listeners);
    for (offset, listener) in of_sets.filter(|(_, listener)| !serves_of_set(listener)) {
        let what = format!(
            "a listener of a listener set with the protocol {}",
            listener.protocol.value
        );
        let note = note(&what, offset.location(&listener.protocol));
        report.add(note.help("in listener sets, a local Envoy serves only listeners with the protocol HTTP"));
    }
}

/// Whether this target serves a listener of a Gateway.
pub fn serves(item: &Item<GatewaySpec>, listener: &Listener) -> bool {
    listener.speaks_http() && !demands_certificates(item, listener)
}

/// Whether clients must present a certificate there. This target does not ask for one.
fn demands_certificates(item: &Item<GatewaySpec>, listener: &Listener) -> bool {
    let tls = item.spec.tls.as_ref().filter(|_| listener.protocol.value == "HTTPS");
    tls.is_some_and(|tls| tls.value.demands_certificates(listener.port.value))
}

/// Whether this target serves a listener of a listener set.
pub fn serves_of_set(listener: &Listener) -> bool {
    listener.protocol.value == "HTTP"
}

fn check_gateway(item: &Item<GatewaySpec>, report: &mut Report) {
    for listener in item
        .spec
        .listeners
        .iter()
        .filter(|listener| !serves(item, &listener.value))
    {
        let protocol = &listener.value.protocol;
        let what = if demands_certificates(item, &listener.value) {
            "a listener that requires client certificates (`tls.frontend`)".to_owned()
        } else {
            format!("a listener with the protocol {}", protocol.value)
        };
        let note = note(&what, item.location_of(protocol));
        report.add(note.help("a local Envoy serves only listeners with the protocol HTTP or HTTPS"));
    }
    if let Some(field) = &item.spec.backend_tls {
        report.add(note("`backendTLS` of a Gateway", item.location_of(field)));
    }
}

fn note(what: &str, location: SourceLocation) -> Diagnostic {
    Diagnostic::note(Code::Unsupported, format!("{what} is not served by --target envoy")).at(location)
}

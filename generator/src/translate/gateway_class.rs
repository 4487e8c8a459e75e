//! Decides which `GatewayClass`es are supported: those that Istio's own controller serves with Envoy (istiod:
//! `FetchGatewayClass`).

use crate::{
    api::field::Field,
    diagnostic::{Code, Diagnostic},
    id::Id,
    model::gateway::GatewaySpec,
    resources::{Item, Resources},
};

/// The controller of Istio's gateways.
const CONTROLLER: &str = "istio.io/gateway-controller";

/// The controller of Istio's waypoints.
const WAYPOINT_CONTROLLER: &str = "istio.io/mesh-controller";

/// The `GatewayClass`es that istiod creates, and their controllers.
const BUILT_IN: [(&str, &str); 6] = [
    ("istio", CONTROLLER),
    ("istio-remote", "istio.io/unmanaged-gateway"),
    ("istio-waypoint", WAYPOINT_CONTROLLER),
    ("istio-east-west", "istio.io/eastwest-controller"),
    ("istio-agentgateway", "istio.io/agentgateway-controller"),
    (
        "istio-agentgateway-waypoint",
        "istio.io/agentgateway-waypoint-controller",
    ),
];

/// The controllers of Istio that serve no routes with a Gateway as their parent, or that are not supported, and why.
const NOT_SUPPORTED: [(&str, &str); 5] = [
    (
        WAYPOINT_CONTROLLER,
        "a waypoint, which serves only routes with a Service as their parent",
    ),
    (
        "istio.io/eastwest-controller",
        "a gateway between clusters of an ambient mesh, which is not supported",
    ),
    (
        "istio.io/agentgateway-controller",
        "served by agentgateway, and only Envoy keeps sessions",
    ),
    (
        "istio.io/agentgateway-waypoint-controller",
        "a waypoint of agentgateway, and only Envoy keeps sessions",
    ),
    (
        "istio.io/unmanaged-gateway",
        "in another cluster: generate for it with the objects of that cluster",
    ),
];

/// Whether a Gateway is a waypoint of Istio.
pub fn is_waypoint(item: &Item<GatewaySpec>, resources: &Resources) -> bool {
    let class = item.spec.gateway_class_name.as_ref();
    class.is_some_and(|class| controller(class, resources) == Some(WAYPOINT_CONTROLLER))
}

/// The controller of a class. `None` if it is unknown.
fn controller<'a>(class: &Field<String>, resources: &'a Resources) -> Option<&'a str> {
    let built_in = || BUILT_IN.iter().find(|(name, _)| *name == class.value);
    match resources.gateway_classes.get(&Id::new("", &class.value)) {
        Some(object) => Some(object.spec.controller_name.value.as_str()),
        None => built_in().map(|(_, controller)| *controller),
    }
}

/// A warning if the class of a Gateway is not supported.
pub fn refusal(item: &Item<GatewaySpec>, resources: &Resources) -> Option<Diagnostic> {
    let Some(class) = &item.spec.gateway_class_name else {
        // A Gateway of `networking.istio.io` has no class.
        return None;
    };
    let object = resources.gateway_classes.get(&Id::new("", &class.value));
    let controller = controller(class, resources);
    let refusal = |code: Code, reason: String| {
        let message = format!("no sessions are kept on Gateway {}: {reason}", item.id);
        let warning = Diagnostic::warning(code, message).at(item.location_of(class));
        let location = object.map(|object| object.location_of(&object.spec.controller_name));
        location.into_iter().fold(warning, |warning, location| {
            warning.with(location, "the controller of the class")
        })
    };
    let not_supported = NOT_SUPPORTED.iter().find(|(name, _)| Some(*name) == controller);
    if let Some((_, what)) = not_supported {
        return Some(refusal(
            Code::Unsupported,
            format!("its class `{}` means that it is {what}", class.value),
        ));
    }
    if controller == Some(CONTROLLER) || resources.mesh.classes.contains(&class.value) {
        return None;
    }
    Some(match controller {
        Some(other) => refusal(
            Code::NoEffect,
            format!(
                "its class `{}` is that of the controller `{other}`, not of Istio",
                class.value
            ),
        )
        .help(format!(
            "if that is a name of Istio's controller, say so with --gateway-class {}",
            class.value
        )),
        None => refusal(Code::NoEffect, unknown(class)).help(format!(
            "add the GatewayClass to the input, or say that it is Istio's with --gateway-class {}",
            class.value
        )),
    })
}

fn unknown(class: &Field<String>) -> String {
    format!(
        "it is unknown whether its class `{}` is Istio's, because the GatewayClass is not in the input; `istio` is \
         known without it",
        class.value
    )
}

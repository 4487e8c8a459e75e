//! Finds the waypoints of Services (istiod: `fetchWaypointForService`).
//!
//! The label `istio.io/use-waypoint` of a Service names its waypoint, or else the label of its Namespace does.

use crate::{
    api::{
        field::{Field, Pairs},
        gateway::FromNamespaces,
    },
    diagnostic::{Code, Diagnostic},
    id::Id,
    location::SourceLocation,
    model::{gateway::GatewaySpec, service::ServiceSpec},
    resources::{Found, Item, Resources},
    translate::{binding::namespace_selectors, gateway_class},
};

/// The label with the name of the waypoint.
pub(crate) const USE_WAYPOINT: &str = "istio.io/use-waypoint";

/// The value of the label for Services without a waypoint.
const NO_WAYPOINT: &str = "none";

/// The label with the namespace of the waypoint, if it is not that of the Service.
const USE_WAYPOINT_NAMESPACE: &str = "istio.io/use-waypoint-namespace";

/// The label of a waypoint, or of its class, that names the traffic that it accepts.
const WAYPOINT_FOR: &str = "istio.io/waypoint-for";

/// The values of this label for waypoints that serve Services.
const FOR_SERVICES: [&str; 2] = ["service", "all"];

/// The label of a Service or a Namespace: whether gateways send their requests through the waypoint.
const INGRESS_USE_WAYPOINT: &str = "istio.io/ingress-use-waypoint";

/// The protocol and port of the listener whose `allowedRoutes` decides which namespaces may use a waypoint.
const LISTENER: (&str, u16) = ("HBONE", 15008);

/// The reason why the waypoint that a Service names does not serve it.
pub enum Unserved {
    /// It could not be read, which is reported elsewhere.
    Unread(Id),
    /// It is missing or does not accept the Service.
    Refused(Box<Diagnostic>),
}

/// The waypoint of a Service. `None` if the Service uses no waypoint.
pub fn of_service<'a>(
    service: &Item<ServiceSpec>,
    resources: &'a Resources,
) -> Option<Result<&'a Item<GatewaySpec>, Unserved>> {
    // A local Envoy is no waypoint. istiod binds hosts of ServiceEntries to waypoints too, but Mooring does not.
    if resources.mesh.local || service.spec.external_host.is_some() {
        return None;
    }
    let (id, location) = named(service, resources)?;
    Some(find(service, &id, location, resources))
}

/// The waypoint that a Service names, and where.
fn named(service: &Item<ServiceSpec>, resources: &Resources) -> Option<(Id, SourceLocation)> {
    let own = &service.metadata.labels;
    let namespace = resources.namespaces.get(&Id::new("", &service.id.namespace));
    let of_namespace = || Some((&namespace?.metadata.labels, namespace?.offset));
    let (labels, offset) = match field(own, USE_WAYPOINT) {
        Some(_) => (own, service.offset),
        None => of_namespace()?,
    };
    let name = field(labels, USE_WAYPOINT).filter(|name| name.value != NO_WAYPOINT)?;
    let namespace = labels.get(USE_WAYPOINT_NAMESPACE).unwrap_or(&service.id.namespace);
    Some((Id::new(namespace, &name.value), offset.location(name)))
}

fn find<'a>(
    service: &Item<ServiceSpec>,
    id: &Id,
    location: SourceLocation,
    resources: &'a Resources,
) -> Result<&'a Item<GatewaySpec>, Unserved> {
    let refused = |reason: &str| {
        let message = format!("the waypoint {id} of the Service {} {reason}", service.id);
        Diagnostic::error(Code::NoMatchingParent, message).at(location)
    };
    let item = match resources.gateways.find(id) {
        Found::Item(item) => item,
        Found::Unknown => return Err(Unserved::Unread(id.clone())),
        Found::Nothing(instead) => {
            let error = refused("is not in the input").instead(&instead);
            return Err(Unserved::Refused(Box::new(error)));
        }
    };
    let reason = if !gateway_class::is_waypoint(item, resources) {
        "has a class that is not the one of Istio's waypoints"
    } else if !serves_services(item, resources) {
        "serves no Services, because of its label istio.io/waypoint-for"
    } else if !allows(item, &service.id.namespace, resources) {
        "does not serve its namespace, because the allowedRoutes of its listener exclude it"
    } else {
        return Ok(item);
    };
    let error = refused(reason).with(item.location(), "the waypoint");
    Err(Unserved::Refused(Box::new(error)))
}

/// Whether a waypoint accepts requests for Services (istiod: `gatewayToWaypointTransform`).
fn serves_services(item: &Item<GatewaySpec>, resources: &Resources) -> bool {
    let class = item.spec.gateway_class_name.as_ref();
    let class = class.and_then(|class| resources.gateway_classes.get(&Id::new("", &class.value)));
    let own = item.metadata.labels.get(WAYPOINT_FOR);
    let value = own.or_else(|| class?.metadata.labels.get(WAYPOINT_FOR));
    value.is_none_or(|value| FOR_SERVICES.contains(&value))
}

/// Whether Services in a namespace may use a waypoint (istiod: `makeAllowedRoutes`). A selector that the input does not
/// decide counts as selecting the namespace.
fn allows(item: &Item<GatewaySpec>, namespace: &str, resources: &Resources) -> bool {
    let same = item.id.namespace == namespace;
    let listeners = item.spec.listeners.iter().map(|listener| &listener.value);
    let mut hbone = listeners.filter(|one| (one.protocol.value.as_str(), one.port.value.get()) == LISTENER);
    let allowed = hbone
        .next()
        .and_then(|listener| listener.allowed_routes.as_ref()?.namespaces.as_ref());
    match allowed.and_then(|allowed| allowed.from.as_ref()).map(|from| from.value) {
        Some(FromNamespaces::All) => true,
        Some(FromNamespaces::Selector) => {
            let selector = allowed.and_then(|allowed| allowed.selector.as_ref());
            namespace_selectors::selects(selector, namespace, resources).unwrap_or(true)
        }
        None | Some(FromNamespaces::Same | FromNamespaces::None) => same,
    }
}

/// Whether a waypoint applies the routes of a namespace to a Service (istiod: `getVirtualServiceForWaypoint`).
pub fn applies_routes_of(namespace: &str, service: &Item<ServiceSpec>, waypoint: &Item<GatewaySpec>) -> bool {
    namespace == service.id.namespace || namespace == waypoint.id.namespace
}

/// The label by which gateways send requests for a Service through its waypoint, if they do (istiod:
/// `ingressUseWaypointFromLabels`).
pub fn ingress_label(service: &Item<ServiceSpec>, resources: &Resources) -> Option<SourceLocation> {
    let own = field(&service.metadata.labels, INGRESS_USE_WAYPOINT).map(|field| (field, service.offset));
    let of_namespace = || {
        let namespace = resources.namespaces.get(&Id::new("", &service.id.namespace))?;
        Some((
            field(&namespace.metadata.labels, INGRESS_USE_WAYPOINT)?,
            namespace.offset,
        ))
    };
    let (label, offset) = own.or_else(of_namespace)?;
    is_true(&label.value).then(|| offset.location(label))
}

/// Whether Go's `strconv.ParseBool` reads a text as true.
fn is_true(text: &str) -> bool {
    matches!(text, "1" | "t" | "T" | "true" | "TRUE" | "True")
}

fn field<'p>(labels: &'p Pairs, name: &str) -> Option<&'p Field<String>> {
    let mut pairs = labels.iter();
    pairs.find(|(label, _)| label.value == name).map(|(_, value)| value)
}

//! The listener sets of Gateways: `ListenerSet`, and `XListenerSet` in Gateway API 1.3 and 1.4.
//!
//! Envoy serves their listeners like those of the Gateway, on the same pods and in the same virtual hosts. This module
//! decides which listeners are used; `super::gateway_api` decides which routes they accept.

use crate::{
    api::{field::Field, gateway::FromNamespaces, route::ParentRef},
    diagnostic::{Code, Diagnostic, Report},
    id::Id,
    kind::{GATEWAY_API, GATEWAY_API_X, Kind},
    model::gateway::{GatewaySpec, Listener, ListenerSetSpec},
    model::route::RouteSpec,
    resources::{Found, Item, Resources},
    translate::binding::namespace_selectors,
};

/// A listener set with the Gateway that it belongs to.
pub struct Attached<'a> {
    /// The set.
    pub set: &'a Item<ListenerSetSpec>,
    /// The kind of the set.
    pub kind: Kind,
    /// The Gateway.
    pub gateway: &'a Item<GatewaySpec>,
    /// The listeners of the set that do not conflict with earlier ones.
    pub listeners: Vec<&'a Field<Listener>>,
}

/// The listener set that a route in `namespace` names as its parent. `None` if the parent is of another kind.
pub fn named(parent: &ParentRef, namespace: &str) -> Option<(Kind, Id)> {
    let group = parent.group.as_ref().map_or(GATEWAY_API, |group| &group.value);
    let kind = parent.kind.as_ref().map(|kind| kind.value.as_str());
    let kind = match (group, kind) {
        (GATEWAY_API, Some("ListenerSet")) => Kind::ListenerSet,
        (GATEWAY_API_X, Some("XListenerSet")) => Kind::XListenerSet,
        _ => return None,
    };
    let own = parent.namespace.as_ref().map(|namespace| namespace.value.as_str());
    Some((kind, Id::new(own.unwrap_or(namespace), &parent.name.value)))
}

/// The Gateway of a listener set. `None` if its parent is of another kind.
pub fn gateway(set: &Item<ListenerSetSpec>) -> Option<Id> {
    let parent = &set.spec.parent_ref;
    let group = parent.group.as_ref().map_or(GATEWAY_API, |group| &group.value);
    let kind = parent.kind.as_ref().map_or("Gateway", |kind| &kind.value);
    let own = parent.namespace.as_ref().map(|namespace| namespace.value.as_str());
    let id = Id::new(own.unwrap_or(&set.id.namespace), &parent.name.value);
    ((group, kind) == (GATEWAY_API, "Gateway")).then_some(id)
}

/// Finds the listener set that a route names. Reports references that cannot be resolved.
pub fn find<'a>(
    route: &Item<RouteSpec>,
    parent: &Field<ParentRef>,
    (kind, id): (Kind, Id),
    resources: &'a Resources,
    report: &mut Report,
) -> Option<Attached<'a>> {
    let location = route.location_of(&parent.value.name);
    let error = |message: String| Diagnostic::error(Code::NoMatchingParent, message).at(location);
    let set = match resources.listener_sets_of(kind).find(&id) {
        Found::Item(set) => set,
        Found::Unknown => {
            report.miss(kind, &id);
            return None;
        }
        Found::Nothing(instead) => {
            report.add(error(format!("the {kind} {id} is not in the input")).instead(&instead));
            return None;
        }
    };
    let Some(of_set) = gateway(set) else {
        let message = format!("no sessions are kept on the {kind} {id}: its parent is not a Gateway");
        let warning = Diagnostic::warning(Code::Unsupported, message).at(location);
        report.add(warning.with(set.location_of(&set.spec.parent_ref.name), "its parent"));
        return None;
    };
    let gateway = match resources.gateways.find(&of_set) {
        Found::Item(gateway) => gateway,
        Found::Unknown => {
            report.miss(Kind::Gateway, &of_set);
            return None;
        }
        Found::Nothing(instead) => {
            let message = format!("the Gateway {of_set} of the {kind} {id} is not in the input");
            let error = error(message).with(
                set.location_of(&set.spec.parent_ref.name),
                "the ListenerSet names it here",
            );
            report.add(error.instead(&instead));
            return None;
        }
    };
    let attached = of_gateway(gateway, resources).into_iter();
    let mut attached = attached.filter(|one| std::ptr::eq(one.set, set));
    let found = attached.next();
    if found.is_none() {
        let message = format!("the allowedListeners of Gateway {} exclude the {kind} {id}", gateway.id);
        report.add(error(message).with(gateway.location(), "the Gateway"));
    }
    found
}

/// The listener sets that a Gateway allows, the oldest first, each with its listeners that do not conflict with earlier
/// ones (istiod: `ComputeGatewayListenerConflicts`).
pub fn of_gateway<'a>(gateway: &'a Item<GatewaySpec>, resources: &'a Resources) -> Vec<Attached<'a>> {
    let sets = resources.listener_sets.iter().map(|set| (Kind::ListenerSet, set));
    let sets = sets.chain(resources.x_listener_sets.iter().map(|set| (Kind::XListenerSet, set)));
    let of_this = |(_, set): &(Kind, &Item<ListenerSetSpec>)| {
        self::gateway(set).as_ref() == Some(&gateway.id) && allows(gateway, &set.id.namespace, resources)
    };
    let mut sets: Vec<_> = sets.filter(of_this).collect();
    sets.sort_by_key(|(_, set)| {
        let created = set
            .metadata
            .creation_timestamp
            .as_ref()
            .map(|field| field.value.as_str());
        (created.is_none(), created, set.id.to_string())
    });
    let mut winners: Vec<&Listener> = gateway.spec.listeners.iter().map(|listener| &listener.value).collect();
    let attached = sets.into_iter().map(|(kind, set)| {
        let mut listeners = Vec::new();
        for listener in &set.spec.listeners {
            if winners.iter().all(|winner| are_distinct(winner, &listener.value)) {
                winners.push(&listener.value);
                listeners.push(listener);
            }
        }
        Attached {
            set,
            kind,
            gateway,
            listeners,
        }
    });
    attached.collect()
}

/// Whether a Gateway allows listener sets of a namespace. If its selector needs labels that are not in the input, the
/// answer is yes.
fn allows(gateway: &Item<GatewaySpec>, namespace: &str, resources: &Resources) -> bool {
    let allowed = gateway.spec.allowed_listeners.as_ref();
    let Some(namespaces) = allowed.and_then(|allowed| allowed.namespaces.as_ref()) else {
        return false;
    };
    match namespaces.from.as_ref().map(|from| from.value) {
        Some(FromNamespaces::All) => true,
        Some(FromNamespaces::Same) => namespace == gateway.id.namespace,
        None | Some(FromNamespaces::None) => false,
        Some(FromNamespaces::Selector) => {
            namespace_selectors::selects(namespaces.selector.as_ref(), namespace, resources).unwrap_or(true)
        }
    }
}

/// Whether two listeners can coexist on one gateway (istiod: `listenersDistinct`).
fn are_distinct(one: &Listener, other: &Listener) -> bool {
    if one.port.value != other.port.value {
        return true;
    }
    let is_http = |listener: &Listener| ["HTTP", "HTTPS", "TLS"].contains(&listener.protocol.value.as_str());
    is_http(one) && is_http(other) && one.host() != other.host()
}

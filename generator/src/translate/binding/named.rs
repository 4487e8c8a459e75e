//! What a route names as its parents, whether these accept it or not.

use std::collections::BTreeSet;

use super::{gateway_api, listener_sets, mesh};
use crate::{
    id::Id,
    kind::Kind,
    model::{route::RouteSpec, virtual_service::istio_gateway},
    resources::{Item, Resources},
};

/// The parents that a route names.
#[derive(Debug, Default)]
pub struct Named {
    /// The gateways, also those of listener sets.
    pub gateways: BTreeSet<(Kind, Id)>,
    /// Whether it names a listener set.
    pub sets: bool,
    /// Whether it may apply to sidecars or waypoints.
    pub mesh: bool,
}

impl Named {
    /// The parents that a route names.
    #[must_use]
    pub fn by(route: &Item<RouteSpec>, resources: &Resources) -> Self {
        let namespace = &route.id.namespace;
        let mut named = Self::default();
        for parent in route.spec.parent_refs.iter().map(|parent| &parent.value) {
            named.mesh |= mesh::parent(parent, namespace).is_some();
            let gateway = gateway_api::gateway(parent, namespace);
            named.gateways.extend(gateway.map(|id| (Kind::Gateway, id)));
            if let Some((kind, id)) = listener_sets::named(parent, namespace) {
                named.sets = true;
                let set = resources.listener_sets_of(kind).get(&id);
                let gateway = set.and_then(listener_sets::gateway);
                named.gateways.extend(gateway.map(|id| (Kind::Gateway, id)));
            }
        }
        if route.spec.kind == Kind::VirtualService {
            named.mesh |= mesh::is_for_mesh(&route.spec);
            let gateways = route.spec.gateways.iter();
            let gateways = gateways.filter_map(|name| istio_gateway(&name.value, namespace));
            named.gateways.extend(gateways.map(|id| (Kind::IstioGateway, id)));
        }
        named
    }
}

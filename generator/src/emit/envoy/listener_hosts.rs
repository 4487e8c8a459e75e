//! The host names of the listeners on a port of a gateway.

use std::collections::{BTreeMap, BTreeSet};

use super::limits;
use crate::{
    api::field::Field,
    dns,
    ir::{Gateway, ProxyGroup},
    model::gateway::{GatewaySpec, Listener},
    resources::Item,
};

/// A listener that serves a host name. If several do, the first one.
pub enum Owner<'a> {
    /// A listener of a Gateway.
    Gateway(&'a Item<GatewaySpec>, &'a Field<Listener>),
    /// A listener of a listener set.
    ListenerSet,
}

impl Owner<'_> {
    /// Whether it redirects requests without TLS.
    pub fn redirects_to_https(&self) -> bool {
        let Self::Gateway(_, listener) = self else { return false };
        let tls = listener.value.tls.as_ref();
        tls.is_some_and(|tls| tls.value.https_redirect)
    }
}

/// The host names on a port, each with its listener.
pub fn of_port<'a>(gateway: &Gateway<'a>, port: u16) -> BTreeMap<String, Owner<'a>> {
    let mut hosts = BTreeMap::new();
    for item in gateway.items() {
        for listener in &item.spec.listeners {
            let spec = &listener.value;
            if spec.port.value.get() != port || !limits::serves(item, spec) {
                continue;
            }
            // In a gateway of Istio's own API, a namespace may precede the host.
            let hostname = spec.host();
            let hostname = hostname.split_once('/').map_or(hostname, |(_, host)| host);
            hosts
                .entry(hostname.to_owned())
                .or_insert(Owner::Gateway(item, listener));
        }
    }
    let of_sets = gateway.set_listeners().map(|(_, listener)| listener);
    for listener in of_sets.filter(|listener| listener.port.value.get() == port && limits::serves_of_set(listener)) {
        hosts.entry(listener.host().to_owned()).or_insert(Owner::ListenerSet);
    }
    hosts
}

/// The host names on a port that need a virtual host without routes: a less specific listener, which has routes for `routed`, must
/// not serve their requests.
pub fn without_routes(group: &ProxyGroup, port: u16, routed: &BTreeSet<&str>) -> Vec<String> {
    let Some(gateway) = group.gateway() else {
        return Vec::new();
    };
    let isolated =
        |hostname: &str| group.selected_pods().is_none() && routed.iter().any(|name| dns::covers(name, hostname));
    let hosts = of_port(gateway, port).into_iter();
    let hosts = hosts.filter(|(hostname, owner)| {
        !routed.contains(hostname.as_str()) && (owner.redirects_to_https() || isolated(hostname))
    });
    hosts.map(|(hostname, _)| hostname).collect()
}

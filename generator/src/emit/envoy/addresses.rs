//! The ports of gateways and callers, and the addresses on which the local Envoy listens for them.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use serde_json::{Value, json};

use super::{limits, options::Options};
use crate::{ir::ProxyGroup, location::SourceLocation};

/// The lowest port on which an unprivileged process can listen.
const MIN_UNPRIVILEGED_PORT: u16 = 1_024;

/// The offset that is added to a privileged port.
const PRIVILEGED_PORT_SHIFT: u16 = 10_000;

/// The ports of a gateway, each with the location of its first listener, or the ports on which callers send requests.
pub fn ports(group: &ProxyGroup) -> BTreeMap<u16, Option<SourceLocation>> {
    let mut ports = BTreeMap::new();
    let Some(gateway) = group.gateway() else {
        let hosts = group.rules.iter().flat_map(|attached| &attached.virtual_hosts);
        ports.extend(hosts.map(|host| (host.port, None)));
        return ports;
    };
    for item in gateway.items() {
        for listener in item
            .spec
            .listeners
            .iter()
            .filter(|listener| limits::serves(item, &listener.value))
        {
            let port = &listener.value.port;
            let location = || Some(item.location_of(port));
            ports.entry(port.value.get()).or_insert_with(location);
        }
    }
    let of_sets = gateway.set_listeners();
    for (offset, listener) in of_sets.filter(|(_, listener)| limits::serves_of_set(listener)) {
        let port = &listener.port;
        let location = || Some(offset.location(port));
        ports.entry(port.value.get()).or_insert_with(location);
    }
    ports
}

/// The address on which Envoy listens for a port of a gateway.
pub fn address(port: u16, options: &Options) -> SocketAddr {
    let port_or_shifted = if port < MIN_UNPRIVILEGED_PORT {
        port.saturating_add(PRIVILEGED_PORT_SHIFT)
    } else {
        port
    };
    let default = || SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port_or_shifted);
    options.listen.get(&port).copied().unwrap_or_else(default)
}

/// An address in Envoy's configuration.
pub fn socket_address(address: SocketAddr) -> Value {
    json!({ "socket_address": { "address": address.ip(), "port_value": address.port() } })
}
